"""The children of a worker: as many as the queues want, replaced when they die, and their jobs given back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_worker import control, logs, own_metrics
from jobs_worker.control import EXIT_CONFIGURATION, EXIT_GRACE_EXCEEDED, ChildConfig
from jobs_worker.declared import switched_off
from jobs_worker.leases import LeaseKeeper
from jobs_worker.shutdown import MARGIN
from jobs_worker.staffing import Staffing
from jobs_worker.supervised import SupervisedChild

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.scripts import Scripts
    from jobs_core.settings import WorkerSettings
    from jobs_worker.shutdown import Shutdown

_RESPAWN_CAP = 5.0
_HEALTHY_AFTER = 10.0
_log = logs.get("jobs.worker")


class Crew:
    """The children of one worker. `children` are those that live, by pid; `ended` what is left of the others."""

    def __init__(
        self, settings: WorkerSettings, scripts: Scripts, shutdown: Shutdown, on_news: Callable[[], None]
    ) -> None:
        """`on_news` is called when there is something new to announce."""
        self.children: dict[int, SupervisedChild] = {}
        self.staffing = Staffing(settings)
        self.ended = own_metrics.Ended()
        self.beaten = 0.0
        self._settings = settings
        self.shutdown = shutdown
        self._on_news = on_news
        self._leases = LeaseKeeper(scripts, self._owner_gone, self._jobs_stalled)
        self._kept = 0
        self._slots: dict[str, int] = {}
        self._keepers: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> str:
        """Tell what the worker is about: running, quiet or stopping."""
        if self.shutdown.begun:
            return "stopping"
        return "quiet" if self.staffing.quieted else "running"

    async def keep(self) -> None:
        """Have the children that the queues want until the worker ends. Raises what keeping one of them raised."""
        self.arrange()
        while self._keepers:
            await asyncio.wait(self._keepers, return_when=asyncio.FIRST_COMPLETED)
            for done in [each for each in self._keepers if each.done()]:
                self._keepers.discard(done)
                done.result()

    def stop(self) -> None:
        """Let all finish what they run, and go."""
        self.shutdown.stopping.set()
        for child in self.children.values():
            child.tell(control.Stop())

    async def renew_leases(self) -> None:
        """Renew the leases of all children, for ever."""
        await self._leases.run(self._on_beat)

    def arrange(self) -> None:
        """Have as many children as the queues want, and let each claim from those that want so many."""
        if self.shutdown.begun:
            return
        while self._kept < self.staffing.total:
            self._add_child()
        while self._kept > self.staffing.total and self._retire_child():
            pass
        for rank, child in enumerate(self.ranked()):
            child.tell(control.Serve(self.staffing.quiet(rank)))

    def ranked(self) -> list[SupervisedChild]:
        """Return the children that stay, the oldest first."""
        staying = [child for child in self.children.values() if not child.retiring]
        return sorted(staying, key=lambda child: child.started)

    def set_slots(self, queue: str, number: int) -> str:
        """Let every child run so many jobs of a queue at once; return why not, where that cannot be."""
        if queue not in self.staffing.queues:
            served = ", ".join(self.staffing.queues) or "none yet, since it has just started"
            return f"this worker does not serve queue {queue!r}; it serves {served}"
        self._slots[queue] = number
        for child in self.children.values():
            child.tell(control.Slots(queue, number))
        return ""

    def open_slots(self) -> int:
        """Count the slots of the queues that each child claims from."""
        return sum(
            self._slots[name] * facts.per_slot if name in self._slots else facts.slots
            for rank, child in enumerate(self.ranked())
            for name, facts in child.queues.items()
            if name not in self.staffing.quiet(rank)
        )

    def _owner_gone(self, queue: str, owner: str) -> None:
        """Let a child hear that the server holds an owner of it for dead."""
        for child in self.children.values():
            if (queue, owner) in child.owners:
                child.owners.discard((queue, owner))
                child.tell(control.Gone(queue, owner))

    def _jobs_stalled(self, queue: str, job_ids: list[str]) -> None:
        """Let the hooks of one child hear of it, whichever serves the queue and lives."""
        for child in self.children.values():
            if queue in child.queues and child.stalled is None and child.process.returncode is None:
                child.tell(control.Stalled(queue, job_ids))
                return

    def _add_child(self) -> None:
        self._kept += 1
        self._keepers.add(asyncio.create_task(self._keep_child(), name="child"))

    def _retire_child(self) -> bool:
        """Let the youngest child finish what it runs and go; tell whether there is one."""
        staying = self.ranked()
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
        while not self.shutdown.begun:
            try:
                child = await SupervisedChild.start(self._config())
            except OSError as error:
                # No process or no memory to be had now.
                _log.error("spawn_failed", error=str(error))
                await self.shutdown.sleep(_RESPAWN_CAP)
                continue
            self.children[child.pid] = child
            ending = asyncio.create_task(child.listen(self._on_owner, self._on_ready))
            code = await self._until_end(child, ending)
            del self.children[child.pid]
            self.ended.add(child.stats, died=not self.shutdown.begun and not child.retiring)
            # Until another is there the younger ones stand in for it.
            self.arrange()
            # Its process group goes with it, so from here on nothing of its jobs runs, and they may be given back.
            child.close()
            await self.shutdown.give_back(self._give_back(child))
            if code == EXIT_CONFIGURATION and not child.queues:
                self.shutdown.exit_code = EXIT_CONFIGURATION
                self.stop()
                return
            if self.shutdown.begun or child.retiring:
                return
            _log.info(
                "child_died", pid=child.pid, code=code, lived_s=round(time.monotonic() - child.started, 1)
            )
            quick = quick + 1 if time.monotonic() - child.started < _HEALTHY_AFTER else 0
            pause = min(0.05 * 2**quick, _RESPAWN_CAP) if quick else 0.0
            await self.shutdown.sleep(pause)

    async def _until_end(self, child: SupervisedChild, ending: asyncio.Task[int]) -> int:
        stopping = asyncio.create_task(self.shutdown.stopping.wait())
        killing = asyncio.create_task(self.shutdown.killing.wait())
        try:
            await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                child.tell(control.Stop())
                grace = self._settings.shutdown_grace + MARGIN
                await asyncio.wait((ending, killing), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
                if not ending.done():
                    self.shutdown.exit_code = EXIT_GRACE_EXCEEDED
                    running = child.stats.active if child.stats else None
                    event = "killed" if self.shutdown.killing.is_set() else "grace_exceeded"
                    _log.warning(event, pid=child.pid, running=running)
                    child.kill()
            code = await ending
        finally:
            for task in (stopping, killing):
                task.cancel()
        if self.shutdown.begun and code == EXIT_GRACE_EXCEEDED:
            # The child gave up on jobs that outlived the grace and gave them back itself.
            self.shutdown.exit_code = EXIT_GRACE_EXCEEDED
        return code

    async def _give_back(self, child: SupervisedChild) -> None:
        """Return the jobs of a child that is proven dead."""
        expected = self.shutdown.begun or (
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
        self.staffing.serve(child.queues)
        for queue, number in self._slots.items():
            child.tell(control.Slots(queue, number))
        self.arrange()
        self._on_news()
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

    def _on_beat(self) -> None:
        self.beaten = time.monotonic()
        for child in self.children.values():
            child.tell(control.Beaten())
