"""Running jobs that somebody cancels: seen by every executor, settled as cancelled, and no concern of a later job."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import InProcess, running
from tests.support.waiting import until
from tests.support.workers import alive

from jobs_core import CancelOutcome, JobCancelled, Queue, State
from jobs_worker import JobContext, process_pool, processor

Run = Callable[..., AbstractAsyncContextManager[InProcess]]


@pytest.fixture
def run(redis_url: str, prefix: str) -> Run:
    """Return what runs handlers against the server."""

    def run(*handlers: Callable[..., object]) -> AbstractAsyncContextManager[InProcess]:
        return running(redis_url, prefix, *handlers)

    return run


async def test_async_handler_is_cancelled_and_its_finally_runs(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("hang", payload=int, result=int)
    started, ended = asyncio.Event(), asyncio.Event()

    @processor(job)
    async def hang(payload: int, ctx: JobContext) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            if ctx.cancelled:
                ended.set()
        return payload

    async with run(hang) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await started.wait()
        assert await handle.cancel() is CancelOutcome.REQUESTED
        async with asyncio.timeout(1):
            await ended.wait()
        with pytest.raises(JobCancelled):
            await handle.result(5)
        record = await handle.status()
        assert (record.state, record.attempts_made, record.finished_at is not None) == (
            State.CANCELLED,
            1,
            True,
        )
        assert await handle.cancel() is CancelOutcome.ALREADY_FINISHED
        assert worker.lane("calm").stats.cancelled == 1


async def test_handler_that_finishes_all_the_same_has_completed(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("stubborn", payload=int, result=int)
    started = asyncio.Event()

    @processor(job)
    async def stubborn(payload: int, ctx: JobContext) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return payload
        return 0

    async with run(stubborn) as worker:
        handle = await worker.producer.enqueue(job, 7)
        await started.wait()
        await handle.cancel()
        assert await handle.result(5) == 7


async def test_handler_that_fails_while_it_stops_was_cancelled(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("messy", payload=int)
    started = asyncio.Event()

    @processor(job)
    async def messy(payload: int, ctx: JobContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError(payload)

    async with run(messy) as worker:
        handle = await worker.producer.enqueue(job, 7)
        await started.wait()
        await handle.cancel()
        assert await handle.done(5) is State.CANCELLED


async def test_thread_is_told_and_may_leave(run: Run) -> None:
    queue = Queue("threads")
    job = queue.job("poll", payload=int)
    started = threading.Event()

    @processor(job)
    def poll(payload: int, ctx: JobContext) -> None:
        started.set()
        while not ctx.cancelled:
            threading.Event().wait(0.005)

    async with run(poll) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(started.is_set)
        assert await handle.cancel() is CancelOutcome.REQUESTED
        assert await handle.done(5) is State.CANCELLED


async def test_process_is_terminated_and_then_killed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "_TERM_GRACE", 0.1)
    noted = tmp_path / "pids"
    async with run(handlers.pid, handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, f"hang {noted}")
        await until(lambda: noted.exists() and noted.read_text().endswith("\n"))
        assert await handle.cancel() is CancelOutcome.REQUESTED
        assert await handle.done(10) is State.CANCELLED
        assert not alive(int(noted.read_text()))
        # The slot is free again.
        assert await (await worker.producer.enqueue(handlers.PID, 1)).result(20)


async def test_waiting_job_never_starts(run: Run) -> None:
    queue = Queue("calm", concurrency=1)
    job = queue.job("note", payload=int, result=int)
    ran: list[int] = []
    gate = asyncio.Event()

    @processor(job)
    async def note(payload: int, ctx: JobContext) -> int:
        ran.append(payload)
        await gate.wait()
        return payload

    async with run(note) as worker:
        first = await worker.producer.enqueue(job, 1)
        await until(lambda: ran == [1])
        second = await worker.producer.enqueue(job, 2)
        delayed = await worker.producer.enqueue(job, 3, delay=60)
        assert await second.cancel() is CancelOutcome.CANCELLED
        assert await worker.producer.cancel("calm", delayed.id) is CancelOutcome.CANCELLED
        gate.set()
        assert await first.result(5) == 1
        with pytest.raises(JobCancelled):
            await delayed.result(5)
        assert ran == [1]


async def test_later_job_of_the_same_id_runs(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("same", payload=int, result=int)

    @processor(job)
    async def same(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(same) as worker:
        assert await worker.producer.cancel("calm", "mine") is CancelOutcome.NOT_FOUND
        assert await (await worker.producer.enqueue(job, 4, job_id="mine")).result(5) == 4


async def test_lost_message_is_made_up_for(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("hang", payload=int)
    started = asyncio.Event()

    @processor(job)
    async def hang(payload: int, ctx: JobContext) -> None:
        started.set()
        await asyncio.Event().wait()

    async with run(hang) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await started.wait()
        lane = worker.lane("calm")
        worker.scripts.client.unsubscribe(f"{worker.scripts.key('calm')}wake:{lane.owner}")
        await handle.cancel()
        assert await handle.done(6) is State.CANCELLED


async def test_shutdown_that_waits_for_a_job_sees_its_cancellation(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("hang", payload=int)
    started = asyncio.Event()

    @processor(job)
    async def hang(payload: int, ctx: JobContext) -> None:
        started.set()
        await asyncio.Event().wait()

    async with run(hang) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await started.wait()
        draining = asyncio.create_task(worker.runtime.drain(10))
        await handle.cancel()
        assert await draining
        assert await handle.done(5) is State.CANCELLED


async def test_job_given_back_at_shutdown_ends_as_cancelled(run: Run) -> None:
    queue = Queue("threads")
    job = queue.job("deaf", payload=int)
    started, go = threading.Event(), threading.Event()

    @processor(job)
    def deaf(payload: int, ctx: JobContext) -> None:
        started.set()
        go.wait()

    async with run(deaf) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(started.is_set)
        await handle.cancel()
        abandoning = asyncio.create_task(worker.lane("threads").abandon())
        go.set()
        await abandoning
        await worker.lane("threads").release()
        assert await handle.done(5) is State.CANCELLED
