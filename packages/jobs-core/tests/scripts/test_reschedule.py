from tests.support.engine import Engine, group
from tests.support.wakes import Wakes


async def test_a_waiting_job_becomes_due_later(engine: Engine) -> None:
    await engine.add("a", priority=2)
    assert await engine.scripts.reschedule(engine.queue, delay_ms=5000, ids=["a"]) == ["1"]
    assert await engine.zset("delayed") == {"a": (engine.ms + 5000) * 16 + 2}
    assert await engine.ids("waiting") == []
    await engine.advance(5)
    assert await engine.take() == ["a"]


async def test_a_delayed_job_takes_another_time(engine: Engine) -> None:
    await engine.add("a", delay_ms=90_000)
    at = engine.ms + 2000
    assert await engine.scripts.reschedule(engine.queue, run_at_ms=at, ids=["a"]) == ["1"]
    assert await engine.zset("delayed") == {"a": at * 16 + 3}


async def test_a_time_that_is_over_is_now(engine: Engine) -> None:
    await engine.add("a", delay_ms=90_000)
    await engine.scripts.reschedule(engine.queue, run_at_ms=1, ids=["a"])
    assert await engine.zset("waiting") == {"a": engine.us}


async def test_its_place_is_that_of_its_new_time_also_when_it_is_given_back(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.scripts.reschedule(engine.queue, delay_ms=1000, ids=["a"])
    await engine.advance(1)
    assert await engine.take() == ["b", "a"]
    await engine.scripts.release(engine.queue, owner="w1")
    assert await engine.ids("waiting") == ["b", "a"]


async def test_budgets_stay(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs, arg=60_000))
    await engine.scripts.reschedule(engine.queue, delay_ms=0, ids=["a"])
    entry = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0].entry
    assert (entry.attempts, entry.ready_ms) == (1, engine.ms)


async def test_others_are_told_where_they_are(engine: Engine) -> None:
    await engine.add("busy")
    await engine.claim()
    await engine.add("a")
    verdicts = await engine.scripts.reschedule(engine.queue, delay_ms=9, ids=["a", "a", "busy", "none"])
    assert verdicts == ["1", "1", "active", "0"]


async def test_an_earlier_time_wakes_one(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a", delay_ms=90_000)
    await wakes.listen("w2")
    await engine.claim(owner="w2")
    await engine.scripts.reschedule(engine.queue, delay_ms=1000, ids=["a"])
    assert await wakes.heard() == ["w2"]


async def test_how_long_a_job_may_wait_counts_from_its_new_time(engine: Engine) -> None:
    await engine.add("a", options="expires=60000", delay_ms=1000)
    await engine.scripts.reschedule(engine.queue, delay_ms=100_000, ids=["a"])
    assert await engine.zset("expiring") == {"a": engine.ms + 160_000}
    await engine.scripts.reschedule(engine.queue, delay_ms=5000, ids=["a"])
    assert await engine.zset("expiring") == {"a": engine.ms + 65_000}
    await engine.advance(64)
    assert await engine.take() == ["a"]
