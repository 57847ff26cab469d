"""The supervisor of a worker: spawns children, renews their leases, kills the silent ones, answers for health. It runs no user code."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from jobs_core import commands
from jobs_core.boot import audit_server
from jobs_core.connection import Client, parse_address
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConfigurationError, ConnectionFailed, JobsError
from jobs_core.registry import WorkerEntry, announce_worker, forget_worker
from jobs_core.scripts import Scripts
from jobs_worker import alerting, control, health, logs, loops, own_metrics
from jobs_worker.control import EXIT_CONFIGURATION, EXIT_GRACE_EXCEEDED, EXIT_OK, ChildConfig
from jobs_worker.declared import switched_off
from jobs_worker.leases import LeaseKeeper
from jobs_worker.scaling import MachineLoad
from jobs_worker.staffing import Staffing
from jobs_worker.supervised import SupervisedChild
from jobs_worker.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jobs_core.settings import WorkerSettings

_RESPAWN_CAP = 5.0
_HEALTHY_AFTER = 10.0
_ANNOUNCE_EVERY = 5.0
_LEAST_CHECK = 0.05
_MOST_CHECK = 0.5
_DRAIN_MARGIN = 3.0
_log = logs.get("jobs.worker")


class Supervisor:
    """One worker: `WORKER_PROCESSES` children and everything that keeps them going."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Prepare; `run` does the rest."""
        self._settings = settings
        self._client = Client(parse_address(settings.redis_url), name=f"jobs:supervisor:{os.getpid()}")
        self._scripts = Scripts(self._client, settings.prefix)
        self._leases = LeaseKeeper(self._scripts, self._owner_gone, self._jobs_stalled)
        self._children: dict[int, SupervisedChild] = {}
        self._stopping = asyncio.Event()
        self._killing = asyncio.Event()
        self._exit_code = EXIT_OK
        self._staffing = Staffing(settings)
        self._kept = 0
        self._slots: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._keepers: set[asyncio.Task[None]] = set()
        self._beaten = 0.0
        self._ended = own_metrics.Ended()
        self._usage = Usage()
        self._started_ms = int(time.time() * 1000)
        self._id = f"{socket.gethostname()[:40]}-{os.getpid()}"
        self._http = ""

    async def run(self) -> int:
        """Run until a signal stops the worker. Returns the exit code.

        Raises ConfigurationError (ServerRefused among them) for what no retry can mend.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        server, port = await self._serve_health()
        self._http = f"{settings.http_host}:{port}"
        beats: list[asyncio.Task[None]] = []
        try:
            _log.info(
                "starting",
                worker=self._id,
                worker_type=",".join(settings.weights),
                processes=self._staffing.total,
                server=self._client.address.display,
                http=self._http,
            )
            if not await self._connect():
                return self._exit_code
            beats = [
                loops.spawn("leases", lambda: self._leases.run(self._on_beat)),
                loops.spawn("watch", self._watch),
                loops.spawn("announce", self._announce),
                loops.spawn("alerts", lambda: alerting.watch(self._scripts)),
            ]
            if self._staffing.auto:
                beats.append(loops.spawn("scale", self._scale))
            self._listen()
            self._arrange()
            while self._keepers:
                await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
                for done in [each for each in self._keepers if each.done()]:
                    self._keepers.discard(done)
                    done.result()
            await self._farewell()
        finally:
            for task in (*beats, *self._tasks):
                task.cancel()
            await asyncio.gather(*beats, *self._tasks, return_exceptions=True)
            server.close()
            await self._client.close()
        _log.info("stopped", worker=self._id, code=self._exit_code)
        return self._exit_code

    def _signalled(self, number: int) -> None:
        if self._stopping.is_set():
            _log.warning("killing", reason=f"a second {signal.Signals(number).name}")
            self._killing.set()
            return
        _log.info("stopping", reason=signal.Signals(number).name, grace=self._settings.shutdown_grace)
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        for child in self._children.values():
            child.tell(control.Stop())

    async def _connect(self) -> bool:
        """Connect for as long as it takes, unless told to stop."""
        waited = 0.0
        while not self._stopping.is_set():
            try:
                await self._client.connect(timeout=2.0)
                audit = await audit_server(self._client, deadline=asyncio.get_running_loop().time() + 2.0)
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

    def _listen(self) -> None:
        """Hear what people tell this worker, and all of them."""
        prefix = self._settings.prefix
        self._client.subscribe(commands.worker_channel(prefix, self._id), self._heard)
        self._client.subscribe(commands.every_worker(prefix), lambda _: self._news.set())

    def _heard(self, body: bytes) -> None:
        try:
            command = commands.decode_command(body)
        except msgspec.MsgspecError as error:
            _log.warning("command_refused", error=str(error))
            return
        task = asyncio.create_task(self._obey(command), name="command")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, command: commands.WorkerCommand) -> None:
        """Do what somebody told this worker, and answer."""
        _log.info("command", verb=command.verb, queue=command.queue, number=command.number)
        refused, stacks = "", list[commands.ChildStack]()
        match command.verb:
            case "quiet" | "resume":
                self._staffing.quieted = command.verb == "quiet"
                self._arrange()
            case "stop":
                if not self._stopping.is_set():
                    _log.info("stopping", reason="told to", grace=self._settings.shutdown_grace)
                    self._stop()
            case "concurrency":
                refused = self._set_slots(command.queue, command.number)
            case "stacks":
                for child in list(self._children.values()):
                    stacks.append(commands.ChildStack(pid=child.pid, stack=await child.stack()))
            case "scale":
                pass
        self._news.set()
        answer = commands.WorkerAnswer(state=self._state, refused=refused, stacks=tuple(stacks))
        try:
            await commands.answer_worker(self._client, command.reply, answer)
        except (JobsError, OutcomeLost) as error:
            _log.warning("answer_failed", verb=command.verb, error=str(error))

    def _set_slots(self, queue: str, number: int) -> str:
        """Let every child run so many jobs of a queue at once; return why not, where that cannot be."""
        if queue not in self._staffing.queues:
            return f"this worker does not serve queue {queue!r}; it serves {', '.join(self._staffing.queues)}"
        self._slots[queue] = number
        for child in self._children.values():
            child.tell(control.Slots(queue, number))
        return ""

    @property
    def _state(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        return "quiet" if self._staffing.quieted else "running"

    def _arrange(self) -> None:
        """Have as many children as the queues want, and let each claim from those that want so many."""
        if self._stopping.is_set():
            return
        while self._kept < self._staffing.total:
            self._add_child()
        while self._kept > self._staffing.total and self._retire_child():
            pass
        for rank, child in enumerate(self._ranked()):
            child.tell(control.Serve(self._staffing.quiet(rank)))

    def _ranked(self) -> list[SupervisedChild]:
        """Return the children that stay, the oldest first."""
        staying = [child for child in self._children.values() if not child.retiring]
        return sorted(staying, key=lambda child: child.started)

    def _add_child(self) -> None:
        self._kept += 1
        self._keepers.add(asyncio.create_task(self._keep_child(), name="child"))

    async def _scale(self) -> None:
        """Let each queue have one child more while much of it waits and the machine has room, one less while little does."""
        load = MachineLoad()
        while True:
            await asyncio.sleep(self._settings.scale_interval)
            if self._stopping.is_set() or not self._staffing.queues:
                continue
            try:
                seen = await self._scripts.glance(self._staffing.queues)
            except JobsError as error:
                _log.warning("scale_failed", error=str(error))
                continue
            cpu, memory = load.cpu(), load.memory()
            for queue, glance in seen.items():
                waiting = 0 if glance.paused else glance.waiting
                if self._staffing.step(queue, waiting=waiting, cpu=cpu, memory=memory):
                    _log.info(
                        "scaled",
                        queue=queue,
                        number=self._staffing.number(queue),
                        processes=self._staffing.total,
                        waiting=waiting,
                        cpu=round(cpu, 2),
                        memory=round(memory, 2),
                    )
            self._arrange()

    async def _read_scales(self) -> None:
        """Take over the numbers that somebody set, or let go of."""
        manual = await commands.read_scales(self._client, self._settings.prefix)
        served = {queue: number for queue, number in manual.items() if queue in self._staffing.queues}
        if served != self._staffing.manual:
            self._staffing.manual = served
            _log.info("scaled", processes=self._staffing.total, manual=served)
        # Also where nothing changed: a child that was about to come when another was to go is one too many.
        self._arrange()

    def _retire_child(self) -> bool:
        """Let the youngest child finish what it runs and go; tell whether there is one."""
        staying = self._ranked()
        if not staying:
            return False
        self._kept -= 1
        youngest = staying[-1]
        youngest.retiring = True
        youngest.tell(control.Stop())
        return True

    async def _keep_child(self) -> None:
        """Spawn one child, and the next whenever it died, until the worker stops."""
        quick = 0
        while not self._stopping.is_set():
            try:
                child = await SupervisedChild.start(self._config())
            except OSError as error:
                # No process or no memory to be had now.
                _log.error("spawn_failed", error=str(error))
                await self._sleep_unless_stopping(_RESPAWN_CAP)
                continue
            self._children[child.pid] = child
            ending = asyncio.create_task(child.listen(self._on_owner, self._on_ready))
            code = await self._until_end(child, ending)
            del self._children[child.pid]
            self._ended.add(child.stats, died=not self._stopping.is_set() and not child.retiring)
            # Until another is there the younger ones stand in for it.
            self._arrange()
            # Its process group goes with it, so from here on nothing of its jobs runs, and they may be given back.
            child.close()
            await self._unless_stopping(self._give_back(child))
            if code == EXIT_CONFIGURATION and not child.queues:
                self._exit_code = EXIT_CONFIGURATION
                self._stop()
                return
            if self._stopping.is_set() or child.retiring:
                return
            _log.info(
                "child_died", pid=child.pid, code=code, lived_s=round(time.monotonic() - child.started, 1)
            )
            quick = quick + 1 if time.monotonic() - child.started < _HEALTHY_AFTER else 0
            pause = min(0.05 * 2**quick, _RESPAWN_CAP) if quick else 0.0
            await self._sleep_unless_stopping(pause)

    async def _until_end(self, child: SupervisedChild, ending: asyncio.Task[int]) -> int:
        stopping = asyncio.create_task(self._stopping.wait())
        killing = asyncio.create_task(self._killing.wait())
        try:
            await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                child.tell(control.Stop())
                grace = self._settings.shutdown_grace + _DRAIN_MARGIN
                await asyncio.wait((ending, killing), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                if not ending.done():
                    self._exit_code = EXIT_GRACE_EXCEEDED
                    running = child.stats.active if child.stats else None
                    event = "killed" if self._killing.is_set() else "grace_exceeded"
                    _log.warning(event, pid=child.pid, running=running)
                    child.kill()
            code = await ending
        finally:
            for task in (stopping, killing):
                task.cancel()
        if self._stopping.is_set() and code == EXIT_GRACE_EXCEEDED:
            # The child gave up on jobs that outlived the grace and gave them back itself.
            self._exit_code = EXIT_GRACE_EXCEEDED
        return code

    async def _give_back(self, child: SupervisedChild) -> None:
        """Return the jobs of a child that is proven dead."""
        expected = self._stopping.is_set() or (
            child.retiring and child.process.returncode in (0, EXIT_GRACE_EXCEEDED)
        )
        crashed = child.stalled is None and not expected
        for queue, owner in sorted(child.owners):
            culprits, others = child.blame(queue, crashed=crashed)
            try:
                await self._leases.release(queue, owner, others=others, culprits=culprits)
            except (JobsError, OutcomeLost) as error:
                _log.warning("release_failed", queue=queue, owner=owner, error=str(error))

    def _on_owner(self, _: SupervisedChild, queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - as everywhere
        if alive:
            self._leases.add(queue, owner)
        else:
            self._leases.remove(queue, owner)

    def _on_ready(self, child: SupervisedChild) -> None:
        self._leases.watch(child.queues)
        self._staffing.serve(child.queues)
        for queue, number in self._slots.items():
            child.tell(control.Slots(queue, number))
        self._arrange()
        self._news.set()
        slots = {name: facts.slots for name, facts in child.queues.items()}
        each = sum(slots.values())
        _log.info("ready", pid=child.pid, queues=slots, slots=each, slots_of_worker=each * self._kept)
        for name, facts in child.queues.items():
            for job, variables in facts.missing.items():
                _log.warning(
                    "not_served",
                    queue=name,
                    job=job,
                    unset=variables,
                    effect="its jobs are parked as unroutable",
                )

    def _on_beat(self) -> None:
        self._beaten = time.monotonic()
        for child in self._children.values():
            child.tell(control.Beaten())

    def _owner_gone(self, queue: str, owner: str) -> None:
        for child in self._children.values():
            if (queue, owner) in child.owners:
                child.owners.discard((queue, owner))
                child.tell(control.Gone(queue, owner))

    def _jobs_stalled(self, queue: str, job_ids: list[str]) -> None:
        """Let the hooks of one child hear of it, whichever serves the queue and lives."""
        for child in self._children.values():
            if queue in child.queues and child.stalled is None and child.process.returncode is None:
                child.tell(control.Stalled(queue, job_ids))
                return

    async def _watch(self) -> None:
        """Kill children that have been silent for longer than the lock duration of the job they run; look as often as queues ask."""
        while True:
            for child in list(self._children.values()):
                if child.queues and child.stalled is None and time.monotonic() >= child.next_check:
                    await self._check(child)
            # A child that begins to claim is looked at soon, however long the others may be silent.
            due = min(
                (child.next_check for child in self._children.values() if child.queues), default=math.inf
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

    async def _announce(self) -> None:
        while True:
            self._news.clear()
            try:
                await announce_worker(self._client, self._settings.prefix, await self._entry())
                if self._staffing.queues:
                    await self._read_scales()
            except (JobsError, OutcomeLost) as error:
                _log.warning("announce_failed", error=str(error))
            try:
                async with asyncio.timeout(_ANNOUNCE_EVERY):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _farewell(self) -> None:
        if not self._client.is_connected:
            return
        try:
            async with asyncio.timeout(2.0):
                await forget_worker(self._client, self._settings.prefix, self._id)
        except (TimeoutError, JobsError, OutcomeLost):
            # It is forgotten after ten minutes anyway.
            return

    async def _entry(self) -> WorkerEntry:
        used = await asyncio.to_thread(self._usage.look)
        children = self._children.values()
        queues = {name: facts for child in children for name, facts in child.queues.items()}
        return WorkerEntry(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("jobs-worker"),
            worker_type=",".join(self._settings.weights),
            queues=tuple(sorted(queues)),
            jobs=tuple(sorted(f"{name}/{job}" for name, facts in queues.items() for job in facts.jobs)),
            slots=self._open_slots(),
            running=sum(child.stats.active for child in children if child.stats),
            processes=len(self._children),
            memory_bytes=used.memory_bytes,
            cpu=used.cores,
            lag_ms=max((child.stats.lag_ms for child in children if child.stats), default=0.0),
            state=self._state,
            http=self._http,
            started_ms=self._started_ms,
            seen_ms=int(time.time() * 1000),
        )

    def _open_slots(self) -> int:
        """Count the slots of the queues that each child claims from."""
        return sum(
            self._slots[name] * facts.per_slot if name in self._slots else facts.slots
            for rank, child in enumerate(self._ranked())
            for name, facts in child.queues.items()
            if name not in self._staffing.quiet(rank)
        )

    async def _serve_health(self) -> tuple[asyncio.Server, int]:
        settings = self._settings
        routes = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
            "/metrics": self._metrics,
        }
        try:
            server, port = await health.serve(
                settings.http_host, settings.http_port, routes, may_move=not settings.http_port_given
            )
        except OSError as error:
            reason = error.strerror or error
            message = f"WORKER_HTTP_PORT={settings.http_port} on {settings.http_host} cannot be used: {reason}; set another"
            raise ConfigurationError(message) from None
        if port != settings.http_port:
            _log.info("http_port_moved", wanted=settings.http_port, port=port)
        return server, port

    def _healthz(self) -> health.Answer:
        return health.Answer(200, {"status": "ok"})

    def _readyz(self) -> health.Answer:
        ready = (
            not self._stopping.is_set()
            and self._client.is_connected
            and any(child.ready for child in self._children.values())
        )
        return health.Answer(200 if ready else 503, {"status": "ready" if ready else "not ready"})

    def _status(self) -> health.Answer:
        ranks = {child.pid: rank for rank, child in enumerate(self._ranked())}
        children = [
            {
                "pid": child.pid,
                "ready": child.ready,
                "quiet": self._staffing.quiet(ranks[child.pid])
                if child.pid in ranks
                else sorted(child.queues),
                "silent_s": round(child.page.silence(), 2),
                "queues": sorted(child.queues),
                "stats": child.stats,
            }
            for child in self._children.values()
        ]
        return health.Answer(
            200,
            {
                "id": self._id,
                "worker_type": list(self._settings.weights),
                "stopping": self._stopping.is_set(),
                "state": self._state,
                "connected": self._client.is_connected,
                "server": self._client.address.display,
                "last_beat_s": round(time.monotonic() - self._beaten, 1) if self._beaten else None,
                "children": children,
            },
        )

    def _metrics(self) -> health.Answer:
        facts = own_metrics.Facts(
            version=version("jobs-worker"),
            worker_type=",".join(self._settings.weights),
            slots=self._open_slots(),
            connected=self._client.is_connected,
            started_ms=self._started_ms,
            renewed_s=time.monotonic() - self._beaten if self._beaten else None,
        )
        text = own_metrics.describe(facts, self._children.values(), self._ended, self._usage.look())
        return health.Answer(200, text, own_metrics.MEDIA)

    def _config(self) -> ChildConfig:
        settings = self._settings
        return ChildConfig(
            redis_url=settings.redis_url,
            prefix=settings.prefix,
            features=settings.features,
            processors=settings.processors,
            weights=settings.weights,
            queues=settings.queues,
            concurrency=settings.concurrency,
            grace=settings.shutdown_grace,
            log_level=settings.log_level,
            log_format=settings.log_format,
            off=switched_off(settings),
        )

    async def _unless_stopping(self, work: Coroutine[object, object, None]) -> None:
        """Await work for as long as it takes, but not much longer once the worker stops."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        done, _ = await asyncio.wait((task,), timeout=_DRAIN_MARGIN)
        if not done:
            _log.warning("release_failed", error="the server does not answer; the leases end by themselves")
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _sleep_unless_stopping(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
