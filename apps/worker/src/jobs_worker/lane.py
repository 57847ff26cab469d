"""The way of one queue's jobs through a child: claim into free slots, run, settle; finished jobs and the next claim share a trip.

Two pumps work a lane, each with one call under way at a time, so the server settles and claims for one while this process runs
what the other brought. Nothing waits to fill a batch: what gathered during a trip travels with the next.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.connection.client import OutcomeLost
from jobs_core.connection.turn import Turn
from jobs_core.errors import ConnectionFailed, JobsError, OwnerGone, SchemaMismatch
from jobs_core.keys import big_key, wake_channel
from jobs_core.scripts import MAX_BYTES, MAX_ITEMS, Claimed, Group
from jobs_core.wire import BIG, Header, decode_envelope, encode_progress, parse_header
from jobs_worker import logs
from jobs_worker.delivery import Delivery, Settlement, released, unopened, unreadable, unroutable
from jobs_worker.limits import NameLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Claim, Glance, Scripts
    from jobs_core.wire import Progress
    from jobs_worker.routes import QueueRoutes
    from jobs_worker.runner import Runner

_STALE_CLAIM = 10.0
_PUMPS = 2
_SPLIT_FROM = 16
_PROGRESS_EVERY = 0.25
_ERROR_PAUSE = 1.0
_STOP_PATIENCE = 2.0
_log = logs.get("jobs.worker")


class SlotBudget:
    """Slots that several lanes share (the heavy ones of a child), besides each one's own."""

    def __init__(self, slots: int) -> None:
        """Allow `slots` jobs at once over all lanes that join."""
        self._slots = slots
        self.lanes: list[Lane] = []

    @property
    def free(self) -> int:
        """Slots that no lane has taken or asked for."""
        return self._slots - sum(lane.taken for lane in self.lanes)

    def freed(self, by: Lane) -> None:
        """Let the lanes see that slots are free; they take turns, so the one that had them comes last."""
        self.lanes.remove(by)
        self.lanes.append(by)
        for lane in self.lanes:
            lane.kick()


class LaneStats(msgspec.Struct):
    """What a lane did since it began; `run_us` is summed over all attempts that ended."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    run_us: int = 0


class _Pump:
    """One caller of the server: it has a session for claims and one for settlements, and one call of each under way."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self.claims = 0
        self.settles = 0


