"""What a lane does for its queue beside its jobs: due times, schedules, the outbox, parked jobs, and word of pauses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_core.outbox import STALE_MS
from jobs_worker.rerouting import move_parked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs_core.outbox import Relay
    from jobs_core.schedules.ticks import Ticker
    from jobs_core.scripts import Scripts
    from jobs_worker.asides import Asides
    from jobs_worker.hooks import HookCalls
    from jobs_worker.settlement import Settlement
    from jobs_worker.settling import Settled


class Upkeep:
    """The upkeep of one queue; `ticking` while its schedules are looked at."""

    def __init__(
        self,
        scripts: Scripts,
        queue: str,
        *,
        asides: Asides,
        hooks: HookCalls,
        relay: Relay,
        ticker: Ticker,
        claim: Callable[[], None],
        claim_if_free: Callable[[], bool],
    ) -> None:
        """`claim` lets the lane claim again, `claim_if_free` tells whether it could."""
        self.ticking = False
        self._scripts = scripts
        self._queue = queue
        self._asides = asides
        self._hooks = hooks
        self._relay = relay
        self._ticker = ticker
        self._claim = claim
        self._claim_if_free = claim_if_free
        self._paused = False
        self._relaying = False
        self._alarm: asyncio.TimerHandle | None = None

    def note_pause(self, *, paused: bool) -> None:
        """Let hooks hear that the queue was paused or resumed."""
        if paused != self._paused:
            self._paused = paused
            self._hooks.worker("paused" if paused else "resumed", self._queue)

    def set_alarm(self, seconds: float) -> None:
        """Look after a job that comes due."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds + 0.001, self._ring)

    def tick(self) -> None:
        """Send what the schedules of the queue have due."""
        if not self.ticking:
            self.ticking = True
            self._asides.spawn(self._tick())

    def fetch_parked(self, names: list[str]) -> None:
        """Let jobs be claimed that were parked because nobody knew their names."""
        self._asides.spawn(move_parked(self._scripts, self._queue, names, self._claim))

    def relay_old(self) -> None:
        """Relay what lies in the outbox for longer than who wrote it takes."""
        if not self._relaying:
            self._relaying = True
            self._asides.spawn(self._relay_old())

    def carry(self, settlements: Sequence[Settlement], settled: Settled) -> None:
        """Carry to other queues what settlements started there."""
        for settlement in settlements:
            self._declare_targets(settlement)
        if settled.entries:
            self._asides.spawn(self._relay.carry(self._queue, settled.epoch, settled.entries))
        if settled.posted:
            self._asides.spawn(self._relay.relay(self._queue, ids=settled.posted))

    def close(self) -> None:
        """Forget what comes due."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        if not self._claim_if_free():
            # No slot is free here, but idle owners elsewhere are woken by what becomes ready.
            self._asides.spawn(self._scripts.promote(self._queue))

    def _declare_targets(self, settlement: Settlement) -> None:
        """Let the queues that a handler enqueued into be declared before the first job of it arrives."""
        ctx = settlement.delivery.ctx
        if settlement.effects and ctx is not None and ctx.collector is not None:
            for queue in ctx.collector.queues.values():
                self._relay.declare(queue)

    async def _tick(self) -> None:
        try:
            await self._ticker.run()
        finally:
            self.ticking = False

    async def _relay_old(self) -> None:
        try:
            await self._relay.relay(self._queue, age_ms=STALE_MS)
        finally:
            self._relaying = False
