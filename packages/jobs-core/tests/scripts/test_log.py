from tests.support.engine import Engine, group

from jobs_core.connection.protocol import Encodable
from jobs_core.scripts import Claimed

IDS = ("gone", "told", "kept", "removed")


async def log(
    engine: Engine, job: Claimed, *lines: str, owner: str = "w1", dropped: int = 0, max_lines: int = 5
) -> bytes:
    packed = [line.encode() for line in lines]
    items: list[Encodable] = [job.id, job.fence, len(packed), dropped, *packed]
    return await engine.scripts.log(
        engine.queue, owner=owner, max_lines=max_lines, max_bytes=100, items=items
    )


async def lines(engine: Engine, job_id: str = "a") -> list[str]:
    found = await engine.scripts.logs(engine.queue, job_id=job_id)
    assert found.kept == len(found.lines)
    return [line.decode() for _, line in found.lines]


async def test_lines_of_all_attempts_are_there_in_their_order(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    assert await log(engine, job, "one", "two") == b"1"
    await engine.settle(group("retry", job, arg=0))
    (job,) = (await engine.claim()).jobs
    assert await log(engine, job, "three") == b"1"
    assert await lines(engine) == ["one", "two", "three"]
    found = await engine.scripts.logs(engine.queue, job_id="a", count=2)
    rest = await engine.scripts.logs(engine.queue, job_id="a", after=found.lines[-1][0])
    assert [line for _, line in rest.lines] == [b"three"]
    assert (await engine.scripts.logs(engine.queue, job_id="b")).kept == 0


async def test_the_oldest_lines_go_over_the_caps(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    await log(engine, job, "1", "2", "3", "4")
    await log(engine, job, "5", "6", dropped=3)
    assert await lines(engine) == ["2", "3", "4", "5", "6"]
    assert (await engine.scripts.logs(engine.queue, job_id="a")).dropped == 4
    await log(engine, job, "x" * 98)
    assert await lines(engine) == ["5", "6", "x" * 98]
    await log(engine, job, "y" * 100)
    assert await lines(engine) == ["y" * 100]


async def test_a_full_log_is_cut_without_reading_it_whole(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    many = [str(n) for n in range(900)]
    items: list[Encodable] = [job.id, job.fence, len(many), 0, *(each.encode() for each in many)]
    write = engine.scripts.log(engine.queue, owner="w1", max_lines=900, max_bytes=9_000, items=items)
    assert await write == b"1"
    # Lines make room for lines, and many short ones for a long one.
    assert await log(engine, job, "x", "y", max_lines=900) == b"1"
    assert await lines(engine) == [*many[-32:], "x", "y"]
    assert (await engine.scripts.logs(engine.queue, job_id="a")).dropped == 868


async def test_a_stale_fence_is_refused(engine: Engine) -> None:
    await engine.add("a")
    (old,) = (await engine.claim()).jobs
    await engine.scripts.release(engine.queue, owner="w1")
    (new,) = (await engine.claim(owner="w2")).jobs
    assert await log(engine, old, "no") == await log(engine, new, "no") == b"0"
    assert await log(engine, old, "no", owner="w2") == b"0"
    assert await lines(engine) == []


async def test_lines_stay_as_long_as_the_job_or_its_result(engine: Engine) -> None:
    await engine.add(*IDS)
    jobs = {job.id: job for job in (await engine.claim()).jobs}
    for job in jobs.values():
        await log(engine, job, job.id)
    await engine.settle(
        group("complete", jobs["gone"]),
        group("complete", jobs["told"], ttl_ms=1000),
        group("complete", jobs["kept"], jobs["removed"], keep_count=-1),
    )
    assert [await lines(engine, each) for each in IDS] == [[], ["told"], ["kept"], ["removed"]]
    await engine.scripts.remove(engine.queue, ids=["removed"])
    await engine.advance(2)
    await engine.scripts.trim(engine.queue)
    assert [await lines(engine, each) for each in IDS] == [[], [], ["kept"], []]
    await engine.scripts.remove(engine.queue, ids=["kept"])
    assert await engine.hash("logs") == {}


async def test_a_new_job_of_the_id_begins_a_new_log(engine: Engine) -> None:
    await engine.add("a", flags=1)
    (job,) = (await engine.claim()).jobs
    await log(engine, job, "old")
    await engine.settle(group("complete", job, arg=1, ttl_ms=10**9))
    await engine.advance(25 * 3600)
    assert await lines(engine) == ["old"]
    assert await engine.add("a", flags=1) == b"1"
    assert await lines(engine) == []
