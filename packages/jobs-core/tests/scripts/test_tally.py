import pytest
from tests.support.engine import Engine, group


async def test_a_queue_nobody_used(engine: Engine) -> None:
    tally = await engine.tally()
    assert (tally.used, set(tally.sizes.values()), tally.longest_wait_ms, tally.paused_ms) == (
        False,
        {0},
        None,
        None,
    )


async def test_every_home_is_counted(engine: Engine) -> None:
    await engine.add("a", "b", "c", "d", "e")
    a, b, c, _d, _e = (await engine.claim()).jobs
    await engine.settle(
        group("complete", a, keep_count=-1), group("fail", b, keep_count=-1), group("unroutable", c)
    )
    await engine.add("f", delay_ms=1000)
    await engine.add("g")
    await engine.scripts.pause(engine.queue, actor="ada", reason="why")
    tally = await engine.tally()
    assert {home: n for home, n in tally.sizes.items() if n} == {
        "waiting": 1,
        "delayed": 1,
        "unroutable": 1,
        "completed": 1,
        "failed": 1,
        "active": 2,
    }
    assert (tally.paused_ms, tally.pause_actor, tally.pause_reason) == (engine.ms, "ada", "why")
    assert tally.totals["added:send@1"] == 7
    assert tally.parked == {"send@1": 1}
    assert tally.used


@pytest.mark.parametrize("strict", ["0", "1"])
async def test_the_longest_wait_is_found_in_every_priority(engine: Engine, strict: str) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": strict})
    await engine.add("old", priority=5)
    await engine.advance(60)
    for priority in (1, 2, 3, 4, 5):
        await engine.add(*(f"new{priority}-{number}" for number in range(5)), priority=priority)
    await engine.advance(1)
    assert (await engine.tally()).longest_wait_ms == 61_000
