from tests.support.engine import Engine


async def judge(engine: Engine, *, fires: bool, told: bytes = b"told") -> list[str] | None:
    minute = (await engine.scripts.alert_claim()).minute
    crossed = await engine.scripts.alert_judge(
        minute=minute, queues={"mail": b"seen"}, alerts={"mail/waiting": (fires, told)}
    )
    await engine.advance(60)
    return crossed


async def test_only_a_crossing_is_to_be_told(engine: Engine) -> None:
    ms = engine.ms
    assert await judge(engine, fires=False) == []
    assert await judge(engine, fires=True) == [f"mail/waiting:fired:{ms + 60_000}"]
    assert await judge(engine, fires=True, told=b"newer") == []
    assert (await engine.scripts.alert_claim()).firing == {"mail/waiting": b"%d newer" % (ms + 60_000)}
    await engine.advance(60)
    assert await judge(engine, fires=False) == [f"mail/waiting:recovered:{ms + 240_000}"]
    assert (await engine.scripts.alert_claim()).firing == {}


async def test_a_judge_who_is_late_changes_nothing(engine: Engine) -> None:
    slow = (await engine.scripts.alert_claim()).minute
    await engine.advance(60)
    await engine.scripts.alert_claim()
    alerts = {"mail/waiting": (True, b"told")}
    assert await engine.scripts.alert_judge(minute=slow, queues={}, alerts=alerts) is None
    await engine.advance(60)
    assert (await engine.scripts.alert_claim()).firing == {}


async def test_a_call_that_is_sent_again_crosses_once(engine: Engine) -> None:
    minute = (await engine.scripts.alert_claim()).minute
    alerts = {"mail/waiting": (True, b"told")}
    crossed = await engine.scripts.alert_judge(minute=minute, queues={}, alerts=alerts)
    await engine.advance(1)
    assert await engine.scripts.alert_judge(minute=minute, queues={}, alerts=alerts) == []
    await engine.advance(60)
    assert list((await engine.scripts.alert_claim()).untold) == crossed


async def test_queues_that_are_gone_are_forgotten(engine: Engine) -> None:
    await judge(engine, fires=False)
    minute = (await engine.scripts.alert_claim()).minute
    await engine.scripts.alert_judge(minute=minute, queues={"other": b"x"}, alerts={})
    await engine.advance(60)
    assert (await engine.scripts.alert_claim()).seen == {"other": b"x"}
