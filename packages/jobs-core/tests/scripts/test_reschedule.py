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


async def test_a_running_job_is_left_alone_and_goes_on(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    before = await engine.dump()
    assert await engine.scripts.reschedule(engine.queue, delay_ms=9, ids=["a"]) == ["active"]
    assert await engine.dump() == before
    assert (await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w1"])).gone == []
    assert await engine.scripts.checkpoint(engine.queue, owner="w1", items=[job.id, job.fence, b"x"]) == b"1"
    assert await engine.settle(group("complete", job)) == b"1"


async def test_who_ran_it_before_has_no_say_once_it_has_another_time(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    for _ in range(5):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=1, owners=[])
    await engine.scripts.reap(engine.queue, owner="w1")
    await engine.scripts.reschedule(engine.queue, delay_ms=5000, ids=["a"])
    before = await engine.dump()
    assert (await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w1"])).gone == ["w1"]
    told = [job.id, job.fence, b"x"]
    assert await engine.scripts.progress(engine.queue, owner="w1", told=b"", items=told) == b"0"
    assert await engine.scripts.checkpoint(engine.queue, owner="w1", items=told) == b"0"
    lines = [job.id, job.fence, 1, 0, b"x"]
    assert await engine.scripts.log(engine.queue, owner="w1", max_lines=9, max_bytes=99, items=lines) == b"0"
    for verb in ("complete", "fail", "cancel", "retry", "snooze", "limit", "release", "unroutable"):
        assert await engine.settle(group(verb, job, arg=1, keep_count=-1)) == b"0"
    assert await engine.dump() == before
    await engine.advance(5)
    assert await engine.take(owner="w2") == ["a"]
