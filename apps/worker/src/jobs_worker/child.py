"""The program of a worker child: runs the lanes of its queues on uvloop and tells its supervisor how it goes."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, cast

import uvloop

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConfigurationError, JobsError
from jobs_core.scripts import Scripts
from jobs_core.settings import WorkerSettings
from jobs_worker import control, logs, loops, otel
from jobs_worker.control import (
    EXIT_CONFIGURATION,
    EXIT_GRACE_EXCEEDED,
    EXIT_OK,
    LIMIT,
    ChildConfig,
    QueueFacts,
)
from jobs_worker.declared import declare
from jobs_worker.leases import BEAT_EVERY, LEASE_MS
from jobs_worker.lineage import die_with_parent
from jobs_worker.outages import Outages
from jobs_worker.page import Page
from jobs_worker.routes import QueueRoutes, load_routes
from jobs_worker.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SUPERVISOR_SILENT = 10.0
_log = logs.get("jobs.worker")


class Child:
    """One child between its configuration and its exit."""

    def __init__(self, config: ChildConfig, page: Page, writer: asyncio.StreamWriter) -> None:
        """Hold what the supervisor gave."""
        self._config = config
        self._page = page
        self._writer = writer
        self._stop = asyncio.Event()
        self._alone = False
        self._beaten = time.monotonic()
        self._owners: set[tuple[str, str]] = set()
        self._runtime: Runtime | None = None

    async def run(self, messages: AsyncIterator[control.ToChild]) -> int:
        """Serve until told to stop. Returns the exit code."""
        config = self._config
        routes = load_routes(config.features, config.processors, weights=config.weights, only=config.queues)
        client = client_for(parse_address(config.redis_url), name=f"jobs:worker:{os.getpid()}")
        listening = asyncio.create_task(self._listen(messages))
        helpers = [listening]
        try:
            if not await self._connected(client):
                return EXIT_OK
            scripts = Scripts(client, config.prefix)
            undeclared = await declare(scripts, routes, config.off)
            self._runtime = runtime = Runtime(
                scripts,
                routes,
                on_owner=self._owner,
                concurrency=config.concurrency,
                page=self._page,
                log_level=config.log_level,
                log_format=config.log_format,
                job_logs=WorkerSettings.from_env().job_logs,
                off=config.off,
            )
            await runtime.start(undeclared)
            self._say(control.Ready({name: _facts(runtime, each) for name, each in routes.items()}))
            helpers += [
                loops.spawn("tell", lambda: self._tell(client)),
                loops.spawn("renew", lambda: self._renew_alone(scripts)),
            ]
            await self._stop.wait()
            drained = await runtime.drain(config.grace)
            # What a handler's thread still does ends with this process, so its supervisor gives the jobs back after that.
            supervised = not self._writer.is_closing() and not self._alone
            await runtime.close(abandon=not drained, release=drained or not supervised)
            self._say_stats(client)
            return EXIT_OK if drained else EXIT_GRACE_EXCEEDED
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await client.close()

    def stop(self) -> None:
        """Claim no more, finish what runs, exit."""
        self._stop.set()
        if self._runtime is not None:
            self._runtime.quiet()

    async def _connected(self, client: Client) -> bool:
        connecting = asyncio.create_task(client.connect())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not connecting.done():
            connecting.cancel()
            return False
        await connecting
        return True

    async def _listen(self, messages: AsyncIterator[control.ToChild]) -> None:
        async for message in messages:
            if isinstance(message, control.Beaten):
                self._beaten = time.monotonic()
            elif isinstance(message, control.Stop):
                self.stop()
            elif self._runtime is not None:
                self._pass_on(self._runtime, message)
        self._alone = True
        # The supervisor is gone: finish within the grace and go, nobody would watch over what is started now.
        self.stop()

    def _pass_on(self, runtime: Runtime, message: control.ToChild) -> None:
        """Tell the lanes what the supervisor said of their queues."""
        match message:
            case control.Gone():
                runtime.lanes[message.queue].owner_gone(message.owner)
            case control.Stalled():
                runtime.lanes[message.queue].stalled(message.job_ids)
            case control.Serve():
                # Who stops claims nothing any more.
                if not self._stop.is_set():
                    runtime.serve_all_but(message.quiet)
            case control.Slots():
                runtime.set_slots(message.queue, message.slots)
            case _:
                pass

    def _owner(self, queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - (queue, owner, alive), as everywhere
        if alive:
            self._owners.add((queue, owner))
        else:
            self._owners.discard((queue, owner))
        self._say(control.Owner(queue, owner, alive))

    async def _tell(self, client: Client) -> None:
        while True:
            self._say_stats(client)
            await asyncio.sleep(1.0)

    def _say_stats(self, client: Client) -> None:
        stats = cast("Runtime", self._runtime).stats()
        self._say(
            control.Stats(
                stats.active,
                stats.completed,
                stats.failed,
                stats.retried,
                stats.lost,
                stats.avg_ms,
                stats.lag_ms,
                client.is_connected,
                stats.claimed_at,
            )
        )

    async def _renew_alone(self, scripts: Scripts) -> None:
        """Renew the leases from here while the supervisor cannot (frozen or gone)."""
        outages = Outages("beat")
        while True:
            await asyncio.sleep(BEAT_EVERY / 2)
            if time.monotonic() - self._beaten < _SUPERVISOR_SILENT:
                continue
            for queue, owner in list(self._owners):
                try:
                    deadline = asyncio.get_running_loop().time() + BEAT_EVERY
                    beat = await scripts.beat(queue, lease_ms=LEASE_MS, owners=[owner], deadline=deadline)
                    outages.succeeded(queue)
                    if beat.gone:
                        cast("Runtime", self._runtime).lanes[queue].owner_gone(owner)
                except (JobsError, OutcomeLost) as error:
                    outages.failed(error, queue)

    def _say(self, message: control.ToSupervisor) -> None:
        control.send(self._writer, message)


def _facts(runtime: Runtime, routes: QueueRoutes) -> QueueFacts:
    queue = routes.queue
    return QueueFacts(
        lock_duration_ms=queue.lock_duration_ms,
        stalled_interval_ms=queue.stalled_interval_ms,
        slots=runtime.lanes[queue.name].slots,
        jobs=(*sorted(routes.named), *(("*",) if routes.fallback else ())),
        missing=routes.missing,
        per_slot=routes.per_slot or 1,
    )


def _watch_loop(page: Page, loop: asyncio.AbstractEventLoop) -> None:
    """Note from a thread which job keeps the loop from ticking, for as long as the interpreter lets threads run at all."""
    while True:
        time.sleep(0.25)
        if page.silence() > 0.75:
            task = asyncio.current_task(loop)
            name = task.get_name() if task is not None else ""
            queue, separator, job_id = name.partition("\0")
            if separator:
                page.running(f"{queue}\0".encode(), job_id)


async def _main(page: Page, sock: socket.socket) -> int:
    reader, writer = await asyncio.open_connection(sock=sock, limit=LIMIT)
    messages = control.from_supervisor(reader)
    config = await anext(messages, None)
    if not isinstance(config, ChildConfig):
        return EXIT_OK
    logs.configure(config.log_level, config.log_format)
    try:
        otel.configure()
    except ConfigurationError as error:
        _log.error("configuration", error=str(error), code=error.code)
        return EXIT_CONFIGURATION
    child = Child(config, page, writer)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, child.stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    threading.Thread(target=_watch_loop, args=(page, loop), name="jobs-watch", daemon=True).start()
    try:
        return await child.run(messages)
    except ConfigurationError as error:
        _log.error("configuration", error=str(error), code=error.code)
        return EXIT_CONFIGURATION


def main() -> None:
    """Run a child; the supervisor gives descriptors by environment."""
    die_with_parent(int(os.environ.pop("JOBS_CHILD_PARENT")), signal.SIGTERM)
    # A group of its own: a kill takes this process's own processes with it, and the terminal's Ctrl-C is the supervisor's to handle.
    os.setpgid(0, 0)
    page = Page(int(os.environ.pop("JOBS_CHILD_PAGE")))
    stacks = os.fdopen(int(os.environ.pop("JOBS_CHILD_STACKS")), "w")
    # Written by a C signal handler, so also while C code holds the interpreter.
    faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=True)
    sock = socket.socket(fileno=int(os.environ.pop("JOBS_CHILD_FD")))
    sock.setblocking(False)  # noqa: FBT003 - the name of the standard library
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_main(page, sock))
    otel.flush()
    # Threads that were told to stop and did not must not keep the process.
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
