"""The end of a worker: asked for once it is to finish what runs, twice to kill it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_worker import logs
from jobs_worker.control import EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Coroutine

MARGIN = 3.0
"""For how many seconds more than it needs something may take at the end."""

_log = logs.get("jobs.worker")


class Shutdown:
    """Whether a worker is to end, or its children are to be killed, and with which code it exits."""

    def __init__(self) -> None:
        """Begin with neither."""
        self.stopping = asyncio.Event()
        self.killing = asyncio.Event()
        self.exit_code = EXIT_OK

    @property
    def begun(self) -> bool:
        """Whether the worker is to end."""
        return self.stopping.is_set()

    async def sleep(self, seconds: float) -> None:
        """Sleep, but not on once the worker is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    async def give_back(self, work: Coroutine[object, object, None]) -> None:
        """Await the release of leases for as long as it takes, but not much longer once the worker is to end."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        done, _ = await asyncio.wait((task,), timeout=MARGIN)
        if not done:
            _log.warning("release_failed", error="the server does not answer; the leases end by themselves")
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
