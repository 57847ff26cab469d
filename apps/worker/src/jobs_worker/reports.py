"""Progress of the jobs of a lane, gathered and written a few times a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_core.wire import encode_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.connection.protocol import Encodable
    from jobs_core.wire import Progress
    from jobs_worker.delivery import Delivery

_EVERY = 0.25


class ProgressReports:
    """What handlers reported last and the server was not told yet."""

    def __init__(self, write: Callable[[list[Encodable], dict[Delivery, Progress]], None]) -> None:
        """`write` is given id, fence and packed progress of each, one behind the other, and the reports themselves."""
        self._write = write
        self._reported: dict[Delivery, Progress] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, delivery: Delivery, progress: Progress) -> None:
        """Take a report in place of an earlier one."""
        if delivery.abandoned:
            return
        self._reported[delivery] = progress
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY, self._flush)

    def drop(self, delivery: Delivery) -> None:
        """Forget what a delivery that ended reported."""
        if self._reported:
            self._reported.pop(delivery, None)

    def close(self) -> None:
        """Write no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        reported, self._reported = self._reported, {}
        items: list[Encodable] = []
        for delivery, progress in reported.items():
            items += (delivery.id, delivery.fence, encode_progress(progress))
        if items:
            self._write(items, reported)
