"""What runs jobs inside one process: the lanes of its queues and what they share. A child has one, and so has an embedded `Worker`."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from jobs_core.codecs import Codecs
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_core.outbox import Relay
from jobs_core.schedules.ticks import Ticker
from jobs_worker import logs, loops
from jobs_worker.chunks import Chunks
from jobs_worker.declared import CodeSchedules, declare
from jobs_worker.glances import glances
from jobs_worker.hooks import HookCalls, Hooks, hooks_of
from jobs_worker.job_logs import install, level_of, uninstall
from jobs_worker.lane import Lane
from jobs_worker.outages import Outages
from jobs_worker.process_pool import ProcessPool
from jobs_worker.reconciling import RECONCILE_EVERY
from jobs_worker.runner import Runner
from jobs_worker.shared import Shared
from jobs_worker.slots import SlotBudget
from jobs_worker.suspects import Suspects
from jobs_worker.sweep import SWEEP_EVERY, Sweep, keeps_apart
from jobs_worker.telling import Teller
from jobs_worker.tending import Tender

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from jobs_core.queue import JobLogs
    from jobs_core.scripts import Scripts
    from jobs_worker.delivery import Delivery
    from jobs_worker.page import Page
    from jobs_worker.reports import Report
    from jobs_worker.routes import QueueRoutes

HEAVY_SLOTS = 3
_MOST_THREADS = 512
_TICK = 0.25
_BUSY_GLANCE = 0.7
_RELEASE_WITHIN = 5.0
_RELEASE_AWAY = 0.5
_PATIENCE = 10.0
_log = logs.get("jobs.worker")


class RuntimeStats(msgspec.Struct, frozen=True):
    """What a runtime did: `avg_ms` is the average run time of ended attempts, `claimed_at` when a claim was last answered."""

    active: int
    completed: int
    failed: int
    retried: int
    lost: int
    avg_ms: float
    uptime_s: float
    lag_ms: float
    claimed_at: float = 0.0


class Runtime:
    """The lanes of some queues in this process."""

    def __init__(
        self,
        scripts: Scripts,
        routes: Mapping[str, QueueRoutes],
        *,
        on_owner: Callable[[str, str, bool], None],
        concurrency: int | None = None,
        page: Page | None = None,
        log_level: str = "info",
        log_format: str = "json",
        codecs: Codecs | None = None,
        off: str = "",
        hooks: Iterable[Hooks] = (),
        job_logs: JobLogs | None = None,
    ) -> None:
        """`on_owner(queue, owner, alive)` tells which leases are to be renewed; `concurrency` overrides that of every queue.

        `off` names what is not to be told of jobs: metrics, events. `hooks` are those of the worker.
        """
        self.worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        self.lag_ms = 0.0
        self._scripts = scripts
        self._page = page
        self._suspects = Suspects(page)
        self._shared = Shared(scripts)
        self._codecs = codecs = codecs or Codecs.from_env(scripts.prefix)
        self._processes = ProcessPool(log_level=log_level, log_format=log_format, codecs=codecs)
        self._started = time.monotonic()
        slots = {name: concurrency or each.queue.concurrency for name, each in routes.items()}
        # Threads are made as they are needed: slots bound them, and may be given while the worker runs.
        self._threads = ThreadPoolExecutor(max_workers=_MOST_THREADS, thread_name_prefix="jobs")
        self._chunks = {
            name: Chunks(each, slots[name], threads=self._threads, page=page)
            for name, each in routes.items()
            if each.per_slot
        }
        # Chunks have slots of their own: a budget of three jobs would leave them none.
        heavy = [
            name for name, each in routes.items() if each.queue.weight == "heavy" and name not in self._chunks
        ]
        budget = SlotBudget(max(HEAVY_SLOTS, *(slots[name] for name in heavy))) if len(heavy) > 1 else None
        self._relay = relay = Relay(scripts)
        self._off = off
        teller = Teller(self.worker, off)
        modules = {route.module for each in routes.values() for route in each.routes}
        self._hooks = HookCalls([*hooks, *hooks_of(sorted(modules))])
        self.lanes = {
            name: Lane(
                scripts,
                each,
                slots=slots[name],
                child=self.worker,
                make_runner=self._runner_for(name, level_of(job_logs or each.queue.job_logs)),
                on_owner=on_owner,
                relay=relay,
                teller=teller,
                hooks=self._hooks,
                ticker=Ticker(scripts, name, codecs),
                budget=budget if name in heavy else None,
                chunks=self._chunks.get(name),
            )
            for name, each in routes.items()
        }
        self._routes, self._off = routes, off
        self._tender = Tender(scripts, relay, self._declare_unlisted)
        self._schedules = CodeSchedules(scripts, routes, codecs)
        self._apart = [name for name, each in routes.items() if keeps_apart(each.queue)]
        self._loops: list[asyncio.Task[None]] = []
        self._closing = False
        install()

    async def start(self, undeclared: Mapping[str, QueueRoutes] | None = None) -> None:
        """Begin to claim, and go on declaring what `declare` could not.

        Raises what the scripts raise where the schedules that code declares cannot be written.
        """
        await self._schedules.write()
        for lane in self.lanes.values():
            lane.start()
        # After a reconnect the first thing is a claim: what was published meanwhile is gone.
        self._scripts.client.on_connect(self._claim_all)
        self._scripts.client.on_connect(self._tender.look_again)
        self._loops = [
            loops.spawn("glance", self._glance),
            loops.spawn("tick", self._tick),
            loops.spawn("tend", self._tender.run),
            loops.spawn("confirm", self._confirm),
            loops.spawn("reconcile", self._reconcile),
        ]
        if self._apart:
            self._loops.append(loops.spawn("sweep", self._sweep))
        if undeclared:
            self._loops.append(loops.spawn("declare", lambda: self._declare(undeclared)))
        if self._schedules:
            self._loops.append(loops.spawn("schedules", self._schedules.watch))
        self._hooks.worker("ready")

    async def _declare(self, undeclared: Mapping[str, QueueRoutes]) -> None:
        while undeclared:
            _log.warning("undeclared", queues=sorted(undeclared), reason=self._scripts.client.failure)
            undeclared = await declare(self._scripts, undeclared, self._off)

    def quiet(self) -> None:
        """Claim no more; what runs goes on."""
        for lane in self.lanes.values():
            lane.quiet()

    def resume(self) -> None:
        """Claim again."""
        self._closing = False
        for lane in self.lanes.values():
            lane.resume()

    def serve_all_but(self, quiet: Collection[str]) -> None:
        """Claim from all queues but these; what runs goes on."""
        for name, lane in self.lanes.items():
            if name in quiet:
                lane.quiet()
            else:
                lane.resume()

    def set_slots(self, queue: str, slots: int) -> None:
        """Run at most so many handlers of a queue at once from now on; those that run already go on."""
        lane = self.lanes[queue]
        lane.set_slots(slots)
        lane.kick(hungry=True)

    async def drain(self, timeout: float | None) -> bool:
        """Claim no more and wait for what runs. Returns whether all ended within `timeout` seconds."""
        if not self._closing:
            self._closing = True
            self._hooks.worker("closing")
        self.quiet()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(lane.drained() for lane in self.lanes.values()))
        except TimeoutError:
            return False
        return True

    async def close(self, *, abandon: bool = False, release: bool = True) -> None:
        """Give up the leases and let go of everything; `abandon` stops the handlers that still run, and their jobs wait again.

        Without `release` the leases stay: for one who sees this process end, and knows only then that no thread runs on.
        """
        if abandon:
            await asyncio.gather(*(lane.abandon() for lane in self.lanes.values()))
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._processes.close()
        if release:
            await self._release()
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))
        self._hooks.worker("closed")
        await self._hooks.finish()
        try:
            await self._shared.close()
        except Exception as error:  # noqa: BLE001 - what handlers shared may fail to close
            _log.warning("shared_close_failed", error=str(error))
        uninstall()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(
                _RELEASE_WITHIN if self._scripts.client.is_connected else _RELEASE_AWAY
            ):
                await asyncio.gather(*(lane.release() for lane in self.lanes.values()))
        except (TimeoutError, JobsError, OutcomeLost) as error:
            # The leases end by themselves; the jobs of an unreachable server wait a little longer.
            _log.warning("release_failed", error=str(error) or "the server does not answer")

    def stats(self) -> RuntimeStats:
        """Return what was done so far."""
        lanes = [lane.stats for lane in self.lanes.values()]
        ended = sum(each.completed + each.failed + each.retried for each in lanes)
        return RuntimeStats(
            active=sum(len(lane.running) for lane in self.lanes.values()),
            completed=sum(each.completed for each in lanes),
            failed=sum(each.failed for each in lanes),
            retried=sum(each.retried for each in lanes),
            lost=sum(each.lost for each in lanes),
            avg_ms=sum(each.run_us for each in lanes) / ended / 1000 if ended else 0.0,
            uptime_s=time.monotonic() - self._started,
            lag_ms=self.lag_ms,
            claimed_at=max((lane.claimed_at for lane in self.lanes.values()), default=0.0),
        )

    def _runner_for(self, queue: str, level: int) -> Callable[[Callable[[Delivery, Report], None]], Runner]:
        def make(report: Callable[[Delivery, Report], None]) -> Runner:
            return Runner(
                queue=queue,
                worker=self.worker,
                report=report,
                shared=self._shared,
                threads=self._threads,
                processes=self._processes,
                chunks=self._chunks.get(queue),
                # Of jobs in chunks the call is noted, not when each begins to wait for it.
                page=None if queue in self._chunks else self._page,
                suspects=self._suspects,
                codecs=self._codecs,
                scripts=self._scripts,
                log_level=level,
            )

        return make

    def _claim_all(self) -> None:
        for lane in self.lanes.values():
            lane.kick(hungry=True)

    async def _declare_unlisted(self, listed: Collection[str]) -> None:
        """Declare once more the queues that are not listed: somebody obliterated them, or the server lost its data."""
        lost = {name: each for name, each in self._routes.items() if name not in listed}
        if lost:
            await declare(self._scripts, lost, self._off)
            _log.info("declared_again", queues=sorted(lost))

    async def _glance(self) -> None:
        """Look at all queues, the less often the more owners are idle: the backstop of messages and of effects left behind."""
        outages = Outages("glance")
        while True:
            try:
                seen = await glances(self._scripts, list(self.lanes))
            except (JobsError, OutcomeLost) as error:
                outages.failed(error)
                seen = {}
            else:
                outages.succeeded()
            for name, glance in seen.items():
                lane = self.lanes[name]
                if glance.outbox:
                    lane.left_behind()
                lane.glanced(glance)
            most = max((glance.idle for name, glance in seen.items() if self.lanes[name].idle), default=0)
            pause = min(max(most / 10, 1.0), 3.0)
            if any(lane.taken for lane in self.lanes.values()):
                # What runs is to hear within a second that it is cancelled, also where the message was lost.
                pause = _BUSY_GLANCE
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    async def _confirm(self) -> None:
        """Take effects off the outboxes whose targets still know them, and send again what a server lost."""
        outages = Outages("confirm")
        while True:
            await asyncio.sleep(random.uniform(0.8, 1.2))
            try:
                # What a node is asked for that is away is left to others; the rest of the outboxes goes on.
                async with asyncio.timeout(_PATIENCE):
                    await self._relay.confirm()
            except (JobsError, OutcomeLost, TimeoutError) as error:
                outages.failed(error)
            else:
                outages.succeeded()

    async def _reconcile(self) -> None:
        """Compare what the server holds for the lanes with what they run: it may have lost what it had answered."""
        outages = Outages("reconcile")
        while True:
            await asyncio.sleep(RECONCILE_EVERY * random.uniform(0.8, 1.2))
            for name, lane in self.lanes.items():
                try:
                    async with asyncio.timeout(_PATIENCE):
                        await lane.reconcile()
                except (JobsError, OutcomeLost, TimeoutError) as error:
                    outages.failed(error, name)
                else:
                    outages.succeeded(name)

    async def _sweep(self) -> None:
        """Delete the files of payloads and results whose jobs are forgotten, a part of one queue at a time."""
        sweep = Sweep(self._scripts, self._codecs, self._apart)
        while True:
            await asyncio.sleep(SWEEP_EVERY * random.uniform(0.8, 1.2))
            try:
                await sweep.run_once()
            except (JobsError, OutcomeLost, OSError) as error:
                _log.warning("sweep_failed", error=str(error))

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._page is not None:
                self._page.tick()
            before = loop.time()
            await asyncio.sleep(_TICK)
            self.lag_ms = max((loop.time() - before - _TICK) * 1000, 0.0)
