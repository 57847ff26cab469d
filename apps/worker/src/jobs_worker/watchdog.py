"""Kills children that have been silent for too long, so that what they hold is run elsewhere."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from jobs_worker import logs

if TYPE_CHECKING:
    from jobs_worker.crew import Crew
    from jobs_worker.supervised import SupervisedChild

_LEAST_CHECK = 0.05
_MOST_CHECK = 0.5
_log = logs.get("jobs.worker")


class Watchdog:
    """Watches the children of one worker."""

    def __init__(self, crew: Crew) -> None:
        """Watch these."""
        self._crew = crew

    async def run(self) -> None:
        """Kill children that have been silent for longer than the lock duration of the job they run; look as often as queues ask."""
        while True:
            for child in list(self._crew.children.values()):
                if child.queues and child.stalled is None and time.monotonic() >= child.next_check:
                    await self._check(child)
            # A child that begins to claim is looked at soon, however long the others may be silent.
            due = min(
                (child.next_check for child in self._crew.children.values() if child.queues), default=math.inf
            )
            await asyncio.sleep(min(max(due - time.monotonic(), _LEAST_CHECK), _MOST_CHECK))

    async def _check(self, child: SupervisedChild) -> None:
        silent = child.silent_job()
        if silent is None:
            interval_ms = min(facts.stalled_interval_ms for facts in child.queues.values())
            child.next_check = time.monotonic() + interval_ms / 1000
            return
        child.stalled = queue, job_id = silent
        silent_s = round(child.page.silence(), 1)
        stack = await child.stack()
        _log.info(
            "stalled",
            queue=queue,
            job_id=job_id,
            cause="silent",
            silent_s=silent_s,
            pid=child.pid,
            stack=stack,
        )
        child.kill()
