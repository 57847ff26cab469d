"""Runs changes of very many jobs in the background: whoever asked may close the page."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
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
        seen = _Running(_begun(plan, "", "", 0))
        try:
            async with asyncio.timeout(_PREVIEW_S):
                return Preview(count=await plan.work(admin, True, seen.tell), exact=True)  # noqa: FBT003 - a dry run
        except TimeoutError:
            return Preview(count=seen.action.done, exact=False)

    async def start(self, admin: Admin, plan: Plan, actor: str, reason: str, window: float) -> BulkAction:
        """Begin after `window` s, in which it can be undone, and return it: without a window, how far it is after a second.

        Raises Refused where too many run, and what is asked for wrongly.
        """
        if window:
            # What is wrong is told to whoever asks, not found by somebody later.
            await self.preview(admin, plan)
        if len(self._running) >= _MOST:
            detail = f"{_MOST} bulk actions run here already, or can be undone still. Wait for one of them to end, or cancel it."
            raise Refused(429, "too_many_bulks", "Too many bulk actions", detail)
        running = _Running(_begun(plan, actor, reason, window))
        await admin.keep_bulk(running.action)
        keeper = asyncio.create_task(self._keep(admin, plan, running, window), name="bulk-keeper")
        action_id = running.action.id
        self._running[action_id] = keeper
        keeper.add_done_callback(lambda _: self._running.pop(action_id, None))
        if window:
            # One that is stopped before its first step would tell nobody how it ended.
            await asyncio.sleep(0)
            return running.action
        await asyncio.wait({keeper}, timeout=_AT_ONCE_S)
        task = running.task
        if keeper.done() and task is not None and not task.cancelled():
            error = task.exception()
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

    async def _keep(self, admin: Admin, plan: Plan, running: _Running, window: float) -> None:
        """Wait until it can be undone no more and do it; remember how far it is each second, and end it where somebody asks for that."""
        try:
            by = await self._waited(admin, running, window) if window else ""
            if not by:
                task = running.task = asyncio.create_task(self._work(admin, plan, running), name="bulk-work")
                while not task.done():
                    await asyncio.wait({task}, timeout=_KEEP_EVERY_S)
                    if not task.done() and (by := await self._kept(admin, running)):
                        task.cancel()
                        await asyncio.wait({task})
        except asyncio.CancelledError:
            if running.task is not None:
                running.task.cancel()
                await asyncio.wait({running.task})
            await self._end(admin, running, "the dashboard that did it was stopped")
            raise
        await self._end(admin, running, by)

    async def _waited(self, admin: Admin, running: _Running, window: float) -> str:
        """Wait until the window is over, and say that it begins. Returns who undid it before."""
        loop = asyncio.get_running_loop()
        until = loop.time() + window
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, _KEEP_EVERY_S))
            if by := await self._kept(admin, running):
                return by
        while True:
            now = datetime.now(UTC)
            try:
                # Whoever was told that it is undone is heard here: nothing begins before the server has taken this.
                by = await admin.keep_bulk(replace(running.action, state="running", seen_at=now))
            except JobsError as error:
                _log.warning("bulk action %s waits for the server: %s", running.action.id, error)
                await asyncio.sleep(_KEEP_EVERY_S)
                continue
            if not by:
                running.action = replace(running.action, state="running", seen_at=now)
            return by

    @staticmethod
    async def _kept(admin: Admin, running: _Running) -> str:
        running.action = replace(running.action, seen_at=datetime.now(UTC))
        try:
            return await admin.keep_bulk(running.action)
        except JobsError as error:
            # The work itself meets the same trouble, or goes on.
            _log.warning("how far bulk action %s is cannot be kept: %s", running.action.id, error)
            return ""

    async def _end(self, admin: Admin, running: _Running, by: str) -> None:
        now, task = datetime.now(UTC), running.task
        action = replace(running.action, seen_at=now, ended_at=now)
        error = None if task is None or task.cancelled() else task.exception()
        if task is None or task.cancelled():
            action = replace(action, state="undone" if task is None else "cancelled", cancelled_by=by)
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
                detail = (
                    f"undone by {by}" if action.state == "undone" else f"{action.state} after {action.done}"
                )
                await admin.note(action.verb, action.queue, action.query, action.done, detail)
            await admin.keep_bulk(action)
        except JobsError as problem:
            _log.warning("the end of bulk action %s cannot be kept: %s", action.id, problem)


def _begun(plan: Plan, actor: str, reason: str, window: float) -> BulkAction:
    now = datetime.now(UTC)
    return BulkAction(
        id=secrets.token_hex(8),
        verb=plan.verb,
        queue=plan.queue,
        query=plan.query,
        detail=plan.detail,
        actor=actor,
        reason=reason,
        state="pending" if window else "running",
        started_at=now,
        starts_at=now + timedelta(seconds=window) if window else None,
        starts_in_ms=round(window * 1000) if window else None,
        seen_at=now,
    )
