"""What changes take, and what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from jobs_admin import BulkVerb
from jobs_core.alerts import AlertName
from jobs_core.payloads import JsonValue
from jobs_core.records import JobRecord
from jobs_core.schedules.definition import Overlap
from jobs_core.schedules.records import ScheduleRecord
from jobs_dashboard.problems import Problem
from jobs_dashboard.records import Change, JobId, Name, Reason, ScheduleId

__all__ = [
    "AlertChange",
    "Backfill",
    "Backfilled",
    "BulkChange",
    "BulkId",
    "Changed",
    "Clean",
    "Drain",
    "Enqueue",
    "EnqueueItem",
    "Enqueued",
    "Limits",
    "Many",
    "Obliterate",
    "Pause",
    "PriorityChange",
    "Rate",
    "ReasonQuery",
    "RemoveScheduleQuery",
    "Replay",
    "ReplayLetters",
    "Reschedule",
    "Resume",
    "Retried",
    "RetryFailed",
    "ScaleChange",
    "ScheduleWrite",
    "ScheduleWritten",
    "Triggered",
    "WorkerConcurrency",
    "WorkerState",
]

PriorityValue: TypeAlias = (
    Literal["critical", "high", "normal", "low", "background"] | Annotated[int, Meta(ge=1, le=5)]
)
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Instant: TypeAlias = Annotated[
    datetime, Meta(tz=True, description="With its zone, such as 2027-01-31T09:00:00Z.")
]
Slots: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]


class Changed(msgspec.Struct, frozen=True):
    """Whether anything was changed: false where it was so already."""

    changed: bool


class ReasonQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Why, where there is no body to say it in."""

    reason: Reason = ""


class Enqueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job to add: its name (or name@version), its payload (`{}` without one), and job options as `jobs enqueue --bulk` takes them."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, JsonValue] = {}


class Enqueued(JobRecord, frozen=True, kw_only=True):
    """A job that was taken. `created` is false, and `outcome` says more, where another job stands for it."""

    created: bool
    outcome: str


class EnqueueItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one job of an array: `job` with status 202, else `problem`."""

    status: int
    job: Enqueued | None = None
    problem: Problem | None = None


class PriorityChange(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which priority."""

    to: PriorityValue


