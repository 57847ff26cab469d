"""Handlers on the loop, in threads and in processes: their timeouts, and what becomes of those that run on."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import Lines, Run, failure
from tests.support.waiting import until
from tests.support.workers import alive

from jobs_core import (
    Queue,
    State,
)
from jobs_core.records import JobRecord, attempts_of
from jobs_core.wire import Progress
from jobs_worker import JobContext, process_pool, processor


async def test_timeout_cancels_an_async_handler(run: Run) -> None:
    queue = Queue("slow")
    job = queue.job("sleep", payload=int, attempts=1, timeout=0.05)
    cancelled = asyncio.Event()

    @processor(job)
    async def sleep(payload: int, ctx: JobContext) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with run(sleep) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await failure(handle) == "timeout: ran longer than its timeout of 0.05 s"
        assert cancelled.is_set()


async def test_thread_past_its_timeout_keeps_its_slot_until_it_ends(run: Run) -> None:
    queue = Queue("threads", concurrency=1)
    job = queue.job("stubborn", payload=str, result=str, attempts=1, timeout=0.05)
    told, release = threading.Event(), threading.Event()

    @processor(job)
    def stubborn(payload: str, ctx: JobContext) -> str:
        while payload == "first" and not release.is_set():
            if ctx.cancelled:
                told.set()
            time.sleep(0.001)
        return payload

    async with run(stubborn) as worker:
        first = await worker.producer.enqueue(job, "first")
        await until(lambda: worker.lane("threads").running)
        second = await worker.producer.enqueue(job, "second")
        await until(told.is_set)
        assert worker.lane("threads").free == 0
        assert (await second.status()).state is State.WAITING
        release.set()
        # Its result comes too late.
        assert await failure(first) == "timeout: ran longer than its timeout of 0.05 s"
        assert await second.result(40) == "second"


async def test_thread_that_heeds_its_timeout_counts_as_timed_out(run: Run) -> None:
    queue = Queue("heeding")
    job = queue.job("heed", payload=int, attempts=1, timeout=0.05)

    @processor(job)
    def heed(payload: int, ctx: JobContext) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        raise ConnectionError("given up")

    async with run(heed) as worker:
        assert (await failure(await worker.producer.enqueue(job, 1))).startswith("timeout: ")


async def test_process_runs_jobs_as_the_worker_does(run: Run, tmp_path: Path, lines: Lines) -> None:
    async with run(handlers.pid, handlers.work, handlers.wrong) as worker:

        async def done(payload: str) -> JobRecord:
            handle = await worker.producer.enqueue(handlers.WORK, payload, metadata={"by": "ada"})
            await handle.done(40)
            return await handle.status()

        pid = await (await worker.producer.enqueue(handlers.PID, 1)).result(40)
        assert (await done("plain")).result == "plain 1/2 ada crunch/work"

        raised = await worker.producer.enqueue(handlers.WORK, "raise 7")
        assert await failure(raised) == "ValueError: no such picture: 7"
        (attempt,) = attempts_of(await worker.located("crunch", raised.id))
        assert "in work" in attempt.stack

        record = await done("fail it is over")
        assert (record.attempts_made, record.failed_reason) == (1, "it is over")
        record = await done("later 0.02")
        assert record.result == "later 2/2 ada crunch/work"
        assert [line["delay_ms"] for line in lines.of("retry", job_id=record.id)] == [20]
        assert (await done("exit 3")).failed_reason == "SystemExit: 3"

        misfit = await worker.producer.queue("crunch").enqueue("work", 5)
        assert (await failure(misfit)).startswith("payload: ")
        assert (await misfit.status()).attempts_made == 1
        handle = await worker.producer.enqueue(handlers.WRONG, "text")
        assert "expected int, got str" in await failure(handle)
        assert (await handle.status()).attempts_made == 2

        go = tmp_path / "go"
        handle = await worker.producer.enqueue(handlers.WORK, f"progress {go}")

        async def progress() -> object:
            return (await handle.status()).progress

        assert await until(progress) == Progress(25.0, 1, 4, "one of four")
        go.touch()
        assert await handle.result(40) == "progress 1/2 None crunch/work"
        # All of it ran in one warm process.
        assert await (await worker.producer.enqueue(handlers.PID, 1)).result(40) == pid


async def test_process_that_dies_costs_an_attempt(run: Run, lines: Lines) -> None:
    async with run(handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, "die")
        assert await handle.result(40) == "die 2/2 None crunch/work"
        (line,) = lines.of("retry", job_id=handle.id)
        assert line["error_type"] == "crash"
        assert "by signal SIGKILL" in str(line["error"])


async def test_timeout_kills_the_process(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "_TERM_GRACE", 0.1)
    monkeypatch.setattr(process_pool, "GRACE", 0.2)
    noted = tmp_path / "pids"
    async with run(handlers.pid, handlers.work) as worker:
        await (await worker.producer.enqueue(handlers.PID, 1)).result(40)
        handle = await worker.producer.enqueue(handlers.WORK, f"hang {noted}", attempts=1, timeout=0.7)
        assert await failure(handle) == "timeout: ran longer than its timeout of 0.7 s"
        # Nothing of it runs any more when that is known.
        assert not alive(int(noted.read_text()))


async def test_process_is_replaced_after_so_many_jobs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "MAX_JOBS", 2)
    async with run(handlers.pid) as worker:
        jobs = [await worker.producer.enqueue(handlers.PID, n) for n in range(3)]
        first, second, third = [await each.result(40) for each in jobs]
        assert first == second != third
