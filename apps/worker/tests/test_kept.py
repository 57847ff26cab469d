"""What is kept of jobs that ended, and for how long it can be asked for."""

import pytest
from tests.support.runtime import Run, failure
from tests.support.waiting import until

from jobs_core import (
    JobFailed,
    JobNotFound,
    Keep,
    Queue,
    ResultNotKept,
    State,
)
from jobs_worker import JobContext, processor


async def test_what_is_kept_of_completed_jobs(run: Run) -> None:
    queue = Queue("kept", concurrency=1)
    job = queue.job("do", payload=int, result=int)
    silent = queue.job("silent", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(silent)
    async def do_silently(payload: int, ctx: JobContext) -> None: ...

    async with run(do, do_silently) as worker:
        producer = worker.producer

        # Removed, but told of while its result is kept.
        told = await producer.enqueue(job, 1, metadata={"a": 1})
        assert await told.result(40) == 1
        record = await told.status()
        assert (record.state, record.result, record.payload) == (State.COMPLETED, 1, None)
        assert record.metadata == {"a": 1}
        assert (await worker.located("kept", told.id)).record == b""

        # Removed, and nothing said.
        gone = await producer.enqueue(silent, 1)
        assert await gone.done(40) in (State.COMPLETED, None)
        with pytest.raises(JobNotFound):
            await gone.status()
        with pytest.raises(ResultNotKept):
            await (await producer.enqueue(job, 1, result_ttl=0)).result(40)

        # A result lives as long as it was asked to.
        brief = await producer.enqueue(job, 2, result_ttl=0.05)
        await brief.done(40)

        async def forgotten() -> bool:
            await worker.scripts.trim("kept")
            return (await worker.located("kept", brief.id)).state == ""

        await until(forgotten)

        # Kept whole; the last two; those that are young enough; those that fit.
        whole = await producer.enqueue(job, 3, remove_on_complete=False)
        await whole.result(40)
        assert (await whole.status()).payload == 3
        for keep in (2, Keep(count=2)):
            some = [await producer.enqueue(job, n, remove_on_complete=keep) for n in range(4)]
            for each in some:
                await each.done(40)
            states = [(await worker.located("kept", each.id)).state for each in some]
            assert states == ["", "", "completed", "completed"]
        young = await producer.enqueue(job, 5, remove_on_complete=Keep(age=0.05))
        await young.done(40)

        async def aged() -> bool:
            await worker.scripts.trim("kept")
            return (await worker.located("kept", young.id)).state == ""

        await until(aged)
        small = [await producer.enqueue(job, n, remove_on_complete=Keep(bytes=300)) for n in range(5)]
        for each in small:
            await each.done(40)
        states = [(await worker.located("kept", each.id)).state for each in small]
        assert states[0] == ""
        assert states[-1] == "completed"


async def test_what_is_kept_of_failed_jobs(run: Run) -> None:
    queue = Queue("kept-failed", concurrency=1)
    job = queue.job("do", payload=int, result=int, attempts=1)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> int:
        raise ValueError(payload)

    async with run(do) as worker:
        producer = worker.producer
        kept = await producer.enqueue(job, 1)
        assert await failure(kept) == "ValueError: 1"
        assert (await kept.status()).payload == 1
        # Removed, and told of for as long as a result would be.
        told = await producer.enqueue(job, 2, remove_on_fail=True)
        with pytest.raises(JobFailed, match="ValueError: 2"):
            await told.result(40)
        record = await told.status()
        assert (record.state, record.payload, record.failed_reason) == (State.FAILED, None, "ValueError: 2")
        gone = await producer.enqueue(job, 3, remove_on_fail=True, result_ttl=0)
        await gone.done(40)
        with pytest.raises(JobNotFound):
            await gone.status()
        some = [await producer.enqueue(job, n, remove_on_fail=Keep(count=1)) for n in range(3)]
        for each in some:
            await each.done(40)
        assert [(await worker.located("kept-failed", each.id)).state for each in some] == ["", "", "failed"]
