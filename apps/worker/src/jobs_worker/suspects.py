"""Jobs that may have killed a worker: they run one at a time in each child, so that the next death tells which one it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from jobs_worker.delivery import Delivery
    from jobs_worker.page import Page

# A handler may wait for another job that waits here: after so long it is let in.
_PATIENCE = 600.0


class Suspects:
    """The turn of a child's suspects: jobs that ran while a worker died."""

    def __init__(self, page: Page | None) -> None:
        """`page` notes for the supervisor which of them runs."""
        self._page = page
        self._turn = asyncio.Lock()

    async def run(
        self, queue: bytes, delivery: Delivery, work: Callable[[], Coroutine[object, object, None]]
    ) -> None:
        """Run a handler when no other suspect runs in this child; `queue` ends with a zero byte."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            await work()
            return
        try:
            if self._page is not None:
                self._page.suspect(queue, delivery.id)
            await work()
        finally:
            if self._page is not None:
                self._page.suspect(b"", "")
            self._turn.release()


def is_suspect(delivery: Delivery) -> bool:
    """Whether a worker died while it ran this job."""
    return delivery.entry.crashes > 0 or delivery.entry.suspect
