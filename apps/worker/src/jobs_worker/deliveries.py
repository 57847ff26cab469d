"""The jobs of one lane from the claim to the settlement: started, or settled unstarted; cancelled where somebody asks for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from jobs_core.scripts import MAX_BYTES, MAX_ITEMS
from jobs_core.wire import BIG
from jobs_worker import logs
from jobs_worker.settlement import Settlement, cancelled, released, unopened
from jobs_worker.starting import fetch_envelope, find_first_start, header_of, needs_first_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobs_core.scripts import Claimed, Scripts
    from jobs_core.wire import Header
    from jobs_worker.asides import Asides
    from jobs_worker.delivery import Delivery
    from jobs_worker.ends import Ends
    from jobs_worker.hooks import HookCalls
    from jobs_worker.ownership import Ownership
    from jobs_worker.reports import Reports
    from jobs_worker.routes import QueueRoutes
    from jobs_worker.runner import Runner

    Open = Callable[[QueueRoutes, Claimed, Header, bytes, str, str], Delivery | Settlement]

_MOST_FORETOLD = 128
_log = logs.get("jobs.worker")


class Deliveries:
    """What was claimed and is not settled.

    `running` are those whose handlers run, `finished` how others ended, `starting` counts those between claim and start. While `quiet`
    none is started: what was claimed is given back.
    """

    def __init__(
        self,
        scripts: Scripts,
        routes: QueueRoutes,
        owner: Ownership,
        *,
        child: str,
        open_one: Open,
        runner: Runner,
        asides: Asides,
        ends: Ends,
        reports: Reports,
        hooks: HookCalls,
        kick: Callable[[], None],
        check_drained: Callable[[], None],
        give: Callable[[Header], None] | None,
    ) -> None:
        """`kick` lets a pump look again; `give` is called for each slot that is free again, where anybody counts these."""
        self.running: dict[Delivery, asyncio.Task[None]] = {}
        self.finished: deque[Settlement] = deque()
        self.starting = 0
        self.quiet = False
        self._scripts = scripts
        self._routes = routes
        self._queue = routes.queue.name
        self._owner = owner
        self._child = child
        self._open = open_one
        self._runner = runner
        self._asides = asides
        self._ends = ends
        self._reports = reports
        self._hooks = hooks
        # Where nobody listens, no job is told of one by one.
        self._hooked = hooks.any_for(routes.routes)
        self._kick = kick
        self._check_drained = check_drained
        self._give = give
        # Somebody cancelled these, by fence, before they were here.
        self._foretold: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()

    def start_all(self, jobs: list[Claimed], owner: str, *, stale: bool) -> None:
        """Start what a claim gave, which counts as starting until now; `stale`: the claim took too long for that."""
        self.starting -= len(jobs)
        for claimed in jobs:
            self._start(claimed, owner, stale=stale)

    def take_finished(self, share: int) -> list[Settlement]:
        """Take what one call can settle: at most `share`, and not too many bytes."""
        taken: list[Settlement] = []
        size = 0
        while self.finished and len(taken) < share:
            size += self.finished[0].size
            if taken and size > MAX_BYTES:
                break
            taken.append(self.finished.popleft())
        return taken

    def stop(self, job_id: str, fence: int) -> None:
        """Stop a job that somebody cancelled; of a delivery that has ended nothing is known here."""
        for delivery, task in self.running.items():
            if delivery.id == job_id and delivery.fence == fence and not delivery.cancelling:
                delivery.cancelling = True
                if delivery.ctx is not None:
                    delivery.ctx.cancelled = True
                task.cancel()
                if not delivery.begun:
                    # Its task ends without a first step, so nothing in it can take note.
                    self._end(delivery, cancelled(delivery, 0, self._child))
                return
        # Perhaps it is on its way here: its envelope is being fetched, say.
        self._foretold[job_id] = fence
        if len(self._foretold) > _MOST_FORETOLD:
            del self._foretold[next(iter(self._foretold))]

    async def look_for_cancels(self) -> None:
        """Stop those that somebody cancelled, of which perhaps no message came."""
        running = [delivery for delivery in self.running if not delivery.cancelling]
        for start in range(0, len(running), MAX_ITEMS):
            asked = running[start : start + MAX_ITEMS]
            fences = await self._scripts.cancels(self._queue, ids=[each.id for each in asked])
            for delivery, fence in zip(asked, fences, strict=True):
                if fence is not None:
                    self.stop(delivery.id, fence)

    def lose(self, deliveries: Iterable[Delivery]) -> None:
        """Stop handlers whose jobs are somebody else's by now."""
        for delivery in deliveries:
            if not delivery.abandoned:
                self._ends.lost(delivery)
                self._abandon(delivery)

    def lose_all(self, owner: str) -> None:
        """Stop what an owner held whom the server holds for dead: it runs elsewhere."""
        self.lose([each for each in self.running if each.owner == owner])
        for settlement in self.finished:
            self._ends.lost(settlement.delivery)
        self.finished.clear()

    def abandon_all(self) -> list[asyncio.Task[None]]:
        """Stop all handlers without settling. Returns their tasks, some of which may go on."""
        tasks = [*self.running.values()]
        for delivery in list(self.running):
            self._abandon(delivery)
        return tasks

    def _start(self, claimed: Claimed, owner: str, *, stale: bool) -> None:
        header = header_of(claimed)
        if header.flags & BIG:
            # It keeps its slot while the envelope is fetched.
            self.starting += 1
            self._asides.spawn(self._start_big(claimed, header, owner, stale=stale))
        else:
            self._begin(claimed, header, claimed.record[header.size :], owner, stale=stale)

    async def _start_big(self, claimed: Claimed, header: Header, owner: str, *, stale: bool) -> None:
        packed = None
        try:
            packed = await fetch_envelope(self._scripts, self._queue, claimed.id)
        finally:
            self.starting -= 1
        # One that cannot be fetched is claimed, so it is settled: it waits again, and whoever claims it next fetches it.
        self._begin(claimed, header, packed or b"", owner, stale=stale or packed is None)

    def _begin(self, claimed: Claimed, header: Header, packed: bytes, owner: str, *, stale: bool) -> None:
        if owner != self._owner.name:
            self._forgo(header)
            return
        if stale or self.quiet:
            # A claim that took so long that its lease may be over could start the job twice.
            self._put_off(released(unopened(claimed, header, owner)))
            return
        delivery = self._open(self._routes, claimed, header, packed, owner, self._child)
        if isinstance(delivery, Settlement):
            self._ends.count(delivery)
            self._put_off(delivery)
        elif needs_first_start(delivery):
            self.starting += 1
            self._asides.spawn(self._run_late(delivery))
        else:
            self._run(delivery)

    async def _run_late(self, delivery: Delivery) -> None:
        known = False
        try:
            known = await find_first_start(self._scripts, self._queue, delivery)
        finally:
            self.starting -= 1
        if delivery.owner != self._owner.name:
            self._forgo(delivery.header)
        elif self.quiet or not known:
            self._put_off(released(delivery))
        else:
            self._run(delivery)

    def _run(self, delivery: Delivery) -> None:
        if self._foretold and self._foretold.pop(delivery.id, 0) == delivery.fence:
            settlement = cancelled(delivery, 0, self._child)
            self._ends.count(settlement)
            self._put_off(settlement)
            return
        if self._ends.debug:
            name, attempt = delivery.header.name, delivery.attempt
            _log.debug("active", queue=self._queue, job_id=delivery.id, job=name, attempt=attempt)
        if self._hooked:
            self._hooks.job("active", self._queue, delivery)
        self.running[delivery] = self._loop.create_task(
            self._runner.run(delivery, self._end), name=f"{self._queue}\0{delivery.id}"
        )

    def _put_off(self, settlement: Settlement) -> None:
        """Settle a job that was claimed and not started."""
        self.finished.append(settlement)
        self._forgo(settlement.delivery.header)
        self._kick()

    def _forgo(self, header: Header) -> None:
        if self._give is not None:
            self._give(header)

    def _abandon(self, delivery: Delivery) -> None:
        """Stop a handler whose outcome is of no interest any more."""
        delivery.abandoned = True
        self.running[delivery].cancel()
        if not delivery.begun:
            # Its task ends without a first step, so nothing in it can take note.
            self._end(delivery, None)

    def _end(self, delivery: Delivery, settlement: Settlement | None) -> None:
        """Take note that a handler ended; there is no settlement for one that was abandoned."""
        del self.running[delivery]
        if settlement is not None and not delivery.abandoned:
            self.finished.append(settlement)
            self._ends.count(settlement)
        self._reports.drop(delivery)
        if self._give is not None:
            self._give(delivery.header)
        self._kick()
        if self.quiet:
            self._check_drained()
