"""Which exceptions are retried, and when: options of the job, of its processor, and backoffs that are functions."""

from collections.abc import Sequence
from datetime import timedelta
from types import ModuleType

import pytest
from tests.support import process_handlers as handlers
from tests.support.runtime import Run

from jobs_core import Custom, DeclarationError, Fixed, JobFailed, OptionError, Queue
from jobs_core.options import JobOptions, decode_policy, resolve
from jobs_worker import JobContext, JobTimeout, Retry, backoff, processor
from jobs_worker.backoffs import backoff_of, backoffs_of, by_name
from jobs_worker.judging import Matcher, make_rules, may_retry


class Declined(ValueError):
    """An error of a handler's own."""


def is_seven(error: BaseException) -> bool:
    return error.args == (7,)


def broken(error: BaseException) -> bool:
    raise RuntimeError("broken")


def judged(
    error: BaseException,
    options: JobOptions,
    retry_on: Sequence[Matcher] = (),
    no_retry_on: Sequence[Matcher] = (),
) -> bool:
    resolved = resolve(Queue("q").job("j", payload=int), options)
    return may_retry(error, decode_policy(resolved.policy), make_rules(retry_on, no_retry_on))


@pytest.mark.parametrize(
    ("error", "options", "retried"),
    [
        (ValueError(), {}, True),
        (ValueError(), {"no_retry_on": [ValueError]}, False),
        (Declined(), {"no_retry_on": [ValueError]}, False),
        (Declined(), {"no_retry_on": ["ValueError"]}, False),
        (Declined(), {"no_retry_on": [f"{__name__}.Declined"]}, False),
        (Declined(), {"no_retry_on": ["Declined"]}, False),
        (Declined(), {"no_retry_on": ["other.Declined"]}, True),
        (TypeError(), {"no_retry_on": [ValueError]}, True),
        (ConnectionError(), {"retry_on": [ConnectionError], "no_retry_on": [OSError]}, True),
        (PermissionError(), {"retry_on": [ConnectionError], "no_retry_on": [OSError]}, False),
        (ValueError(), {"retry_on": [Exception], "no_retry_on": [ValueError]}, False),
        (JobTimeout(1), {"no_retry_on": ["JobTimeout"]}, False),
        (ValueError(), {"retry_on": [OSError]}, True),
    ],
)
def test_options_of_the_job(error: BaseException, options: JobOptions, retried: bool) -> None:  # noqa: FBT001
    assert judged(error, options) is retried


@pytest.mark.parametrize(
    ("error", "retry_on", "no_retry_on", "retried"),
    [
        (ValueError(), [], [ValueError], False),
        (ValueError(7), [is_seven], [ValueError], True),
        (ValueError(8), [is_seven], [ValueError], False),
        (ValueError(7), [ValueError], [is_seven], False),
        (ValueError(7), [], [broken], True),
    ],
)
def test_what_the_processor_says(
    error: BaseException,
    retry_on: Sequence[Matcher],
    no_retry_on: Sequence[Matcher],
    retried: bool,  # noqa: FBT001
) -> None:
    assert judged(error, {}, retry_on, no_retry_on) is retried


def test_the_job_decides_before_its_processor() -> None:
    assert judged(ValueError(), {"retry_on": [ValueError]}, no_retry_on=[ValueError])
    assert not judged(ValueError(7), {"no_retry_on": [ValueError]}, retry_on=[is_seven])


@pytest.mark.parametrize(
    "wrong", [ValueError, "error", [7], ["no name"], [int], [f"E{n}" for n in range(33)], None]
)
def test_wrong_lists_are_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="retry_on"):
        resolve(Queue("q").job("j", payload=int), {"retry_on": wrong})  # pyright: ignore[reportArgumentType]


async def test_error_that_is_not_retried_fails_for_good(run: Run) -> None:
    job = Queue("q", default_job_options={"backoff": Fixed(0)}).job("j", payload=int, result=int)

    @processor(job, no_retry_on=[Declined])
    async def work(payload: int, ctx: JobContext) -> int:
        raise Declined(payload)

    async with run(work) as worker:
        handle = await worker.producer.enqueue(job, 7)
        with pytest.raises(JobFailed, match="Declined: 7"):
            await handle.result(40)
        assert (await handle.status()).attempts_made == 1


async def test_process_judges_by_the_same_rules(run: Run) -> None:
    async with run(handlers.work) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, "raise x", no_retry_on=[ValueError])
        with pytest.raises(JobFailed, match="no such picture"):
            await handle.result(40)
        assert (await handle.status()).attempts_made == 1


@backoff("soon")
def soon(attempt: int, error: BaseException) -> timedelta:
    return timedelta(milliseconds=attempt)


@backoff("broken")
def raises(attempt: int, error: BaseException) -> float:
    raise RuntimeError("no idea")


@backoff("negative")
def negative(attempt: int, error: BaseException) -> float:
    return -1


async def test_backoff_that_is_a_function(run: Run) -> None:
    job = Queue("q", default_job_options={"backoff": Custom("soon")}).job("j", payload=int, result=int)

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> int:
        if ctx.attempt == 1:
            raise ValueError(payload)
        if ctx.attempt == 2:
            raise Retry(0)
        return ctx.attempt

    async with run(work, soon) as worker:
        assert await (await worker.producer.enqueue(job, 7)).result(40) == 3


async def test_process_asks_the_function_too(run: Run) -> None:
    async with run(handlers.work, handlers.short) as worker:
        handle = await worker.producer.enqueue(handlers.WORK, "custom waits", backoff=Custom("short"))
        assert (await handle.result(40)).startswith("custom 2/2")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", r"no retry: this worker has no @backoff\('nowhere'\)"),
        ("broken", r"no retry: @backoff\('broken'\) raised RuntimeError: no idea"),
        ("negative", r"no retry: @backoff\('negative'\)"),
    ],
)
async def test_backoff_that_says_nothing_is_a_clear_failure(run: Run, name: str, says: str) -> None:
    job = Queue("q").job("j", payload=int, result=int)

    @processor(job)
    async def work(payload: int, ctx: JobContext) -> int:
        raise ValueError(payload)

    async with run(work, raises, negative) as worker:
        handle = await worker.producer.enqueue(job, 7, backoff=Custom(name))
        with pytest.raises(JobFailed, match=f"ValueError: 7 .*{says}"):
            await handle.result(40)


def _other(attempt: int, error: BaseException) -> int:
    return attempt


def _too_few(attempt: int) -> int:
    return attempt


def test_backoffs_are_found_in_modules_and_refused_when_wrong() -> None:
    module = ModuleType(__name__)
    module.__dict__.update(soon=soon, other=handlers.short)
    assert [each.name for each in backoffs_of(module)] == ["soon"]
    first, second = backoff_of(soon), backoff_of(backoff("soon")(_other))
    assert first is not None
    assert second is not None
    with pytest.raises(DeclarationError, match="there is a backoff 'soon' already"):
        by_name([first, second])
    with pytest.raises(DeclarationError, match="must take"):
        backoff("wrong")(_too_few)
    with pytest.raises(OptionError):
        backoff("no name")
