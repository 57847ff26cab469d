"""The supervisor of a worker: spawns children, renews their leases, kills the silent ones, answers for health. It runs no user code."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from jobs_core.boot import audit_server
from jobs_core.connection import client_for, parse_address
from jobs_core.errors import ConnectionFailed, JobsError
from jobs_core.scripts import Scripts
from jobs_worker import alerting, logs, loops
from jobs_worker.crew import Crew
from jobs_worker.glances import glances
from jobs_worker.orders import Orders
from jobs_worker.presence import Presence
from jobs_worker.scaling import MachineLoad
from jobs_worker.shutdown import Shutdown
from jobs_worker.status import StatusPages
from jobs_worker.watchdog import Watchdog

if TYPE_CHECKING:
    from jobs_core.settings import WorkerSettings

_log = logs.get("jobs.worker")


class Supervisor:
    """One worker: `WORKER_PROCESSES` children and everything that keeps them going."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepare; `run` does the rest."""
        self._settings = settings
        self._client = client_for(parse_address(settings.redis_url), name=f"jobs:supervisor:{os.getpid()}")
        self._scripts = Scripts(self._client, settings.prefix)
        self._shutdown = Shutdown()
        news = asyncio.Event()
        self._crew = Crew(settings, self._scripts, self._shutdown, news.set)
        self._presence = Presence(settings, self._client, self._crew, news)

    async def run(self) -> int:
        """Run until a signal stops the worker. Returns the exit code.

        Raises ConfigurationError (ServerRefused among them) for what no retry can mend.
        """
        settings, crew, presence = self._settings, self._crew, self._presence
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        pages = StatusPages(crew, presence)
        server, port = await pages.serve()
        presence.http = f"{settings.http_host}:{port}"
        orders = Orders(crew, presence)
        beats: list[asyncio.Task[None]] = []
        try:
            _log.info(
                "starting",
                worker=presence.id,
                worker_type=",".join(settings.weights),
                processes=crew.staffing.total,
                server=self._client.address.display,
                http=presence.http,
            )
            if not await self._connect():
                return self._shutdown.exit_code
            beats = [
                loops.spawn("leases", crew.renew_leases),
                loops.spawn("watch", Watchdog(crew).run),
                loops.spawn("announce", presence.announce),
                loops.spawn("alerts", lambda: alerting.watch(self._scripts)),
            ]
            if crew.staffing.auto:
                beats.append(loops.spawn("scale", self._scale))
            orders.listen()
            await crew.keep()
            await presence.farewell()
        finally:
            for task in beats:
                task.cancel()
            await asyncio.gather(*beats, orders.close(), return_exceptions=True)
            server.close()
            await self._client.close()
        _log.info("stopped", worker=presence.id, code=self._shutdown.exit_code)
        return self._shutdown.exit_code

    def _signalled(self, number: int) -> None:
        if self._shutdown.begun:
            _log.warning("killing", reason=f"a second {signal.Signals(number).name}")
            self._shutdown.killing.set()
            return
        _log.info("stopping", reason=signal.Signals(number).name, grace=self._settings.shutdown_grace)
        self._crew.stop()

    async def _connect(self) -> bool:
        """Connect for as long as it takes, unless told to stop."""
        waited = 0.0
        while not self._shutdown.begun:
            try:
                await self._client.connect(timeout=2.0)
                deadline = asyncio.get_running_loop().time() + 2.0
                audit = await audit_server(self._client, self._settings.prefix, deadline=deadline)
            except ConnectionFailed as error:
                waited += 2.0
                _log.warning("server_unreachable", error=str(error), waited_s=waited)
                continue
            if audit.refusals:
                raise audit.refusals[0]
            for warning in audit.warnings:
                _log.warning("server", warning=warning)
            return True
        return False

    async def _scale(self) -> None:
        """Let each queue have one child more while much of it waits and the machine has room, one less while little does."""
        load = MachineLoad()
        while True:
            await asyncio.sleep(self._settings.scale_interval)
            if self._shutdown.begun or not self._crew.staffing.queues:
                continue
            try:
                seen = await glances(self._scripts, self._crew.staffing.queues)
            except JobsError as error:
                _log.warning("scale_failed", error=str(error))
                continue
            cpu, memory = load.cpu(), load.memory()
            for queue, glance in seen.items():
                waiting = 0 if glance.paused else glance.waiting
                if self._crew.staffing.step(queue, waiting=waiting, cpu=cpu, memory=memory):
                    _log.info(
                        "scaled",
                        queue=queue,
                        number=self._crew.staffing.number(queue),
                        processes=self._crew.staffing.total,
                        waiting=waiting,
                        cpu=round(cpu, 2),
                        memory=round(memory, 2),
                    )
            self._crew.arrange()
