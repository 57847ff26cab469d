"""Runs changes of very many jobs in the background: whoever asked may close the page."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from jobs_admin import BulkAction, Progress
from jobs_core.errors import JobsError
from jobs_dashboard.problems import Refused

if TYPE_CHECKING:
    from jobs_admin import Admin

__all__ = ["Bulks", "Plan", "Preview"]

_MOST = 4
_KEEP_EVERY_S = 1.0
_AT_ONCE_S = 1.0
_PREVIEW_S = 2.0
_log = logging.getLogger("jobs_dashboard")

Work: TypeAlias = Callable[["Admin", bool, Progress], Awaitable[int]]
"""Does it in the name of who asked, or only counts (the flag), tells how far it is, and returns how many."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs a change would change; where not `exact`, at least so many: it was not looked for longer."""

    count: int
    exact: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, in words and as work."""

    verb: str
    queue: str
    work: Work
    query: str = ""
    detail: str = ""


class _Running:
    """One that is under way here."""

    def __init__(self, action: BulkAction) -> None:
        self.action = action
        self.task: asyncio.Task[int] | None = None

    def tell(self, done: int, total: int | None) -> None:
        self.action = replace(self.action, done=done, total=total)


class Bulks:
    """The bulk actions of this process; those of all are remembered by the server."""

    def __init__(self) -> None:
        """Run nothing yet."""
        self._running: dict[str, asyncio.Task[None]] = {}

    async def preview(self, admin: Admin, plan: Plan) -> Preview:
        """Count what would be changed, for 2 s at most."""
        seen = _Running(_begun(plan, "", ""))
        try:
            async with asyncio.timeout(_PREVIEW_S):
                return Preview(count=await plan.work(admin, True, seen.tell), exact=True)  # noqa: FBT003 - a dry run
        except TimeoutError:
            return Preview(count=seen.action.done, exact=False)

    async def start(self, admin: Admin, plan: Plan, actor: str, reason: str) -> BulkAction:
        """Begin, and return how far it is after a second. Raises Refused where too many run, and what fails by then."""
        if len(self._running) >= _MOST:
            detail = f"{_MOST} bulk actions run here already. Wait for one of them to end, or cancel it."
            raise Refused(429, "too_many_bulks", "Too many bulk actions", detail)
        running = _Running(_begun(plan, actor, reason))
        await admin.keep_bulk(running.action)
        running.task = asyncio.create_task(self._work(admin, plan, running), name="bulk-work")
        keeper = asyncio.create_task(self._keep(admin, running, running.task), name="bulk-keeper")
        action_id = running.action.id
        self._running[action_id] = keeper
        keeper.add_done_callback(lambda _: self._running.pop(action_id, None))
        await asyncio.wait({keeper}, timeout=_AT_ONCE_S)
        if keeper.done() and not running.task.cancelled():
            error = running.task.exception()
            if isinstance(error, (JobsError, Refused)):
                raise error
        return running.action

    async def close(self) -> None:
        """Break off what runs here, and remember how far it came."""
        keepers = [*self._running.values()]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    @staticmethod
    async def _work(admin: Admin, plan: Plan, running: _Running) -> int:
        return await plan.work(admin, False, running.tell)  # noqa: FBT003 - no dry run

    async def _keep(self, admin: Admin, running: _Running, task: asyncio.Task[int]) -> None:
        """Remember how far it is each second, and end it where somebody asks for that."""
        by = ""
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_KEEP_EVERY_S)
                if not task.done() and (by := await self._kept(admin, running)):
                    task.cancel()
                    await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            await self._end(admin, running, task, "the dashboard that did it was stopped")
            raise
        await self._end(admin, running, task, by)

    @staticmethod
    async def _kept(admin: Admin, running: _Running) -> str:
        running.action = replace(running.action, seen_at=datetime.now(UTC))
        try:
            return await admin.keep_bulk(running.action)
        except JobsError as error:
            # The work itself meets the same trouble, or goes on.
            _log.warning("how far bulk action %s is cannot be kept: %s", running.action.id, error)
            return ""

    async def _end(self, admin: Admin, running: _Running, task: asyncio.Task[int], by: str) -> None:
        now = datetime.now(UTC)
        action = replace(running.action, seen_at=now, ended_at=now)
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            action = replace(action, state="cancelled", cancelled_by=by)
        elif error is not None:
            told = (
                error.message
                if isinstance(error, JobsError)
                else "it failed; the log of the dashboard says why"
            )
            action = replace(action, state="failed", error=told)
            if not isinstance(error, (JobsError, Refused)):
                _log.error("bulk action %s failed", action.id, exc_info=error)
        else:
            action = replace(action, state="completed", done=task.result())
        running.action = action
        try:
            # Who sees that it ended finds it in the audit. Of what ended as it was meant to the admin tells itself.
            if action.state != "completed":
                detail = f"{action.state} after {action.done}"
                await admin.note(action.verb, action.queue, action.query, action.done, detail)
            await admin.keep_bulk(action)
        except JobsError as problem:
            _log.warning("the end of bulk action %s cannot be kept: %s", action.id, problem)


def _begun(plan: Plan, actor: str, reason: str) -> BulkAction:
    now = datetime.now(UTC)
    return BulkAction(
        id=secrets.token_hex(8),
        verb=plan.verb,
        queue=plan.queue,
        query=plan.query,
        detail=plan.detail,
        actor=actor,
        reason=reason,
        started_at=now,
        seen_at=now,
    )
