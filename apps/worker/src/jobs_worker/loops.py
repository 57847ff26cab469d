"""Background loops that outlive their own mistakes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_worker import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_ERROR_PAUSE = 1.0
_log = logs.get("jobs.worker")


def spawn(name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run a loop until it ends or is cancelled; whatever else it raises is logged, and it begins anew."""
    return asyncio.create_task(_run(name, loop), name=name)


async def _run(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:  # noqa: BLE001 - without its loops a worker would run on, and nobody would see why it does nothing
            _log.exception("loop_failed", loop=name)
            await asyncio.sleep(_ERROR_PAUSE)
        else:
            return
