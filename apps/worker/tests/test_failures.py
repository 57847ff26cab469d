"""How an attempt fails: what handlers raise, and payloads, results and records that do not fit."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import cast

import pytest
from tests.support.runtime import Lines, Run, failure, no_glances
from tests.support.waiting import until

from jobs_core import (
    Delays,
    Exponential,
    Fixed,
    Linear,
    Queue,
    State,
)
from jobs_core.backoff import Backoff
from jobs_core.records import attempts_of
from jobs_worker import Fail, JobContext, Retry, processor, runtime

NOW = Fixed(0)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Exponential(0.01), [10, 20, 40]),
        (Linear(0.01), [10, 20, 30]),
        (Fixed(timedelta(milliseconds=15)), [15, 15, 15]),
        (Delays([0.005, 0.02]), [5, 20, 20]),
        (Exponential(0.01, max=0.015), [10, 15, 15]),
    ],
)
async def test_retry_waits_as_its_backoff_says(
    run: Run, lines: Lines, monkeypatch: pytest.MonkeyPatch, backoff: Backoff, delays: list[int]
) -> None:
    # An idle worker is woken for a retry: it does not find it by a glance.
    monkeypatch.setattr(runtime, "glances", no_glances)
    queue = Queue("retried")
    job = queue.job("always", payload=int, attempts=4, backoff=backoff)

    @processor(job)
    async def always(payload: int, ctx: JobContext) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    async with run(always) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.done(40) is State.FAILED
        record = await handle.status()
        assert (record.attempts_made, record.failed_reason) == (4, "ValueError: attempt 4")
        assert [line["delay_ms"] for line in lines.of("retry", job_id=handle.id)] == delays
        attempts = attempts_of(await worker.located("retried", handle.id))
        assert [each.error for each in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
        assert "in always" in attempts[0].stack
        started = [each.started_at.timestamp() * 1000 for each in attempts]
        started.append(cast("float", record.processed_at and record.processed_at.timestamp() * 1000))
        waited = [after - before for before, after in pairwise(started)]
        assert all(gap >= delay - 1 for gap, delay in zip(waited, delays, strict=True)), waited


async def test_fail_ends_a_job_for_good(run: Run) -> None:
    queue = Queue("final")
    job = queue.job("never", payload=int, attempts=5)

    @processor(job)
    async def never(payload: int, ctx: JobContext) -> None:
        raise Fail("the address does not exist")

    async with run(never) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.done(40) is State.FAILED
        record = await handle.status()
        assert (record.attempts_made, record.failed_reason) == (1, "the address does not exist")


async def test_each_attempt_that_failed_tells_its_wait_and_run(run: Run) -> None:
    queue = Queue("timed", concurrency=1)
    job = queue.job("nap", payload=int, attempts=2, backoff=NOW)

    @processor(job)
    async def nap(payload: int, ctx: JobContext) -> None:
        await asyncio.sleep(payload / 1000)
        raise ValueError(payload)

    async with run(nap) as worker:
        # The second waits for the first.
        await worker.scripts.pause("timed")
        first = await worker.producer.enqueue(job, 40, attempts=1)
        handle = await worker.producer.enqueue(job, 20)
        await worker.scripts.resume("timed")
        assert (await handle.done(40), await first.done(40)) == (State.FAILED, State.FAILED)
        (attempt,) = attempts_of(await worker.located("timed", handle.id))
        assert attempt.wait_ms > 39
        assert 19 < attempt.run_ms < 19_000


async def test_retry_names_the_wait_and_spends_an_attempt(run: Run, lines: Lines) -> None:
    queue = Queue("later")
    job = queue.job("busy", payload=int, result=int, attempts=3)

    @processor(job)
    async def busy(payload: int, ctx: JobContext) -> int:
        if ctx.attempt < payload:
            raise Retry(after=0.02, reason="429")
        return ctx.attempt

    async with run(busy) as worker:
        assert await (await worker.producer.enqueue(job, 3)).result(40) == 3
        handle = await worker.producer.enqueue(job, 9)
        assert await failure(handle) == "429"
        assert [line["delay_ms"] for line in lines.of("retry", job_id=handle.id)] == [20, 20]
        assert (await handle.status()).attempts_made == 3


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncio.CancelledError(), "CancelledError: CancelledError()"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: KeyboardInterrupt()"),
        (StopIteration(5), "RuntimeError: coroutine raised StopIteration"),
        (FileNotFoundError("b\udcffd"), "FileNotFoundError: b\\udcffd"),
        (Unspeakable(), "Unspeakable: (its text cannot be shown: RuntimeError)"),
        (TimeoutError("the peer"), "TimeoutError: the peer"),
    ],
)
async def test_whatever_a_handler_raises_ends_its_attempt_alone(
    run: Run, error: BaseException, reason: str
) -> None:
    queue = Queue("odd", concurrency=2)
    on_loop = queue.job("on-loop", payload=int, attempts=1, timeout=30)
    in_thread = queue.job("in-thread", payload=int, attempts=1)

    @processor(on_loop)
    async def raise_on_loop(payload: int, ctx: JobContext) -> None:
        raise error

    @processor(in_thread)
    def raise_in_thread(payload: int, ctx: JobContext) -> None:
        raise error

    async with run(raise_on_loop, raise_in_thread) as worker:
        jobs = [await worker.producer.enqueue(job, 1) for job in (on_loop, in_thread) for _ in range(2)]
        for handle in jobs:
            assert await failure(handle) == reason


async def test_handler_that_cancels_its_own_task_fails(run: Run) -> None:
    queue = Queue("suicidal")
    job = queue.job("cancel", payload=int, attempts=1)

    @processor(job)
    async def cancel(payload: int, ctx: JobContext) -> None:
        cast("asyncio.Task[None]", asyncio.current_task()).cancel()
        await asyncio.sleep(0)

    async with run(cancel) as worker:
        for _ in range(2):
            assert (await failure(await worker.producer.enqueue(job, 1))).startswith("CancelledError")


async def test_payload_that_does_not_fit_fails_for_good_and_is_kept(run: Run) -> None:
    queue = Queue("typed")
    job = queue.job("count", payload=int, attempts=5)
    calls: list[int] = []

    @processor(job)
    async def count(payload: int, ctx: JobContext) -> None:
        calls.append(payload)

    async with run(count) as worker:
        handle = await worker.producer.queue("typed").enqueue("count", {"no": "number"})
        assert await handle.done(40) is State.FAILED
        record = await handle.status()
        assert (record.attempts_made, record.payload, record.state) == (1, {"no": "number"}, State.FAILED)
        assert (record.failed_reason or "").startswith("payload: ")
        assert calls == []


async def test_payload_error_of_the_handlers_own_calls_is_retried(run: Run) -> None:
    queue = Queue("inner")
    job = queue.job("send", payload=int, result=int, attempts=2, backoff=NOW)

    @processor(job)
    async def send(payload: int, ctx: JobContext) -> int:
        if ctx.attempt == 1:
            job.encode("no number")  # pyright: ignore[reportArgumentType] - the point
        return ctx.attempt

    async with run(send) as worker:
        assert await (await worker.producer.enqueue(job, 1)).result(40) == 2


async def test_result_that_does_not_fit_its_type_fails_the_attempt(run: Run) -> None:
    queue = Queue("results")
    job = queue.job("wrong", payload=int, result=list[int], attempts=2, backoff=NOW)

    @processor(job)
    async def wrong(payload: int, ctx: JobContext) -> list[int]:
        return [1, "two"]  # pyright: ignore[reportReturnType] - the point

    async with run(wrong) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert "$[1]" in await failure(handle)
        assert (await handle.status()).attempts_made == 2


@pytest.mark.damages
async def test_unreadable_record_fails_and_does_not_stop_the_lane(run: Run) -> None:
    queue = Queue("broken", concurrency=5)
    job = queue.job("fine", payload=int, result=int)

    @processor(job)
    async def fine(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(fine) as worker:
        key = worker.scripts.key("broken")
        worker.runtime.quiet()
        bad = [await worker.producer.enqueue(job, n) for n in range(2)]
        record = cast("bytes", await worker.scripts.client.call("HGET", f"{key}rec", bad[0].id))
        await worker.scripts.client.call("HSET", f"{key}rec", bad[0].id, record[:50])
        await worker.scripts.client.call("HSET", f"{key}rec", bad[1].id, b"\x07" + record[1:])
        good = [await worker.producer.enqueue(job, n) for n in range(2)]
        worker.runtime.resume()
        assert [await each.result(40) for each in good] == [0, 1]

        async def both_failed() -> bool:
            return [(await worker.located("broken", each.id)).state for each in bad] == ["failed", "failed"]

        await until(both_failed)
