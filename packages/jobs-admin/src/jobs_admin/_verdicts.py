"""Verbs on jobs named by id: what became of each."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from jobs_admin.records import Cancellation, Outcome
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import JobNotFound, JobsError, OptionError, WrongState
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import CancelOutcome, State

if TYPE_CHECKING:
    from datetime import datetime

    from jobs_admin._calls import Calls
    from jobs_core.scripts import Scripts

_REMOVABLE = tuple(state for state in State if state is not State.ACTIVE)


class Verb(Protocol):
    """Changes at most 128 jobs and returns "1", "0" (not known) or the state it is in instead, of each."""

    def __call__(
        self, scripts: Scripts, queue: str, ids: Sequence[str]
    ) -> Coroutine[object, object, list[str]]:
        """Start the change."""
        ...


async def retry(scripts: Scripts, queue: str, ids: Sequence[str]) -> list[str]:
    """Put failed jobs back."""
    return await scripts.retry(queue, ids=ids)


async def remove(scripts: Scripts, queue: str, ids: Sequence[str]) -> list[str]:
    """Remove jobs that do not run."""
    return await scripts.remove(queue, ids=ids)


async def promote(scripts: Scripts, queue: str, ids: Sequence[str]) -> list[str]:
    """Let delayed jobs run now."""
    found = await scripts.lookup(queue, ids=ids)
    verdicts = ["1" if each.state == State.DELAYED else each.state or "0" for each in found]
    delayed = [job_id for job_id, verdict in zip(ids, verdicts, strict=True) if verdict == "1"]
    if delayed:
        # One that came due in between is where it was to be brought.
        await scripts.promote(queue, ids=delayed)
    return verdicts


def priority(number: int) -> Verb:
    """Give jobs another priority."""
    return partial(_priority, number=number)


async def _priority(scripts: Scripts, queue: str, ids: Sequence[str], *, number: int) -> list[str]:
    return await scripts.priority(queue, priority=number, ids=ids)


def reschedule(delay_ms: int, run_at_ms: int) -> Verb:
    """Make jobs due at another time."""
    return partial(_reschedule, delay_ms=delay_ms, run_at_ms=run_at_ms)


async def _reschedule(
    scripts: Scripts, queue: str, ids: Sequence[str], *, delay_ms: int, run_at_ms: int
) -> list[str]:
    return await scripts.reschedule(queue, delay_ms=delay_ms, run_at_ms=run_at_ms, ids=ids)


def due_time(delay: Duration | None, run_at: datetime | None) -> tuple[int, int, str]:
    """Return a due time as (delay in ms, Unix ms or 0, text). Raises OptionError."""
    if (delay is None) == (run_at is None):
        raise OptionError("delay", delay, "give either a delay or an instant (run_at)")
    if run_at is None:
        delay_ms = to_ms(cast("Duration", delay), name="delay")
        return delay_ms, 0, f"in {delay_ms / 1000:.12g} s"
    if run_at.utcoffset() is None:
        raise OptionError(
            "run_at", run_at, "it has no time zone, so it means another instant on each machine"
        )
    return 0, max(1, round(run_at.timestamp() * 1000)), f"at {run_at.isoformat()}"


_EXPECTED: dict[Verb, tuple[State, ...]] = {
    retry: (State.FAILED,),
    promote: (State.DELAYED,),
    remove: _REMOVABLE,
}
_UNSTARTED = (State.WAITING, State.DELAYED)


async def apply(calls: Calls, verb: Verb, queue: str, ids: Sequence[str]) -> list[Outcome]:
    """Apply a verb to jobs. With one id its error is raised, with several each outcome holds its own."""
    outcomes: list[Outcome] = []
    for start in range(0, len(ids), MAX_ITEMS):
        chunk = ids[start : start + MAX_ITEMS]
        verdicts = await calls.change(verb(calls.scripts, queue, chunk))
        if verb in ENDING:
            await calls.relay(queue)
        for job_id, verdict in zip(chunk, verdicts, strict=True):
            error = _error(queue, job_id, verdict, _EXPECTED.get(verb, _UNSTARTED))
            if error is None:
                outcomes.append(Outcome(job_id, done=True))
            elif len(ids) == 1:
                raise error
            else:
                outcomes.append(Outcome(job_id, done=False, code=error.code, message=error.message))
    return outcomes


async def cancel(calls: Calls, queue: str, ids: Sequence[str]) -> list[Cancellation]:
    """Cancel jobs, and tell of each what that did."""
    outcomes: list[Cancellation] = []
    for start in range(0, len(ids), MAX_ITEMS):
        chunk = ids[start : start + MAX_ITEMS]
        cancelled = await calls.change(calls.scripts.cancel(queue, ids=chunk))
        outcomes += map(Cancellation, chunk, map(CancelOutcome, cancelled.verdicts))
        if cancelled.posted:
            await calls.relay(queue, cancelled.posted)
    return outcomes


async def cancel_many(scripts: Scripts, queue: str, ids: Sequence[str]) -> list[str]:
    """Cancel jobs; one that runs and is asked to stop counts as done."""
    done = {CancelOutcome.CANCELLED: "1", CancelOutcome.REQUESTED: "1"}
    cancelled = await scripts.cancel(queue, ids=ids)
    return [done.get(CancelOutcome(verdict), "0") for verdict in cancelled.verdicts]


ENDING: tuple[Verb, ...] = (retry, cancel_many, remove)
"""What follows these, or is taken back by them, is carried on at once: perhaps no worker serves the queue."""


def _error(queue: str, job_id: str, verdict: str, expected: Sequence[State]) -> JobsError | None:
    if verdict == "1":
        return None
    if verdict == "0":
        return JobNotFound(queue, job_id)
    # Of a "finished" one nothing but its outcome is left.
    return WrongState(queue, job_id, "removed" if verdict == "finished" else verdict, [*expected])
