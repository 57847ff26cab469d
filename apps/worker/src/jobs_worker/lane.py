"""The way of one queue's jobs through a child: claim into free slots, run, settle; finished jobs and the next claim share a trip.

Two pumps work a lane, each with one call under way at a time, so the server settles and claims for one while this process runs
what the other brought. Nothing waits to fill a batch: what gathered during a trip travels with the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.connection.turn import Turn
from jobs_core.errors import JobsError, OwnerGone
from jobs_core.keys import wake_channel
from jobs_core.outbox import STALE_MS
from jobs_core.scripts import MAX_BYTES, MAX_ITEMS
from jobs_core.wire import BIG
from jobs_worker import logs
from jobs_worker.asides import Asides
from jobs_worker.delivery import Delivery
from jobs_worker.ends import Ends
from jobs_worker.limits import NameLimits
from jobs_worker.refusals import Refusals
from jobs_worker.reports import Reports
from jobs_worker.rerouting import move_parked
from jobs_worker.sessions import Pump
from jobs_worker.settlement import Settlement, cancelled, released, unopened
from jobs_worker.settling import settle
from jobs_worker.starting import (
    fetch_envelope,
    find_first_start,
    header_of,
    needs_first_start,
    open_delivery,
    open_with_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs_core.outbox import Relay
    from jobs_core.schedules.ticks import Ticker
    from jobs_core.scripts import Claim, Claimed, Glance, Scripts
    from jobs_core.wire import Header, Progress
    from jobs_worker.chunks import Chunks
    from jobs_worker.ends import LaneStats
    from jobs_worker.hooks import HookCalls
    from jobs_worker.reports import Report
    from jobs_worker.routes import QueueRoutes
    from jobs_worker.runner import Runner
    from jobs_worker.settling import Settled
    from jobs_worker.slots import SlotBudget
    from jobs_worker.telling import Teller

_STALE_CLAIM = 10.0
_PUMPS = 2
_SPLIT_FROM = 16
_ERROR_PAUSE = 1.0
_STOP_PATIENCE = 2.0
_MOST_FORETOLD = 128
_log = logs.get("jobs.worker")


class Lane:
    """One queue of one child."""

    def __init__(
        self,
        scripts: Scripts,
        routes: QueueRoutes,
        *,
        slots: int,
        child: str,
        make_runner: Callable[[Callable[[Delivery, Report], None]], Runner],
        on_owner: Callable[[str, str, bool], None],
        relay: Relay,
        teller: Teller,
        hooks: HookCalls,
        ticker: Ticker,
        budget: SlotBudget | None = None,
        chunks: Chunks | None = None,
    ) -> None:
        """`slots` is how many handlers run at once; with `chunks` each takes many jobs.

        `on_owner(queue, owner, alive)` is told which owner of this lane has a lease to be renewed, and which has none any more.
        """
        self.queue = routes.queue.name
        self._chunks = chunks
        self._open = open_delivery if chunks is None else open_with_key
        self.set_slots(slots)
        self._scripts = scripts
        self._routes = routes
        self._child = child
        self._ends = Ends(self.queue, hooks)
        self._asides = Asides(self.queue, self._check_drained)
        self._reports = Reports(scripts, self.queue, self._tell_progress, self._asides.spawn)
        self._refusals = Refusals(
            scripts,
            self.queue,
            child,
            teller,
            spawn=self._asides.spawn,
            settled=self._settled,
            failed=self._ends.replaced,
        )
        self._runner = make_runner(self._reports.take)
        self._on_owner = on_owner
        self._relay = relay
        self._teller = teller
        self._hooks = hooks
        # Where nobody listens, no job is told of one by one.
        self._hooked = hooks.any_for(routes.routes)
        self._paused = False
        self._relaying = False
        self._ticker = ticker
        self.ticking = False
        self._budget = budget
        if budget is not None:
            budget.lanes.append(self)
        limits = routes.limits
        self._limits = NameLimits(limits) if limits else None
        self._incarnation = 0
        self._registered = False
        self.owner = ""
        self.claimed_at = 0.0
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._finished: deque[Settlement] = deque()
        self._foretold: dict[str, int] = {}
        self._requested = 0
        self._starting = 0
        self._settling = 0
        self._hungry = True
        self._wakes = 0
        self._parked = 0
        self._quiet = False
        self._waiting_pumps: list[asyncio.Future[None]] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._turn = Turn(self._loop)

    def start(self) -> None:
        """Begin to claim."""
        self._new_owner()
        # A limit on a name must count what the other pump is about to be given, so one pump works such a lane.
        self._pumps = [
            asyncio.create_task(self._pump(Pump()), name=f"lane-{self.queue}")
            for _ in range(1 if self._limits else _PUMPS)
        ]

    @property
    def stats(self) -> LaneStats:
        """What was done so far."""
        return self._ends.stats

    @property
    def taken(self) -> int:
        """Slots whose jobs run or are about to start, or that were asked to be filled."""
        return len(self._running) + self._requested + self._starting

    @property
    def free(self) -> int:
        """Slots that a claim may fill now."""
        own = self.slots - len(self._running) - self._requested - self._starting
        if self._chunks is not None and self._chunks.is_full:
            return 0
        return own if self._budget is None else min(own, self._budget.free)

    @property
    def idle(self) -> bool:
        """Whether the lane has free slots and waits to be woken."""
        return not self._quiet and self.free > 0 and not (self._hungry and self._want())

    @property
    def running(self) -> list[Delivery]:
        """Deliveries whose handlers run."""
        return list(self._running)

    def set_slots(self, slots: int) -> None:
        """Run at most so many handlers at once from now on; those that run already go on."""
        self.slots = slots
        if self._chunks is not None:
            self._chunks.calls = slots
            self.slots = self._chunks.slots

    def flush(self) -> None:
        """Let no job wait for others to make up a chunk, where all that were claimed wait so; for tests."""
        chunks = self._chunks
        if chunks is not None and not self._requested and not self._starting:
            chunks.flush_if(len(self._running))

    def kick(self, *, hungry: bool = False) -> None:
        """Let a pump look again; `hungry` says that there may be jobs to claim."""
        if hungry:
            self._hungry = True
            self._wakes += 1
        if self._waiting_pumps and self._has_work():
            waiter = self._waiting_pumps.pop()
            if not waiter.done():
                waiter.set_result(None)

    def glanced(self, glance: Glance) -> None:
        """Take note of what the queue looks like: the backstop of wake-ups."""
        self._note_pause(paused=glance.paused)
        if glance.cancels and self._running:
            # The message to this owner may have been lost, or have come before its job.
            self._asides.spawn(self._look_for_cancels())
        if glance.schedules and not self._quiet and (glance.paused or not self.idle):
            # Whoever is idle finds them by its next claim.
            self._tick()
        if not self.idle:
            return
        # What others parked may be known here: the reply to a claim names it.
        parked, self._parked = self._parked, glance.unroutable
        if not glance.paused and (glance.startable or glance.next_due_ms == 0 or glance.unroutable > parked):
            self.kick(hungry=True)

    def left_behind(self) -> None:
        """Relay what lies in the outbox for longer than who wrote it takes."""
        if not self._relaying:
            self._relaying = True
            self._asides.spawn(self._relay_old())

    def quiet(self) -> None:
        """Claim no more."""
        self._quiet = True
        self._hurry()
        self._check_drained()
        self.kick()

    def resume(self) -> None:
        """Claim again."""
        self._quiet = False
        self._hurry()
        self._drained.clear()
        self.kick(hungry=True)

    def _hurry(self) -> None:
        if self._chunks is not None:
            self._chunks.hurry(on=self._quiet)

    async def drained(self) -> None:
        """Wait until nothing runs and all is settled; only a quiet lane drains."""
        await self._drained.wait()

    def owner_gone(self, owner: str) -> None:
        """Take note that the server holds an owner for dead: its jobs run elsewhere, so their handlers here are stopped."""
        if owner != self.owner:
            return
        _log.info("owner_gone", queue=self.queue, owner=owner)
        for delivery in [each for each in self._running if each.owner == owner]:
            self._ends.lost(delivery)
            self._cancel(delivery)
        for settlement in self._finished:
            self._ends.lost(settlement.delivery)
        self._finished.clear()
        for delivery in self._refusals.drop(owner):
            self._ends.lost(delivery)
        self._on_owner(self.queue, owner, False)  # noqa: FBT003 - (queue, owner, alive)
        self._new_owner()
        self.kick(hungry=True)
        self._check_drained()

    async def abandon(self) -> None:
        """Stop all handlers without settling; the jobs are given back by `release`."""
        self._quiet = True
        for pump in self._pumps:
            pump.cancel()
        tasks = [*self._pumps, *self._running.values()]
        for delivery in list(self._running):
            self._cancel(delivery)
        # Threads, and handlers that do not let themselves be cancelled, are left behind.
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_PATIENCE)

    async def release(self) -> None:
        """End this lane's owner; what it still held waits again, uncharged."""
        self._scripts.client.unsubscribe(wake_channel(self._scripts.key(self.queue), self.owner))
        if self._registered:
            left = 1
            while left:
                left = (await self._scripts.release(self.queue, owner=self.owner)).left
            self._on_owner(self.queue, self.owner, False)  # noqa: FBT003
            self._registered = False

    async def close(self) -> None:
        """Stop the pumps; what is under way has been drained or abandoned."""
        self._quiet = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._reports.close()
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, self._asides.close(), return_exceptions=True)

    def _new_owner(self) -> None:
        client = self._scripts.client
        if self.owner:
            client.unsubscribe(wake_channel(self._scripts.key(self.queue), self.owner))
        self._incarnation += 1
        self._registered = False
        self.owner = f"{self._child}.{self._incarnation}"
        client.subscribe(wake_channel(self._scripts.key(self.queue), self.owner), self._message)

    def _message(self, body: bytes) -> None:
        if not body.startswith(b"cancel "):
            self.kick(hungry=True)
            return
        job_id, _, fence = body.decode().removeprefix("cancel ").rpartition(" ")
        self._stop(job_id, int(fence))

    def _stop(self, job_id: str, fence: int) -> None:
        """Stop a job that somebody cancelled; of a delivery that has ended nothing is known here."""
        for delivery, task in self._running.items():
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

    async def _look_for_cancels(self) -> None:
        running = [delivery for delivery in self._running if not delivery.cancelling]
        for start in range(0, len(running), MAX_ITEMS):
            asked = running[start : start + MAX_ITEMS]
            fences = await self._scripts.cancels(self.queue, ids=[each.id for each in asked])
            for delivery, fence in zip(asked, fences, strict=True):
                if fence is not None:
                    self._stop(delivery.id, fence)

    def _has_work(self) -> bool:
        return bool(self._finished) or (
            self._hungry and not self._quiet and self.free > 0 and (self._limits is None or self._want() > 0)
        )

    async def _pump(self, pump: Pump) -> None:
        while True:
            if not self._has_work():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting_pumps.append(waiter)
                await waiter
                continue
            settlements = self._take_finished()
            self._settling += len(settlements)
            want = self._want()
            self._requested += want
            # What is left over is for the other pump, at once.
            self.kick()
            try:
                if settlements and want:
                    await asyncio.gather(self._settle(pump, settlements), self._claim(pump, want))
                elif settlements:
                    await self._settle(pump, settlements)
                elif want:
                    await self._claim(pump, want)
            except Exception:  # noqa: BLE001 - logged with its traceback
                # The boundary of a loop: whatever went wrong in one round, the lane goes on.
                _log.exception("lane_failed", queue=self.queue)
                self._hooks.worker("error", self.queue, "the lane failed; see the log")
                await asyncio.sleep(_ERROR_PAUSE)

    @property
    def _share(self) -> int:
        """How much one call carries: half of the slots where two pumps take turns."""
        share = -(-self.slots // 2) if len(self._pumps) > 1 and self.slots >= _SPLIT_FROM else self.slots
        return min(share, MAX_ITEMS)

    def _want(self) -> int:
        if self._quiet or not self._hungry:
            return 0
        want = max(min(self.free, self._share), 0)
        return want if self._limits is None else self._limits.want(want, self._wakes, self._loop.time())

    def _take_finished(self) -> list[Settlement]:
        taken: list[Settlement] = []
        size, share = 0, max(self._share, _SPLIT_FROM)
        while self._finished and len(taken) < share:
            size += self._finished[0].size
            if taken and size > MAX_BYTES:
                break
            taken.append(self._finished.popleft())
        return taken

    async def _claim(self, pump: Pump, want: int) -> None:
        owner = self.owner
        try:
            if not self._registered and await self._ask(pump, owner, 0) is not None and owner == self.owner:
                # That took no jobs: a child killed before this line leaves none with an owner nobody knows of.
                self._registered = True
                self._on_owner(self.queue, owner, True)  # noqa: FBT003
            wakes, sent = self._wakes, self._loop.time()
            claim = await self._ask(pump, owner, want)
            self.claimed_at = time.time()
        finally:
            self._requested -= want
        if claim is None:
            self.owner_gone(owner)
        elif owner == self.owner:
            # Else the owner was declared dead while this claim was under way, and what it took was given back.
            filled = len(claim.jobs) >= want
            self._claimed(claim, owner, sent)
            if self._limits is None:
                self._hungry = filled or self._wakes != wakes or claim.again
            else:
                more = self._look_on(self._limits, claim, filled=filled)
                self._hungry = more or self._wakes != wakes or (claim.again and not claim.jobs)
        if self._budget is not None:
            self._budget.freed(self)

    async def _ask(self, pump: Pump, owner: str, want: int) -> Claim | None:
        """Claim; None when the owner is gone. A call whose outcome is unknown is sent again, for its answer alone."""
        pump.claims.advance()
        free = self.free + want
        limits = after = ""
        if self._limits is not None and want:
            after = self._limits.cursor
            limits = self._limits.begin(self._wakes, self._loop.time())
        while True:
            try:
                return await self._scripts.claim(
                    self.queue,
                    session=pump.claims.name,
                    seq=pump.claims.number,
                    owner=owner,
                    register=not self._registered,
                    want=want,
                    free=free,
                    limits=limits,
                    after=after,
                )
            except OwnerGone:
                return None
            except (JobsError, OutcomeLost) as error:
                _log.warning("claim_failed", queue=self.queue, error=str(error))
                self._hooks.worker("error", self.queue, str(error))
                want = 0
                self._wakes += 1
                await asyncio.sleep(_ERROR_PAUSE)

    def _note_pause(self, *, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._hooks.worker("paused" if paused else "resumed", self.queue)

    def stalled(self, job_ids: list[str]) -> None:
        """Take note of jobs whose worker died under them, and which wait again."""
        for job_id in job_ids:
            self._hooks.worker("stalled", self.queue, job_id=job_id)

    def _claimed(self, claim: Claim, owner: str, sent: float) -> None:
        self._note_pause(paused=claim.paused)
        if claim.alarm_ms is not None:
            self._set_alarm(claim.alarm_ms / 1000)
        if claim.ticks:
            self._tick()
        if claim.unroutable:
            known = [name for name in claim.unroutable if self._routes.find(name) is not None]
            if known:
                self._asides.spawn(move_parked(self._scripts, self.queue, known, self._claim_more))
        if claim.jobs:
            stale = self._loop.time() - sent > _STALE_CLAIM
            self._starting += len(claim.jobs)
            if self._limits is not None:
                self._limits.take(header_of(claimed).name for claimed in claim.jobs)
            self._turn.take(lambda: self._start_all(claim.jobs, owner, stale=stale))

    def _look_on(self, limits: NameLimits, claim: Claim, *, filled: bool) -> bool:
        """Take note of how far a claim looked past names at their limits; returns whether the next one follows at once."""
        rested = limits.rest_until
        more = limits.end(claim.cursor, self._loop.time(), filled=filled)
        if limits.rest_until > rested:
            self._loop.call_at(limits.rest_until, self._rested, limits)
        return more

    def _rested(self, limits: NameLimits) -> None:
        if limits.owes(self._wakes):
            self.kick(hungry=True)

    def _start_all(self, jobs: list[Claimed], owner: str, *, stale: bool) -> None:
        self._starting -= len(jobs)
        for claimed in jobs:
            self._start(claimed, owner, stale=stale)

    def _start(self, claimed: Claimed, owner: str, *, stale: bool) -> None:
        header = header_of(claimed)
        if header.flags & BIG:
            # It keeps its slot while the envelope is fetched.
            self._starting += 1
            self._asides.spawn(self._start_big(claimed, header, owner, stale=stale))
        else:
            self._begin(claimed, header, claimed.record[header.size :], owner, stale=stale)

    async def _start_big(self, claimed: Claimed, header: Header, owner: str, *, stale: bool) -> None:
        packed = None
        try:
            packed = await fetch_envelope(self._scripts, self.queue, claimed.id)
        finally:
            self._starting -= 1
        # One that cannot be fetched is claimed, so it is settled: it waits again, and whoever claims it next fetches it.
        self._begin(claimed, header, packed or b"", owner, stale=stale or packed is None)

    def _begin(self, claimed: Claimed, header: Header, packed: bytes, owner: str, *, stale: bool) -> None:
        if owner != self.owner:
            self._forgo(header)
            return
        if stale or self._quiet:
            # A claim that took so long that its lease may be over could start the job twice.
            self._put_off(released(unopened(claimed, header, owner)))
            return
        delivery = self._open(self._routes, claimed, header, packed, owner, self._child)
        if isinstance(delivery, Settlement):
            self._ends.count(delivery)
            self._put_off(delivery)
        elif needs_first_start(delivery):
            self._starting += 1
            self._asides.spawn(self._run_late(delivery))
        else:
            self._run(delivery)

    async def _run_late(self, delivery: Delivery) -> None:
        known = False
        try:
            known = await find_first_start(self._scripts, self.queue, delivery)
        finally:
            self._starting -= 1
        if delivery.owner != self.owner:
            self._forgo(delivery.header)
        elif self._quiet or not known:
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
            _log.debug("active", queue=self.queue, job_id=delivery.id, job=name, attempt=attempt)
        if self._hooked:
            self._hooks.job("active", self.queue, delivery)
        self._running[delivery] = self._loop.create_task(
            self._runner.run(delivery, self._end), name=f"{self.queue}\0{delivery.id}"
        )

    def _put_off(self, settlement: Settlement) -> None:
        """Settle a job that was claimed and not started."""
        self._finished.append(settlement)
        self._forgo(settlement.delivery.header)
        self.kick()

    def _forgo(self, header: Header) -> None:
        """Count out a claimed job that ended, or that is not started."""
        if self._limits is not None and self._limits.give(header.name):
            self._hungry = True
        if self._budget is not None:
            self._budget.freed(self)

    def _cancel(self, delivery: Delivery) -> None:
        """Stop a handler whose outcome is of no interest any more."""
        delivery.abandoned = True
        self._running[delivery].cancel()
        if not delivery.begun:
            # Its task ends without a first step, so nothing in it can take note.
            self._end(delivery, None)

    def _end(self, delivery: Delivery, settlement: Settlement | None) -> None:
        """Take note that a handler ended; there is no settlement for one that was abandoned."""
        del self._running[delivery]
        if settlement is not None and not delivery.abandoned:
            self._finished.append(settlement)
            self._ends.count(settlement)
        self._reports.drop(delivery)
        if self._limits is not None or self._budget is not None:
            self._forgo(delivery.header)
        self.kick()
        if self._quiet:
            self._check_drained()

    async def _settle(self, pump: Pump, settlements: list[Settlement]) -> None:
        try:
            if self._reports.owes(settlements):
                await self._reports.write_before(settlements)
            settled = await settle(self._scripts, self.queue, pump.settlements, settlements, self._teller)
        except Exception as error:  # noqa: BLE001 - it is told for each of them that is refused again
            await self._refusals.take(settlements, error)
            return
        finally:
            self._settling -= len(settlements)
        self._settled(settlements, settled)

    def _settled(self, settlements: Sequence[Settlement], settled: Settled) -> None:
        lost, stopped, posted, entries, epoch = settled
        if entries or posted:
            for settlement in settlements:
                self._declare_targets(settlement)
        if entries:
            self._asides.spawn(self._relay.carry(self.queue, epoch, entries))
        if posted:
            self._asides.spawn(self._relay.relay(self.queue, ids=posted))
        for delivery in lost:
            self._ends.lost(delivery)
        if self._hooked or stopped:
            for settlement in settlements:
                if settlement.delivery in stopped:
                    self._ends.stopped(settlement)
                elif settlement.delivery not in lost:
                    self._ends.settled(settlement)
        self._check_drained()

    def _declare_targets(self, settlement: Settlement) -> None:
        """Let the queues that a handler enqueued into be declared before the first job of it arrives."""
        ctx = settlement.delivery.ctx
        if settlement.effects and ctx is not None and ctx.collector is not None:
            for queue in ctx.collector.queues.values():
                self._relay.declare(queue)

    def _tick(self) -> None:
        """Send what the schedules of the queue have due."""
        if not self.ticking:
            self.ticking = True
            self._asides.spawn(self._tick_schedules())

    async def _tick_schedules(self) -> None:
        try:
            await self._ticker.run()
        finally:
            self.ticking = False

    async def _relay_old(self) -> None:
        try:
            await self._relay.relay(self.queue, age_ms=STALE_MS)
        finally:
            self._relaying = False

    def _check_drained(self) -> None:
        if (
            self._quiet
            and not self._running
            and not self._finished
            and not self._settling
            and not self._starting
            and not self._asides
        ):
            self._drained.set()

    def _set_alarm(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds + 0.001, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self.free > 0 and not self._quiet:
            self.kick(hungry=True)
        else:
            # No slot is free here, but idle owners elsewhere are woken by what becomes ready.
            self._asides.spawn(self._scripts.promote(self.queue))

    def _claim_more(self) -> None:
        self.kick(hungry=True)

    def _tell_progress(self, reported: Mapping[Delivery, Progress]) -> bytes:
        """Let hooks hear of progress, and return what the events say of it."""
        for delivery, progress in reported.items():
            self._hooks.job("progress", self.queue, delivery, progress)
        return self._teller.progress(reported.items())
