from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.wire import BIG


async def test_a_failed_job_starts_anew(engine: Engine) -> None:
    await engine.add("a", priority=2)
    await engine.settle(group("retry", *(await engine.claim()).jobs, info=b"first"))
    await engine.fail("a")
    await engine.advance(9)
    assert await engine.scripts.retry(engine.queue, ids=["a"]) == ["1"]
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.state, located.info, located.history) == ("waiting", b"", b"first\x80\0\0\4info")
    entry = located.entry
    assert (entry.attempts, entry.crashes, entry.releases, entry.ready_ms) == (0, 0, 0, engine.ms)
    assert await engine.zset("waiting") == {"a": (engine.ms - 30 * 60_000) * 1000}


async def test_each_id_gets_its_verdict(engine: Engine) -> None:
    await engine.add("done")
    await engine.settle(group("complete", *(await engine.claim()).jobs, keep_count=-1))
    await engine.add("told")
    await engine.settle(group("complete", *(await engine.claim()).jobs, ttl_ms=9000))
    await engine.add("a")
    await engine.fail("a")
    await engine.add("busy")
    await engine.claim()
    await engine.add("b")
    await engine.add("c", delay_ms=1000)
    ids = ["a", "a", "done", "told", "busy", "b", "c", "nobody"]
    expected = ["1", "waiting", "completed", "finished", "active", "waiting", "delayed", "0"]
    assert await engine.scripts.retry(engine.queue, ids=ids) == expected


async def test_what_would_have_ended_with_its_age_stays(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("fail", *(await engine.claim()).jobs, keep_count=-1, keep_age_ms=1000))
    await engine.scripts.retry(engine.queue, ids=["a"])
    assert await engine.ids("result.due") == []
    await engine.advance(5)
    await engine.scripts.trim(engine.queue)
    assert await engine.state("a") == "waiting"


async def test_the_bytes_of_failed_jobs_are_counted_out(engine: Engine) -> None:
    await engine.add("a", envelope=b"x" * 70_000)
    await engine.settle(group("fail", *(await engine.claim()).jobs, arg=BIG, keep_count=-1))
    await engine.scripts.retry(engine.queue, ids=["a"])
    assert (await engine.hash("meta"))["bytes:failed"] == b"0"


async def test_without_ids_nothing_happens(engine: Engine) -> None:
    assert await engine.scripts.retry(engine.queue, ids=[]) == []


async def test_it_wakes(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a")
    await engine.fail("a")
    await wakes.listen("w2")
    await engine.claim(owner="w2")
    await engine.scripts.retry(engine.queue, ids=["a"])
    assert await wakes.heard() == ["w2"]


async def test_it_may_be_called_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.fail("a")
    await engine.scripts.retry(engine.queue, ids=["a"])
    before = await engine.dump()
    assert await engine.scripts.retry(engine.queue, ids=["a"]) == ["waiting"]
    assert await engine.dump() == before


async def test_an_id_without_a_record_is_left_alone(damaged: Engine) -> None:
    await damaged.add("a", "b")
    await damaged.fail("a", "b")
    await damaged.call("HDEL", "rec", "a")
    assert await damaged.scripts.retry(damaged.queue, ids=["a", "b"]) == ["failed", "1"]
