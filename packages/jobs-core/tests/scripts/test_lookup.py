import pytest
from tests.support.engine import Engine, group

from jobs_core.wire import JobStateEntry


async def test_every_state_is_found(engine: Engine) -> None:
    await engine.add("delayed", delay_ms=1000)
    await engine.add("completed", "failed", "finished", "unroutable", "gone", "active")
    jobs = {job.id: job for job in (await engine.claim()).jobs}
    await engine.settle(
        group("complete", jobs["completed"], keep_count=-1),
        group("fail", jobs["failed"], keep_count=-1),
        group("complete", jobs["finished"], ttl_ms=100),
        group("unroutable", jobs["unroutable"]),
        group("complete", jobs["gone"]),
    )
    await engine.add("waiting")
    ids = ["waiting", "delayed", "completed", "failed", "finished", "unroutable", "gone", "active", "nobody"]
    found = await engine.scripts.lookup(engine.queue, ids=ids)
    states = [each.state for each in found]
    assert states == [*ids[:6], "", "active", ""]
    assert [each.fence for each in found] == [0] * 7 + [jobs["active"].fence, 0]
    assert [each.info for each in found] == [b"", b"", b"info", b"info", b"info", b"", b"", b"", b""]
    assert all(bool(each.record) == (each.state not in ("", "finished")) for each in found)


async def test_what_is_kept_of_a_job_comes_with_it(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs, info=b"history"))
    (job,) = (await engine.claim()).jobs
    await engine.scripts.progress(engine.queue, owner="w1", items=["a", job.fence, b"50%"])
    (found,) = await engine.scripts.lookup(engine.queue, ids=["a"])
    assert (found.progress, found.history, found.fence) == (b"50%", b"history", job.fence)
    assert found.entry == JobStateEntry(attempts=1, ready_ms=engine.ms)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 128])
async def test_each_id_gets_its_answer(engine: Engine, count: int) -> None:
    ids = [f"j{i}" for i in range(count)]
    if ids:
        await engine.add(*ids[::2])
    found = await engine.scripts.lookup(engine.queue, ids=ids)
    assert [each.state for each in found] == ["waiting" if i % 2 == 0 else "" for i in range(count)]


async def test_large_jobs_come_in_several_replies(engine: Engine) -> None:
    ids = [f"j{i:02}" for i in range(40)]
    await engine.add(*ids, envelope=b"x" * 60_000)
    await engine.client.call("CONFIG", "RESETSTAT")
    found = await engine.scripts.lookup(engine.queue, ids=ids)
    assert [len(each.record) for each in found] == [60_042] * 40
    info = await engine.client.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    assert b"cmdstat_evalsha:calls=3," in info


async def test_jobs_of_many_owners_are_found(engine: Engine) -> None:
    await engine.add(*(f"j{i:02}" for i in range(30)))
    for i in range(30):
        await engine.claim(1, owner=f"w{i}")
    found = await engine.scripts.lookup(engine.queue, ids=[f"j{i:02}" for i in range(30)])
    assert {each.state for each in found} == {"active"}
