"""Handlers that run in executor processes, which import them from here."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from jobs_core import Fixed, Queue
from jobs_worker import Discard, Fail, JobContext, JobTimeout, RateLimited, Retry, Snooze, backoff, processor

CRUNCH = Queue("crunch", concurrency=1, executor="process", default_job_options={"backoff": Fixed(0.01)})
PID = CRUNCH.job("pid", payload=int, result=int)
WORK = CRUNCH.job("work", payload=str, result=str, attempts=2)
WRONG = CRUNCH.job("wrong", payload=str, result=int, attempts=2)


@processor(PID)
async def pid(payload: int, ctx: JobContext) -> int:
    return os.getpid()


@processor(WORK)
def work(payload: str, ctx: JobContext) -> str:
    what, _, argument = payload.partition(" ")
    match what:
        case "progress":
            ctx.progress(current=1, total=4, message="one of four")
            _wait_for(argument)
        case "raise":
            raise ValueError(f"no such picture: {argument}")
        case "die" if ctx.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            raise SystemExit(argument)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open(argument, "a", encoding="utf-8") as file:  # noqa: PTH123 - one write, whoever else writes
                file.write(f"{os.getpid()}\n")
            while True:
                with suppress(JobTimeout):
                    time.sleep(0.01)
        case _:
            _end(what, argument, ctx)
    return f"{what} {ctx.attempt}/{ctx.attempts} {ctx.metadata.get('by')} {ctx.queue}/{ctx.name}"


def _end(what: str, argument: str, ctx: JobContext) -> None:
    """Raise the outcome that a job asks for."""
    match what:
        case "fail":
            raise Fail(argument)
        case "told":
            with open(f"{argument}.started", "w", encoding="utf-8"):  # noqa: PTH123 - a path from a payload
                _wait_for(argument)
            raise Fail(argument)
        case "timeout":
            with suppress(JobTimeout):
                _sleep_until(time.monotonic() + 60)
        case "extend":
            ctx.extend(5)
            _sleep_until(time.monotonic() + 0.7)
        case "custom" if ctx.attempt == 1:
            raise LookupError(argument)
        case "later" if ctx.attempt == 1:
            raise Retry(after=float(argument), reason="busy")
        case "discard":
            raise Discard(argument)
        case "snooze" if _first(ctx):
            raise Snooze(float(argument))
        case "limit" if _first(ctx):
            raise RateLimited(float(argument))
        case _:
            pass


def _first(ctx: JobContext) -> bool:
    """Tell whether this is the first delivery of a job in this process."""
    return (ctx.queue, ctx.job_id) not in _seen and not _seen.add((ctx.queue, ctx.job_id))


_seen: set[tuple[str, str]] = set()


@processor(WRONG)
def wrong(payload: str, ctx: JobContext) -> int:
    return payload  # pyright: ignore[reportReturnType] - what does not fit is the point


@backoff("short")
def short(attempt: int, error: BaseException, payload: str) -> float:
    assert isinstance(error, LookupError)
    assert payload == "custom waits"
    return attempt / 100


def _sleep_until(when: float) -> None:
    while time.monotonic() < when:
        time.sleep(0.01)


def _wait_for(path: str) -> None:
    while not os.path.exists(path):  # noqa: PTH110 - a path from a payload
        time.sleep(0.005)
