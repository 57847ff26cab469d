"""What a worker tells of itself to whoever asks the server, and the numbers it reads there that people set."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobs_core import commands
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_core.registry import WorkerEntry, announce_worker, forget_worker
from jobs_worker import logs
from jobs_worker.usage import Peaks, Usage

if TYPE_CHECKING:
    from jobs_core.connection import Client
    from jobs_core.settings import WorkerSettings
    from jobs_worker.crew import Crew

_ANNOUNCE_EVERY = 5.0
_log = logs.get("jobs.worker")


class Presence:
    """The entry of one worker: `news` is set when it is to be written at once, `http` is where its status is to be had.

    `usage` measures what it uses.
    """

    def __init__(self, settings: WorkerSettings, client: Client, crew: Crew, news: asyncio.Event) -> None:
        """Tell of this worker."""
        self.id = f"{socket.gethostname()[:40]}-{os.getpid()}"
        self.started_ms = int(time.time() * 1000)
        self.http = ""
        self.news = news
        self.usage = Usage()
        self.settings = settings
        self.client = client
        self._crew = crew
        self._peaks = Peaks()

    async def announce(self) -> None:
        """Write the entry every few seconds, or when there is news, and take over the numbers that people set."""
        while True:
            self.news.clear()
            try:
                await announce_worker(self.client, self.settings.prefix, await self._entry())
                if self._crew.staffing.queues:
                    await self._read_scales()
            except (JobsError, OutcomeLost) as error:
                _log.warning("announce_failed", error=str(error))
            try:
                async with asyncio.timeout(_ANNOUNCE_EVERY):
                    await self.news.wait()
            except TimeoutError:
                continue

    async def farewell(self) -> None:
        """Take the entry away, if the server answers soon."""
        if not self.client.is_connected:
            return
        try:
            async with asyncio.timeout(2.0):
                await forget_worker(self.client, self.settings.prefix, self.id)
        except (TimeoutError, JobsError, OutcomeLost):
            # It is forgotten after ten minutes anyway.
            return

    async def _entry(self) -> WorkerEntry:
        used = await asyncio.to_thread(self.usage.look)
        children = self._crew.children.values()
        self._peaks.note(used.memory_bytes, time.monotonic())
        queues = {name: facts for child in children for name, facts in child.queues.items()}
        return WorkerEntry(
            id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("jobs-worker"),
            worker_type=",".join(self.settings.weights),
            queues=tuple(sorted(queues)),
            jobs=tuple(sorted(f"{name}/{job}" for name, facts in queues.items() for job in facts.jobs)),
            slots=self._crew.open_slots(),
            running=sum(child.stats.active for child in children if child.stats),
            processes=len(self._crew.children),
            memory_bytes=used.memory_bytes,
            cpu=used.cores,
            lag_ms=max((child.stats.lag_ms for child in children if child.stats), default=0.0),
            state=self._crew.state,
            http=self.http,
            started_ms=self.started_ms,
            seen_ms=int(time.time() * 1000),
            memory_peaks=tuple(self._peaks.mib),
            children=tuple(
                sorted({owner.rpartition(".")[0] for child in children for _, owner in child.owners})
            ),
        )

    async def _read_scales(self) -> None:
        """Take over the numbers that somebody set, or let go of."""
        manual = await commands.read_scales(self.client, self.settings.prefix)
        served = {queue: number for queue, number in manual.items() if queue in self._crew.staffing.queues}
        if served != self._crew.staffing.manual:
            self._crew.staffing.manual = served
            _log.info("scaled", processes=self._crew.staffing.total, manual=served)
        # Also where nothing changed: a child that was about to come when another was to go is one too many.
        self._crew.arrange()
