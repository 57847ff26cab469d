"""What the admin tells of queues, jobs and workers: the same keys in Python, `--json` and REST."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from jobs_core.alerts import AlertName
from jobs_core.flows.records import FlowJobRecord, FlowRecord
from jobs_core.records import AttemptRecord, JobRecord, LogRecord
from jobs_core.states import CancelOutcome, State
from jobs_core.wire import Progress

__all__ = [
    "AlertRecord",
    "AuditPage",
    "AuditRecord",
    "Breach",
    "BulkAction",
    "BulkRecord",
    "BulkState",
    "Cancellation",
    "CheckReport",
    "ErrorGroup",
    "ErrorGroups",
    "Finding",
    "FlowJobsPage",
    "FlowPage",
    "HealthRecord",
    "HistoryPage",
    "HistoryRecord",
    "JobDetail",
    "JobLogs",
    "LiveRecord",
    "MetricsRecord",
    "MinuteRecord",
    "Outcome",
    "Page",
    "PauseRecord",
    "PlanField",
    "PlanRecord",
    "QueueRecord",
    "RunningRecord",
    "ScaleRecord",
    "ScalerQueue",
    "ScalerRecord",
    "Severity",
    "WorkerRecord",
    "WorkerStack",
]

Severity = Literal["error", "warning", "info", "ok"]


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in numbers.

    `completed` to `stalled` are totals since the queue was made, which removal does not lower; `retained_*`
    is what is kept now. `total` is what has not ended: waiting, active, delayed and blocked. The last ones
    say since and until when it is paused (None: until it is resumed), by whom and why, and how many of its
    job names and keys are paused for themselves; `paused_parts` names those where one queue is asked about.
    """

    queue: str
    waiting: int = 0
    active: int = 0
    delayed: int = 0
    blocked: int = 0
    unroutable: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    stalled: int = 0
    retained_completed: int = 0
    retained_failed: int = 0
    retained_cancelled: int = 0
    retained_expired: int = 0
    paused: bool = False
    total: int = 0
    paused_at: datetime | None = None
    paused_by: str = ""
    pause_reason: str = ""
    paused_until: datetime | None = None
    pauses: int = 0
    paused_parts: tuple[PauseRecord, ...] | msgspec.UnsetType = msgspec.UNSET


class LiveRecord(QueueRecord, frozen=True, kw_only=True):
    """A queue in numbers, with what is watched second by second.

    `added` is a total as the others. `oldest_waiting_ms` is the longest wait seen at the head of each priority (None:
    nothing waits).
    """

    added: int = 0
    retried: int = 0
    oldest_waiting_ms: int | None = None


class PauseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job name or a key of a queue that is paused; `paused_until` None means until it is resumed."""

    scope: Literal["job", "key"]
    name: str
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    paused_by: str = ""
    pause_reason: str = ""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change that somebody made: `filter` says of which jobs, `detail` what they got, `count` how many changed."""

    id: str = ""
    at: datetime | None = None
    actor: str
    verb: str
    queue: str
    filter: str = ""
    count: int = 0
    detail: str = ""
    reason: str = ""


class BulkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one call changed (`dry_run`: would change) of the jobs that a query means.

    `cursor` is where to go on, None where the end was reached.
    """

    verb: str
    query: str
    count: int
    dry_run: bool = False
    cursor: str | None = None


BulkState: TypeAlias = Literal[
    "pending", "running", "completed", "undone", "cancelled", "failed", "interrupted"
]


class BulkAction(msgspec.Struct, frozen=True, kw_only=True):
    """A change of very many jobs that goes on, or went on, by itself: what, of which jobs, who wanted it, how far it is.

    `pending` is one that can be undone still: it begins at `starts_at`, and `starts_in_ms` is how long that is from now. `undone`
    is one that was cancelled before it began, so that nothing was changed; of one that is `cancelled` what it did stays.
    `total` is None where only a look at the jobs would tell. `interrupted` is one that nothing was heard of for 30 s: the
    program that did it is gone; `done` is how far it came at least, and the same again goes on with what is left.
    """

    id: str
    verb: str
    queue: str
    query: str = ""
    detail: str = ""
    state: BulkState = "running"
    done: int = 0
    total: int | None = None
    actor: str = ""
    reason: str = ""
    started_at: datetime
    starts_at: datetime | None = None
    starts_in_ms: int | None = None
    seen_at: datetime
    ended_at: datetime | None = None
    cancelled_by: str = ""
    error: str = ""


class AuditPage(msgspec.Struct, frozen=True):
    """Changes, newest first. `cursor` is where to go on, None at the end; a page may be short before that."""

    changes: tuple[AuditRecord, ...]
    cursor: str | None = None


class MetricsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue does, or all of them (`queue` is None, and `queues` has each).

    `total_processed` counts jobs that completed or failed for good, `success_rate` is the share of them that
    completed (None before the first), the averages are over all attempts. `oldest_waiting_ms` is the longest
    wait seen at the head of each priority (None: nothing waits). `peak_concurrency` is the most that ever ran at once (of
    several queues: the sum). The percentiles of run and wait are None where nothing was measured. `errors` counts attempts
    that failed, by the type of their error.
    """

    queue: str | None
    total_added: int
    total_processed: int
    total_failed: int
    total_retried: int
    total_stalled: int
    success_rate: float | None
    avg_processing_ms: float | None
    avg_wait_ms: float | None
    run_p50_ms: float | None = None
    run_p95_ms: float | None = None
    run_p99_ms: float | None = None
    wait_p50_ms: float | None = None
    wait_p95_ms: float | None = None
    wait_p99_ms: float | None = None
    current_concurrency: int
    peak_concurrency: int = 0
    oldest_waiting_ms: int | None
    errors: dict[str, int] = {}
    queues: tuple[MetricsRecord, ...] | msgspec.UnsetType = msgspec.UNSET


class MinuteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue did in one minute. The averages are over the attempts that ended in it (None: none did)."""

    at: datetime
    added: int
    completed: int
    failed: int
    retried: int
    avg_processing_ms: float | None
    avg_wait_ms: float | None


class HealthRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a queue is well, in words that hold the figures, and the figures.

    `failed` is how many failed jobs are kept now: it falls when they are retried, replayed or removed. The figures are
    None where the server did not answer.
    """

    queue: str
    healthy: bool
    message: str
    waiting: int | None = None
    failed: int | None = None
    oldest_waiting_ms: int | None = None
    paused: bool | None = None


class HistoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job that ended, also where nothing else is kept of it.

    `error` is a fingerprint: the type of the error and the place that raised it, or the cause (`poison`); "" where it
    did not fail. `worker` is "" where no worker told of its end.
    """

    id: str
    queue: str
    name: str
    outcome: State
    created_at: datetime
    processed_at: datetime | None
    finished_at: datetime
    wait_ms: float
    run_ms: float
    attempts_made: int
    worker: str
    error: str


class HistoryPage(msgspec.Struct, frozen=True):
    """Jobs that ended, newest first. `cursor` is where to go on, None at the end; a page may be short before that."""

    rows: tuple[HistoryRecord, ...]
    cursor: str | None = None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that failed for good by the same error, a fingerprint: the type and the place that raised it, or the cause.

    `trend` counts them in 12 equal parts of the time looked at, oldest first. `queues` and `names` name at most 10 each,
    `last_queue` and `last_id` the job that failed last.
    """

    error: str
    count: int
    first_at: datetime
    last_at: datetime
    trend: tuple[int, ...]
    queues: tuple[str, ...]
    names: tuple[str, ...]
    last_queue: str
    last_id: str


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """What failed since a time, the most frequent error first; at most 100.

    `looked_at` is how many failures were grouped. Where not `complete`, there were more: the 20 queues that failed most were
    looked at, and of each the last 128 entries of its history, or more of those that hold little.
    """

    groups: tuple[ErrorGroup, ...]
    since: datetime
    looked_at: int
    complete: bool


class JobDetail(JobRecord, frozen=True, kw_only=True):
    """A job with its attempts that failed, oldest first, the one that ended it included."""

    history: tuple[AttemptRecord, ...] = ()


class JobLogs(msgspec.Struct, frozen=True):
    """Lines that a job's handlers logged, the oldest first, all attempts one behind the other.

    `truncated` tells that older ones were dropped over the caps of a job, `cursor` is where to go on; None at the end.
    """

    lines: tuple[LogRecord, ...]
    truncated: bool
    cursor: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Jobs of a listing. `cursor` is where to go on, None at its end; a page may be short before that."""

    jobs: tuple[JobRecord, ...]
    cursor: str | None = None


class FlowPage(msgspec.Struct, frozen=True):
    """Flows of a listing. `cursor` is where to go on, None at its end; a page may be short before that."""

    flows: tuple[FlowRecord, ...]
    cursor: str | None = None


class FlowJobsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A flow, and jobs of it in order. `next` is the number to go on with, None at the end; a page may be short before that."""

    flow: FlowRecord
    jobs: tuple[FlowJobRecord, ...]
    next: int | None = None


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it last described itself; `silent` when nothing was heard of it for 30 s.

    `memory_bytes` is what all of its processes hold, `cpu` how many cores they used of late, `lag_ms` how late the slowest loop of its
    children was. `memory_peaks` are the most MiB that they held in each of the last 60 minutes, the oldest first.
    """

    id: str
    host: str
    pid: int
    version: str
    worker_type: str
    queues: tuple[str, ...]
    jobs: tuple[str, ...]
    slots: int
    running: int
    processes: int
    memory_bytes: int
    cpu: float
    lag_ms: float
    state: str
    silent: bool
    http: str
    started_at: datetime
    seen_at: datetime
    memory_peaks: tuple[int, ...] = ()


class RunningRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker runs, since `started_at`."""

    queue: str
    id: str
    name: str
    started_at: datetime | None = None
    progress: float | Progress | None = None