class Lane:
    """One queue of one child."""

    def __init__(
        self,
        scripts: Scripts,
        routes: QueueRoutes,
        *,
        slots: int,
        child: str,
        make_runner: Callable[[Callable[[Delivery, Progress], None]], Runner],
        on_owner: Callable[[str, str, bool], None],
        budget: SlotBudget | None = None,
    ) -> None:
        """`on_owner(queue, owner, alive)` is told which owner of this lane has a lease to be renewed, and which has none any more."""
        self.queue = routes.queue.name
        self.slots = slots
        self.stats = LaneStats()
        self._scripts = scripts
        self._routes = routes
        self._child = child
        self._runner = make_runner(self._report)
        self._on_owner = on_owner
        self._budget = budget
        if budget is not None:
            budget.lanes.append(self)
        limits = {name: route.concurrency for name, route in routes.named.items() if route.concurrency}
        self._limits = NameLimits(limits) if limits else None
        self._incarnation = 0
        self._registered = False
        self.owner = ""
        self._running: dict[Delivery, asyncio.Task[None]] = {}
        self._finished: deque[Settlement] = deque()
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
        self._progress: dict[Delivery, Progress] = {}
        self._progress_timer: asyncio.TimerHandle | None = None
        self._aside: set[asyncio.Task[None]] = set()
        self._debug = logs.enabled(logging.DEBUG)
        self._loop = asyncio.get_running_loop()
        self._turn = Turn(self._loop)

    def start(self) -> None:
        """Begin to claim."""
        self._new_owner()
        # A limit on a name must count what the other pump is about to be given, so one pump works such a lane.
        self._pumps = [
            asyncio.create_task(self._pump(_Pump()), name=f"lane-{self.queue}")
            for _ in range(1 if self._limits else _PUMPS)
        ]

    @property
    def taken(self) -> int:
        """Slots whose jobs run or are about to start, or that were asked to be filled."""
        return len(self._running) + self._requested + self._starting

    @property
    def free(self) -> int:
        """Slots that a claim may fill now."""
        own = self.slots - len(self._running) - self._requested - self._starting
        return own if self._budget is None else min(own, self._budget.free)

    @property
    def idle(self) -> bool:
        """Whether the lane has free slots and waits to be woken."""
        return not self._quiet and self.free > 0 and not (self._hungry and self._want())

    @property
    def running(self) -> list[Delivery]:
        """Deliveries whose handlers run."""
        return list(self._running)

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
        # What others parked may be known here: the reply to a claim names it.
        parked, self._parked = self._parked, glance.unroutable
        if not glance.paused and (glance.waiting or glance.next_due_ms == 0 or glance.unroutable > parked):
            self.kick(hungry=True)

    def quiet(self) -> None:
        """Claim no more."""
        self._quiet = True
        self._check_drained()
        self.kick()

    def resume(self) -> None:
        """Claim again."""
        self._quiet = False
        self._drained.clear()
        self.kick(hungry=True)

    async def drained(self) -> None:
        """Wait until nothing runs and all is settled; only a quiet lane drains."""
        await self._drained.wait()

    def owner_gone(self, owner: str) -> None:
        """Take note that the server holds an owner for dead: its jobs run elsewhere, so their handlers here are stopped."""
        if owner != self.owner:
            return
        _log.info("owner_gone", queue=self.queue, owner=owner)
        for delivery in [each for each in self._running if each.owner == owner]:
            self._lost(delivery)
            self._cancel(delivery)
        for settlement in self._finished:
            self._lost(settlement.delivery)
        self._finished.clear()
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
        if self._progress_timer is not None:
            self._progress_timer.cancel()
        for task in [*self._pumps, *self._aside]:
            task.cancel()
        await asyncio.gather(*self._pumps, *self._aside, return_exceptions=True)

    def _new_owner(self) -> None:
        client = self._scripts.client
        if self.owner:
            client.unsubscribe(wake_channel(self._scripts.key(self.queue), self.owner))
        self._incarnation += 1
        self._registered = False
        self.owner = f"{self._child}.{self._incarnation}"
        client.subscribe(
            wake_channel(self._scripts.key(self.queue), self.owner), lambda _: self.kick(hungry=True)
        )

    def _has_work(self) -> bool:
        return bool(self._finished) or (
            self._hungry and not self._quiet and self.free > 0 and (self._limits is None or self._want() > 0)
        )

    async def _pump(self, pump: _Pump) -> None:
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
            size += len(self._finished[0].info)
            if taken and size > MAX_BYTES:
                break
            taken.append(self._finished.popleft())
        return taken

    async def _claim(self, pump: _Pump, want: int) -> None:
        owner = self.owner
        try:
            if not self._registered and await self._ask(pump, owner, 0) is not None and owner == self.owner:
                # That took no jobs: a child killed before this line leaves none with an owner nobody knows of.
                self._registered = True
                self._on_owner(self.queue, owner, True)  # noqa: FBT003
            wakes, sent = self._wakes, self._loop.time()
            claim = await self._ask(pump, owner, want)
        finally:
            self._requested -= want
        if claim is None:
            self.owner_gone(owner)
        elif owner == self.owner:
            # Else the owner was declared dead while this claim was under way, and what it took was given back.
            got = len(claim.jobs)
            filled = got >= want
            self._claimed(claim, owner, sent)
            if self._limits is None:
                self._hungry = filled or self._wakes != wakes or (claim.left > 0 and got > 0)
            else:
                self._hungry = self._look_on(self._limits, claim, filled=filled) or self._wakes != wakes
        if self._budget is not None:
            self._budget.freed(self)

    async def _ask(self, pump: _Pump, owner: str, want: int) -> Claim | None:
        """Claim; None when the owner is gone. A call whose outcome is unknown is sent again, for its answer alone."""
        pump.claims += 1
        free = self.free + want
        limits = after = ""
        if self._limits is not None and want:
            after = self._limits.cursor
            limits = self._limits.begin(self._wakes, self._loop.time())
        while True:
            try:
                return await self._scripts.claim(
                    self.queue,
                    session=pump.name + "c",
                    seq=pump.claims,
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
                want = 0
                self._wakes += 1
                await asyncio.sleep(_ERROR_PAUSE)

    def _claimed(self, claim: Claim, owner: str, sent: float) -> None:
        if claim.alarm_ms is not None:
            self._set_alarm(claim.alarm_ms / 1000)
        if claim.unroutable:
            self._reroute(claim.unroutable)
        if claim.jobs:
            stale = self._loop.time() - sent > _STALE_CLAIM
            self._starting += len(claim.jobs)
            if self._limits is not None:
                self._limits.take(_header_of(claimed).name for claimed in claim.jobs)
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
        header = _header_of(claimed)
        if header.flags & BIG:
            # It keeps its slot while the envelope is fetched.
            self._starting += 1
            self._spawn(self._start_big(claimed, header, owner, stale=stale))
        else:
            self._begin(claimed, header, claimed.record[header.size :], owner, stale=stale)

    async def _start_big(self, claimed: Claimed, header: Header, owner: str, *, stale: bool) -> None:
        packed = b""
        try:
            key = big_key(self._scripts.key(self.queue), claimed.id)
            packed = cast("bytes | None", await self._scripts.client.call("GET", key)) or b""
        except ConnectionFailed:
            # It is claimed, so it is settled: it waits again, and whoever claims it next fetches it.
            stale = True
        finally:
            self._starting -= 1
        self._begin(claimed, header, packed, owner, stale=stale)

    def _begin(self, claimed: Claimed, header: Header, packed: bytes, owner: str, *, stale: bool) -> None:
        if owner != self.owner:
            self._forgo(header)
            return
        if stale or self._quiet:
            # A claim that took so long that its lease may be over could start the job twice.
            self._put_off(released(unopened(claimed, header, owner)))
            return
        route = self._routes.find(header.name)
        if route is None and header.name:
            needs = self._routes.missing.get(header.name, [])
            _log.warning("unroutable", queue=self.queue, job_id=claimed.id, job=header.name, needs=needs)
            self._put_off(unroutable(unopened(claimed, header, owner)))
            return
        try:
            delivery = Delivery(claimed, header, decode_envelope(packed), route, owner)
        except (msgspec.MsgspecError, ValueError, struct.error) as error:
            settlement = unreadable(unopened(claimed, header, owner), error, self._child)
            self._count(settlement)
            self._put_off(settlement)
            return
        if self._debug:
            _log.debug(
                "active", queue=self.queue, job_id=claimed.id, job=header.name, attempt=delivery.attempt
            )
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
            self._count(settlement)
        if self._progress:
            self._progress.pop(delivery, None)
        if self._limits is not None or self._budget is not None:
            self._forgo(delivery.header)
        self.kick()
        if self._quiet:
            self._check_drained()

    def _count(self, settlement: Settlement) -> None:
        self.stats.run_us += settlement.run_us
        verb = settlement.verb
        if verb == "complete":
            self.stats.completed += 1
            if self._debug:
                self._tell(settlement, "completed", logging.DEBUG)
        elif verb == "retry":
            self.stats.retried += 1
            self._tell(settlement, "retry", logging.INFO)
        elif verb == "fail":
            self.stats.failed += 1
            self._tell(settlement, "failed", logging.INFO)

    def _tell(self, settlement: Settlement, event: str, level: int) -> None:
        delivery = settlement.delivery
        facts: dict[str, object] = {
            "queue": self.queue,
            "job_id": delivery.id,
            "job": delivery.header.name,
            "attempt": delivery.attempt,
            "attempts": delivery.policy.attempts,
            "run_ms": settlement.run_us / 1000,
        }
        if event == "retry":
            facts["delay_ms"] = settlement.arg
        if settlement.error is not None:
            facts["error_type"], facts["error"] = settlement.error.type, settlement.error.message
        _log.log(level, event, **facts)

    async def _settle(self, pump: _Pump, settlements: list[Settlement]) -> None:
        groups: dict[object, tuple[Settlement, list[Encodable], list[int]]] = {}
        ordered: list[Settlement] = []
        last: object = None
        found: tuple[Settlement, list[Encodable], list[int]] = (settlements[0], [], [0, 0])
        for settlement in settlements:
            key = settlement.key
            if key is not last:
                last = key
                found = groups.setdefault(key, (settlement, [], [0, 0]))
            found[1].extend(settlement.items())
            found[2][0] += settlement.run_us
            found[2][1] += settlement.wait_us
        made: list[Group] = []
        for first, items, (run_us, wait_us) in groups.values():
            verb, name, keep, ttl = first.key
            made.append(Group(verb, name, items, keep.count, keep.age_ms, keep.bytes, ttl, run_us, wait_us))
            ordered += (
                [each for each in settlements if each.key == first.key] if len(groups) > 1 else settlements
            )
        try:
            verdict = await self._tell_server(pump, settlements[0].delivery.owner, made)
        finally:
            self._settling -= len(settlements)
        if b"0" in verdict:
            for each, settled in zip(ordered, verdict, strict=True):
                if settled == ord("0"):
                    self._lost(each.delivery)
        self._check_drained()

    async def _tell_server(self, pump: _Pump, owner: str, groups: list[Group]) -> bytes:
        """Settle, sent again until there is an answer: the server applies it once."""
        pump.settles += 1
        while True:
            try:
                return await self._scripts.settle(
                    self.queue, session=pump.name + "s", seq=pump.settles, owner=owner, groups=groups
                )
            except (JobsError, OutcomeLost) as error:
                _log.warning("settle_failed", queue=self.queue, error=str(error))
                await asyncio.sleep(_ERROR_PAUSE)

    def _lost(self, delivery: Delivery) -> None:
        self.stats.lost += 1
        _log.info(
            "lease_lost",
            queue=self.queue,
            job_id=delivery.id,
            job=delivery.header.name,
            attempt=delivery.attempt,
            fence=delivery.fence,
        )

    def _check_drained(self) -> None:
        if (
            self._quiet
            and not self._running
            and not self._finished
            and not self._settling
            and not self._starting
            and not self._aside
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
            self._spawn(self._scripts.promote(self.queue))

    def _reroute(self, names: list[str]) -> None:
        known = [name for name in names if self._routes.find(name) is not None]
        if known:
            self._spawn(self._move_parked(known))

    async def _move_parked(self, names: list[str]) -> None:
        offset = 0
        while True:
            moved, looked = await self._scripts.reroute(self.queue, offset=offset, names=names)
            if not looked:
                return
            offset += looked - moved
            if moved:
                _log.info("rerouted", queue=self.queue, jobs=moved, names=names)
                self.kick(hungry=True)

    def _report(self, delivery: Delivery, progress: Progress) -> None:
        if delivery.abandoned:
            return
        self._progress[delivery] = progress
        if self._progress_timer is None:
            self._progress_timer = asyncio.get_running_loop().call_later(
                _PROGRESS_EVERY, self._flush_progress
            )

    def _flush_progress(self) -> None:
        self._progress_timer = None
        reported, self._progress = self._progress, {}
        items: list[Encodable] = []
        for delivery, progress in reported.items():
            items += (delivery.id, delivery.fence, encode_progress(progress))
        if items:
            self._spawn(self._scripts.progress(self.queue, owner=self.owner, items=items))

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        """Do something beside the pumps; a failure is logged, for the next claim or glance makes up for it."""
        task = asyncio.create_task(self._quietly(work))
        self._aside.add(task)
        task.add_done_callback(self._done_aside)

    def _done_aside(self, task: asyncio.Task[None]) -> None:
        self._aside.discard(task)
        self._check_drained()

    async def _quietly(self, work: Coroutine[object, object, object]) -> None:
        try:
            await work
        except (JobsError, OutcomeLost) as error:
            _log.warning("call_failed", queue=self.queue, error=str(error))


def _header_of(claimed: Claimed) -> Header:
    """Parse the header of a record; one that is none gets no name, and its job fails as unreadable."""
    try:
        return parse_header(claimed.record)
    except (SchemaMismatch, struct.error, ValueError):
        return Header(0, 3, claimed.fence, 0, "", len(claimed.record))
