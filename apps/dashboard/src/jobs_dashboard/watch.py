"""The counts of all queues and the workers, looked at once for all who want to know."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from jobs_dashboard.records import Overview, QueueLive, Stats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_admin import Admin, LiveRecord, WorkerRecord

__all__ = ["Watch"]

# Rates are over so many seconds: of one alone they would jump.
_OVER_S = 5.0
_FRESH_S = 1.5
# Queues that did not change for so many looks are looked at each so many only, and at most so many queues a look: the server
# is there for jobs first.
_QUIET_AFTER = 3
_QUIET_EVERY = 4
_MOST = 64


class _Sample(msgspec.Struct, frozen=True):
    at: float
    totals: Mapping[str, tuple[int, int, int]]


class Watch:
    """Looks, and remembers what it saw before."""

    def __init__(self, admin: Admin) -> None:
        """Look by way of an admin."""
        self._admin = admin
        self._samples: list[_Sample] = []
        self._at: datetime | None = None
        self._queues: dict[str, QueueLive] = {}
        self._workers: dict[str, WorkerRecord] = {}
        self._before: tuple[dict[str, QueueLive], dict[str, WorkerRecord]] = ({}, {})
        self._looking: asyncio.Task[None] | None = None
        self._number = 0
        # By queue the number of the last look at it, and for how many looks it did not change.
        self._looked_at: dict[str, int] = {}
        self._unchanged: dict[str, int] = {}

    async def overview(self) -> Overview:
        """Return what was seen a moment ago, or what there is now. Raises ConnectionFailed."""
        now = asyncio.get_running_loop().time()
        if self._at is None or now - self._samples[-1].at > _FRESH_S:
            await self.look()
        at = self._at or datetime.now(UTC)
        return Overview(at=at, queues=(*self._queues.values(),), workers=(*self._workers.values(),))

    async def look(self) -> None:
        """Look now; who asks meanwhile shares it. Raises ConnectionFailed."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="jobs-look")
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    def snapshot(self, queues: frozenset[str]) -> Stats | None:
        """Return all that was seen last, of some queues alone unless there are none; None before the first look."""
        if self._at is None:
            return None
        return self._stats(queues, full=True)

    def changes(self, queues: frozenset[str]) -> Stats:
        """Return what is different from the look before."""
        return self._stats(queues, full=False)

    def _stats(self, queues: frozenset[str], *, full: bool) -> Stats:
        past_queues, past_workers = ({}, {}) if full else self._before
        return Stats(
            at=self._at or datetime.now(UTC),
            full=full,
            queues=tuple(
                each
                for name, each in self._queues.items()
                if (not queues or name in queues) and past_queues.get(name) != each
            ),
            workers=tuple(each for name, each in self._workers.items() if past_workers.get(name) != each),
            gone_queues=tuple(name for name in past_queues if name not in self._queues),
            gone_workers=tuple(name for name in past_workers if name not in self._workers),
        )

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled():
            task.exception()

    async def _look(self) -> None:
        self._number += 1
        skipped = self._skipped()
        records, workers = await asyncio.gather(self._admin.live(skipped), self._admin.workers())
        now = asyncio.get_running_loop().time()
        totals = {each.queue: (each.added, each.completed, each.failed) for each in records}
        self._samples = [each for each in self._samples if now - each.at <= _OVER_S][-10:]
        self._before = (self._queues, self._workers)
        seen = {each.queue: self._live(each, now) for each in records}
        for name, record in seen.items():
            self._looked_at[name] = self._number
            same = self._queues.get(name) == record
            self._unchanged[name] = self._unchanged.get(name, 0) + 1 if same else 0
        kept = {name: each for name, each in self._queues.items() if name in skipped}
        self._queues = dict(sorted((kept | seen).items()))
        self._workers = {each.id: each for each in workers}
        self._samples.append(_Sample(now, totals))
        self._at = datetime.now(UTC)

    def _skipped(self) -> set[str]:
        """Return the queues that this look leaves out."""
        due = {
            name
            for name in self._queues
            if self._unchanged[name] < _QUIET_AFTER or self._number - self._looked_at[name] >= _QUIET_EVERY
        }
        if len(due) > _MOST:
            due = set(sorted(due, key=self._looked_at.__getitem__)[:_MOST])
        return self._queues.keys() - due

    def _live(self, record: LiveRecord, now: float) -> QueueLive:
        past = next((each for each in self._samples if record.queue in each.totals), None)
        if past is None or now - past.at < 0.5:
            return QueueLive(**asdict(record))
        seconds = now - past.at
        counts = (record.added, record.completed, record.failed)
        # Totals begin anew where a queue is obliterated.
        added, completed, failed = (
            round(max(count - before, 0) / seconds, 2)
            for count, before in zip(counts, past.totals[record.queue], strict=True)
        )
        return QueueLive(**asdict(record), added_per_s=added, completed_per_s=completed, failed_per_s=failed)