class PlanField(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a queue's declaration says otherwise than the server has it; None: it says nothing of it."""

    field: str
    before: str | None
    after: str | None


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What starting workers with some code would do to a queue.

    `undeclared`: somebody used the queue, and the code does not declare it. `jobs_gone` are jobs that workers served and the
    code does not declare any more: what is left of them would be parked as unroutable.
    """

    queue: str
    change: Literal["new", "changed", "same", "undeclared"]
    profile: str
    concurrency: int
    jobs: tuple[str, ...]
    fields: tuple[PlanField, ...] = ()
    jobs_added: tuple[str, ...] = ()
    jobs_gone: tuple[str, ...] = ()


class ScalerQueue(msgspec.Struct, frozen=True, kw_only=True):
    """What one queue adds to a scale signal: jobs that another worker could take, and the slots that they want."""

    queue: str
    waiting: int
    due_soon: int
    running: int
    oldest_waiting_ms: int | None
    slots_wanted: int
    slots_per_worker: int


class ScalerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The scale signal of a weight class: `replicas` is how many workers there should be, the rest is what it is made of.

    `waiting` and `due_soon` leave out what a pause or a limit holds back; `workers` and `slots` are those that run now.
    """

    profile: str
    replicas: int
    waiting: int
    due_soon: int
    running: int
    oldest_waiting_ms: int | None
    workers: int
    slots: int
    queues: tuple[ScalerQueue, ...] = ()


class WorkerStack(msgspec.Struct, frozen=True, kw_only=True):
    """What all threads of a worker's child were doing, as text."""

    pid: int
    stack: str


class ScaleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many children of each worker serve a queue, because somebody said so; it holds until it is released."""

    queue: str
    number: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of one of several jobs: `done`, or an error's code and message."""

    id: str
    done: bool
    code: str = ""
    message: str = ""


class RateRecord(msgspec.Struct, frozen=True):
    """At most `max` starts in `per_ms` on average, `burst` at once."""

    max: int
    per_ms: int
    burst: int


class LimitRecord(msgspec.Struct, frozen=True):
    """A limit of a queue (`max_active`, `rate_limit`, `key_concurrency`, `key_rate`): what code declares, and what is set live.

    What is set holds; `lifted`: it is set to no limit.
    """

    limit: str
    declared: int | RateRecord | None
    live: int | RateRecord | None
    lifted: bool


class LetterCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters there ever were of a queue, a job and a kind of error.

    Name and group are `*` beyond the 50 pairs of them that are told apart in a queue.
    """

    queue: str
    name: str
    group: str
    count: int


class Cancellation(msgspec.Struct, frozen=True):
    """What a cancellation did to one of several jobs."""

    id: str
    outcome: CancelOutcome


class Finding(msgspec.Struct, frozen=True):
    """One thing that the doctor saw and its mend. `error` alone makes a worker refuse to start."""

    code: str
    severity: Severity
    text: str
    mend: str = ""


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a queue, as it was last judged.

    `threshold` is what holds (None: the alert is off): what is set live, else what code declares, else the default. `declared` and
    `live` are None where nothing was said. `value` is what it was judged by (None: not yet); of one that fires `since` tells from when on,
    and `message` says it in words.
    """

    queue: str
    alert: AlertName
    active: bool
    since: datetime | None
    value: float | None
    threshold: float | None
    default: float
    declared: float | Literal["off"] | None
    live: float | Literal["off"] | None
    message: str = ""


class Breach(msgspec.Struct, frozen=True):
    """An invariant that does not hold: its code, what it means, and what it is about.

    `about` names at most 20 of `count` jobs (or keys, owners, sessions, by the code); `detail` says more of
    the first. `repaired` is how many were mended.
    """

    queue: str
    code: str
    text: str
    count: int
    about: tuple[str, ...]
    detail: str = ""
    repaired: int = 0


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `check` saw of some queues.

    `unjudged` names what is too large to be summed up in one step; `jobs` counts those looked at.
    """

    queues: tuple[str, ...]
    jobs: int
    breaches: tuple[Breach, ...]
    unjudged: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every invariant holds, or does so again."""
        return all(breach.repaired == breach.count for breach in self.breaches)
