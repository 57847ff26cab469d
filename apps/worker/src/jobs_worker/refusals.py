"""Settlements that the server refused to carry out: tried again one by one, so that one of them holds up no others.

Nothing is lost by it: the job stays with its owner, whose lease goes on, and how it ended is kept here. After a few refusals its job is
failed for good instead, so that somebody sees it; where the server refuses that as well both are tried again, ever less often.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from jobs_worker import logs
from jobs_worker.sessions import Session
from jobs_worker.settlement import refused
from jobs_worker.settling import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from jobs_core.scripts import Scripts
    from jobs_worker.delivery import Delivery
    from jobs_worker.settlement import Settlement
    from jobs_worker.settling import Settled
    from jobs_worker.telling import Teller

TRIES = 5
# A lane that has this many stops settling others, and so claiming: then it is not one job that is at fault.
MOST = 128
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_log = logs.get("jobs.worker")


class _Held:
    """A settlement, how often it was refused, and when it is tried again."""

    __slots__ = ("due", "refusals", "settlement")

    def __init__(self, settlement: Settlement, due: float) -> None:
        self.settlement = settlement
        self.refusals = 0
        self.due = due


class Refusals:
    """What of one lane was refused."""

    def __init__(
        self,
        scripts: Scripts,
        queue: str,
        worker: str,
        teller: Teller,
        *,
        spawn: Callable[[Coroutine[object, object, object]], None],
        settled: Callable[[Sequence[Settlement], Settled], None],
        failed: Callable[[Settlement, Settlement], None],
    ) -> None:
        """`settled` is told what the server took in the end, `failed` what is settled instead of what."""
        self._scripts = scripts
        self._queue = queue
        self._worker = worker
        self._teller = teller
        self._spawn = spawn
        self._settled = settled
        self._failed = failed
        self._session = Session.drawn()
        self._held: list[_Held] = []
        self._room = asyncio.Event()
        self._came = asyncio.Event()
        self._working = False

    @property
    def fences(self) -> set[int]:
        """The fences of the deliveries that are not settled for it."""
        return {each.settlement.delivery.fence for each in self._held}

    async def take(self, settlements: Sequence[Settlement], error: Exception) -> None:
        """Take what the server refused in one call, and wait while there is too much of it."""
        _log.warning("settlements_refused", queue=self._queue, jobs=len(settlements), error=str(error))
        now = asyncio.get_running_loop().time()
        self._held += [_Held(each, now) for each in settlements]
        self._came.set()
        if not self._working:
            self._working = True
            self._spawn(self._work())
        while len(self._held) > MOST:
            self._room.clear()
            await self._room.wait()

    def drop(self, owner: str) -> list[Delivery]:
        """Forget what an owner held who is gone, and name it: its jobs run elsewhere."""
        gone = [each for each in self._held if each.settlement.delivery.owner == owner]
        self._held = [each for each in self._held if each not in gone]
        self._room.set()
        self._came.set()
        return [each.settlement.delivery for each in gone]

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._held:
                held = min(self._held, key=lambda each: each.due)
                if held.due > loop.time():
                    self._came.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(held.due):
                            await self._came.wait()
                elif await self._try(held) and held in self._held:
                    self._held.remove(held)
                    self._room.set()
        finally:
            self._working = False

    async def _try(self, held: _Held) -> bool:
        """Settle one. Returns whether the server took it, or what is said instead."""
        if await self._settle(held.settlement):
            return True
        held.refusals += 1
        if held.refusals >= TRIES:
            # Said of it again at each try, for what refuses it may be mended meanwhile, and then it ends as it did.
            instead = refused(held.settlement, self._worker)
            if await self._settle(instead):
                self._failed(held.settlement, instead)
                return True
        pause = min(_FIRST_PAUSE * 2 ** (held.refusals - 1), _LONGEST_PAUSE)
        held.due = asyncio.get_running_loop().time() + pause
        return False

    async def _settle(self, settlement: Settlement) -> bool:
        try:
            settled = await settle(self._scripts, self._queue, self._session, [settlement], self._teller)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is tried again
            _log.error(
                "settlement_refused",
                queue=self._queue,
                job_id=settlement.delivery.id,
                job=settlement.delivery.header.name,
                verb=settlement.verb,
                error=str(error),
            )
            return False
        # A call that failed may have settled some of its jobs: those are no longer here, and not lost.
        self._settled([settlement], settled.without_lost())
        return True
