"""Inspect and control queues, jobs and workers: what the dashboard and the command line stand on."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, cast

import msgspec

from jobs_admin import _actions, _plan, _sessions
from jobs_admin._audit import Audit, whoami
from jobs_admin._bulk import Progress
from jobs_admin._bulk_changes import BulkChanges, BulkVerb, make_change
from jobs_admin._calls import Calls
from jobs_admin._changes import JobChanges
from jobs_admin._context import Context
from jobs_admin._controls import Controls
from jobs_admin._dead_letters import DeadLetters
from jobs_admin._directory import Directory
from jobs_admin._events import Event, EventListener
from jobs_admin._flows import Flows
from jobs_admin._inspection import Inspection
from jobs_admin._jobs import Jobs
from jobs_admin._limits import LiveLimits
from jobs_admin._listing import make_filter
from jobs_admin._replay import Changes as ReplayChanges
from jobs_admin._schedules import ScheduleAdmin
from jobs_admin._statistics import Statistics
from jobs_admin._totals import QueueTotals, read_totals
from jobs_admin._workers import Workers
from jobs_admin.alerting import Crossing, judge_each_minute
from jobs_admin.records import (
    AlertRecord,
    AuditPage,
    BulkAction,
    BulkRecord,
    Cancellation,
    CheckReport,
    ErrorGroups,
    Finding,
    FlowJobsPage,
    FlowPage,
    HealthRecord,
    HistoryPage,
    JobDetail,
    JobLogs,
    LetterCount,
    LimitRecord,
    LiveRecord,
    MetricsRecord,
    MinuteRecord,
    Outcome,
    Page,
    PauseRecord,
    PlanRecord,
    QueueRecord,
    RunningRecord,
    ScaleRecord,
    ScalerRecord,
    WorkerRecord,
    WorkerStack,
)
from jobs_admin.redaction import Redaction
from jobs_core.boot import audit_server
from jobs_core.codecs import Codecs
from jobs_core.connection import ConnectionInfo, client_for, parse_address
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import ConnectionFailed
from jobs_core.names import check_prefix, check_queue_name
from jobs_core.options import as_priority
from jobs_core.records import JobRecord
from jobs_core.scripts import Scripts
from jobs_core.settings import CommonSettings
from jobs_core.states import Priority, State

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from jobs_core.flows.records import FlowRecord
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType, Queue

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["Admin", "BulkVerb"]


class Admin:
    """Looks at queues and changes them. One connection; belongs to the event loop it is connected on.

    Every call raises ConnectionFailed when the server does not answer within `timeout` seconds.
    """

    # The text of a Lua fragment that tells the time in place of the server's; only a test kit has one.
    _clock: str | None = None

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jobs",
        timeout: Duration = 5.0,
        declared: Sequence[str] = (),
        codecs: Codecs | None = None,
        actor: str | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        """Prepare an admin; `declared` names queues that exist though nobody used them yet.

        `codecs` open encrypted payloads, by default with the keys of JOBS_KEYS; without the key a mark is shown.
        `actor` is who the audit says made the changes; user@host of this process unless given. With `redaction` what code
        marks by `redact` is neither shown nor searched.
        Raises ConfigurationError or OptionError.
        """
        seconds = to_ms(timeout, name="timeout") / 1000
        self._client = client_for(parse_address(url), name="jobs:admin")
        scripts = Scripts(
            self._client,
            check_prefix(prefix),
            clock=self._clock,
            codecs=Codecs.from_env(prefix) if codecs is None else codecs,
        )
        self._calls = Calls(scripts, seconds)
        audit = Audit(self._calls, whoami() if actor is None else actor)
        self._assemble(Context(self._calls, Directory(self._calls, declared), audit, redaction))

    def _assemble(self, context: Context) -> None:
        self._context = context
        self._statistics = Statistics(context)
        self._jobs = Jobs(context)
        self._changes = JobChanges(context)
        self._bulk = BulkChanges(context)
        self._dead_letters = DeadLetters(context, self._jobs)
        self._flows = Flows(context)
        self._controls = Controls(context)
        self._workers = Workers(context)
        self._inspection = Inspection(context, self._jobs)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, declared: Sequence[str] = ()) -> Self:
        """Make an admin from REDIS_URL and JOBS_PREFIX. Raises SettingsError."""
        settings = CommonSettings.from_env(env)
        return cls(settings.redis_url, prefix=settings.prefix, declared=declared)

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()

    async def connect(self, timeout: Duration | None = None) -> None:
        """Connect, within `timeout` or else that of the calls.

        Raises ConnectionFailed, or ConfigurationError where the server refuses the credentials.
        """
        limit = self._calls.timeout if timeout is None else to_ms(timeout, name="timeout") / 1000
        await self._client.connect(timeout=limit)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def is_connected(self) -> bool:
        """Tell whether the server answers now."""
        try:
            await self._client.call("PING", deadline=asyncio.get_running_loop().time() + 1.0)
        except ConnectionFailed:
            return False
        return True

    async def check_server(self) -> list[str]:
        """Make sure that the server can be trusted; return what to warn of. Raises ServerRefused."""
        audit = await self._calls.read(audit_server(self._client, self._calls.scripts.prefix))
        if audit.refusals:
            raise audit.refusals[0]
        return audit.warnings

    def connection_info(self) -> ConnectionInfo:
        """Describe the connection; never with the password."""
        return self._client.info()

    async def queues(self) -> list[QueueRecord]:
        """Count every queue that somebody used, sorted by name."""
        return await self._statistics.queues()

    async def live(self, skip: Collection[str] = ()) -> list[LiveRecord]:
        """Count every queue that somebody used but those to skip, with what is watched second by second, sorted by name."""
        return await self._statistics.live(skip)

    async def stats(self, queue: str) -> QueueRecord:
        """Count one queue, and name what of it is paused. Raises UnknownQueue where nobody ever used it."""
        return await self._statistics.stats(queue)

    async def metrics(self, queue: str | None = None) -> MetricsRecord:
        """Measure one queue, or all of them together and each. Raises UnknownQueue."""
        return await self._statistics.metrics(queue)

    async def totals(self) -> list[QueueTotals]:
        """Return all that is counted of every queue by job name, sorted by queue: what metrics are exported from."""
        return await read_totals(self._calls, self._context.prefix)

    async def queue_health(
        self,
        queue: str,
        max_waiting: int | None = 1000,
        max_failed: int | None = 100,
        max_age: Duration | None = None,
    ) -> HealthRecord:
        """Say whether a queue is well: no more than so many jobs wait, or failed and are kept, and none waits for longer.

        None is no threshold. A server that does not answer is unhealthy, and no error: a health check has to answer.
        Raises OptionError, and UnknownQueue for a queue that nobody used and `declared` does not name.
        """
        return await self._statistics.health(
            queue, max_waiting=max_waiting, max_failed=max_failed, max_age=max_age
        )

    async def alerts(self, queue: str | None = None, *, active: bool = False) -> list[AlertRecord]:
        """Return every alert of a queue, or of all, with its threshold and what it was last judged by; `active` only what fires.

        Raises UnknownQueue.
        """
        return await self._controls.alerts(queue, active=active)

    async def set_alert(
        self, queue: str, alert: str, threshold: Duration | Literal["declared"] | None
    ) -> bool:
        """Set the threshold of an alert live, over what code declares: it is judged by it from the next minute on.

        None is no alert, `declared` takes back what was set. Returns whether anything changed. Raises UnknownQueue or OptionError.
        """
        return await self._controls.set_alert(queue, alert, threshold)

    async def watch_alerts(
        self, on_crossing: Callable[[Crossing], None], on_failure: Callable[[Exception], None]
    ) -> None:
        """Offer to judge the alerts of all queues each minute, as every worker and dashboard does, until it is cancelled.

        `on_crossing` hears what fired or recovered in the minutes judged here, `on_failure` why one could not be judged.
        """
        await judge_each_minute(self._context.scripts, on_crossing, on_failure)

    async def series(self, queue: str | None = None, minutes: int = 60) -> tuple[MinuteRecord, ...]:
        """Return what a queue, or all together, did in each of the last minutes, the one that runs included, oldest first.

        Minutes are kept for 90 days (129600), unless `JOBS_METRICS=0`. Raises OptionError or UnknownQueue.
        """
        return await self._statistics.series(queue, minutes)

    async def errors(self, minutes: int = 60, *, queue: str | None = None) -> ErrorGroups:
        """Group what failed for good in the last minutes, at most 1440, by the fingerprint of its error, in a queue or in all.

        Raises OptionError or UnknownQueue.
        """
        return await self._statistics.errors(minutes, queue)

    async def history(
        self,
        queue: str,
        *,
        outcome: State | str | None = None,
        name: str | None = None,
        schedule: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> HistoryPage:
        """List the last 10,000 jobs of a queue that ended, newest first, also those that are not kept.

        `outcome` is `completed`, `failed`, `cancelled` or `expired`, `name` that of the job, or `name@version`, `schedule` the id of
        one that sent the job, by `trigger` too. `limit` is at most 500. Raises OptionError or UnknownQueue.
        """
        return await self._statistics.history(
            queue, outcome=outcome, name=name, schedule=schedule, limit=limit, cursor=cursor
        )

    async def workers(self) -> list[WorkerRecord]:
        """List the workers that were heard of in the last 10 min, sorted by id."""
        return await self._workers.list()

    async def running(self, worker_id: str, limit: int = 100) -> list[RunningRecord]:
        """List jobs that a worker runs, those that run for longest first, 500 at most.

        Raises WorkerNotFound where nothing was heard of it in the last 10 min.
        """
        return await self._workers.running(worker_id, limit)

    async def quiet_worker(self, worker_id: str) -> str:
        """Let a worker claim no more; what runs goes on. Returns its state. Raises WorkerNotFound or WorkerSilent."""
        return await self._workers.tell(worker_id, "quiet")

    async def resume_worker(self, worker_id: str) -> str:
        """Let a worker that was quieted claim again. Returns its state. Raises WorkerNotFound or WorkerSilent."""
        return await self._workers.tell(worker_id, "resume")

    async def stop_worker(self, worker_id: str) -> str:
        """End a worker as SIGTERM does: it finishes what runs, within its grace. Returns its state.

        Raises WorkerNotFound or WorkerSilent.
        """
        return await self._workers.tell(worker_id, "stop")

    async def set_concurrency(self, worker_id: str, queue: str, number: int) -> str:
        """Let each child of a worker run so many jobs of a queue at once, until the worker ends. Returns its state.

        Raises WorkerNotFound, WorkerSilent, or OptionError for a queue that it does not serve.
        """
        return await self._workers.set_concurrency(worker_id, queue, number)

    async def stacks(self, worker_id: str) -> tuple[WorkerStack, ...]:
        """Return what all threads of a worker's children are doing, also of one that C code holds.

        Raises WorkerNotFound or WorkerSilent.
        """
        return await self._workers.stacks(worker_id)

    async def scale(self, queue: str, number: int | None) -> bool:
        """Let so many children of each worker serve a queue, 0 or more, until it is released by None.

        Returns whether anything changed. It goes before what `WORKER_PROCESSES` says, `auto` too. Raises UnknownQueue or
        OptionError.
        """
        return await self._workers.scale(queue, number)

    async def scales(self) -> list[ScaleRecord]:
        """List the numbers of children that somebody set and nobody released, by queue."""
        return await self._workers.scales()

    async def plan(self, queues: Iterable[Queue]) -> list[PlanRecord]:
        """Say what starting workers that declare these queues would change on the server; nothing is changed by asking."""
        return await _plan.read_plan(self._calls, self._context.prefix, queues)

    async def scaler(self, profile: str, *, within: Duration = 60) -> ScalerRecord:
        """Say how many workers of a weight class there should be, for an autoscaler: enough to do within that time what there is.

        Raises OptionError.
        """
        return await self._workers.scaler(profile, within)

    def acting(self, *, actor: str | None = None, reason: str = "") -> Self:
        """Return this admin, on the same connection, in the name of somebody else, or for a reason: the audit tells."""
        audit = self._context.audit
        named = Audit(self._calls, audit.actor if actor is None else actor, reason)
        other = copy.copy(self)
        other._assemble(msgspec.structs.replace(self._context, audit=named))  # noqa: SLF001 - a copy of ourselves
        return other

    def redacting(self, redaction: Redaction) -> Self:
        """Return this admin, on the same connection, with what code marks neither shown nor searched; a redaction that it has stays."""
        if self._context.redaction is not None:
            return self
        other = copy.copy(self)
        other._assemble(msgspec.structs.replace(self._context, redaction=redaction))  # noqa: SLF001 - a copy of ourselves
        return other

    @property
    def schedules(self) -> ScheduleAdmin:
        """The schedules of queues."""
        return ScheduleAdmin(self._context)

    async def audit(
        self, queue: str | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> AuditPage:
        """List the last changes that anybody made, newest first, of one queue or all; at most 500. Raises OptionError."""
        return await self._context.audit.read(queue, limit=limit, cursor=cursor)

    async def note(self, verb: str, queue: str, which: str, count: int, detail: str = "") -> None:
        """Enter in the audit a change that was made by other means, in the name of who acts."""
        await self._context.audit.enter(verb, queue, which, count, detail)

    async def bulk_actions(self) -> list[BulkAction]:
        """List the last 200 changes of very many jobs that went on by themselves, newest first."""
        return await _actions.read_all(self._calls, self._context.prefix)

    async def bulk_action(self, action_id: str) -> BulkAction:
        """Return one of them. Raises BulkNotFound."""
        return await _actions.read(self._calls, self._context.prefix, action_id)

    async def keep_bulk(self, action: BulkAction) -> str:
        """Remember how far one is. Returns who asked for its end, "" for nobody."""
        return await _actions.write(self._calls, self._context.prefix, action)

    async def cancel_bulk(self, action_id: str) -> BulkAction:
        """Ask one to end: one that is pending is undone, of one that runs what it did stays. Raises BulkNotFound.

        The answer of one that runs may still say so: it ends within some seconds.
        """
        audit = self._context.audit
        action, first = await _actions.cancel(self._calls, self._context.prefix, action_id, audit.actor)
        if first:
            verb = "bulk undo" if action.state == "undone" else "bulk cancel"
            of = f"{action.verb} of {action.actor or 'somebody'}"
            await audit.enter(verb, action.queue, action.query, 0, of)
        return action

    async def end_session(self, session_id: str, until: float) -> None:
        """Let every dashboard refuse the session of a browser, until it would have ended by itself (Unix s)."""
        await _sessions.end(self._calls, self._context.prefix, session_id, until)

    async def is_session_ended(self, session_id: str) -> bool:
        """Tell whether somebody signed out of a session, at whichever dashboard."""
        return await _sessions.has_ended(self._calls, self._context.prefix, session_id)

    async def pause(
        self,
        queue: str,
        *,
        job: str | None = None,
        key: str | None = None,
        reason: str = "",
        actor: str = "",
        for_: Duration | None = None,
    ) -> bool:
        """Stop workers from taking jobs of a queue, or of it those of a job name or a key; those that run go on.

        With `for_` it ends by itself. Returns False if it was paused already: it stays so since then, for as long as is said now,
        and reason and actor stay where none is given. Raises UnknownQueue, OptionError.
        """
        return await self._controls.pause(queue, job=job, key=key, reason=reason, actor=actor, for_=for_)

    async def resume(self, queue: str, *, job: str | None = None, key: str | None = None) -> bool:
        """Let workers take jobs again of a queue, a job name or a key. Returns False if it was not paused.

        Raises UnknownQueue, OptionError.
        """
        return await self._controls.resume(queue, job=job, key=key)

    async def pauses(self, queue: str) -> list[PauseRecord]:
        """List the job names and keys of a queue that are paused for themselves. Raises UnknownQueue."""
        return await self._controls.pauses(queue)

    async def job(self, queue: str, job_id: str) -> JobRecord:
        """Return what is known of a job. Raises JobNotFound."""
        record, _ = await self._jobs.look(queue, job_id)
        return record

    async def job_detail(self, queue: str, job_id: str) -> JobDetail:
        """Return what is known of a job, with its attempts that failed. Raises JobNotFound."""
        return await self._jobs.detail(queue, job_id)

    async def jobs(
        self,
        queue: str,
        *,
        states: Sequence[State | str] | State | str | None = None,
        name: str | None = None,
        tag: str | None = None,
        query: str | None = None,
        limit: int = 50,
        offset: int = 0,
        cursor: str | None = None,
    ) -> Page:
        """List jobs of a queue, state by state in the order given (all: active first, ended ones last).

        Ended jobs come newest first, all others in the order of their turns. `limit` is at most 500. Go on
        with the page's `cursor`, which stays valid while jobs come and go: only a job that moves meanwhile
        may be missed or shown twice. With `name` (or `name@version`), `tag` or `query` a page may be short before
        the end: one looks at some 2,000 jobs. `query` is `state:failed age>1h payload.user_id=7` and the like.

        Raises OptionError or UnknownQueue.
        """
        wanted = make_filter(states, name, tag, query)
        return await self._jobs.page(queue, wanted, limit=limit, offset=offset, cursor=cursor)

    async def retry(self, queue: str, *ids: str) -> list[Outcome]:
        """Put failed jobs back, with all their attempts before them again.

        With one id its error is raised (JobNotFound, WrongState); with several each outcome holds its own. Raises UnknownQueue.
        """
        return await self._changes.retry(queue, ids)

    async def remove(self, queue: str, *ids: str) -> list[Outcome]:
        """Remove jobs and all that is kept of them; one that runs is refused. Errors as `retry`."""
        return await self._changes.remove(queue, ids)

    async def promote(self, queue: str, *ids: str) -> list[Outcome]:
        """Let delayed jobs run now. Errors as `retry`."""
        return await self._changes.promote(queue, ids)

    async def priority(self, queue: str, *ids: str, to: Priority | int | str) -> list[Outcome]:
        """Give waiting or delayed jobs another priority; their places follow. Errors as `retry`, and OptionError."""
        return await self._changes.priority(queue, ids, to)

    async def reschedule(
        self, queue: str, *ids: str, delay: Duration | None = None, run_at: datetime | None = None
    ) -> list[Outcome]:
        """Make waiting or delayed jobs due after a delay from now, or at an instant with a zone.

        Errors as `retry`, and OptionError.
        """
        return await self._changes.reschedule(queue, ids, delay, run_at)

    async def replay(
        self,
        *ids: str,
        queue: str = DEAD_LETTER_QUEUE,
        priority: Priority | int | str | None = None,
        payload: JsonValue | msgspec.UnsetType = msgspec.UNSET,
        job: JobType[P, R] | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> list[Outcome]:
        """Run again what failed for good: the jobs of dead letters, or failed jobs of another `queue`.

        Each failure is replayed once, whichever way; a job that was not kept comes back under its old id. `priority` and `payload` replace
        those of the job; a payload is checked where `job` is given, and may stand for one job alone. `rate` is at most so many a
        second. With one id its error is raised (JobNotFound, WrongState); with several each outcome holds its own.
        Raises OptionError, PayloadError.
        """
        changes = ReplayChanges(
            priority=0 if priority is None else as_priority(priority),
            payload=payload,
            job=cast("JobType[object, object] | None", job),
        )
        return await self._dead_letters.replay(
            queue, ids, changes, rate=rate, dry_run=dry_run, progress=progress
        )

    async def replay_all(
        self,
        *,
        queue: str | None = None,
        name: str | None = None,
        group: str | None = None,
        priority: Priority | int | str | None = None,
        limit: int | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Replay the dead letters there are now, of a `queue`, a job `name`, a `group` of errors (or a part of its name). Returns how many.

        What fails again meanwhile is left alone. `rate` and `priority` as for `replay`. Raises OptionError.
        """
        return await self._dead_letters.replay_all(
            ReplayChanges(priority=0 if priority is None else as_priority(priority)),
            queue=queue,
            name=name,
            group=group,
            limit=limit,
            rate=rate,
            dry_run=dry_run,
            progress=progress,
        )

    async def dead_letter_counts(self, queue: str | None = None) -> list[LetterCount]:
        """Count the dead letters there ever were, of a queue or of all, by queue, job and kind of error, the most frequent first."""
        return await self._dead_letters.counts(queue)

    async def cancel(self, queue: str, *ids: str) -> list[Cancellation]:
        """Cancel jobs wherever they are; one that runs is asked to stop, and its worker settles it as cancelled. Raises UnknownQueue."""
        return await self._changes.cancel(queue, ids)

    async def flow(self, flow_id: str, *, queue: str | None = None) -> FlowRecord:
        """Return what is known of a flow: how many jobs it has, and how they ended.

        Without `queue` it is looked for in all. The id may as well be that of one of its jobs that has not ended, of a job that waits for
        others or that others wait for, or of a link of a chain: then it is counted what is around that one. Raises FlowNotFound, UnknownQueue, and
        OptionError for an id that several queues have.
        """
        return await self._flows.get(flow_id, queue)

    async def flow_jobs(
        self,
        flow_id: str,
        *,
        queue: str | None = None,
        state: str | None = None,
        start: int = 0,
        limit: int = 100,
        beside: bool = False,
    ) -> FlowJobsPage:
        """Return a flow and its jobs from number `start` on, in order: what each waits for, and where it is. `limit` is at most 500.

        With `beside`, `flow_id` names a job, and it is in the middle of them whatever `start` is.

        `state` is that of jobs, or how they ended: `skipped` and `missing` too; one looks at 10,000 jobs. Of jobs around one that
        is no flow of its own these are at most 200. Errors as `flow`.
        """
        return await self._flows.jobs(flow_id, queue, state=state, start=start, limit=limit, beside=beside)

    async def flows(
        self,
        queue: str | None = None,
        *,
        state: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> FlowPage:
        """List the flows that a queue keeps, or all queues: those that go on before those that ended, the newest of each first.

        `state` is `staging`, `open`, `running`, `completed`, `failed` or `cancelled`; with it a page may be short before the end. `limit`
        is at most 500. Ended ones are kept for 7 days, 10,000 by queue. Raises OptionError or UnknownQueue.
        """
        return await self._flows.list(queue, state, limit, cursor)

    async def cancel_flow(self, flow_id: str, *, queue: str | None = None) -> bool:
        """Cancel a flow and all its jobs; those that run are asked to stop. Returns False if it had ended. Errors as `flow`.

        A job that is no flow of its own is cancelled by `cancel`.
        """
        return await self._flows.cancel(flow_id, queue)

    async def retry_flow(self, flow_id: str, *, queue: str | None = None) -> int:
        """Let a flow that failed go on from the jobs that did not complete; those that did keep their results. Errors as `flow`, and FlowNotFailed.

        Jobs that failed or were cancelled run again with fresh budgets, those that were skipped or failed for them wait again. Returns how
        many these are. A job that expired, or is not kept any more, does not run again, so the flow fails again for it.
        """
        return await self._flows.retry(flow_id, queue)

    async def bulk(
        self,
        verb: BulkVerb,
        queue: str,
        query: str,
        *,
        to: Priority | int | str | None = None,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        limit: int | None = None,
        rate: float | None = None,
        cursor: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> BulkRecord:
        """Change all jobs that a query means and that there were when this began, in bounded calls.

        `to` is for priority, `delay` or `run_at` for reschedule. At most `limit` are changed, and `rate` a second;
        then `cursor` says where to go on. A query that was broken off may as well begin anew: what is done already
        is not met again. `progress(done, total)` is called after each step, with None where only a look at the jobs
        would tell how many there are; `dry_run` only counts. Raises UnknownQueue, OptionError.
        """
        return await self._bulk.bulk(
            verb,
            queue,
            query,
            partial(make_change, verb, to, delay, run_at),
            limit=limit,
            rate=rate,
            cursor=cursor,
            dry_run=dry_run,
            progress=progress,
        )

    async def retry_failed(
        self,
        queue: str,
        *,
        limit: int | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Put back the jobs that have failed until now, oldest first, at most `limit`. Returns how many.

        `progress(done, total)` is called after each step; `dry_run` only counts. Raises UnknownQueue.
        """
        return await self._bulk.retry_failed(queue, limit=limit, dry_run=dry_run, progress=progress)

    async def clean(
        self,
        queue: str,
        state: Sequence[State | str] | State | str = State.COMPLETED,
        *,
        older_than: Duration = 0,
        limit: int | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Remove jobs that ended at least `older_than` ago, oldest first, at most `limit`. Returns how many.

        Totals stay. `progress` and `dry_run` as for `retry_failed`. Raises UnknownQueue, and OptionError for
        a state that jobs leave again.
        """
        return await self._bulk.clean(
            queue, state, older_than=older_than, limit=limit, dry_run=dry_run, progress=progress
        )

    async def obliterate(
        self, queue: str, *, force: bool = False, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Take away everything that a queue has: jobs of all states, totals, remembered ids. Returns how many jobs.

        It takes effect in one step, also while producers and workers go on; what is declared and paused stays.
        While jobs run it raises QueueBusy unless `force`d: then their handlers are cancelled, and what they still
        report is refused. `progress` and `dry_run` as for `retry_failed`. Raises UnknownQueue.
        """
        return await self._bulk.obliterate(queue, force=force, dry_run=dry_run, progress=progress)

    async def drain(
        self,
        queue: str,
        *,
        delayed: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Remove the jobs that wait, with `delayed` also those not yet due; never one that runs.

        Returns how many: at most what there was at the start. `progress` and `dry_run` as for `retry_failed`.
        Raises UnknownQueue.
        """
        return await self._bulk.drain(queue, delayed=delayed, dry_run=dry_run, progress=progress)

    def listener(self, *queues: str, since: Mapping[str, str] | str | None = None) -> EventListener:
        """Return what hears the events of queues, or of all there are and will be, on a connection of its own.

        `since` is the cursor of an event to go on behind, one for each queue by name where there are several, or "0" for all
        that is kept; without it only what happens from now on is heard. Raises OptionError.
        """
        for queue in queues:
            check_queue_name(queue)
        redaction = self._context.redaction
        shown = None if redaction is None else redaction.event
        return EventListener(self._client.address, self._context.prefix, queues, since, shown)

    async def events(
        self, *queues: str, since: Mapping[str, str] | str | None = None
    ) -> AsyncIterator[Event]:
        """Yield the events of queues, or of all, as they happen, from the first step of the loop on; as `listener`.

        Raises UnknownQueue.
        """
        for queue in queues:
            await self._context.directory.check(queue)
        async with self.listener(*queues, since=since) as listener:
            async for event in listener:
                yield event

    async def doctor(self, queue: str | None = None, job_id: str | None = None) -> list[Finding]:
        """Examine the server, or why the jobs of a queue, or one job, do not run. Raises JobNotFound."""
        return await self._inspection.doctor(queue, job_id)

    async def logs(self, queue: str, job_id: str, *, after: str = "", limit: int = 500) -> JobLogs:
        """Return what a job's handlers logged, at most `limit` lines (up to 1,000) after a cursor; none for a job that has none.

        They are there as long as the job, or its result. Raises OptionError.
        """
        return await self._jobs.logs(queue, job_id, after=after, limit=limit)

    async def check(self, queue: str | None = None, *, repair: bool = False) -> CheckReport:
        """Look whether every invariant of a queue holds, or of all queues and the keys beside them.

        It reads in bounded steps, changes nothing, and may run while jobs flow: what only moves is no breach.
        With `repair` it mends what can be mended, each breach only if it is still there; see docs/engine.md.
        Raises UnknownQueue.
        """
        return await self._inspection.check(queue, repair=repair)

    async def limits(self, queue: str) -> list[LimitRecord]:
        """Return every limit of a queue: what code declares, and what is set over it. Raises UnknownQueue."""
        return await self._controls.limits(queue)

    async def limit(self, queue: str, **limits: Unpack[LiveLimits]) -> bool:
        """Set limits of a queue live: they hold over what code declares, also over later declarations.

        None lifts a limit, `declared` takes back what was set. Those who wait are looked at again at once. Returns whether
        anything changed. Raises UnknownQueue or OptionError.
        """
        return await self._controls.limit(queue, limits)
