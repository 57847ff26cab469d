from tests.support.engine import Engine, group
from tests.support.wakes import Wakes


async def test_due_jobs_go_where_their_due_time_and_priority_put_them(engine: Engine) -> None:
    await engine.add("a", delay_ms=1000, priority=1)
    await engine.add("b", delay_ms=2000, priority=5)
    await engine.add("c", delay_ms=2001)
    due = engine.ms + 1000
    await engine.advance(2)
    assert await engine.scripts.promote(engine.queue) == (2, 1)
    waiting = {"a": (due - 86_400_000) * 1000, "b": (due + 1000 + 7_200_000) * 1000}
    assert await engine.zset("waiting") == waiting
    assert await engine.ids("delayed") == ["c"]


async def test_nothing_is_due(engine: Engine) -> None:
    assert await engine.scripts.promote(engine.queue) == (0, None)
    await engine.add("a", delay_ms=5000)
    assert await engine.scripts.promote(engine.queue) == (0, 5000)


async def test_at_most_128_a_call(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(130)), delay_ms=1)
    await engine.advance(1)
    assert await engine.scripts.promote(engine.queue) == (128, 0)
    assert await engine.scripts.promote(engine.queue) == (2, None)


async def test_named_jobs_go_at_once(engine: Engine) -> None:
    await engine.add("a", "b", "c", delay_ms=60_000, priority=2)
    await engine.advance(1)
    assert await engine.scripts.promote(engine.queue, ids=["b", "b", "nobody"]) == (1, 59_000)
    assert await engine.zset("waiting") == {"b": (engine.ms - 30 * 60_000) * 1000}
    assert await engine.ids("delayed") == ["a", "c"]


async def test_named_jobs_that_are_not_delayed_stay_where_they_are(engine: Engine) -> None:
    await engine.add("a")
    before = await engine.dump()
    assert await engine.scripts.promote(engine.queue, ids=["a"]) == (0, None)
    assert await engine.dump() == before


async def test_a_promoted_job_that_is_given_back_keeps_its_place(engine: Engine) -> None:
    await engine.add("a", delay_ms=3_600_000)
    await engine.scripts.promote(engine.queue, ids=["a"])
    before = await engine.zset("waiting")
    await engine.claim()
    await engine.advance(9)
    await engine.scripts.release(engine.queue, owner="w1")
    assert await engine.zset("waiting") == before


async def test_a_promoted_retry_keeps_its_budgets(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs, arg=60_000))
    await engine.scripts.promote(engine.queue, ids=["a"])
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.state, located.entry.attempts, located.entry.ready_ms) == ("waiting", 1, engine.ms)


async def test_promoting_wakes(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.add("a", delay_ms=60_000)
    await engine.claim()
    await engine.scripts.promote(engine.queue, ids=["a"])
    assert await wakes.heard() == ["w1"]


async def test_it_may_be_called_again(engine: Engine) -> None:
    await engine.add("a", delay_ms=60_000)
    await engine.scripts.promote(engine.queue, ids=["a"])
    before = await engine.dump()
    assert await engine.scripts.promote(engine.queue, ids=["a"]) == (0, None)
    assert await engine.dump() == before


async def test_strict_queues_promote_into_bands(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "1"})
    await engine.add("a", delay_ms=1000, priority=5)
    await engine.advance(1)
    await engine.add("b", priority=4)
    assert await engine.take() == ["b", "a"]
