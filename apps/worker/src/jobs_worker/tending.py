"""Looks after all queues now and then, also those that no worker serves: what expired there, what flows left behind, what is to be carried on.

A job may end without a worker: somebody cancels, removes or obliterates it, or it expires. Who waits for it elsewhere hears of that
by the outbox of its queue, and where nobody serves that queue every worker does its part.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_core.outbox import STALE_MS
from jobs_core.registry import list_queues
from jobs_worker.outages import Outages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from jobs_core.outbox import Relay
    from jobs_core.scripts import Scripts

__all__ = ["TEND_EVERY", "Tender"]

TEND_EVERY = 1.0
_ROUND = 10
_MOST = 16
_LIST_EVERY = 30.0
# So many calls in a row are made for one queue that has much to do.
_CALLS = 20
_PATIENCE = 10.0


class Tender:
    """Comes by every listed queue in about 10 s, however many there are up to 160; each call looks at the next of them."""

    def __init__(
        self, scripts: Scripts, relay: Relay, declare: Callable[[Collection[str]], Awaitable[None]]
    ) -> None:
        """Bind to the scripts, and to what carries effects; `declare` is called with the queues each time that they are listed."""
        self._scripts = scripts
        self._relay = relay
        self._declare = declare
        self._queues: list[str] = []
        self._at = 0
        self._listed = -_LIST_EVERY
        self._outages = Outages("tend")

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(self.pause * random.uniform(0.8, 1.2))
            await self.run_once()

    def look_again(self) -> None:
        """List the queues anew at the next look: the server may have lost them."""
        self._listed = -_LIST_EVERY

    @property
    def pause(self) -> float:
        """How long it rests between two looks, in seconds: few queues are looked at no more often than many."""
        return max(TEND_EVERY, _ROUND * self._at_once / (len(self._queues) or _ROUND))

    @property
    def _at_once(self) -> int:
        return min(-(-len(self._queues) // _ROUND), _MOST)

    async def run_once(self) -> None:
        """Look after the next queues."""
        queue = ""
        try:
            if time.monotonic() - self._listed >= _LIST_EVERY:
                await self._list()
                self._outages.succeeded()
            for _ in range(self._at_once):
                self._at = (self._at + 1) % len(self._queues)
                # The next round looks after the others, also where the node of this queue is away.
                queue = self._queues[self._at]
                async with asyncio.timeout(_PATIENCE):
                    await self._tend(queue)
                self._outages.succeeded(queue)
        except (JobsError, OutcomeLost, TimeoutError) as error:
            self._outages.failed(error, queue)

    async def _list(self) -> None:
        # Where the list is not to be had, the queues known so far are looked after, and the list is asked for later.
        self._listed = time.monotonic()
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        entries = await list_queues(self._scripts.client, self._scripts.prefix, deadline=deadline)
        await self._declare({entry.queue for entry in entries})
        self._queues = [entry.queue for entry in entries]
        # Workers that began together do not go round together.
        self._at = random.randrange(len(self._queues) or 1)

    async def _tend(self, queue: str) -> None:
        more, entries = await self._scripts.tend(queue)
        for _ in range(_CALLS):
            if not more:
                break
            more, entries = await self._scripts.tend(queue)
        if entries:
            await self._relay.relay(queue, age_ms=STALE_MS)
