"""Running jobs that somebody cancels: seen by every executor, settled as cancelled, and no concern of a later job."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import InProcess, Run
from tests.support.waiting import until
from tests.support.workers import alive

from jobs_core import CancelOutcome, Codec, JobCancelled, Queue, State
from jobs_core.keys import wake_channel
from jobs_core.scripts import Scripts
from jobs_producer import JobHandle
from jobs_worker import (
    Fail,
    HookEvent,
    Hooks,
    JobContext,
    Retry,
    Snooze,
    deliveries,
    process_pool,
    processor,
    runner,
)


class Hanging:
    """A job of the queue `calm` whose handler waits for ever."""

    def __init__(self) -> None:
        self.job = Queue("calm").job("hang", payload=int)
        self.started = asyncio.Event()

        @processor(self.job)
        async def hang(payload: int, ctx: JobContext) -> None:
            self.started.set()
            await asyncio.Event().wait()

        self.handler = hang


async def test_async_handler_is_cancelled_and_its_finally_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the message, that is: who glances at the queue finds nothing here.
    monkeypatch.setattr(Scripts, "cancels", unasked)
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
        await ended.wait()
        with pytest.raises(JobCancelled):
            await handle.result(40)
        record = await handle.status()
        assert (record.state, record.attempts_made, record.finished_at is not None) == (
            State.CANCELLED,
            1,
            True,
        )
        assert await handle.cancel() is CancelOutcome.ALREADY_FINISHED
        await until(lambda: worker.lane("calm").stats.cancelled == 1)


async def unasked(scripts: Scripts, queue: str, *, ids: Sequence[str]) -> list[int | None]:
    """Stand for `Scripts.cancels`, and know of no job that is to be cancelled."""
    return [None for _ in ids]


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
        assert await handle.result(40) == 7


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
        assert await handle.done(40) is State.CANCELLED


@pytest.mark.parametrize("error", [Fail("no"), ValueError("no"), Retry(60), Snooze(60)])
@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_cancel_that_crosses_what_the_handler_raises_counts(
    run: Run, kind: str, error: Exception
) -> None:
    queue = Queue("crossing", default_job_options={"attempts": 2 if isinstance(error, Retry) else 1})
    job = queue.job("raise", payload=int)
    started, go = threading.Event(), threading.Event()
    heard: list[tuple[str, object]] = []
    hooks = Hooks()

    @hooks.on("failed", "retrying", "cancelled")
    def hear(event: HookEvent) -> None:
        heard.append((event.hook, event.data))

    @processor(job)
    async def on_loop(payload: int, ctx: JobContext) -> None:
        started.set()
        await asyncio.to_thread(go.wait)
        raise error

    @processor(job)
    def in_thread(payload: int, ctx: JobContext) -> None:
        started.set()
        go.wait()
        raise error

    async with run(on_loop if kind == "async" else in_thread, hooks=hooks) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(started.is_set)
        await mark_unheard(worker, handle)
        go.set()
        assert await handle.done(40) is State.CANCELLED
        stats = worker.lane("crossing").stats
        await until(lambda: bool(heard))
        assert (stats.cancelled, stats.failed, stats.retried, stats.set_aside) == (1, 0, 0, 0)
        assert [name for name, _ in heard] == ["cancelled"]


async def test_a_cancel_that_crosses_the_end_of_a_process_counts(run: Run, tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with run(handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, f"told {go}", attempts=1)
        await until((tmp_path / "go.started").exists)
        await mark_unheard(worker, handle)
        go.touch()
        with pytest.raises(JobCancelled):
            await handle.result(40)
        assert worker.lane("crunch").stats.failed == 0


async def mark_unheard(worker: InProcess, handle: JobHandle[None] | JobHandle[str]) -> None:
    """Cancel a running job whose worker does not hear of it."""
    (lane,) = worker.runtime.lanes.values()
    worker.scripts.client.unsubscribe(f"{worker.scripts.key(lane.queue)}wake:{lane.owner}")
    assert await handle.cancel() is CancelOutcome.REQUESTED


async def test_a_result_that_is_being_written_is_not_lost_to_a_cancel(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("packed", codec=Codec(compress=1))
    job = queue.job("pack", payload=int, result=int, result_ttl=60)
    returned, go = threading.Event(), threading.Event()
    seal = runner.seal_result

    def slowly(*args: object) -> object:
        returned.set()
        go.wait()
        return seal(*args)  # pyright: ignore[reportArgumentType] - as they were given

    monkeypatch.setattr(runner, "seal_result", slowly)

    @processor(job)
    async def pack(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(pack) as worker:
        handle = await worker.producer.enqueue(job, 7)
        await until(returned.is_set)
        assert await handle.cancel() is CancelOutcome.REQUESTED
        (delivery,) = worker.lane("packed").running
        await until(lambda: delivery.cancelling)
        go.set()
        assert await handle.result(40) == 7


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
        assert await handle.done(40) is State.CANCELLED


async def test_process_is_terminated_and_then_killed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "_TERM_GRACE", 0.1)
    noted = tmp_path / "pids"
    async with run(handlers.pid, handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, f"hang {noted}")
        await until(lambda: noted.exists() and noted.read_text().endswith("\n"))
        assert await handle.cancel() is CancelOutcome.REQUESTED
        assert await handle.done(40) is State.CANCELLED
        assert not alive(int(noted.read_text()))
        # The slot is free again.
        assert await (await worker.producer.enqueue(handlers.PID, 1)).result(40)


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
        assert await first.result(40) == 1
        with pytest.raises(JobCancelled):
            await delayed.result(40)
        assert ran == [1]


async def test_later_job_of_the_same_id_runs(run: Run) -> None:
    queue = Queue("calm")
    job = queue.job("same", payload=int, result=int)

    @processor(job)
    async def same(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(same) as worker:
        assert await worker.producer.cancel("calm", "mine") is CancelOutcome.NOT_FOUND
        assert await (await worker.producer.enqueue(job, 4, job_id="mine")).result(40) == 4


async def test_lost_message_is_made_up_for(run: Run) -> None:
    hanging = Hanging()
    async with run(hanging.handler) as worker:
        handle = await worker.producer.enqueue(hanging.job, 1)
        await hanging.started.wait()
        lane = worker.lane("calm")
        worker.scripts.client.unsubscribe(f"{worker.scripts.key('calm')}wake:{lane.owner}")
        await handle.cancel()
        assert await handle.done(40) is State.CANCELLED


async def test_a_message_that_comes_before_its_job_is_not_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Queue("calm").job("read", payload=str)
    fetching, go = asyncio.Event(), asyncio.Event()
    fetch, ran = deliveries.fetch_envelope, list[str]()

    async def slowly(scripts: Scripts, queue: str, job_id: str) -> bytes | None:
        fetching.set()
        await go.wait()
        return await fetch(scripts, queue, job_id)

    monkeypatch.setattr(deliveries, "fetch_envelope", slowly)
    monkeypatch.setattr(Scripts, "cancels", unasked)

    @processor(job)
    async def read(payload: str, ctx: JobContext) -> None:
        ran.append(payload)
        await asyncio.Event().wait()

    async with run(read) as worker:
        heard = asyncio.Event()
        lane = worker.lane("calm")
        worker.scripts.client.subscribe(
            wake_channel(worker.scripts.key("calm"), "other"), lambda _: heard.set()
        )
        handle = await worker.producer.enqueue(job, "x" * 100_000)
        await fetching.wait()
        assert await handle.cancel() is CancelOutcome.REQUESTED
        # What is published behind it comes behind it.
        await worker.scripts.client.call("SPUBLISH", wake_channel(worker.scripts.key("calm"), "other"), "")
        await heard.wait()
        go.set()
        assert await handle.done(40) is State.CANCELLED
        assert not ran
        await until(lambda: lane.stats.cancelled == 1)


async def test_shutdown_that_waits_for_a_job_sees_its_cancellation(run: Run) -> None:
    hanging = Hanging()
    async with run(hanging.handler) as worker:
        handle = await worker.producer.enqueue(hanging.job, 1)
        await hanging.started.wait()
        draining = asyncio.create_task(worker.runtime.drain(40))
        await handle.cancel()
        assert await draining
        assert await handle.done(40) is State.CANCELLED


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
        assert await handle.done(40) is State.CANCELLED
