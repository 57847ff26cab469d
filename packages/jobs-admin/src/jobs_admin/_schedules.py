"""Schedules of queues, for operators: written, read, paused, resumed, triggered, backfilled and removed, with an entry in the audit."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, Unpack, cast

from jobs_core.codecs import Codecs
from jobs_core.names import check_queue_name
from jobs_core.registry import announce_queue, queue_entry
from jobs_core.schedules.book import Book
from jobs_core.schedules.fires import make_definition
from jobs_core.schedules.options import ScheduleOptions, read_options
from jobs_core.schedules.records import SchedulePage, schedule_record, utc
from jobs_core.wire import Verdict

if TYPE_CHECKING:
    from jobs_admin._context import Context
    from jobs_core.options import DefaultJobOptions
    from jobs_core.queue import JobType, Queue
    from jobs_core.schedules.book import Written
    from jobs_core.schedules.definition import ScheduleDefinition
    from jobs_core.schedules.records import ScheduleRecord
    from jobs_core.schedules.store import Stored

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["ScheduleAdmin"]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_Scored: TypeAlias = "list[tuple[bytes, float]]"


class ScheduleAdmin:
    """The schedules of queues. Each belongs to the queue of its jobs; ids are unique in it."""

    def __init__(self, context: Context) -> None:
        """Made by the admin, for whoever acts."""
        self._calls = context.calls
        self._audit = context.audit
        self._directory = context.directory
        self._redaction = context.redaction
        self._codecs = context.scripts.codecs or Codecs()
        self._book = Book(context.scripts, self._codecs)

    async def get(self, queue: str, schedule_id: str) -> ScheduleRecord:
        """Return what is known of a schedule. Raises ScheduleNotFound."""
        stored = await self._calls.read(self._book.find(check_queue_name(queue), schedule_id))
        return self._record(queue, stored)

    async def upsert(
        self,
        schedule_id: str | None,
        job_type: JobType[P, R],
        payload: P,
        *,
        default_job_options: DefaultJobOptions | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> tuple[Written, ScheduleRecord]:
        """Write a schedule, as `producer.schedules.upsert` does. Returns created, changed or unchanged, and what is known of it.

        `default_job_options` are those of the service. Raises OptionError, PayloadError, PayloadTooLarge or CodecError.
        """
        definition = make_definition(
            schedule_id,
            job_type,
            payload,
            read_options(options),
            service=default_job_options,
            codecs=self._codecs,
        )
        queue = job_type.queue
        outcome, stored = await self._calls.change(self._write(queue, definition))
        await self._audit.enter(
            "schedule.add", queue.name, definition.id, int(outcome != "unchanged"), outcome
        )
        return outcome, self._record(queue.name, stored)

    async def _write(self, queue: Queue, definition: ScheduleDefinition) -> tuple[Written, Stored]:
        """Write a schedule of a queue that perhaps nobody used before."""
        scripts = self._calls.scripts
        await scripts.declare(queue.name, definition=queue.definition_hash, fields=queue.definition())
        await announce_queue(scripts.client, scripts.prefix, queue_entry(queue))
        return await self._book.upsert(definition)

    async def list(self, queue: str, *, offset: int = 0, limit: int = 100) -> SchedulePage:
        """List schedules of a queue, the next to fire first, those that fire no more last."""
        call = self._book.page(check_queue_name(queue), offset=offset, limit=limit)
        total, found = await self._calls.read(call)
        return SchedulePage(tuple(self._record(queue, each) for each in found), total)

    async def list_all(self, *, limit: int = 100) -> SchedulePage:
        """List schedules of all queues, the next to fire first, those that fire no more last."""
        calls, scripts = self._calls, self._calls.scripts
        names = await self._directory.names()
        keys = [f"{scripts.key(name)}sched" for name in names]
        counts = await calls.read_all([calls.client.call("ZCARD", key) for key in keys])
        heads = await calls.read_all(
            [calls.client.call("ZRANGE", key, 0, limit - 1, "WITHSCORES") for key in keys]
        )
        # By their places alone it is known which are told, so that no others are read.
        places = sorted(
            (at, name) for name, head in zip(names, heads, strict=True) for _, at in cast("_Scored", head)
        )
        wanted = Counter(name for _, name in places[:limit])
        pages = await asyncio.gather(*(self.list(name, limit=count) for name, count in wanted.items()))
        found = sorted(
            (each for page in pages for each in page.schedules),
            key=lambda each: (each.next_run_at or _NEVER, each.queue, each.id),
        )
        return SchedulePage(tuple(found), sum(cast("list[int]", counts)))

    async def next(self, queue: str, schedule_id: str, n: int = 5) -> tuple[datetime, ...]:
        """Return the next `n` times of a schedule, UTC; of a paused one those that it would have if it went on now.

        Raises ScheduleNotFound or OptionError.
        """
        found = await self._calls.read(self._book.next(check_queue_name(queue), schedule_id, n))
        return tuple(map(utc, found))

    async def pause(self, queue: str, schedule_id: str, *, reason: str = "") -> bool:
        """Pause a schedule; what it would have sent meanwhile is not made up for. Returns False if it was paused already.

        Raises ScheduleNotFound or ScheduleEnded.
        """
        name = check_queue_name(queue)
        call = self._book.pause(name, schedule_id, actor=self._audit.actor, reason=reason)
        done = await self._calls.change(call)
        await self._audit.enter("schedule.pause", queue, schedule_id, int(done), reason=reason)
        return done

    async def resume(self, queue: str, schedule_id: str) -> bool:
        """Let a schedule go on with its next fire from now on. Returns False if it was not paused.

        Raises ScheduleNotFound.
        """
        done = await self._calls.change(self._book.resume(check_queue_name(queue), schedule_id))
        await self._audit.enter("schedule.resume", queue, schedule_id, int(done))
        return done

    async def trigger(self, queue: str, schedule_id: str) -> str:
        """Enqueue the job of a schedule now, also of a paused one; its own times stay as they are.

        Returns the id of the job that stands for it: where `overlap` is skip, that may be one which runs. Raises ScheduleNotFound.
        """
        job_id, verdict, _ = await self._calls.change(
            self._book.trigger(check_queue_name(queue), schedule_id)
        )
        await self._audit.enter("schedule.trigger", queue, schedule_id, int(verdict == Verdict("1")), job_id)
        return job_id

    async def backfill(self, queue: str, schedule_id: str, start: datetime, end: datetime) -> int:
        """Enqueue a job for every time that a schedule has in a range of the past, both ends included; return how many.

        A time whose job is there, or that was backfilled in the last 24 h, is passed over. Raises ScheduleNotFound, or
        OptionError for a range that is not over, or has more than 10,000 times.
        """
        count = await self._calls.change(
            self._book.backfill(check_queue_name(queue), schedule_id, start, end)
        )
        detail = f"{start.isoformat()} to {end.isoformat()}"
        await self._audit.enter("schedule.backfill", queue, schedule_id, count, detail)
        return count

    async def remove(self, queue: str, schedule_id: str, *, keep_job: bool = False) -> bool:
        """Remove a schedule, and unless `keep_job` the job that it sent last if that has not started.

        Returns whether there was such a job. Raises ScheduleNotFound.
        """
        call = self._book.remove(check_queue_name(queue), schedule_id, keep_job=keep_job)
        with_job = await self._calls.change(call)
        await self._audit.enter("schedule.remove", queue, schedule_id, 1, "with its job" if with_job else "")
        return with_job

    def _record(self, queue: str, stored: Stored) -> ScheduleRecord:
        record = schedule_record(queue, stored, self._codecs)
        return record if self._redaction is None else self._redaction.schedule(record)
