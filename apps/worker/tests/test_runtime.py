"""The lanes of one process against a real server: how jobs run, end, are retried, limited, parked and given back."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import Lines, Run, captured_lines
from tests.support.waiting import until
from tests.support.workers import alive

from jobs_core import (
    HEAVY,
    Delays,
    Exponential,
    Fixed,
    JobFailed,
    JobNotFound,
    Keep,
    Linear,
    Queue,
    ResultNotKept,
    State,
)
from jobs_core.backoff import Backoff
from jobs_core.connection.client import OutcomeLost
from jobs_core.payloads import JsonValue
from jobs_core.records import JobRecord, attempts_of
from jobs_core.scripts import Claim
from jobs_core.wire import Progress
from jobs_producer import JobHandle
from jobs_worker import Fail, JobContext, Retry, lane, process_pool, processor

NOW = Fixed(0)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with captured_lines("debug") as lines:
        yield lines


async def failure(job: JobHandle[Any], within: float = 10) -> str:
    """Wait for a job to fail and return why."""
    assert await job.done(within) is State.FAILED
    return (await job.status()).failed_reason or ""


# Results


async def test_result_of_an_async_handler(run: Run) -> None:
    queue = Queue("sums")
    job = queue.job("add", payload=tuple[int, int], result=int)

    @processor(job)
    async def add(payload: tuple[int, int], ctx: JobContext) -> int:
        return sum(payload)

    async with run(add) as worker:
        handle = await worker.producer.enqueue(job, (2, 3))
        assert await handle.result(5) == 5
        record = await handle.status()
        assert (record.state, record.attempts_made, record.result) == (State.COMPLETED, 1, 5)


async def test_sync_handler_runs_in_a_thread(run: Run) -> None:
    queue = Queue("sync")
    job = queue.job("where", payload=int, result=int)

    @processor(job)
    def where(payload: int, ctx: JobContext) -> int:
        return threading.get_ident()

    async with run(where) as worker:
        assert await (await worker.producer.enqueue(job, 1)).result(5) != threading.get_ident()


async def test_context_tells_of_the_delivery(run: Run) -> None:
    queue = Queue("told")
    job = queue.job("tell", payload=str, result=dict[str, object])
    seen: list[JobContext] = []

    @processor(job)
    async def tell(payload: str, ctx: JobContext) -> dict[str, object]:
        seen.append(ctx)
        return {"remaining": ctx.remaining}

    async with run(tell) as worker:
        before = time.time()
        handle = await worker.producer.enqueue(
            job, "x", job_id="mine", metadata={"tenant": 7}, tags=["a", "b"], attempts=4, timeout=60
        )
        result = await handle.result(5)
        (ctx,) = seen
        assert (ctx.job_id, ctx.queue, ctx.name, ctx.attempt, ctx.attempts) == ("mine", "told", "tell", 1, 4)
        assert (ctx.metadata, ctx.tags) == ({"tenant": 7}, ("a", "b"))
        assert abs(ctx.created_at.timestamp() - before) < 5
        assert abs(ctx.fence / 1e6 - before) < 5
        assert 50 < cast("float", result["remaining"]) <= 60


async def test_queue_handler_takes_names_that_no_code_declares(run: Run) -> None:
    queue = Queue("any", concurrency=5)
    known = queue.job("known", payload=int, result=int)

    @processor(known)
    async def of_known(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(queue)
    async def of_rest(payload: JsonValue, ctx: JobContext) -> JsonValue:
        return {"name": ctx.name, "payload": payload}

    async with run(of_known, of_rest) as worker:
        free = worker.producer.queue("any")
        one = await free.enqueue("surprise", {"a": [1, None]}, result_ttl=60)
        two = await worker.producer.enqueue(known, 3)
        assert await one.result(5) == {"name": "surprise", "payload": {"a": [1, None]}}
        assert await two.result(5) == 3


@pytest.mark.parametrize("size", [65_000, 65_537, 300_000, 1024 * 1024 - 2])
async def test_payload_of_any_size_arrives(run: Run, size: int) -> None:
    queue = Queue("large", concurrency=4)
    job = queue.job("echo", payload=str, result=str)

    @processor(job)
    async def echo(payload: str, ctx: JobContext) -> str:
        return payload

    async with run(echo) as worker:
        text = "x" * size
        assert await (await worker.producer.enqueue(job, text)).result(10) == text


# Failures


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
    run: Run, lines: Lines, backoff: Backoff, delays: list[int]
) -> None:
    queue = Queue("retried")
    job = queue.job("always", payload=int, attempts=4, backoff=backoff)

    @processor(job)
    async def always(payload: int, ctx: JobContext) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    async with run(always) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.done(10) is State.FAILED
        record = await handle.status()
        assert (record.attempts_made, record.failed_reason) == (4, "ValueError: attempt 4")
        assert [line["delay_ms"] for line in lines.of("retry", job_id=handle.id)] == delays
        attempts = attempts_of(await worker.located("retried", handle.id))
        assert [each.error for each in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
        assert "in always" in attempts[0].stack
        started = [each.started_at.timestamp() * 1000 for each in attempts]
        started.append(cast("float", record.processed_at and record.processed_at.timestamp() * 1000))
        waited = [after - before for before, after in pairwise(started)]
        # A retry is due to the millisecond, and an idle worker is woken for it long before the next glance.
        assert all(delay - 1 <= gap < delay + 800 for gap, delay in zip(waited, delays, strict=True)), waited


async def test_fail_ends_a_job_for_good(run: Run) -> None:
    queue = Queue("final")
    job = queue.job("never", payload=int, attempts=5)

    @processor(job)
    async def never(payload: int, ctx: JobContext) -> None:
        raise Fail("the address does not exist")

    async with run(never) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.done(5) is State.FAILED
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
        assert (await handle.done(5), await first.done(5)) == (State.FAILED, State.FAILED)
        (attempt,) = attempts_of(await worker.located("timed", handle.id))
        assert attempt.wait_ms > 39
        assert 19 < attempt.run_ms < 1000


async def test_retry_names_the_wait_and_spends_an_attempt(run: Run, lines: Lines) -> None:
    queue = Queue("later")
    job = queue.job("busy", payload=int, result=int, attempts=3)

    @processor(job)
    async def busy(payload: int, ctx: JobContext) -> int:
        if ctx.attempt < payload:
            raise Retry(after=0.02, reason="429")
        return ctx.attempt

    async with run(busy) as worker:
        assert await (await worker.producer.enqueue(job, 3)).result(5) == 3
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
        assert await handle.done(5) is State.FAILED
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
        assert await (await worker.producer.enqueue(job, 1)).result(5) == 2


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
        assert [await each.result(5) for each in good] == [0, 1]

        async def both_failed() -> bool:
            return [(await worker.located("broken", each.id)).state for each in bad] == ["failed", "failed"]

        await until(both_failed)


# Timeouts


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
        assert await second.result(5) == "second"


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


# Processes


async def test_process_runs_jobs_as_the_worker_does(run: Run, tmp_path: Path, lines: Lines) -> None:
    async with run(handlers.pid, handlers.work, handlers.wrong) as worker:

        async def done(payload: str) -> JobRecord:
            handle = await worker.producer.enqueue(handlers.WORK, payload, metadata={"by": "ada"})
            await handle.done(20)
            return await handle.status()

        pid = await (await worker.producer.enqueue(handlers.PID, 1)).result(20)
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
        assert await handle.result(10) == "progress 1/2 None crunch/work"
        # All of it ran in one warm process.
        assert await (await worker.producer.enqueue(handlers.PID, 1)).result(20) == pid


async def test_process_that_dies_costs_an_attempt(run: Run, lines: Lines) -> None:
    async with run(handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, "die")
        assert await handle.result(20) == "die 2/2 None crunch/work"
        (line,) = lines.of("retry", job_id=handle.id)
        assert line["error_type"] == "crash"
        assert "by signal SIGKILL" in str(line["error"])


async def test_timeout_kills_the_process(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "_TERM_GRACE", 0.1)
    monkeypatch.setattr(process_pool, "GRACE", 0.2)
    noted = tmp_path / "pids"
    async with run(handlers.pid, handlers.work) as worker:
        await (await worker.producer.enqueue(handlers.PID, 1)).result(20)
        handle = await worker.producer.enqueue(handlers.WORK, f"hang {noted}", attempts=1, timeout=0.2)
        assert await failure(handle, 20) == "timeout: ran longer than its timeout of 0.2 s"
        # Nothing of it runs any more when that is known.
        assert not alive(int(noted.read_text()))


async def test_process_is_replaced_after_so_many_jobs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "MAX_JOBS", 2)
    async with run(handlers.pid) as worker:
        jobs = [await worker.producer.enqueue(handlers.PID, n) for n in range(3)]
        first, second, third = [await each.result(20) for each in jobs]
        assert first == second != third


# Progress and shared things


async def test_progress_is_visible_while_the_job_runs(run: Run) -> None:
    queue = Queue("told", concurrency=2)
    on_loop = queue.job("on-loop", payload=int, result=int)
    in_thread = queue.job("in-thread", payload=int, result=int)
    seen = threading.Event()

    @processor(on_loop)
    async def of_loop(payload: int, ctx: JobContext) -> int:
        for percent in range(payload):
            ctx.progress(percent)
        ctx.progress(payload)
        await until(seen.is_set)
        return 1

    @processor(in_thread)
    def of_thread(payload: int, ctx: JobContext) -> int:
        ctx.progress(current=payload, total=200, message="x" * 2000 + "\udcff")
        seen.wait(10)
        return 2

    async with run(of_loop, of_thread) as worker:
        one, two = [await worker.producer.enqueue(job, 42) for job in (on_loop, in_thread)]

        async def progress() -> list[object]:
            records = [await one.status(), await two.status()]
            return [each.progress for each in records if each.progress is not None]

        reported: list[object] = []
        while len(reported) < 2:
            reported = await until(progress)
        assert reported == [42.0, Progress(21.0, 42, 200, "x" * 1000)]
        seen.set()
        assert [await one.result(5), await two.result(5)] == [1, 2]


async def test_shared_thing_is_made_once_and_closed_with_the_child(run: Run) -> None:
    queue = Queue("sharing", concurrency=20)
    job = queue.job("use", payload=int, result=int)
    opened: list[object] = []
    closed: list[object] = []

    @asynccontextmanager
    async def pool() -> AsyncGenerator[object]:
        await asyncio.sleep(0)
        opened.append(thing := object())
        yield thing
        closed.append(thing)

    @processor(job)
    async def use(payload: int, ctx: JobContext) -> int:
        return id(await ctx.shared(pool))

    async with run(use) as worker:
        jobs = [await worker.producer.enqueue(job, n) for n in range(20)]
        assert {await each.result(5) for each in jobs} == {id(opened[0])}
        assert (len(opened), closed) == (1, [])
    assert closed == opened


# Limits and order


@pytest.mark.parametrize("concurrency", [1, 3, 20])
async def test_slots_are_filled_and_never_exceeded(run: Run, concurrency: int) -> None:
    queue = Queue("narrow", concurrency=concurrency)
    job = queue.job("busy", payload=str, result=int)
    active = most = 0
    full = asyncio.Event()

    @processor(job)
    async def busy(payload: str, ctx: JobContext) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == concurrency:
            full.set()
        await full.wait()
        await asyncio.sleep(0.001)
        active -= 1
        return len(payload)

    async with run(busy) as worker:
        # Large ones take two trips from claim to start.
        worker.runtime.quiet()
        sizes = [100_000 if n % 3 else 1 for n in range(60)]
        jobs = [await worker.producer.enqueue(job, "x" * size) for size in sizes]
        worker.runtime.resume()
        assert [await each.result(10) for each in jobs] == sizes
        assert most == concurrency


async def test_limit_of_one_name_holds_and_never_holds_up_the_others(run: Run) -> None:
    queue = Queue("mixed", concurrency=6)
    limited = queue.job("limited", payload=str, result=int)
    other = queue.job("other", payload=int, result=int)
    gate = asyncio.Event()
    active: Counter[str] = Counter()
    most: Counter[str] = Counter()

    @processor(limited, concurrency=2)
    async def of_limited(payload: str, ctx: JobContext) -> int:
        active["limited"] += 1
        most["limited"] = max(most["limited"], active["limited"])
        await gate.wait()
        await asyncio.sleep(0)
        active["limited"] -= 1
        return 1

    @processor(other)
    async def of_other(payload: int, ctx: JobContext) -> int:
        active["other"] += 1
        most["other"] = max(most["other"], active["other"])
        await asyncio.sleep(0.001)
        active["other"] -= 1
        return payload

    async with run(of_limited, of_other) as worker:
        held = [await worker.producer.enqueue(limited, "x" * (70_000 if n % 2 else 1)) for n in range(40)]
        free = [await worker.producer.enqueue(other, n) for n in range(40)]
        assert [await each.result(10) for each in free] == list(range(40))
        assert most["limited"] == 2
        assert most["other"] <= 4
        gate.set()
        assert [await each.result(10) for each in held] == [1] * 40
        assert most["limited"] == 2


async def test_heavy_queues_share_three_slots_in_turns(run: Run) -> None:
    first = Queue("video", profile=HEAVY, executor="async", concurrency=3)
    second = Queue("audio", profile=HEAVY, executor="async", concurrency=3)
    jobs = [queue.job("cut", payload=str, result=int) for queue in (first, second)]
    active = most = 0
    order: list[str] = []

    async def work(payload: str, ctx: JobContext) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.001)
        order.append(ctx.queue)
        active -= 1
        return 1

    for job in jobs:
        processor(job)(work)
    async with run(work) as worker:
        worker.runtime.quiet()
        handles = [
            await worker.producer.enqueue(job, "x" * (70_000 if n == 4 else 1))
            for n in range(15)
            for job in jobs
        ]
        worker.runtime.resume()
        assert [await each.result(10) for each in handles] == [1] * 30
        assert most == 3
        # Neither waits until the other has nothing left to do.
        assert min(Counter(order[:16]).values()) >= 4, order


async def test_urgent_jobs_come_first(run: Run) -> None:
    queue = Queue("ordered", concurrency=1)
    job = queue.job("note", payload=str, result=str)
    order: list[str] = []

    @processor(job)
    async def note(payload: str, ctx: JobContext) -> str:
        order.append(payload)
        return payload

    async with run(note) as worker:
        worker.runtime.quiet()
        priorities = ["low", "background", "normal", "critical", "high", "normal"]
        jobs = [
            await worker.producer.enqueue(job, f"{priority} {n}", priority=priority)
            for n, priority in enumerate(priorities)
        ]
        worker.runtime.resume()
        for each in jobs:
            await each.result(5)
        assert order == ["critical 3", "high 4", "normal 2", "normal 5", "low 0", "background 1"]


async def test_delayed_job_starts_on_time_at_an_idle_worker(run: Run) -> None:
    queue = Queue("timed", concurrency=5)
    job = queue.job("start", payload=int, result=int)

    @processor(job)
    async def start(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(start) as worker:
        await (await worker.producer.enqueue(job, 0)).result(5)
        await until(lambda: worker.lane("timed").idle)
        # The later one first: the earlier one must set the alarm anew.
        jobs = [await worker.producer.enqueue(job, ms, delay=ms / 1000) for ms in (300, 120)]
        for each in jobs:
            await each.result(5)
            record = await each.status()
            # The alarm wakes it, not the glance that comes each second.
            assert 0 <= cast("float", record.wait_ms) < 110, record


async def test_paused_queue_starts_nothing_until_it_is_resumed(run: Run) -> None:
    queue = Queue("held", concurrency=5)
    job = queue.job("go", payload=int, result=int)

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(go) as worker:
        await (await worker.producer.enqueue(job, 0)).result(5)
        await worker.scripts.pause("held")
        held = [await worker.producer.enqueue(job, n) for n in range(10)]
        assert {(await each.status()).state for each in held} == {State.WAITING}
        # Also a worker that asks is given nothing.
        worker.lane("held").kick(hungry=True)
        await until(lambda: worker.lane("held").idle)
        assert worker.runtime.stats().completed == 1
        await worker.scripts.resume("held")
        assert [await each.result(0.9) for each in held] == list(range(10))


# Parked jobs


async def test_unknown_job_is_parked_and_goes_to_the_first_worker_that_knows_it(
    run: Run, lines: Lines
) -> None:
    old = Queue("deploys")
    known = old.job("known", payload=int, result=int)
    new = Queue("deploys")
    added = new.job("added", payload=int, result=int)

    @processor(known)
    async def of_old(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(added)
    async def of_new(payload: int, ctx: JobContext) -> int:
        return -payload

    async with run(of_old) as before:
        parked = await before.producer.enqueue(added, 1)

        async def is_parked() -> bool:
            return (await parked.status()).state is State.UNROUTABLE

        await until(is_parked)
        assert len(lines.of("unroutable", job_id=parked.id, job="added@1")) == 1
        async with run(of_new) as after:
            assert await parked.result(5) == -1
            await until(lambda: after.lane("deploys").idle)
            # While both idle the older one takes some and parks them: the other finds them at its next glance.
            jobs = [await before.producer.enqueue(added, n) for n in range(2, 6)]
            assert [await each.result(10) for each in jobs] == [-2, -3, -4, -5]
            assert (await before.entry("deploys", jobs[0].id)).attempts == 0


async def test_job_that_needs_an_unset_variable_stays_parked(
    run: Run, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    queue = Queue("needy")
    job = queue.job("ship", payload=int)

    @processor(job, requires=("SHOP_URL",))
    async def ship(payload: int, ctx: JobContext) -> None: ...

    @processor(queue)
    async def rest(payload: JsonValue, ctx: JobContext) -> JsonValue:
        return payload

    async with run(ship, rest) as worker:
        parked = await worker.producer.enqueue(job, 1)

        async def is_parked() -> bool:
            return (await parked.status()).state is State.UNROUTABLE

        await until(is_parked)
        # It stays there, whoever else asks for work.
        for n in range(3):
            await (await worker.producer.queue("needy").enqueue("other", n, result_ttl=60)).result(5)
        assert await is_parked()
        assert len(lines.of("unroutable", job_id=parked.id)) == 1
        assert lines.of("unroutable")[0]["needs"] == ["SHOP_URL"]


# What is kept


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
        assert await told.result(5) == 1
        record = await told.status()
        assert (record.state, record.result, record.payload) == (State.COMPLETED, 1, None)
        assert record.metadata == {"a": 1}
        assert (await worker.located("kept", told.id)).record == b""

        # Removed, and nothing said.
        gone = await producer.enqueue(silent, 1)
        assert await gone.done(5) in (State.COMPLETED, None)
        with pytest.raises(JobNotFound):
            await gone.status()
        with pytest.raises(ResultNotKept):
            await (await producer.enqueue(job, 1, result_ttl=0)).result(5)

        # A result lives as long as it was asked to.
        brief = await producer.enqueue(job, 2, result_ttl=0.05)
        await brief.done(5)

        async def forgotten() -> bool:
            await worker.scripts.trim("kept")
            return (await worker.located("kept", brief.id)).state == ""

        await until(forgotten)

        # Kept whole; the last two; those that are young enough; those that fit.
        whole = await producer.enqueue(job, 3, remove_on_complete=False)
        await whole.result(5)
        assert (await whole.status()).payload == 3
        for keep in (2, Keep(count=2)):
            some = [await producer.enqueue(job, n, remove_on_complete=keep) for n in range(4)]
            for each in some:
                await each.done(5)
            states = [(await worker.located("kept", each.id)).state for each in some]
            assert states == ["", "", "completed", "completed"]
        young = await producer.enqueue(job, 5, remove_on_complete=Keep(age=0.05))
        await young.done(5)

        async def aged() -> bool:
            await worker.scripts.trim("kept")
            return (await worker.located("kept", young.id)).state == ""

        await until(aged)
        small = [await producer.enqueue(job, n, remove_on_complete=Keep(bytes=300)) for n in range(5)]
        for each in small:
            await each.done(5)
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
            await told.result(5)
        record = await told.status()
        assert (record.state, record.payload, record.failed_reason) == (State.FAILED, None, "ValueError: 2")
        gone = await producer.enqueue(job, 3, remove_on_fail=True, result_ttl=0)
        await gone.done(5)
        with pytest.raises(JobNotFound):
            await gone.status()
        some = [await producer.enqueue(job, n, remove_on_fail=Keep(count=1)) for n in range(3)]
        for each in some:
            await each.done(5)
        assert [(await worker.located("kept-failed", each.id)).state for each in some] == ["", "", "failed"]


# Leases and shutdown


async def test_owner_that_is_gone_has_its_handlers_cancelled(run: Run, lines: Lines) -> None:
    queue = Queue("leased", concurrency=2)
    job = queue.job("hold", payload=int, result=int)
    fences: list[int] = []
    cancelled: list[int] = []
    gate = asyncio.Event()

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        fences.append(ctx.fence)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(ctx.fence)
            raise
        return ctx.fence

    async with run(hold) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: len(fences) == 1)
        owner = worker.lane("leased").owner
        assert worker.leases == {("leased", owner): True}
        # Somebody declares it dead and gives its jobs back: it learns of it by its next call, and claims anew.
        await worker.scripts.release("leased", owner=owner)
        await until(lambda: len(fences) == 2)
        assert cancelled == fences[:1]
        assert worker.lane("leased").owner != owner
        await until(
            lambda: worker.leases == {("leased", owner): False, ("leased", worker.lane("leased").owner): True}
        )
        gate.set()
        assert await handle.result(5) == fences[1] > fences[0]
        stats = worker.runtime.stats()
        assert (stats.lost, stats.completed) == (1, 1)
        (line,) = lines.of("lease_lost")
        assert (line["level"], line["queue"], line["job_id"], line["fence"]) == (
            "info",
            "leased",
            handle.id,
            fences[0],
        )


async def test_stale_delivery_settles_nothing(run: Run, lines: Lines) -> None:
    queue = Queue("stale", concurrency=1)
    job = queue.job("hold", payload=int, result=int)
    fences: list[int] = []
    gates = [asyncio.Event(), asyncio.Event()]

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        fences.append(ctx.fence)
        await gates[len(fences) - 1].wait()
        return ctx.fence

    async with run(hold) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: len(fences) == 1)
        await worker.scripts.release("stale", owner=worker.lane("stale").owner)
        # It ends before it hears that it was given up: the server refuses what it has to say.
        gates[0].set()
        await until(lambda: len(fences) == 2)
        assert len(lines.of("lease_lost", job_id=handle.id, fence=fences[0])) == 1
        assert (await handle.status()).state is State.ACTIVE
        gates[1].set()
        assert await handle.result(5) == fences[1]


@pytest.mark.parametrize("call", ["claim", "settle"])
@pytest.mark.parametrize("applied", [True, False])
async def test_call_whose_outcome_is_lost_loses_no_job(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    applied: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(lane, "_ERROR_PAUSE", 0.01)
    queue = Queue("shaky", concurrency=20)
    job = queue.job("count", payload=int, result=int)
    starts: Counter[int] = Counter()

    @processor(job)
    async def count(payload: int, ctx: JobContext) -> int:
        starts[payload] += 1
        return payload

    async with run(count) as worker:
        real = getattr(worker.scripts, call)
        lost = 0

        async def flaky(queue: str, **options: object) -> Claim | bytes:
            nonlocal lost
            answer = await real(queue, **options) if applied or lost >= 3 else None
            if lost < 3 and (options.get("want") or options.get("groups")):
                lost += 1
                raise OutcomeLost("the reply did not come")
            return cast("Claim | bytes", answer or await real(queue, **options))

        monkeypatch.setattr(worker.scripts, call, flaky)
        jobs = [await worker.producer.enqueue(job, n) for n in range(50)]
        assert [await each.result(10) for each in jobs] == list(range(50))
        assert lost == 3
        assert set(starts.values()) == {1}


async def test_drain_waits_for_active_jobs(run: Run) -> None:
    queue = Queue("drained", concurrency=1)
    job = queue.job("hold", payload=int, result=int)
    gate = asyncio.Event()

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        await gate.wait()
        return payload

    async with run(hold) as worker:
        jobs = [await worker.producer.enqueue(job, n) for n in range(3)]
        await until(lambda: worker.lane("drained").running)
        assert not await worker.runtime.drain(0.01)
        gate.set()
        assert await worker.runtime.drain(5)
        assert await jobs[0].result(5) == 0
        assert {(await each.status()).state for each in jobs[1:]} == {State.WAITING}
        worker.runtime.resume()
        assert [await each.result(5) for each in jobs] == [0, 1, 2]


async def test_quiet_lane_whose_owner_is_gone_is_drained(run: Run) -> None:
    queue = Queue("drained", concurrency=1)
    job = queue.job("hold", payload=int, result=int)

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        await asyncio.Event().wait()
        return payload

    async with run(hold) as worker:
        await worker.producer.enqueue(job, 1)
        await until(lambda: worker.lane("drained").running)
        assert not await worker.runtime.drain(0.01)
        worker.lane("drained").owner_gone(worker.lane("drained").owner)
        assert await worker.runtime.drain(1)


async def test_abandoned_jobs_wait_again_uncharged(run: Run) -> None:
    queue = Queue("abandoned", concurrency=2)
    on_loop = queue.job("on-loop", payload=int)
    in_thread = queue.job("in-thread", payload=int)
    release = threading.Event()

    @processor(on_loop)
    async def of_loop(payload: int, ctx: JobContext) -> None:
        await asyncio.Event().wait()

    @processor(in_thread)
    def of_thread(payload: int, ctx: JobContext) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)

    async with run(of_loop, of_thread) as worker:
        jobs = [await worker.producer.enqueue(job, 1) for job in (on_loop, in_thread)]
        await until(lambda: len(worker.lane("abandoned").running) == 2)
        assert not await worker.runtime.drain(0.01)
        await worker.runtime.close(abandon=True)
        for each in jobs:
            found = await worker.located("abandoned", each.id)
            assert (found.state, found.entry.attempts, found.entry.crashes) == ("waiting", 0, 0)
            assert found.entry.releases == 1
    release.set()


# Logs


async def test_lines_are_bound_to_the_job(run: Run, lines: Lines) -> None:
    queue = Queue("logged")
    good = queue.job("good", payload=int)
    bad = queue.job("bad", payload=int, attempts=2, backoff=NOW)

    @processor(good)
    async def of_good(payload: int, ctx: JobContext) -> None:
        ctx.log.info("halfway", number=payload)

    @processor(bad)
    def of_bad(payload: int, ctx: JobContext) -> None:
        ctx.log.warning("about to fail")
        raise ValueError("no")

    async with run(of_good, of_bad) as worker:
        jobs = [await worker.producer.enqueue(job, 7) for job in (good, bad)]
        for each in jobs:
            await each.done(5)
        await until(lambda: lines.of("failed"))
    told = {"queue": "logged", "job_id": jobs[0].id, "job": "good@1"}
    assert [line["level"] for line in lines.of("active", **told)] == ["debug"]
    assert [line["level"] for line in lines.of("completed", **told)] == ["debug"]
    assert len(lines.of("halfway", job_id=jobs[0].id, queue="logged", job="good", number=7)) == 1
    told = {
        "queue": "logged",
        "job_id": jobs[1].id,
        "job": "bad@1",
        "error_type": "ValueError",
        "error": "no",
    }
    assert [line["level"] for line in lines.of("retry", attempt=1, delay_ms=0, **told)] == ["info"]
    assert [line["level"] for line in lines.of("failed", attempt=2, **told)] == ["info"]
    assert [line["attempt"] for line in lines.of("about to fail", job_id=jobs[1].id)] == [1, 2]


async def test_lines_of_every_job_are_not_written_at_info(run: Run) -> None:
    queue = Queue("quiet")
    job = queue.job("good", payload=int)

    @processor(job)
    async def of_good(payload: int, ctx: JobContext) -> None: ...

    with captured_lines("info") as lines:
        async with run(of_good) as worker:
            await (await worker.producer.enqueue(job, 7)).done(5)
        assert lines.of("active") == lines.of("completed") == []
