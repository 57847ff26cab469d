"""What a handler may raise to say more than that it failed, in each executor."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import InProcess, Run

from jobs_core import JobCancelled, OptionError, Queue, State
from jobs_core.payloads import JsonValue
from jobs_core.queue import Executor
from jobs_producer import JobHandle
from jobs_worker import Discard, JobContext, RateLimited, Retry, Snooze, processor

EXECUTORS = ["async", "thread", "process"]


async def enqueue(worker: InProcess, executor: Executor, what: str) -> JobHandle[str]:
    if executor == "process":
        return await worker.producer.enqueue(handlers.WORK, what)
    return await worker.producer.enqueue(JOBS[executor], what)


PLAIN = Queue("plain", default_job_options={"backoff": [0.01]})
JOBS = {each: PLAIN.job(each, payload=str, result=str, attempts=2) for each in ("async", "thread")}


@processor(JOBS["async"])
async def on_loop(payload: str, ctx: JobContext) -> str:
    return handlers.work(payload, ctx)


@processor(JOBS["thread"])
def in_thread(payload: str, ctx: JobContext) -> str:
    return handlers.work(payload, ctx)


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_discarded_job_is_cancelled_with_its_reason(run: Run, executor: Executor) -> None:
    async with run(on_loop, in_thread, handlers.work) as worker:
        handle = await enqueue(worker, executor, "discard not wanted")
        with pytest.raises(JobCancelled):
            await handle.result(40)
        record = await handle.status()
        assert (record.state, record.failed_reason) == (State.CANCELLED, "not wanted")


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("what", ["snooze", "limit"])
async def test_job_set_aside_spends_no_attempt(run: Run, executor: Executor, what: str) -> None:
    async with run(on_loop, in_thread, handlers.work) as worker:
        handle = await enqueue(worker, executor, f"{what} 0.02")
        # The first attempt raised, the second delivery is the first attempt again.
        assert (await handle.result(40)).startswith(f"{what} 1/2 ")
        record = await handle.status()
        assert (record.attempts_made, record.releases) == (1, 1)


async def test_outcomes_know_when_they_are_due() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    for outcome in (Retry(soon), Snooze(soon), RateLimited(soon, "queue")):
        assert 3_500_000 < outcome.after_ms <= 3_600_000
    assert Snooze(datetime(2020, 1, 1, tzinfo=UTC)).after_ms == 0
    assert (Snooze(1.5).after_ms, RateLimited(timedelta(seconds=2)).scope) == (1500, "job")
    assert str(Discard()) == "the handler discarded the job"


@pytest.mark.parametrize("wrong", [-1, float("inf"), datetime(2026, 1, 1)])  # noqa: DTZ001 - a naive one is wrong
async def test_wrong_waits_are_refused(wrong: JsonValue) -> None:
    for make in (Retry, Snooze, RateLimited):
        with pytest.raises(OptionError):
            make(wrong)  # pyright: ignore[reportArgumentType]


async def test_wrong_scope_is_refused() -> None:
    with pytest.raises(OptionError, match="job, key, queue"):
        RateLimited(1, "tenant")  # pyright: ignore[reportArgumentType]
