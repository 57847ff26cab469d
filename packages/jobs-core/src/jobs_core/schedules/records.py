"""A schedule as it is told to people and programs: the same keys in Python, `--json` and REST."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.options import MetaValue, decode_policy
from jobs_core.payloads import JsonValue
from jobs_core.records import job_name, shown_payload
from jobs_core.schedules.definition import Misfire, Overlap
from jobs_core.schedules.recurrence import AfterCompletion, At, CronTimes, Every, explain
from jobs_core.schedules.store import ACTIVE, PAUSED, act_ms
from jobs_core.states import Priority

if TYPE_CHECKING:
    from jobs_core.schedules.store import Stored

__all__ = ["SchedulePage", "ScheduleRecord", "ScheduleState", "schedule_record", "utc"]

ScheduleState: TypeAlias = Literal["active", "paused", "ended"]


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule and what is known of it. Times are UTC, durations milliseconds; None means none.

    One of `cron` (on the wall clock of `timezone`), `every_ms`, `at` and `after_completion_ms` is given; `explained` says it in words.
    `next_at` is the next fire,
    `next_run_at` when it is sent (later by the jitter); of one that waits for the end of a run both are None. `fired` jobs were sent, `late`
    of them over 10 s late; of the other fires `skipped` fell to the misfire policy, `missed` were older than the catch-up window,
    `overlapped` found the run before still there. `note` says why it is paused, or why its next fire was put off.
    """

    id: str
    queue: str
    name: str
    payload: JsonValue
    state: ScheduleState
    cron: str | None = None
    timezone: str = "UTC"
    every_ms: int | None = None
    at: tuple[datetime, ...] = ()
    after_completion_ms: int | None = None
    explained: str = ""
    next_at: datetime | None = None
    next_run_at: datetime | None = None
    last_at: datetime | None = None
    last_job: str | None = None
    fired: int = 0
    late: int = 0
    skipped: int = 0
    missed: int = 0
    overlapped: int = 0
    start: datetime | None = None
    end: datetime | None = None
    limit: int | None = None
    jitter_ms: int = 0
    overlap: Overlap = "allow"
    misfire: Misfire = "run_once"
    misfire_max: int | None = None
    catch_up_window_ms: int = 0
    pause_on_failure: bool = False
    from_code: bool = False
    priority: str = "normal"
    attempts: int = 0
    metadata: dict[str, MetaValue] = {}
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str = ""
    note: str = ""


class SchedulePage(msgspec.Struct, frozen=True):
    """Some schedules of a queue, the next to fire first, those that fire no more last; `total` is how many there are."""

    schedules: tuple[ScheduleRecord, ...]
    total: int


def schedule_record(queue: str, stored: Stored, codecs: Codecs | None = None) -> ScheduleRecord:
    """Make the record of a schedule; an encrypted payload is shown where the keys are."""
    definition = stored.definition
    recurrence = definition.recurrence
    place = Place(queue, definition.wire_name, f"schedule:{definition.id}")
    paused = stored.status == PAUSED
    upcoming = stored.next_ms if stored.status == ACTIVE else 0
    return ScheduleRecord(
        id=definition.id,
        queue=queue,
        name=job_name(definition.wire_name),
        payload=shown_payload(place, definition.payload, definition.codec, codecs)
        if not stored.fault
        else None,
        state="active" if stored.status == ACTIVE else "paused" if paused else "ended",
        cron=recurrence.expression if isinstance(recurrence, CronTimes) else None,
        timezone=recurrence.timezone if isinstance(recurrence, CronTimes) else "UTC",
        every_ms=recurrence.interval_ms if isinstance(recurrence, Every) else None,
        at=tuple(map(utc, recurrence.instants_ms)) if isinstance(recurrence, At) else (),
        after_completion_ms=recurrence.delay_ms if isinstance(recurrence, AfterCompletion) else None,
        explained=explain(recurrence),
        next_at=utc(upcoming) if upcoming else None,
        next_run_at=utc(act_ms(definition, upcoming)) if upcoming else None,
        last_at=utc(stored.last_ms) if stored.last_ms else None,
        last_job=stored.last_job or None,
        fired=stored.fired,
        late=stored.late,
        skipped=stored.skipped,
        missed=stored.missed,
        overlapped=stored.overlapped,
        start=None if definition.start_ms is None else utc(definition.start_ms),
        end=None if definition.end_ms is None else utc(definition.end_ms),
        limit=definition.limit,
        jitter_ms=definition.jitter_ms,
        overlap=definition.overlap,
        misfire=definition.misfire,
        misfire_max=definition.misfire_max or None,
        catch_up_window_ms=definition.catch_up_ms,
        pause_on_failure=definition.pause_on_failure,
        from_code=definition.from_code,
        priority=Priority(definition.priority).name.lower(),
        attempts=decode_policy(definition.policy).attempts if definition.policy else 0,
        metadata=definition.metadata or {},
        tags=definition.tags or (),
        created_at=utc(stored.since_ms),
        paused_at=utc(stored.note_ms) if paused and stored.note_ms else None,
        paused_by=stored.actor if paused else "",
        note=stored.fault or stored.note,
    )


def utc(ms: int) -> datetime:
    """Return an instant (Unix ms) as a date-time in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)
