"""Calls whose outcome is unknown, kept as they were sent so that they can be sent again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from jobs_core.connection.client import OutcomeLost
from jobs_core.connection.protocol import Encodable
from jobs_core.errors import (
    ConnectionFailed,
    DuplicateJob,
    JobsError,
    OptionError,
    OutcomeUnknown,
    QueueFull,
)
from jobs_core.wire import Verdict, parse_verdicts

if TYPE_CHECKING:
    from jobs_core.scripts import Scripts

Outcome: TypeAlias = Literal["created", "known", "skipped", "replaced", "extended", "kept"]
"""What became of a job: added; its own id was known; or a job with its unique key stands for it."""

_REMEMBERED = 3600.0
_OUTCOMES: dict[str, Outcome] = {
    "1": "created",
    "0": "known",
    "s": "skipped",
    "r": "replaced",
    "e": "extended",
    "k": "kept",
}


def told(queue: str, verdict: Verdict) -> Outcome:
    """Return what a verdict says in words. Raises DuplicateJob or QueueFull where the job was refused."""
    outcome = _OUTCOMES.get(verdict.sign)
    if outcome is not None:
        return outcome
    raise QueueFull(queue) if verdict.sign == "f" else DuplicateJob(queue, verdict.survivor)


class Call(msgspec.Struct, frozen=True):
    """One call of the enqueue script. Its session and number make it apply once, however often it arrives."""

    address: str
    prefix: str
    queue: str
    session: str
    seq: int
    jobs: list[Encodable]
    made_at: float

    async def send(self, scripts: Scripts, deadline: float) -> list[Verdict]:
        """Send it; raises OutcomeLost and what `Scripts.enqueue` raises."""
        reply = await scripts.enqueue(
            self.queue, session=self.session, seq=self.seq, jobs=self.jobs, deadline=deadline
        )
        return parse_verdicts(reply)


class Submission(msgspec.Struct, frozen=True):
    """One job of a call whose outcome is unknown; it can be pickled and sent again by another process."""

    call: Call
    index: int


class Resubmitter:
    """Sends calls again, each once for all of its jobs at a time."""

    def __init__(self, scripts: Scripts) -> None:
        """Send by these scripts."""
        self._scripts = scripts
        self._under_way: dict[tuple[str, int], asyncio.Task[list[Verdict]]] = {}

    async def send(self, error: OutcomeUnknown, deadline: float) -> bool:
        """Send the call of an error again and tell whether the job was created by it.

        Raises OutcomeUnknown where it is still not known, OptionError for a call that must not go from here.
        """
        submission = error.submission
        if not isinstance(submission, Submission):
            raise OptionError("error", error, "it holds no call that this producer could send again")
        call = submission.call
        self._check(error, call)
        try:
            verdicts = await asyncio.shield(self._sending(call, deadline))
        except (OutcomeLost, JobsError) as failure:
            # Whatever went wrong this time says nothing of the first time.
            reason = failure.reason if isinstance(failure, ConnectionFailed) else str(failure)
            raise OutcomeUnknown(error.job_id, call.queue, reason, submission=submission) from None
        return told(call.queue, verdicts[submission.index]) == "created"

    def _check(self, error: OutcomeUnknown, call: Call) -> None:
        here = (self._scripts.client.address.display, self._scripts.prefix)
        if (call.address, call.prefix) != here:
            raise OptionError(
                "error",
                error,
                f"its call went to {call.address} with prefix {call.prefix!r}, not to this server",
            )
        if time.time() - call.made_at > _REMEMBERED:
            reason = (
                "its call is older than 1 h, so it could apply twice; look for the job with status() instead"
            )
            raise OptionError("error", error, reason)

    def _sending(self, call: Call, deadline: float) -> asyncio.Task[list[Verdict]]:
        key = (call.session, call.seq)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(call.send(self._scripts, deadline))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: tuple[str, int], task: asyncio.Task[list[Verdict]]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            # All who waited may have gone away, so that nobody else reads it.
            task.exception()
