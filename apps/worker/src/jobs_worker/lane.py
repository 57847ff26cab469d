"""The way of one queue's jobs through a child: claim into free slots, run, settle; finished jobs and the next claim share a trip.

Two pumps work a lane, each with one call under way at a time, so the server settles and claims for one while this process runs
what the other brought. Nothing waits to fill a batch: what gathered during a trip travels with the next.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.connection.turn import Turn
from jobs_core.errors import JobsError, OwnerGone
from jobs_core.scripts import MAX_ITEMS
from jobs_worker import logs
from jobs_worker.asides import Asides
from jobs_worker.deliveries import Deliveries
from jobs_worker.ends import Ends
from jobs_worker.limits import NameLimits
from jobs_worker.ownership import Ownership
from jobs_worker.reconciling import Reconciler
from jobs_worker.refusals import Refusals
from jobs_worker.reports import Reports
from jobs_worker.sessions import Pump
from jobs_worker.settling import settle
from jobs_worker.starting import header_of, open_delivery, open_with_key
from jobs_worker.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs_core.outbox import Relay
    from jobs_core.schedules.ticks import Ticker
    from jobs_core.scripts import Claim, Glance, Scripts
    from jobs_core.wire import Header, Progress
    from jobs_worker.chunks import Chunks
    from jobs_worker.delivery import Delivery
    from jobs_worker.ends import LaneStats
    from jobs_worker.hooks import HookCalls
    from jobs_worker.reports import Report
    from jobs_worker.routes import QueueRoutes
    from jobs_worker.runner import Runner
    from jobs_worker.settlement import Settlement
    from jobs_worker.settling import Settled
    from jobs_worker.slots import SlotBudget
    from jobs_worker.telling import Teller

_STALE_CLAIM = 10.0
_PUMPS = 2
_SPLIT_FROM = 16
_ERROR_PAUSE = 1.0
_STOP_PATIENCE = 2.0
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
        self.claimed_at = 0.0
        self._chunks = chunks
        self.set_slots(slots)
        self._budget = budget
        if budget is not None:
            budget.lanes.append(self)
        limits = routes.limits
        self._limits = NameLimits(limits) if limits else None
        self._scripts = scripts
        self._routes = routes
        self._teller = teller
        self._hooks = hooks
        self._hooked = hooks.any_for(routes.routes)
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
        self._owner = Ownership(scripts, self.queue, child, on_owner=on_owner, on_message=self._message)
        self._upkeep = Upkeep(
            scripts,
            self.queue,
            asides=self._asides,
            hooks=hooks,
            relay=relay,
            ticker=ticker,
            claim=self._claim_more,
            claim_if_free=self._claim_if_free,
        )
        self._deliveries = Deliveries(
            scripts,
            routes,
            self._owner,
            child=child,
            open_one=open_delivery if chunks is None else open_with_key,
            runner=make_runner(self._reports.take),
            asides=self._asides,
            ends=self._ends,
            reports=self._reports,
            hooks=hooks,
            kick=self.kick,
            check_drained=self._check_drained,
            give=None if self._limits is None and budget is None else self._give,
        )
        self._reconciler = Reconciler(
            scripts,
            self.queue,
            self._owner,
            running=lambda: self._deliveries.running,
            known=self._known,
            claims=lambda: {*self._claiming},
            starting=lambda: self._deliveries.starting > 0,
            lose=self._deliveries.lose,
        )
        self._requested = 0
        self._settling: set[int] = set()
        self._claiming: set[tuple[str, int]] = set()
        self._hungry = True
        self._wakes = 0
        self._parked = 0
        self._waiting_pumps: list[asyncio.Future[None]] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._drained = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._turn = Turn(self._loop)

    def start(self) -> None:
        """Begin to claim."""
        self._owner.renew()
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
    def owner(self) -> str:
        """Under which name it claims now."""
        return self._owner.name

    @property
    def ticking(self) -> bool:
        """Whether the schedules of its queue are looked at."""
        return self._upkeep.ticking

    @property
    def taken(self) -> int:
        """Slots whose jobs run or are about to start, or that were asked to be filled."""
        return len(self._deliveries.running) + self._requested + self._deliveries.starting

    @property
    def free(self) -> int:
        """Slots that a claim may fill now."""
        held = self._deliveries
        own = self.slots - len(held.running) - self._requested - held.starting
        if self._chunks is not None and self._chunks.is_full:
            return 0
        return own if self._budget is None else min(own, self._budget.free)

    @property
    def idle(self) -> bool:
        """Whether the lane has free slots and waits to be woken."""
        return not self._deliveries.quiet and self.free > 0 and not (self._hungry and self._want())

    @property
    def running(self) -> list[Delivery]:
        """Deliveries whose handlers run."""
        return list(self._deliveries.running)

    def set_slots(self, slots: int) -> None:
        """Run at most so many handlers at once from now on; those that run already go on."""
        self.slots = slots
        if self._chunks is not None:
            self._chunks.calls = slots
            self.slots = self._chunks.slots

    def flush(self) -> None:
        """Let no job wait for others to make up a chunk, where all that were claimed wait so; for tests."""
        chunks = self._chunks
        if chunks is not None and not self._requested and not self._deliveries.starting:
            chunks.flush_if(len(self._deliveries.running))

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
        self._upkeep.note_pause(paused=glance.paused)
        if glance.cancels and self._deliveries.running:
            # The message to this owner may have been lost, or have come before its job.
            self._asides.spawn(self._deliveries.look_for_cancels())
        if glance.schedules and not self._deliveries.quiet and (glance.paused or not self.idle):
            # Whoever is idle finds them by its next claim.
            self._upkeep.tick()
        if not self.idle:
            return
        # What others parked may be known here: the reply to a claim names it.
        parked, self._parked = self._parked, glance.unroutable
        if not glance.paused and (glance.startable or glance.next_due_ms == 0 or glance.unroutable > parked):
            self.kick(hungry=True)

    async def reconcile(self) -> None:
        """Compare what the server holds for this lane with what it runs. Raises what the scripts raise."""
        await self._reconciler.look()

    def left_behind(self) -> None:
        """Relay what lies in the outbox for longer than who wrote it takes."""
        self._upkeep.relay_old()

    def stalled(self, job_ids: list[str]) -> None:
        """Take note of jobs whose worker died under them, and which wait again."""
        for job_id in job_ids:
            self._hooks.worker("stalled", self.queue, job_id=job_id)

    def quiet(self) -> None:
        """Claim no more."""
        self._deliveries.quiet = True
        self._hurry()
        self._check_drained()
        self.kick()

    def resume(self) -> None:
        """Claim again."""
        self._deliveries.quiet = False
        self._hurry()
        self._drained.clear()
        self.kick(hungry=True)

    def _hurry(self) -> None:
        if self._chunks is not None:
            self._chunks.hurry(on=self._deliveries.quiet)

    async def drained(self) -> None:
        """Wait until nothing runs and all is settled; only a quiet lane drains."""
        await self._drained.wait()

    def owner_gone(self, owner: str) -> None:
        """Take note that the server holds an owner for dead: its jobs run elsewhere, so their handlers here are stopped."""
        if owner != self.owner:
            return
        _log.info("owner_gone", queue=self.queue, owner=owner)
        self._deliveries.lose_all(owner)
        for delivery in self._refusals.drop(owner):
            self._ends.lost(delivery)
        self._owner.lose()
        self.kick(hungry=True)
        self._check_drained()

    async def abandon(self) -> None:
        """Stop all handlers without settling; the jobs are given back by `release`."""
        self._deliveries.quiet = True
        for pump in self._pumps:
            pump.cancel()
        tasks = [*self._pumps, *self._deliveries.abandon_all()]
        # Threads, and handlers that do not let themselves be cancelled, are left behind.
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_PATIENCE)

    async def release(self) -> None:
        """End this lane's owner; what it still held waits again, uncharged."""
        await self._owner.release()

    async def close(self) -> None:
        """Stop the pumps; what is under way has been drained or abandoned."""
        self._deliveries.quiet = True
        self._upkeep.close()
        self._reports.close()
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, self._asides.close(), return_exceptions=True)

    def _message(self, body: bytes) -> None:
        if not body.startswith(b"cancel "):
            self.kick(hungry=True)
            return
        job_id, _, fence = body.decode().removeprefix("cancel ").rpartition(" ")
        self._deliveries.stop(job_id, int(fence))

    def _has_work(self) -> bool:
        return bool(self._deliveries.finished) or (
            self._hungry
            and not self._deliveries.quiet
            and self.free > 0
            and (self._limits is None or self._want() > 0)
        )

    async def _pump(self, pump: Pump) -> None:
        while True:
            if not self._has_work():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting_pumps.append(waiter)
                await waiter
                continue
            settlements = self._deliveries.take_finished(max(self._share, _SPLIT_FROM))
            self._settling.update(each.delivery.fence for each in settlements)
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
        if self._deliveries.quiet or not self._hungry:
            return 0
        want = max(min(self.free, self._share), 0)
        return want if self._limits is None else self._limits.want(want, self._wakes, self._loop.time())

    async def _claim(self, pump: Pump, want: int) -> None:
        owner = self._owner.name
        try:
            if (
                not self._owner.registered
                and await self._ask(pump, owner, 0) is not None
                and owner == self._owner.name
            ):
                # That took no jobs: a child killed before this line leaves none with an owner nobody knows of.
                self._owner.register()
            wakes, sent = self._wakes, self._loop.time()
            claim = await self._ask(pump, owner, want)
            self.claimed_at = time.time()
        finally:
            self._requested -= want
        if claim is None:
            self.owner_gone(owner)
        elif owner == self._owner.name:
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
        call = (pump.claims.name, pump.claims.number)
        self._claiming.add(call)
        try:
            return await self._ask_until_answered(pump, owner, want)
        finally:
            self._claiming.discard(call)

    async def _ask_until_answered(self, pump: Pump, owner: str, want: int) -> Claim | None:
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
                    register=not self._owner.registered,
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

    def _claimed(self, claim: Claim, owner: str, sent: float) -> None:
        self._upkeep.note_pause(paused=claim.paused)
        if claim.alarm_ms is not None:
            self._upkeep.set_alarm(claim.alarm_ms / 1000)
        if claim.ticks:
            self._upkeep.tick()
        if claim.unroutable:
            known = [name for name in claim.unroutable if self._routes.find(name) is not None]
            if known:
                self._upkeep.fetch_parked(known)
        if claim.jobs:
            stale = self._loop.time() - sent > _STALE_CLAIM
            self._deliveries.starting += len(claim.jobs)
            if self._limits is not None:
                self._limits.take(header_of(claimed).name for claimed in claim.jobs)
            self._turn.take(lambda: self._deliveries.start_all(claim.jobs, owner, stale=stale))

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

    def _give(self, header: Header) -> None:
        """Count out a claimed job that ended, or that is not started."""
        if self._limits is not None and self._limits.give(header.name):
            self._hungry = True
        if self._budget is not None:
            self._budget.freed(self)

    async def _settle(self, pump: Pump, settlements: list[Settlement]) -> None:
        try:
            if self._reports.owes(settlements):
                await self._reports.write_before(settlements)
            settled = await settle(self._scripts, self.queue, pump.settlements, settlements, self._teller)
        except Exception as error:  # noqa: BLE001 - it is told for each of them that is refused again
            await self._refusals.take(settlements, error)
            return
        finally:
            self._settling.difference_update([each.delivery.fence for each in settlements])
        self._settled(settlements, settled)

    def _settled(self, settlements: Sequence[Settlement], settled: Settled) -> None:
        lost, stopped = settled.lost, settled.stopped
        if settled.entries or settled.posted:
            self._upkeep.carry(settlements, settled)
        for delivery in lost:
            self._ends.lost(delivery)
        if self._hooked or stopped:
            for settlement in settlements:
                if settlement.delivery in stopped:
                    self._ends.stopped(settlement)
                elif settlement.delivery not in lost:
                    self._ends.settled(settlement)
        self._check_drained()

    def _known(self) -> set[int]:
        """Return the fences of all that was claimed and is not settled, but for what is about to start."""
        held = self._deliveries
        fences = {each.fence for each in held.running} | self._settling | self._refusals.fences
        return fences.union(each.delivery.fence for each in held.finished)

    def _check_drained(self) -> None:
        held = self._deliveries
        if (
            held.quiet
            and not held.running
            and not held.finished
            and not self._settling
            and not held.starting
            and not self._asides
        ):
            self._drained.set()

    def _claim_more(self) -> None:
        self.kick(hungry=True)

    def _claim_if_free(self) -> bool:
        """Claim if a slot is free; tell whether one is."""
        if self.free <= 0 or self._deliveries.quiet:
            return False
        self.kick(hungry=True)
        return True

    def _tell_progress(self, reported: Mapping[Delivery, Progress]) -> bytes:
        """Let hooks hear of progress, and return what the events say of it."""
        for delivery, progress in reported.items():
            self._hooks.job("progress", self.queue, delivery, progress)
        return self._teller.progress(reported.items())