class Reschedule(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a job is due: after so long from now, or at an instant."""

    delay_ms: Milliseconds | None = None
    run_at: Instant | None = None


class Replay(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different in the new life of a job. Another payload needs the role admin; `***` in it keeps what is hidden."""

    priority: PriorityValue | None = None
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Pause(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is paused: the queue, or of it a job name or a key; for so long, or until it is resumed."""

    job: Name | None = None
    key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    for_ms: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class Resume(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes on: the queue, or of it a job name or a key."""

    job: Name | None = None
    key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `max` starts in `per_ms`, `burst` at once (null: `max`)."""

    max: Slots
    per_ms: Annotated[int, Meta(ge=1, le=2**40)] = 1000
    burst: Slots | None = None


class Limits(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits to set live: a value, null for no limit, `declared` to take back what was set; what is not given stays."""

    max_active: Slots | Literal["declared"] | msgspec.UnsetType | None = msgspec.UNSET
    rate_limit: Rate | Literal["declared"] | msgspec.UnsetType | None = msgspec.UNSET
    key_concurrency: Slots | Literal["declared"] | msgspec.UnsetType | None = msgspec.UNSET
    key_rate: Rate | Literal["declared"] | msgspec.UnsetType | None = msgspec.UNSET


class AlertChange(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alert, and its threshold (`oldest` in seconds): null turns it off, `declared` takes back what was set."""

    alert: AlertName
    threshold: Annotated[float, Meta(ge=0, le=2**40)] | Literal["declared"] | None


class ScaleChange(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many children of each worker serve the queue; null lets go of what was set."""

    number: Annotated[int, Meta(ge=0, le=1024)] | None


class WorkerConcurrency(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs of a queue each child of the worker runs at once, until it ends."""

    queue: Name
    number: Annotated[int, Meta(ge=1, le=10_000)]


class WorkerState(msgspec.Struct, frozen=True):
    """What a worker says it does now."""

    state: str


class ScheduleWrite(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule: its job and payload (`{}` without one), and when it fires, by one of `cron`, `every_ms`, `at` and `after_completion_ms`.

    `misfire` is `run_once`, `skip`, or how many missed fires are made up for at most. `options` are those of its jobs.
    """

    queue: Name
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: ScheduleId | None = None
    cron: Annotated[str, Meta(max_length=200)] | None = None
    timezone: Annotated[str, Meta(max_length=100)] | None = None
    every_ms: Milliseconds | None = None
    at: Annotated[tuple[Instant, ...], Meta(max_length=1000)] | None = None
    after_completion_ms: Milliseconds | None = None
    start: Instant | None = None
    end: Instant | None = None
    limit: Annotated[int, Meta(ge=1, le=2**32 - 1)] | None = None
    jitter_ms: Milliseconds | None = None
    overlap: Overlap | None = None
    misfire: Literal["run_once", "skip"] | Annotated[int, Meta(ge=1, le=10_000)] | None = None
    catch_up_window_ms: Milliseconds | None = None
    pause_on_failure: bool | None = None
    options: dict[str, JsonValue] = msgspec.field(default_factory=dict[str, JsonValue])


class ScheduleWritten(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, and whether it was `created`, `changed` or `unchanged`."""

    outcome: str
    schedule: ScheduleRecord


class RemoveScheduleQuery(ReasonQuery, frozen=True, kw_only=True):
    """Whether the job that it sent last is left, where that has not started."""

    keep_job: bool = False


class Retried(msgspec.Struct, frozen=True):
    """How many jobs of a flow run again, or wait again."""

    count: int


class Triggered(msgspec.Struct, frozen=True):
    """The job that stands for a fire by hand."""

    job: JobId


class Backfill(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range of the past, both ends included."""

    start: Instant
    end: Instant


class Backfilled(msgspec.Struct, frozen=True):
    """How many jobs were enqueued."""

    count: int


BulkId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, description="Id of the bulk action.")]
Most: TypeAlias = Annotated[int, Meta(ge=0, le=2**53, description="How many jobs at most.")]
PerSecond: TypeAlias = Annotated[float, Meta(gt=0, le=1_000_000, description="How many jobs a second.")]
Ended: TypeAlias = Literal["completed", "failed", "cancelled", "expired"]


class Many(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of every change of many jobs: `dry_run` only counts; it begins after `undo_window_ms`, and can be undone until then."""

    dry_run: bool = False
    undo_window_ms: Annotated[int, Meta(ge=0, le=300_000)] = 0


class BulkChange(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of all jobs of a queue that a query means; `to` is for priority, `delay_ms` or `run_at` for reschedule."""

    verb: BulkVerb
    queue: Name
    q: Annotated[str, Meta(min_length=1, max_length=2000)]
    to: PriorityValue | None = None
    delay_ms: Milliseconds | None = None
    run_at: Instant | None = None
    limit: Most | None = None
    rate: PerSecond | None = None


class Drain(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether what is not yet due goes too."""

    delayed: bool = False


class Clean(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the jobs that ended."""

    state: Annotated[tuple[Ended, ...], Meta(min_length=1, max_length=4)] = ("completed",)
    older_than_ms: Milliseconds = 0
    limit: Most | None = None


class RetryFailed(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Most | None = None


class Obliterate(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of the queue once more, and whether jobs that run are cancelled."""

    confirm: Annotated[str, Meta(max_length=64)] = ""
    force: bool = False


class ReplayLetters(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters: of a queue, a job, a kind of error (or a part of its name); and how they run again."""

    queue: Name | None = None
    name: Annotated[str, Meta(max_length=80)] | None = None
    group: Annotated[str, Meta(max_length=500)] | None = None
    priority: PriorityValue | None = None
    limit: Most | None = None
    rate: PerSecond | None = None
