"""Changes of jobs named by id, each entered in the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin import _verdicts
from jobs_core.options import as_priority
from jobs_core.states import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs_admin._context import Context
    from jobs_admin.records import Cancellation, Outcome
    from jobs_core.durations import Duration

# How many ids an entry of the audit names.
_NAMED = 20


class JobChanges:
    """What can be done to jobs. With one id its error is raised, with several each outcome holds its own.

    A queue that nobody used is UnknownQueue: a mistyped name would be made a queue of.
    """

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._directory = context.directory
        self._audit = context.audit

    async def retry(self, queue: str, ids: Sequence[str]) -> list[Outcome]:
        """Put failed jobs back."""
        return await self._apply("retry", _verdicts.retry, queue, ids)

    async def remove(self, queue: str, ids: Sequence[str]) -> list[Outcome]:
        """Remove jobs that do not run."""
        return await self._apply("remove", _verdicts.remove, queue, ids)

    async def promote(self, queue: str, ids: Sequence[str]) -> list[Outcome]:
        """Let delayed jobs run now."""
        return await self._apply("promote", _verdicts.promote, queue, ids)

    async def priority(self, queue: str, ids: Sequence[str], to: Priority | int | str) -> list[Outcome]:
        """Give jobs another priority."""
        number = as_priority(to)
        detail = f"to {Priority(number).name.lower()}"
        return await self._apply("priority", _verdicts.priority(number), queue, ids, detail)

    async def reschedule(
        self, queue: str, ids: Sequence[str], delay: Duration | None, run_at: datetime | None
    ) -> list[Outcome]:
        """Make jobs due after a delay, or at an instant."""
        delay_ms, run_at_ms, detail = _verdicts.due_time(delay, run_at)
        return await self._apply("reschedule", _verdicts.reschedule(delay_ms, run_at_ms), queue, ids, detail)

    async def cancel(self, queue: str, ids: Sequence[str]) -> list[Cancellation]:
        """Cancel jobs wherever they are."""
        await self._directory.check(queue)
        outcomes = await _verdicts.cancel(self._calls, queue, ids)
        done = [each.id for each in outcomes if each.outcome in {"cancelled", "requested"}]
        await self._audit.enter("cancel", queue, named(done), len(done))
        return outcomes

    async def _apply(
        self, verb: str, change: _verdicts.Verb, queue: str, ids: Sequence[str], detail: str = ""
    ) -> list[Outcome]:
        await self._directory.check(queue)
        outcomes = await _verdicts.apply(self._calls, change, queue, ids)
        done = [each.id for each in outcomes if each.done]
        await self._audit.enter(verb, queue, named(done), len(done), detail)
        return outcomes


def named(ids: Sequence[str]) -> str:
    """Return what an entry of the audit says of jobs that were named by id."""
    return f"id:{','.join(ids[:_NAMED])}"
