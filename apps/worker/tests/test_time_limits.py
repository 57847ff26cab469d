"""How long attempts may run: a timeout that handlers may catch, more time, and deadlines, in every executor."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import Run

from jobs_core import Delays, Fixed, JobFailed, Queue
from jobs_core.queue import JobType
from jobs_worker import JobContext, JobTimeout, processor, time_limits
from jobs_worker.time_limits import TimeLimit, in_time


def slow(name: str = "slow") -> JobType[int, str]:
    return Queue(name, default_job_options={"attempts": 1}).job("work", payload=int, result=str)


async def test_timeout_is_raised_inside_an_async_handler(run: Run) -> None:
    job = slow()
    cleaned: list[str] = []

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        try:
            await asyncio.Event().wait()
        except JobTimeout as error:
            cleaned.append(f"{error}, {ctx.remaining} left")
            raise
        finally:
            await asyncio.sleep(0)
            cleaned.append("finally")
        return ""

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 1, timeout=0.05)
        with pytest.raises(JobFailed, match=r"timeout: ran longer than its timeout of 0\.05 s"):
            await handle.result(40)
        assert cleaned == ["ran longer than its timeout of 0.05 s, 0.0 left", "finally"]


async def test_handler_that_catches_its_timeout_may_return(run: Run) -> None:
    job = slow()

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        try:
            await asyncio.Event().wait()
        except JobTimeout:
            await asyncio.sleep(0.001)
            return "part of it"
        return "all"

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 1, timeout=0.05)
        assert await handle.result(40) == "part of it"


async def test_handler_that_goes_on_past_its_timeout_is_interrupted_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "GRACE", 0.05)
    job = slow()
    caught: list[type[BaseException]] = []

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                caught.append(type(error))
        await asyncio.Event().wait()
        return ""

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 1, timeout=0.05)
        with pytest.raises(JobFailed, match="timeout"):
            await handle.result(40)
        assert caught == [JobTimeout, asyncio.CancelledError]


async def test_what_a_handler_started_ends_with_its_timeout() -> None:
    ended: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child("group"))

    async def gathered() -> None:
        await asyncio.gather(child("gathered"), child("gathered"))

    async def waited() -> None:
        await asyncio.wait_for(child("waited"), 60)

    async def nested() -> None:
        async with asyncio.timeout(60):
            await child("nested")

    for handler in (group, gathered, waited, nested):
        with pytest.raises(JobTimeout):
            await in_time(handler(), TimeLimit(0.1, None))
    assert ended == ["group", "gathered", "gathered", "waited", "nested"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_errors_and_results_pass_through() -> None:
    async def fine() -> int:
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            return 7
        return 0

    async def wrong() -> None:
        await asyncio.sleep(0)
        raise StopAsyncIteration

    assert await in_time(fine(), TimeLimit(60, None)) == 7
    with pytest.raises(StopAsyncIteration):
        await in_time(wrong(), TimeLimit(60, None))


async def test_more_time_on_the_loop(run: Run) -> None:
    job = slow()

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        ctx.extend(50)
        assert ctx.remaining is not None
        assert 40 < ctx.remaining <= 50.4
        await asyncio.sleep(0.5)
        return "done"

    async with run(work) as worker:
        assert await (await worker.producer.enqueue(job, 1, timeout=0.4)).result(40) == "done"


async def test_more_time_in_a_thread(run: Run) -> None:
    job = slow()

    @processor(job)
    def work(payload: int, ctx: JobContext) -> str:
        ctx.extend(50)
        threading.Event().wait(0.5)
        return f"cancelled: {ctx.cancelled}"

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 1, timeout=0.4)
        assert await handle.result(40) == "cancelled: False"


async def test_time_in_a_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run(handlers.pid, handlers.work) as worker:
        await (await worker.producer.enqueue(handlers.PID, 1)).result(40)
        handle = await worker.producer.enqueue(handlers.WORK, "timeout", timeout=0.5)
        assert (await handle.result(40)).startswith("timeout 1/2")
        handle = await worker.producer.enqueue(handlers.WORK, "extend", timeout=0.5)
        assert (await handle.result(40)).startswith("extend 1/2")


def test_limit_is_never_beyond_the_deadline() -> None:
    limit = TimeLimit(1, 2)
    limit.extend(10)
    assert 1.9 < limit.remaining <= 2
    assert str(limit.error()) == "still ran at its deadline"
    endless = TimeLimit(0, 2)
    assert 1.9 < endless.remaining <= 2
    over = TimeLimit(0.0001, None)
    while over.remaining:
        pass
    over.extend(10)
    assert over.remaining == 0


async def test_job_past_its_deadline_never_starts(run: Run) -> None:
    job = slow()
    ran: list[int] = []

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        ran.append(payload)
        return ""

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 1, deadline=datetime.now(UTC) - timedelta(seconds=1))
        with pytest.raises(JobFailed, match="deadline"):
            await handle.result(40)
        assert (await handle.status()).attempts_made == 0
        assert ran == []


async def test_running_job_is_bounded_by_its_deadline(run: Run) -> None:
    job = slow()
    seen: list[datetime | None] = []

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        seen.append(ctx.deadline)
        await asyncio.Event().wait()
        return ""

    async with run(work) as worker:
        at = datetime.now(UTC) + timedelta(seconds=1.5)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        handle = await worker.producer.enqueue(job, 1, deadline=at)
        with pytest.raises(JobFailed, match="timeout: still ran at its deadline"):
            await handle.result(40)
        assert seen == [at]


async def test_retry_that_would_start_after_the_deadline_fails_now(run: Run) -> None:
    job = slow()

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        raise ValueError(payload)

    async with run(work) as worker:
        at = datetime.now(UTC) + timedelta(seconds=30)
        handle = await worker.producer.enqueue(job, 7, attempts=5, backoff=Fixed(60), deadline=at)
        with pytest.raises(JobFailed, match="after the deadline; this one ended with ValueError: 7"):
            await handle.result(40)


async def test_retries_have_a_time_budget(run: Run) -> None:
    job = slow()
    began: list[int] = []

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> str:
        began.append(ctx.attempt)
        await asyncio.sleep(0.05)
        raise ValueError(payload)

    async with run(work) as worker:
        # After the third the budget has room for this wait and one attempt, not for what the first two took as well.
        waits = Delays([0, 0, 59.9])
        handle = await worker.producer.enqueue(job, 7, attempts=100, backoff=waits, retry_for=60)
        with pytest.raises(
            JobFailed, match=r"no retry: the next attempt would start over 60 s after the first"
        ):
            await handle.result(40)
        assert began == [1, 2, 3]
