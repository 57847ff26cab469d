"""Which queues there are, and what each has: looked up before anything is read of one or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.errors import UnknownQueue
from jobs_core.names import check_queue_name, nearest
from jobs_core.registry import list_queues

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobs_admin._calls import Calls
    from jobs_core.scripts import Tally


class Directory:
    """The queues that somebody used, or that `declared` names."""

    def __init__(self, calls: Calls, declared: Collection[str]) -> None:
        """Bind to the calls of an admin."""
        self._calls = calls
        self.declared = frozenset(declared)

    async def names(self) -> list[str]:
        """Return the names of all queues that somebody used, sorted."""
        scripts = self._calls.scripts
        entries = await self._calls.read(list_queues(scripts.client, scripts.prefix))
        return [entry.queue for entry in entries]

    async def chosen(self, queue: str | None) -> list[str]:
        """Return the queue that is asked for, or all where none is. Raises UnknownQueue."""
        if queue is None:
            return await self.names()
        await self.check(queue)
        return [queue]

    async def check(self, queue: str) -> None:
        """Raise UnknownQueue for a queue that nobody used: a mistyped name would be changed in vain."""
        check_queue_name(queue)
        if queue in self.declared or await self._calls.exists(queue):
            return
        names = await self.names()
        if queue not in names:
            raise UnknownQueue(queue, nearest(queue, {*names, *self.declared}))

    async def tally(self, queue: str) -> Tally:
        """Return the counts of a queue. Raises UnknownQueue."""
        tally = await self._calls.tally(check_queue_name(queue))
        if not tally.used:
            await self.check(queue)
        return tally

    async def tallies(self, skip: Collection[str] = ()) -> dict[str, Tally]:
        """Return the counts of all queues but those to skip, by name."""
        names = [name for name in await self.names() if name not in skip]
        return await self._calls.read(self._calls.scripts.tally(names))
