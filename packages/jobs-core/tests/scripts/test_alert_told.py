from tests.support.engine import Engine


async def test_what_was_told_is_forgotten(engine: Engine) -> None:
    minute = (await engine.scripts.alert_claim()).minute
    crossed = await engine.scripts.alert_judge(
        minute=minute, queues={}, alerts={"mail/waiting": (True, b"told")}
    )
    assert crossed is not None
    assert await engine.scripts.alert_told(ids=[*crossed, "another"]) == 1
    assert await engine.scripts.alert_told(ids=crossed) == 0
    await engine.advance(60)
    assert (await engine.scripts.alert_claim()).untold == {}
