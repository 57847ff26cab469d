"""What a worker tells of its jobs: histograms, errors by type, summary rows and events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.runtime import Run
from tests.support.waiting import until

from jobs_admin import Admin, Event
from jobs_core import Fixed, Keep, Queue
from jobs_worker import Fail, JobContext, processor


@pytest.fixture
async def admin(redis_url: str, prefix: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, prefix=prefix) as admin:
        yield admin


@asynccontextmanager
async def heard(admin: Admin, queue: str) -> AsyncGenerator[list[Event]]:
    """Collect the events of a queue, until the block is left and one `removed` was heard of the job `last`."""
    events: list[Event] = []
    done = asyncio.Event()

    def note(event: Event) -> None:
        events.append(event)
        if event.id == "last" and event.event == "added":
            done.set()

    async with admin.listener(queue) as listener:
        listener.on("*", note)
        listener.start()
        yield events
        await asyncio.wait_for(done.wait(), 40)
    events[:] = [event for event in events if event.id != "last"]


async def test_a_job_that_completes_is_told(run: Run, admin: Admin) -> None:
    queue = Queue("sums")
    add = queue.job("add", payload=tuple[int, int], result=int)

    @processor(add)
    async def handle(payload: tuple[int, int], ctx: JobContext) -> int:
        ctx.progress(50, message="half")
        await asyncio.sleep(0.3)
        await until(lambda: any(each.event == "progress" for each in events))
        return sum(payload)

    async with run(handle) as worker, heard(admin, "sums") as events:
        job = await worker.producer.enqueue(add, (1, 2))
        assert await job.result(40) == 3
        await worker.runtime.drain(40)
        await worker.producer.enqueue(add, (0, 0), job_id="last", delay=60)
    assert [(each.event, each.attempt, each.data) for each in events] == [
        ("added", 0, None),
        ("active", 1, None),
        ("progress", 1, {"percent": 50.0, "message": "half"}),
        ("completed", 1, 3),
    ]
    assert {(each.id, each.name, each.queue) for each in events} == {(job.id, "add", "sums")}
    (row,) = (await admin.history("sums")).rows
    assert (row.id, row.name, row.outcome.value, row.attempts_made) == (job.id, "add", "completed", 1)
    assert row.run_ms >= 300
    assert row.worker == worker.runtime.worker
    metrics = await admin.metrics("sums")
    assert metrics.run_p50_ms is not None
    assert metrics.run_p50_ms >= 300
    assert metrics.peak_concurrency == 1


async def test_failures_are_told_with_their_cause(run: Run, admin: Admin) -> None:
    queue = Queue("fails", default_job_options={"attempts": 2, "backoff": Fixed(0), "remove_on_fail": True})
    wrong, final, slow = (queue.job(name, payload=int) for name in ("wrong", "final", "slow"))

    @processor(wrong)
    async def raises(payload: int, ctx: JobContext) -> None:
        raise ValueError("no such thing")

    @processor(final)
    async def gives_up(payload: int, ctx: JobContext) -> None:
        raise Fail("it is over")

    @processor(slow)
    async def sleeps(payload: int, ctx: JobContext) -> None:
        await asyncio.sleep(10)

    async with run(raises, gives_up, sleeps) as worker, heard(admin, "fails") as events:
        jobs = [
            await worker.producer.enqueue(wrong, 0),
            await worker.producer.enqueue(final, 0),
            await worker.producer.enqueue(slow, 0, timeout=0.05, attempts=1),
        ]
        for job in jobs:
            await job.done(40)
        await worker.runtime.drain(40)
        await worker.producer.enqueue(wrong, 0, job_id="last", delay=60)
    told = {(each.name, each.event, each.attempt, each.data) for each in events if each.data}
    assert told == {
        ("wrong", "retrying", 1, "ValueError: no such thing"),
        ("wrong", "failed", 2, "ValueError: no such thing"),
        ("final", "failed", 1, "it is over"),
        ("slow", "failed", 1, "timeout: ran longer than its timeout of 0.05 s"),
    }
    rows = {row.name: row for row in (await admin.history("fails", outcome="failed")).rows}
    assert rows["wrong"].error.startswith("ValueError in ")
    assert rows["wrong"].error.endswith("test_telling.py:raises")
    assert rows["wrong"].attempts_made == 2
    assert (await admin.metrics("fails")).errors == {"ValueError": 2, "Fail": 1, "timeout": 1}


async def test_a_large_result_is_left_out(run: Run, admin: Admin) -> None:
    queue = Queue("large", default_job_options={"remove_on_complete": Keep(count=10)})
    job = queue.job("make", payload=int, result=str)

    @processor(job)
    async def make(payload: int, ctx: JobContext) -> str:
        return "x" * payload

    async with run(make) as worker, heard(admin, "large") as events:
        for size in (10, 5000):
            await (await worker.producer.enqueue(job, size)).result(40)
        await worker.runtime.drain(40)
        await worker.producer.enqueue(job, 1, job_id="last", delay=60)
    assert [(each.data, each.left_out) for each in events if each.event == "completed"] == [
        ("x" * 10, False),
        (None, True),
    ]


@pytest.mark.parametrize("off", ["metrics", "events"])
async def test_what_is_off_is_not_told(run: Run, admin: Admin, off: str) -> None:
    queue = Queue("quiet")
    job = queue.job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with run(do, off=off) as worker:
        for number in range(5):
            await (await worker.producer.enqueue(job, number)).done(40)
        await worker.runtime.drain(40)
    metrics = await admin.metrics("quiet")
    assert metrics.total_processed == 5
    assert len((await admin.history("quiet")).rows) == 5
    assert (metrics.run_p50_ms is None) == (off == "metrics")
    client = worker.scripts.client
    assert client is not None
    minutes = await admin.series("quiet", 5)
    assert (sum(each.completed for each in minutes) == 0) == (off == "metrics")
    kept = [event async for event in upto(admin, "quiet", 15 if off == "metrics" else 0)]
    assert len(kept) == (15 if off == "metrics" else 0)


async def upto(admin: Admin, queue: str, count: int) -> AsyncIterator[Event]:
    """Yield the first events that are kept."""
    if count:
        async for event in admin.events(queue, since="0"):
            yield event
            count -= 1
            if not count:
                return
    else:
        call = admin.events(queue, since="0")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(call), 0.2)
