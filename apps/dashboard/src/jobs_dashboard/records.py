"""What the API takes and answers besides the records of the packages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from jobs_admin import LiveRecord, WorkerRecord
from jobs_core.options import MetaValue
from jobs_core.payloads import JsonValue
from jobs_core.records import AttemptRecord
from jobs_core.states import State
from jobs_dashboard.roles import RoleName

__all__ = [
    "AlertsQuery",
    "AuditQuery",
    "Change",
    "Declared",
    "DeclaredJob",
    "ErrorsQuery",
    "EventsQuery",
    "FlowId",
    "FlowJobsQuery",
    "FlowQuery",
    "FlowsQuery",
    "HistoryQuery",
    "JobId",
    "JobTypeSchema",
    "JobsQuery",
    "Letter",
    "LetterGroupsQuery",
    "LetterPage",
    "LettersQuery",
    "Limit",
    "ListQuery",
    "LogsQuery",
    "Name",
    "NextQuery",
    "NextTimes",
    "Nothing",
    "Overview",
    "QueueLive",
    "Reason",
    "ScalerQuery",
    "ScheduleId",
    "SchedulesQuery",
    "SeriesQuery",
    "ServerRecord",
    "Session",
    "SignIn",
    "SignInWay",
    "Stats",
    "Status",
    "WorkerId",
]

Name: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name of a queue, or of a job.")
]
JobId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=128, description="Id of the job, percent-encoded.")
]
ScheduleId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=100, description="Id of the schedule, percent-encoded.")
]
FlowId: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=128, description="Id of the flow, or of one of its jobs, percent-encoded."),
]
WorkerId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=200, description="Id of the worker, percent-encoded.")
]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=500, description="How many at most.")]
Cursor: TypeAlias = Annotated[
    str, Meta(max_length=2000, description="Where to go on: that of the page before.")
]
Reason: TypeAlias = Annotated[str, Meta(max_length=1000, description="Why, for the audit.")]


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of every change."""

    reason: Reason = ""


class Nothing(msgspec.Struct, frozen=True):
    """Nothing more to say."""


class Status(msgspec.Struct, frozen=True):
    """Whether the dashboard, or the server behind it, answers."""

    status: Literal["ok", "unreachable"]


