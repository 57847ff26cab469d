"""Renews the leases of owners from outside the process that runs their jobs, and reaps owners of others whose lease ran out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError, ServerError
from jobs_core.scripts import TRIM_LIMIT
from jobs_core.wire import Others
from jobs_worker import logs
from jobs_worker.outages import Outages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from jobs_core.scripts import GivenBack, Scripts

LEASE_MS = 20_000
BEAT_EVERY = 5.0
_TRIM_EVERY = 6
# A round of trimming ends at 500,000 entries; the next one goes on.
_TRIM_CALLS = 1000
_log = logs.get("jobs.worker")


class LeaseKeeper:
    """The leases of some owners.

    `on_gone(queue, owner)` is told of those that the server holds for dead, `on_stalled(queue, ids)` of jobs whose owner died
    under them and that wait again.
    """

    def __init__(
        self,
        scripts: Scripts,
        on_gone: Callable[[str, str], None],
        on_stalled: Callable[[str, list[str]], None] | None = None,
    ) -> None:
        """Begin with none."""
        self._on_stalled = on_stalled
        self._scripts = scripts
        self._on_gone = on_gone
        self._owners: dict[str, set[str]] = {}
        self._beating: dict[str, asyncio.Task[bool]] = {}
        self._beats = 0
        self._outages = Outages("beat")

    def watch(self, queues: Iterable[str]) -> None:
        """Keep the lease clock of these queues going and reap in them, also while no owner here serves them."""
        for queue in queues:
            self._owners.setdefault(queue, set())

    def add(self, queue: str, owner: str) -> None:
        """Renew the lease of an owner from now on."""
        self._owners.setdefault(queue, set()).add(owner)

    def remove(self, queue: str, owner: str) -> None:
        """Let the lease of an owner be."""
        self._owners.get(queue, set()).discard(owner)

    def owners(self) -> list[tuple[str, str]]:
        """Return (queue, owner) of all leases."""
        return [(queue, owner) for queue, owners in self._owners.items() for owner in owners]

    async def run(self, on_beat: Callable[[], None] | None = None) -> None:
        """Beat every 5 s for ever; `on_beat` is called after each round that reached the server."""
        try:
            while True:
                started = asyncio.get_running_loop().time()
                if await self.beat() and on_beat is not None:
                    on_beat()
                spent = asyncio.get_running_loop().time() - started
                await asyncio.sleep(max(BEAT_EVERY - spent, 0.5))
        finally:
            late = list(self._beating.values())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def beat(self) -> bool:
        """Renew all leases, once. Returns whether the server answered for all queues."""
        deadline = asyncio.get_running_loop().time() + BEAT_EVERY - 1
        for queue in self._owners:
            if queue not in self._beating:
                self._beating[queue] = asyncio.create_task(self._beat(queue, deadline))
        if self._beating:
            # A queue whose node of the cluster is away does not hold up the leases of others.
            await asyncio.wait(self._beating.values(), timeout=BEAT_EVERY)
        self._beats += 1
        done = [task for task in self._beating.values() if task.done()]
        self._beating = {queue: task for queue, task in self._beating.items() if not task.done()}
        return not self._beating and all(task.result() for task in done)

    async def _beat(self, queue: str, deadline: float) -> bool:
        owners = sorted(self._owners[queue])
        try:
            beat = await self._scripts.beat(queue, lease_ms=LEASE_MS, owners=owners, deadline=deadline)
            for owner in beat.gone:
                self.remove(queue, owner)
                self._on_gone(queue, owner)
            for owner in beat.silent:
                await self.reap(queue, owner)
            if self._beats % _TRIM_EVERY == 0:
                await self._trim(queue)
        except (JobsError, OutcomeLost) as error:
            self._outages.failed(error, queue)
            return False
        self._outages.succeeded(queue)
        return True

    async def _trim(self, queue: str) -> None:
        """Remove what outlived its time, in bounded calls, for as long as there is a full call's worth of it."""
        for _ in range(_TRIM_CALLS):
            if await self._scripts.trim(queue) < TRIM_LIMIT:
                return

    async def reap(self, queue: str, owner: str) -> None:
        """Return the jobs of a silent owner, each charged a crash; several may try, and one does."""

        async def one() -> GivenBack:
            return await self._scripts.reap(queue, owner=owner)

        try:
            await self._give_back(queue, one, cause="lease ran out")
        except ServerError as error:
            if "OWNER_ALIVE" not in error.reply:
                raise

    async def release(
        self, queue: str, owner: str, *, others: Others = Others.RELEASED, culprits: Collection[str] = ()
    ) -> None:
        """Return the jobs of an owner that is proven dead; culprits spend one crash, and so do all where `others` says it."""
        self.remove(queue, owner)

        async def one() -> GivenBack:
            return await self._scripts.release(queue, owner=owner, others=others, culprits=list(culprits))

        await self._give_back(
            queue,
            one,
            cause="its process died",
            charged=None if others is Others.CHARGED else frozenset(culprits),
        )

    async def _give_back(
        self,
        queue: str,
        call: Callable[[], Awaitable[GivenBack]],
        *,
        cause: str,
        charged: Collection[str] | None = None,
    ) -> None:
        """Call until nothing is left, and tell of each job what became of it; `charged` None means all."""
        left = 1
        while left:
            given = await call()
            left = given.left
            for job_id in given.ids:
                event = "stalled" if charged is None or job_id in charged else "released"
                _log.info(event, queue=queue, job_id=job_id, cause=cause)
            stalled = [each for each in given.ids if charged is None or each in charged]
            if stalled and self._on_stalled is not None:
                self._on_stalled(queue, stalled)
            for job_id in given.poisoned:
                _log.info("failed", queue=queue, job_id=job_id, error_type="poison", cause=cause)
