"""Takes jobs back that others parked and that have a handler here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_worker import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.scripts import Scripts

_log = logs.get("jobs.worker")


async def move_parked(scripts: Scripts, queue: str, names: list[str], on_moved: Callable[[], None]) -> None:
    """Move all parked jobs of these names back to `waiting`; `on_moved` is called whenever some were."""
    offset = 0
    while True:
        moved, looked = await scripts.reroute(queue, offset=offset, names=names)
        if not looked:
            return
        offset += looked - moved
        if moved:
            _log.info("rerouted", queue=queue, jobs=moved, names=names)
            on_moved()