SignInWay: TypeAlias = Literal["token", "oidc", "proxy", "host"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: `role` is null where nobody is signed in, and `sign_in` says how that can be done.

    `host` means that the application this dashboard is part of signs people in.
    """

    actor: str
    role: RoleName | None
    sign_in: tuple[SignInWay, ...]
    expires_at: datetime | None = None


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token, and the name that the audit is to show beside its role."""

    token: Annotated[str, Meta(min_length=1, max_length=1000)]
    name: Annotated[str, Meta(max_length=100)] = ""


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The server behind the dashboard; its address holds no password.

    `trace_url` is where traces are shown, with `{trace_id}` in the place of a trace's id; null where nobody said so.
    """

    address: str
    server: str
    version: str
    dashboard_version: str
    trace_url: str | None


class QueueLive(LiveRecord, frozen=True, kw_only=True):
    """A queue second by second: the rates are of the last seconds that were watched, null where none were."""

    added_per_s: float | None = None
    completed_per_s: float | None = None
    failed_per_s: float | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All queues and workers at one instant."""

    at: datetime
    queues: tuple[QueueLive, ...]
    workers: tuple[WorkerRecord, ...]


class Stats(Overview, frozen=True, kw_only=True):
    """Queues and workers as the event `stats` tells them: `full`, or those that changed since the one before, and those that went."""

    full: bool
    gone_queues: tuple[str, ...] = ()
    gone_workers: tuple[str, ...] = ()


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of what goes on."""

    queue: Annotated[
        tuple[Name, ...], Meta(max_length=50, description="Events and counts of these queues; all without.")
    ] = ()
    job: Annotated[str, Meta(max_length=128, description="Events of this job alone.")] = ""
    events: Annotated[bool, Meta(description="Whether events are wanted.")] = True
    stats: Annotated[bool, Meta(description="Whether counts are wanted.")] = True
    last_event_id: Annotated[
        str, Meta(max_length=50, description="Where to go on, for who cannot send the header.")
    ] = ""


class SeriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which minutes."""

    minutes: Annotated[
        int, Meta(ge=1, le=1440, description="How many minutes, the one that runs included.")
    ] = 60


class ErrorsQuery(SeriesQuery, frozen=True, kw_only=True):
    """Which minutes, of one queue or of all."""

    queue: Name | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page."""

    limit: Limit = 50
    cursor: Cursor | None = None


class HistoryQuery(ListQuery, frozen=True, kw_only=True):
    """Which of the jobs that ended."""

    outcome: Literal["completed", "failed", "cancelled", "expired"] | None = None
    name: Annotated[str, Meta(max_length=80, description="Name of the job, or name@version.")] | None = None
    schedule: (
        Annotated[str, Meta(max_length=100, description="Id of a schedule: the jobs that it sent.")] | None
    ) = None


class AlertsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts; `active` leaves out those that do not fire."""

    queue: Name | None = None
    active: bool = False


class AuditQuery(ListQuery, frozen=True, kw_only=True):
    """Which changes."""

    queue: Name | None = None


class FlowsQuery(ListQuery, frozen=True, kw_only=True):
    """Which flows: those that a queue keeps, in a state; all without them."""

    queue: Name | None = None
    state: Literal["staging", "open", "running", "completed", "failed", "cancelled"] | None = None


class FlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The queue that keeps the flow; it is looked for in all without it."""

    queue: Name | None = None


class FlowJobsQuery(FlowQuery, frozen=True, kw_only=True):
    """Which jobs of the flow: from number `start` on, in a state (or `skipped`, `missing`, `pending`)."""

    state: Annotated[str, Meta(max_length=20)] | None = None
    start: Annotated[int, Meta(ge=0, le=2**53, description="From this number on.")] = 0
    beside: Annotated[bool, Meta(description="Those before and behind the job that the id names.")] = False
    limit: Limit = 100


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs."""

    state: Annotated[
        tuple[str, ...], Meta(max_length=9, description="States, in this order; all without it.")
    ] = ()
    name: Annotated[str, Meta(max_length=80, description="Name of the job, or name@version.")] | None = None
    tag: Annotated[str, Meta(max_length=64)] | None = None
    q: (
        Annotated[
            str,
            Meta(
                max_length=2000, description="Query, as `jobs list --query` takes it: `error:timeout age>1h`."
            ),
        ]
        | None
    ) = None
    cursor: Cursor | None = None
    offset: Annotated[int, Meta(ge=0, le=1_000_000, description="Pass over so many; not with a cursor.")] = 0
    limit: Limit = 50


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines."""

    after: Annotated[str, Meta(max_length=50, description="Cursor of the line to go on behind.")] = ""
    limit: Limit = 500


class LetterGroupsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are counted: those of one queue, or of all."""

    queue: Name | None = None


class LettersQuery(ListQuery, frozen=True, kw_only=True):
    """Which dead letters; `group` is a kind of error as the groups tell it, `q` a query over letters."""

    queue: Name | None = None
    name: Annotated[str, Meta(max_length=80, description="Name of the job, or name@version.")] | None = None
    group: Annotated[str, Meta(max_length=500)] | None = None
    q: Annotated[str, Meta(max_length=1000)] = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: the job that failed for good, with all of its attempts.

    `state` is that of the letter itself, `job` the id of the job, `payload_known` tells whether its payload can be shown:
    not where it is encrypted, or was too large to be sent on.
    """

    id: str
    state: State
    queue: str
    job: str
    name: str
    version: str
    payload: JsonValue
    payload_known: bool
    reason: str
    group: str
    failed_at: datetime
    created_at: datetime
    priority: str
    stalled: int
    attempts: tuple[AttemptRecord, ...]
    metadata: dict[str, MetaValue]
    tags: tuple[str, ...]
    trace_id: str


class LetterPage(msgspec.Struct, frozen=True):
    """Dead letters. `cursor` is where to go on, None at the end; a page may be short before that."""

    letters: tuple[Letter, ...]
    cursor: str | None = None


class SchedulesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which schedules."""

    queue: Name | None = None
    offset: Annotated[int, Meta(ge=0, le=1_000_000, description="Pass over so many; of one queue alone.")] = 0
    limit: Limit = 100


class NextQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How many times."""

    n: Annotated[int, Meta(ge=1, le=100)] = 5


class NextTimes(msgspec.Struct, frozen=True):
    """The next times of a schedule, UTC."""

    times: tuple[datetime, ...]


class ScalerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Within what time the work is to be done."""

    within: Annotated[str, Meta(max_length=20, description="Seconds, or a duration such as 5m.")] = "60"


class DeclaredJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that code declares; `redacts` tells whether some of its payload or result is never shown."""

    name: str
    version: int
    result: bool
    redacts: bool = False


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that code declares, and its jobs, each in all versions."""

    queue: str
    profile: str
    concurrency: int
    jobs: tuple[DeclaredJob, ...]


class JobTypeSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON Schema of a declared job's payload, and of its result (null where none is declared)."""

    queue: str
    name: str
    version: int
    payload: dict[str, JsonValue]
    result: dict[str, JsonValue] | None
