"""Calls that a lane makes beside its pumps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_worker import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_log = logs.get("jobs.worker")


class Asides:
    """Calls under way that nobody waits for; a failure is logged, for the next claim or glance makes up for it."""

    def __init__(self, queue: str, on_done: Callable[[], None]) -> None:
        """`on_done` is called whenever one of them ended."""
        self._queue = queue
        self._on_done = on_done
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Tell whether any is under way."""
        return bool(self._tasks)

    def spawn(self, work: Coroutine[object, object, object]) -> None:
        """Begin one."""
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Cancel all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._on_done()

    async def _quietly(self, work: Coroutine[object, object, object]) -> None:
        try:
            await work
        except (JobsError, OutcomeLost) as error:
            _log.warning("call_failed", queue=self._queue, error=str(error))
