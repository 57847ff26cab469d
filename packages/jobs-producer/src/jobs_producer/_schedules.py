"""Schedules of a producer: recurring jobs, written to the server, sent by whatever worker is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, Unpack, cast

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed, DuplicateJob
from jobs_core.names import check_queue_name
from jobs_core.queue import JobType, Queue
from jobs_core.records import job_name
from jobs_core.schedules.book import Book
from jobs_core.schedules.fires import make_definition
from jobs_core.schedules.options import ScheduleOptions, read_options
from jobs_core.schedules.records import SchedulePage, ScheduleRecord, schedule_record, utc
from jobs_producer._handle import JobHandle
from jobs_producer._part import Part
from jobs_producer._submission import told

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from jobs_core.payloads import JsonValue
    from jobs_core.schedules.book import Written
    from jobs_core.schedules.store import Stored
    from jobs_producer.sync import SyncJobHandle, SyncProducer

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["ScheduleHandle", "Schedules", "SyncSchedules"]


class ScheduleHandle:
    """A schedule that was written: `outcome` is created, changed or unchanged, `record` what is known of it then."""

    __slots__ = ("id", "outcome", "queue", "record")

    def __init__(self, outcome: Written, record: ScheduleRecord) -> None:
        """Made by `Schedules.upsert`."""
        self.id = record.id
        self.queue = record.queue
        self.outcome = outcome
        self.record = record

    def __repr__(self) -> str:
        return f"ScheduleHandle({self.queue}/{self.id}, {self.outcome})"


class Schedules(Part):
    """The schedules that a producer writes and reads. Each belongs to the queue of its jobs; ids are unique in it.

    Every call raises ConnectionFailed where the server does not answer in time; each has the same effect twice as once.
    """

    async def upsert(
        self,
        schedule_id: str | None,
        job_type: JobType[P, R],
        payload: P,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleHandle:
        """Write a schedule: it enqueues the job with this payload at the times that `cron`, `every`, `at` or `after_completion` says.

        One that is there and says the same stays as it is, so that a deploy does not reset its phase. Without an id it is
        queue:job:spec. Raises OptionError with the reason for a wrong expression, zone or option, PayloadError,
        PayloadTooLarge or CodecError.
        """
        definition = make_definition(
            schedule_id,
            job_type,
            payload,
            read_options(options),
            service=self._service,
            codecs=self._link.codecs,
        )
        deadline = self._deadline()
        await self._declare(job_type.queue, deadline)
        outcome, stored = await self._answered(self._book.upsert(definition, deadline=deadline))
        return ScheduleHandle(outcome, self._record(job_type.queue.name, stored))

    async def get(self, queue: Queue | str, schedule_id: str) -> ScheduleRecord:
        """Return what is known of a schedule. Raises ScheduleNotFound."""
        name = _name(queue)
        stored = await self._answered(self._book.find(name, schedule_id, deadline=self._deadline()))
        return self._record(name, stored)

    async def list(self, queue: Queue | str, *, offset: int = 0, limit: int = 100) -> SchedulePage:
        """List schedules of a queue, the next to fire first, those that fire no more last."""
        name = _name(queue)
        call = self._book.page(name, offset=offset, limit=limit, deadline=self._deadline())
        total, found = await self._answered(call)
        return SchedulePage(tuple(self._record(name, each) for each in found), total)

    async def remove(self, queue: Queue | str, schedule_id: str, *, keep_job: bool = False) -> bool:
        """Remove a schedule, and unless `keep_job` the job that it sent last if that has not started.

        Returns whether there was such a job. Raises ScheduleNotFound.
        """
        call = self._book.remove(_name(queue), schedule_id, keep_job=keep_job, deadline=self._deadline())
        return await self._answered(call)

    async def pause(self, queue: Queue | str, schedule_id: str, *, reason: str = "", actor: str = "") -> bool:
        """Pause a schedule; what it would have sent meanwhile is not made up for. Returns False if it was paused already.

        Raises ScheduleNotFound or ScheduleEnded.
        """
        deadline = self._deadline()
        call = self._book.pause(_name(queue), schedule_id, actor=actor, reason=reason, deadline=deadline)
        return await self._answered(call)

    async def resume(self, queue: Queue | str, schedule_id: str) -> bool:
        """Let a schedule go on with its next fire from now on. Returns False if it was not paused.

        Raises ScheduleNotFound.
        """
        return await self._answered(self._book.resume(_name(queue), schedule_id, deadline=self._deadline()))

    async def trigger(self, queue: Queue | str, schedule_id: str) -> JobHandle[JsonValue]:
        """Enqueue the job of a schedule now, also of a paused one; its own times stay as they are.

        What its `overlap` says holds: see the handle's `outcome`. Raises ScheduleNotFound.
        """
        name = _name(queue)
        call = self._book.trigger(name, schedule_id, deadline=self._deadline())
        job_id, verdict, definition = await self._answered(call)
        if verdict.sign == "x":
            raise DuplicateJob(name, job_id)
        job_type = Queue(name).dynamic_job(job_name(definition.wire_name))
        made = cast("JobType[object, JsonValue]", job_type)
        return JobHandle(self._link, made, job_id, told(name, verdict), definition.policy)

    async def backfill(self, queue: Queue | str, schedule_id: str, start: datetime, end: datetime) -> int:
        """Enqueue a job for every time that a schedule has in a range of the past, both ends included; return how many.

        Runs that are there are left alone. A time whose job is there, or that was backfilled in the last 24 h, is passed over.
        Raises ScheduleNotFound, or OptionError for a range that is not over, or has more than 10,000 times.
        """
        call = self._book.backfill(_name(queue), schedule_id, start, end, deadline=self._deadline())
        return await self._answered(call)

    async def next(self, queue: Queue | str, schedule_id: str, n: int = 5) -> tuple[datetime, ...]:
        """Return the next `n` times of a schedule, UTC; of a paused one those that it would have if it went on now.

        Raises ScheduleNotFound or OptionError.
        """
        call = self._book.next(_name(queue), schedule_id, n, deadline=self._deadline())
        return tuple(utc(each) for each in await self._answered(call))

    @property
    def _book(self) -> Book:
        return Book(self._link.scripts, self._link.codecs)

    async def _answered(self, call: Coroutine[object, object, T]) -> T:
        try:
            return await call
        except OutcomeLost as error:
            # Twice is once, so all there is to do is to ask again.
            raise ConnectionFailed(self._link.address.display, str(error)) from None

    def _record(self, queue: str, stored: Stored) -> ScheduleRecord:
        return schedule_record(queue, stored, self._link.codecs)


class SyncSchedules:
    """The same for programs without an event loop."""

    def __init__(
        self,
        producer: SyncProducer,
        handle: Callable[[JobHandle[JsonValue]], SyncJobHandle[JsonValue]],
    ) -> None:
        """Made by the producer."""
        self._producer = producer
        self._handle = handle

    def upsert(
        self,
        schedule_id: str | None,
        job_type: JobType[P, R],
        payload: P,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleHandle:
        """Write a schedule, as `Schedules.upsert`."""
        return self._producer.run(
            lambda producer: producer.schedules.upsert(schedule_id, job_type, payload, **options)
        )

    def get(self, queue: Queue | str, schedule_id: str) -> ScheduleRecord:
        """Return what is known of a schedule, as `Schedules.get`."""
        return self._producer.run(lambda producer: producer.schedules.get(queue, schedule_id))

    def list(self, queue: Queue | str, *, offset: int = 0, limit: int = 100) -> SchedulePage:
        """List schedules of a queue, as `Schedules.list`."""
        return self._producer.run(lambda producer: producer.schedules.list(queue, offset=offset, limit=limit))

    def remove(self, queue: Queue | str, schedule_id: str, *, keep_job: bool = False) -> bool:
        """Remove a schedule, as `Schedules.remove`."""
        return self._producer.run(
            lambda producer: producer.schedules.remove(queue, schedule_id, keep_job=keep_job)
        )

    def pause(self, queue: Queue | str, schedule_id: str, *, reason: str = "", actor: str = "") -> bool:
        """Pause a schedule, as `Schedules.pause`."""
        return self._producer.run(
            lambda producer: producer.schedules.pause(queue, schedule_id, reason=reason, actor=actor)
        )

    def resume(self, queue: Queue | str, schedule_id: str) -> bool:
        """Let a schedule go on, as `Schedules.resume`."""
        return self._producer.run(lambda producer: producer.schedules.resume(queue, schedule_id))

    def trigger(self, queue: Queue | str, schedule_id: str) -> SyncJobHandle[JsonValue]:
        """Enqueue the job of a schedule now, as `Schedules.trigger`."""
        return self._handle(
            self._producer.run(lambda producer: producer.schedules.trigger(queue, schedule_id))
        )

    def backfill(self, queue: Queue | str, schedule_id: str, start: datetime, end: datetime) -> int:
        """Enqueue the jobs of a range of the past, as `Schedules.backfill`."""
        return self._producer.run(
            lambda producer: producer.schedules.backfill(queue, schedule_id, start, end)
        )

    def next(self, queue: Queue | str, schedule_id: str, n: int = 5) -> tuple[datetime, ...]:
        """Return the next times of a schedule, as `Schedules.next`."""
        return self._producer.run(lambda producer: producer.schedules.next(queue, schedule_id, n))


def _name(queue: Queue | str) -> str:
    return queue.name if isinstance(queue, Queue) else check_queue_name(queue)
