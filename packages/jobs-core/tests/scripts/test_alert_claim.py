from tests.support.engine import Engine


async def test_a_minute_is_given_once(engine: Engine) -> None:
    first = await engine.scripts.alert_claim()
    assert first.minute == engine.ms // 60_000
    assert (await engine.scripts.alert_claim()).minute == 0
    await engine.advance(59)
    again = await engine.scripts.alert_claim()
    await engine.advance(60)
    following = await engine.scripts.alert_claim()
    assert {again.minute, following.minute} <= {0, first.minute + 1, first.minute + 2}
    assert max(again.minute, following.minute) > first.minute


async def test_a_clock_that_jumps_back_judges_no_minute_twice(engine: Engine) -> None:
    assert (await engine.scripts.alert_claim()).minute
    await engine.advance(-3600)
    assert (await engine.scripts.alert_claim()).minute == 0


async def test_it_brings_what_is_known(engine: Engine) -> None:
    begun = await engine.scripts.alert_claim()
    await engine.scripts.alert_judge(
        minute=begun.minute, queues={"mail": b"seen"}, alerts={"mail/waiting": (True, b"told")}
    )
    await engine.scripts.alert_set(alert="mail/failed", threshold="7")
    await engine.advance(60)
    found = await engine.scripts.alert_claim()
    assert found.firing == {"mail/waiting": b"%d told" % (engine.ms - 60_000)}
    assert (found.live, found.seen) == ({"mail/failed": b"7"}, {"mail": b"seen"})
    assert found.untold == {f"mail/waiting:fired:{engine.ms - 60_000}": b"told"}
