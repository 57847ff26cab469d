"""Compares what the server holds for an owner with what runs here: the two part where a server lost writes that it had answered.

A lost settlement leaves its job with an owner that does not run it any more, for as long as the owner lives; a lost claim leaves a
handler at work on a job that waits again. Sessions cannot tell, for a lane that is idle makes no further call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.scripts import MAX_ITEMS, Group
from jobs_worker import logs
from jobs_worker.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Scripts
    from jobs_worker.delivery import Delivery
    from jobs_worker.ownership import Ownership

RECONCILE_EVERY = 15.0
"""How long a lane rests between two looks, in seconds. What is left with an owner is given back by the second one that finds it."""

_NAMED = 20
_log = logs.get("jobs.worker")


class Reconciler:
    """Looks at one lane."""

    def __init__(
        self,
        scripts: Scripts,
        queue: str,
        owner: Ownership,
        *,
        running: Callable[[], Iterable[Delivery]],
        known: Callable[[], set[int]],
        claims: Callable[[], set[tuple[str, int]]],
        starting: Callable[[], bool],
        lose: Callable[[Iterable[Delivery]], None],
    ) -> None:
        """Bind to a lane: `running` are the deliveries whose handlers run, `known` the fences of what is not settled, but for what is about to start.

        `claims` names those whose answers are not here, `starting` tells whether jobs are about to start, and `lose` stops handlers.
        """
        self._scripts = scripts
        self._queue = queue
        self._owner = owner
        self._running = running
        self._known = known
        self._claims = claims
        self._starting = starting
        self._lose = lose
        self._session = Session.drawn()
        self._strange: dict[int, str] = {}
        self._awaited: set[tuple[str, int]] = set()

    async def look(self) -> None:
        """Stop what the server does not hold, and give back what it holds and nobody here knows, at the second look that finds it.

        Raises what the scripts raise.
        """
        owner = self._owner.name
        if not self._owner.registered:
            return
        running, known = {each for each in self._running() if each.owner == owner}, {*self._known()}
        held = await self._held(owner)
        if owner != self._owner.name:
            self._strange = {}
            return
        lost = [each for each in self._running() if each in running and each.fence not in held]
        if lost:
            self._lose(lost)
        known |= self._known()
        strange = {fence: job_id for fence, job_id in held.items() if fence not in known}
        awaited = self._claims()
        if self._awaited & awaited or self._starting():
            # What a claim took that was under way at the last look may not have come yet, or be about to start.
            return
        left = [(job_id, fence) for fence, job_id in strange.items() if fence in self._strange]
        self._strange, self._awaited = strange, awaited
        for start in range(0, len(left), MAX_ITEMS):
            await self._give_back(owner, left[start : start + MAX_ITEMS])

    async def _held(self, owner: str) -> dict[int, str]:
        """Return what the server holds for the owner: ids by their fences."""
        held: dict[int, str] = {}
        after = 0
        while page := await self._scripts.held(self._queue, owner=owner, after=after):
            held |= page
            after = max(page)
        return held

    async def _give_back(self, owner: str, left: list[tuple[str, int]]) -> None:
        items: list[Encodable] = []
        for job_id, fence in left:
            items += (job_id, fence, 0, b"")
        self._session.advance()
        settled = await self._scripts.settle(
            self._queue,
            session=self._session.name,
            seq=self._session.number,
            owner=owner,
            groups=[Group("release", "", items)],
        )
        back = [
            job_id for (job_id, _), verdict in zip(left, settled.verdict, strict=False) if verdict != ord("0")
        ]
        if back:
            # Their settlements were answered, and lost by the server.
            _log.warning("given_back", queue=self._queue, jobs=len(back), job_ids=back[:_NAMED])
