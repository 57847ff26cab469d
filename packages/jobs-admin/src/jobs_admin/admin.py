"""Inspect and control queues, jobs and workers: what the dashboard and the command line stand on."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, Unpack, cast

import msgspec

from jobs_admin import (
    _actions,
    _alerts,
    _audit,
    _bulk,
    _check,
    _doctor,
    _health,
    _limits,
    _pauses,
    _plan,
    _replay,
    _scaler,
    _verdicts,
    _where,
    _workers,
)
from jobs_admin._bulk import Progress
from jobs_admin._calls import Calls
from jobs_admin._errors import read_errors
from jobs_admin._events import Event, EventListener
from jobs_admin._flows import Flows
from jobs_admin._limits import LiveLimits
from jobs_admin._listing import check_bounds, list_page, make_filter
from jobs_admin._measures import MAX_MINUTES, Spread, added_up, read_history, read_minutes, read_spread
from jobs_admin._neighbours import Neighbours, Place
from jobs_admin._numbers import failed_attempts, live_record, metrics_record, queue_record, worker_record
from jobs_admin._replay import Changes
from jobs_admin._schedules import ScheduleAdmin
from jobs_admin._totals import QueueTotals, read_totals
from jobs_admin.records import (
    AlertRecord,
    AuditPage,
    AuditRecord,
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
    ScaleRecord,
    ScalerRecord,
    WorkerRecord,
    WorkerStack,
)
from jobs_admin.redaction import Redaction
from jobs_core.boot import audit_server
from jobs_core.codecs import Codecs
from jobs_core.connection import Client, ConnectionInfo, parse_address
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import ConnectionFailed, JobNotFound, OptionError, UnknownQueue
from jobs_core.measures import MINUTES_A_DAY
from jobs_core.names import check_job_id, check_prefix, check_queue_name, nearest
from jobs_core.options import as_priority
from jobs_core.records import JobRecord, LogRecord, build_record, log_records
from jobs_core.registry import forget_queue, list_queues, list_workers
from jobs_core.scripts import Scripts
from jobs_core.settings import CommonSettings
from jobs_core.states import Priority, State

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from jobs_core.commands import CommandVerb
    from jobs_core.flows.records import FlowRecord
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType, Queue
    from jobs_core.scripts import Located, Tally

P = TypeVar("P")
R = TypeVar("R")
J = TypeVar("J", bound=JobRecord)

__all__ = ["Admin", "BulkVerb"]

BulkVerb: TypeAlias = Literal["retry", "promote", "cancel", "remove", "reschedule", "priority"]
"""What can be done to all jobs that a query means."""

# How many ids an entry of the audit names.
_NAMED = 20


_LOG_LINES = 1000
_CURSOR = re.compile(r"(\d{1,20}-\d{1,20})?").fullmatch


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
        self._client = Client(parse_address(url), name="jobs:admin")
        scripts = Scripts(
            self._client,
            check_prefix(prefix),
            clock=self._clock,
            codecs=Codecs.from_env(prefix) if codecs is None else codecs,
        )
        self._calls = Calls(scripts, seconds)
        self._prefix = prefix
        self._declared = frozenset(declared)
        self._actor = _audit.whoami() if actor is None else actor
        self._reason = ""
        self._redaction = redaction

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
        audit = await self._calls.read(audit_server(self._client))
        if audit.refusals:
            raise audit.refusals[0]
        return audit.warnings

    def connection_info(self) -> ConnectionInfo:
        """Describe the connection; never with the password."""
        return self._client.info()

    async def queues(self) -> list[QueueRecord]:
        """Count every queue that somebody used, sorted by name."""
        return [queue_record(name, tally) for name, tally in (await self._tallies()).items()]

    async def live(self, skip: Collection[str] = ()) -> list[LiveRecord]:
        """Count every queue that somebody used but those to skip, with what is watched second by second, sorted by name."""
        names = [name for name in await self._names() if name not in skip]
        tallies = await self._calls.read_all([self._calls.scripts.tally(name) for name in names])
        return [live_record(name, tally) for name, tally in zip(names, tallies, strict=True)]

    async def stats(self, queue: str) -> QueueRecord:
        """Count one queue, and name what of it is paused. Raises UnknownQueue where nobody ever used it."""
        record = queue_record(queue, await self._tally(queue))
        if record.pauses:
            return msgspec.structs.replace(record, paused_parts=tuple(await self.pauses(queue)))
        return record

    async def metrics(self, queue: str | None = None) -> MetricsRecord:
        """Measure one queue, or all of them together and each. Raises UnknownQueue."""
        scripts = self._calls.scripts
        if queue is not None:
            tally = await self._tally(queue)
            return metrics_record(queue, [tally], await self._calls.read(read_spread(scripts, queue)))
        tallies = await self._tallies()
        spreads = await self._calls.read_all([read_spread(scripts, name) for name in tallies])
        each = tuple(
            metrics_record(name, [tally], spread)
            for (name, tally), spread in zip(tallies.items(), spreads, strict=True)
        )
        total = metrics_record(None, [*tallies.values()], sum(spreads, Spread()))
        return msgspec.structs.replace(total, queues=each)

    async def totals(self) -> list[QueueTotals]:
        """Return all that is counted of every queue by job name, sorted by queue: what metrics are exported from."""
        return await read_totals(self._calls, self._prefix)

    async def queue_health(
        self,
        queue: str,
        *,
        max_waiting: int | None = 1000,
        max_failed: int | None = 100,
        max_age: Duration | None = None,
    ) -> HealthRecord:
        """Say whether a queue is well: no more than so many jobs wait, or failed and are kept, and none waits for longer.

        None is no threshold. A server that does not answer is unhealthy, and no error: a health check has to answer.
        Raises OptionError, and UnknownQueue for a queue that nobody used and `declared` does not name.
        """
        _health.check_thresholds(max_waiting, max_failed)
        age_ms = None if max_age is None else to_ms(max_age, name="max_age")
        try:
            tally = await self._tally(queue)
        except ConnectionFailed as error:
            return _health.unanswered(check_queue_name(queue), error.message)
        return _health.judge(
            queue_record(queue, tally),
            tally.longest_wait_ms,
            max_waiting=max_waiting,
            max_failed=max_failed,
            max_age_ms=age_ms,
        )

    async def alerts(self, queue: str | None = None, *, active: bool = False) -> list[AlertRecord]:
        """Return every alert of a queue, or of all, with its threshold and what it was last judged by; `active` only what fires.

        Raises UnknownQueue.
        """
        if queue is not None:
            await self._known(queue)
        found = await _alerts.read_alerts(self._calls, self._prefix, queue)
        return [each for each in found if each.active or not active]

    async def set_alert(
        self, queue: str, alert: str, threshold: Duration | Literal["declared"] | None
    ) -> bool:
        """Set the threshold of an alert live, over what code declares: it is judged by it from the next minute on.

        None is no alert, `declared` takes back what was set. Returns whether anything changed. Raises UnknownQueue or OptionError.
        """
        await self._known(queue)
        changed, text = await _alerts.set_alert(self._calls, queue, alert, threshold)
        await self._log("alert", queue, alert, int(changed), f"to {text}")
        return changed

    async def series(self, queue: str | None = None, minutes: int = 60) -> tuple[MinuteRecord, ...]:
        """Return what a queue, or all together, did in each of the last minutes, the one that runs included, oldest first.

        Minutes are kept for 90 days (129600), unless `JOBS_METRICS=0`. Raises OptionError or UnknownQueue.
        """
        if not 1 <= minutes <= MAX_MINUTES:
            raise OptionError("minutes", minutes, f"it must be 1 to {MAX_MINUTES}")
        if queue is not None:
            await self._known(queue)
        now_ms = await self._calls.server_ms()
        names = await self._names() if queue is None else [queue]
        scripts = self._calls.scripts
        told = await self._calls.read_all([read_minutes(scripts, name, now_ms, minutes) for name in names])
        return tuple(told[0]) if queue is not None else added_up(told, now_ms, minutes)

    async def errors(self, minutes: int = 60) -> ErrorGroups:
        """Group what failed for good in the last minutes, at most 1440, by the fingerprint of its error. Raises OptionError."""
        if not 1 <= minutes <= MINUTES_A_DAY:
            raise OptionError("minutes", minutes, f"it must be 1 to {MINUTES_A_DAY}")
        now_ms = await self._calls.server_ms()
        return await self._calls.read(read_errors(self._calls.scripts, await self._names(), now_ms, minutes))

    async def history(
        self,
        queue: str,
        *,
        outcome: State | str | None = None,
        name: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> HistoryPage:
        """List the last 10,000 jobs of a queue that ended, newest first, also those that are not kept.

        `outcome` is `completed`, `failed`, `cancelled` or `expired`, `name` that of the job, or `name@version`. `limit` is
        at most 500. Raises OptionError or UnknownQueue.
        """
        check_bounds(limit, 0, cursor)
        await self._known(queue)
        return await self._calls.read(
            read_history(
                self._calls.scripts,
                queue,
                outcome=outcome.value if isinstance(outcome, State) else outcome,
                name=name,
                limit=limit,
                cursor=cursor,
            )
        )

    async def workers(self) -> list[WorkerRecord]:
        """List the workers that were heard of in the last 10 min, sorted by id."""
        entries = await self._calls.read(list_workers(self._client, self._prefix))
        return [worker_record(entry) for entry in entries]

    async def quiet_worker(self, worker_id: str) -> str:
        """Let a worker claim no more; what runs goes on. Returns its state. Raises WorkerNotFound or WorkerSilent."""
        return await self._command(worker_id, "quiet")

    async def resume_worker(self, worker_id: str) -> str:
        """Let a worker that was quieted claim again. Returns its state. Raises WorkerNotFound or WorkerSilent."""
        return await self._command(worker_id, "resume")

    async def stop_worker(self, worker_id: str) -> str:
        """End a worker as SIGTERM does: it finishes what runs, within its grace. Returns its state.

        Raises WorkerNotFound or WorkerSilent.
        """
        return await self._command(worker_id, "stop")

    async def set_concurrency(self, worker_id: str, queue: str, number: int) -> str:
        """Let each child of a worker run so many jobs of a queue at once, until the worker ends. Returns its state.

        Raises WorkerNotFound, WorkerSilent, or OptionError for a queue that it does not serve.
        """
        _workers.check_slots(queue, number)
        return await self._command(worker_id, "concurrency", queue=queue, number=number)

    async def stacks(self, worker_id: str) -> tuple[WorkerStack, ...]:
        """Return what all threads of a worker's children are doing, also of one that C code holds.

        Raises WorkerNotFound or WorkerSilent.
        """
        return _workers.stacks_of(await _workers.command(self._calls, self._prefix, worker_id, "stacks"))

    async def scale(self, queue: str, number: int | None) -> bool:
        """Let so many children of each worker serve a queue, 0 or more, until it is released by None.

        Returns whether anything changed. It goes before what `WORKER_PROCESSES` says, `auto` too. Raises UnknownQueue or
        OptionError.
        """
        if number is not None:
            await self._known(queue)
        changed = await _workers.scale(self._calls, self._prefix, queue, number)
        if changed:
            await self._log("scale", queue, "", 1, "auto" if number is None else f"to {number}")
        return changed

    async def scales(self) -> list[ScaleRecord]:
        """List the numbers of children that somebody set and nobody released, by queue."""
        return await _workers.scales(self._calls, self._prefix)

    async def plan(self, queues: Iterable[Queue]) -> list[PlanRecord]:
        """Say what starting workers that declare these queues would change on the server; nothing is changed by asking."""
        return await _plan.read_plan(self._calls, self._prefix, queues)

    async def scaler(self, profile: str, *, within: Duration = 60) -> ScalerRecord:
        """Say how many workers of a weight class there should be, for an autoscaler: enough to do within that time what there is.

        Raises OptionError.
        """
        seconds = to_ms(within, name="within") / 1000
        if not seconds:
            raise OptionError("within", within, "it must be longer than 0")
        entries = await _scaler.queues_of(self._calls, self._prefix, profile)
        limits = {entry.queue: await _limits.read_limits(self._calls, entry.queue) for entry in entries}
        return await _scaler.read_scaler(
            self._calls, self._prefix, profile, limits, entries, within_s=seconds
        )

    async def _command(self, worker_id: str, verb: CommandVerb, *, queue: str = "", number: int = 0) -> str:
        answer = await _workers.command(
            self._calls, self._prefix, worker_id, verb, queue=queue, number=number
        )
        detail = f"to {number}" if number else ""
        await self._log(f"worker {verb}", queue, f"worker:{worker_id}", 1, detail)
        return answer.state

    def acting(self, *, actor: str | None = None, reason: str = "") -> Self:
        """Return this admin, on the same connection, in the name of somebody else, or for a reason: the audit tells."""
        other = copy.copy(self)
        other._actor = self._actor if actor is None else actor  # noqa: SLF001 - a copy of ourselves
        other._reason = reason  # noqa: SLF001
        return other

    @property
    def schedules(self) -> ScheduleAdmin:
        """The schedules of queues."""
        codecs = self._calls.scripts.codecs or Codecs()
        return ScheduleAdmin(self._calls, codecs, self._actor, self._log, self._redaction)

    async def audit(
        self, queue: str | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> AuditPage:
        """List the last changes that anybody made, newest first, of one queue or all; at most 500. Raises OptionError."""
        check_bounds(limit, 0, cursor)
        return await _audit.read(self._calls, self._prefix, queue=queue, limit=limit, cursor=cursor)

    async def note(self, verb: str, queue: str, which: str, count: int, detail: str = "") -> None:
        """Enter in the audit a change that was made by other means, in the name of who acts."""
        await self._log(verb, queue, which, count, detail)

    async def bulk_actions(self) -> list[BulkAction]:
        """List the last 200 changes of very many jobs that went on by themselves, newest first."""
        return await _actions.read_all(self._calls, self._prefix)

    async def bulk_action(self, action_id: str) -> BulkAction:
        """Return one of them. Raises BulkNotFound."""
        return await _actions.read(self._calls, self._prefix, action_id)

    async def keep_bulk(self, action: BulkAction) -> str:
        """Remember how far one is. Returns who asked for its end, "" for nobody."""
        return await _actions.write(self._calls, self._prefix, action)

    async def cancel_bulk(self, action_id: str) -> BulkAction:
        """Ask one to end; it does within some seconds, and what it did stays. Raises BulkNotFound."""
        return await _actions.cancel(self._calls, self._prefix, action_id, self._actor)

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

        With `for_` it ends by itself. Returns False if it was paused already. Raises UnknownQueue, OptionError.
        """
        what = _pauses.subject(job, key)
        for_ms = 0 if for_ is None else to_ms(for_, name="for_")
        await self._known(queue)
        who, why = actor or self._actor, reason or self._reason
        changed = await self._calls.change(
            self._calls.scripts.pause(queue, what=what, for_ms=for_ms, actor=who, reason=why)
        )
        detail = f"for {for_ms / 1000:g} s" if for_ms else ""
        await self._log("pause", queue, what, int(changed), detail, actor=who, reason=why)
        return changed

    async def resume(self, queue: str, *, job: str | None = None, key: str | None = None) -> bool:
        """Let workers take jobs again of a queue, a job name or a key. Returns False if it was not paused.

        Raises UnknownQueue, OptionError.
        """
        what = _pauses.subject(job, key)
        await self._known(queue)
        changed = await self._calls.change(self._calls.scripts.resume(queue, what=what))
        await self._log("resume", queue, what, int(changed))
        return changed

    async def pauses(self, queue: str) -> list[PauseRecord]:
        """List the job names and keys of a queue that are paused for themselves. Raises UnknownQueue."""
        await self._known(queue)
        return await _pauses.pauses(self._calls, queue)

    async def job(self, queue: str, job_id: str) -> JobRecord:
        """Return what is known of a job. Raises JobNotFound."""
        record, located = await self._find(queue, job_id)
        return self._shown(await self._with_awaited(record, located))

    async def job_detail(self, queue: str, job_id: str) -> JobDetail:
        """Return what is known of a job, with its attempts that failed. Raises JobNotFound."""
        record, located = await self._find(queue, job_id)
        record = await self._with_awaited(record, located)
        history = tuple(failed_attempts(located))
        return self._shown(JobDetail(**msgspec.structs.asdict(record), history=history))

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
        check_bounds(limit, offset, cursor)
        await self._known(queue)
        scripts = self._calls.scripts
        now_ms = await self._calls.server_ms() if wanted.query.picky else 0
        return await self._calls.read(
            list_page(
                *(scripts, queue, wanted),
                limit=limit,
                offset=offset,
                cursor=cursor,
                now_ms=now_ms,
                shown=self._shown,
            )
        )

    async def retry(self, queue: str, *ids: str) -> list[Outcome]:
        """Put failed jobs back, with all their attempts before them again.

        With one id its error is raised (JobNotFound, WrongState); with several each outcome holds its own.
        """
        return await self._apply("retry", _verdicts.retry, queue, ids)

    async def remove(self, queue: str, *ids: str) -> list[Outcome]:
        """Remove jobs and all that is kept of them; one that runs is refused. Errors as `retry`."""
        return await self._apply("remove", _verdicts.remove, queue, ids)

    async def promote(self, queue: str, *ids: str) -> list[Outcome]:
        """Let delayed jobs run now. Errors as `retry`."""
        return await self._apply("promote", _verdicts.promote, queue, ids)

    async def priority(self, queue: str, *ids: str, to: Priority | int | str) -> list[Outcome]:
        """Give waiting or delayed jobs another priority; their places follow. Errors as `retry`, and OptionError."""
        number = as_priority(to)
        detail = f"to {Priority(number).name.lower()}"
        return await self._apply("priority", _verdicts.priority(number), queue, ids, detail)

    async def reschedule(
        self, queue: str, *ids: str, delay: Duration | None = None, run_at: datetime | None = None
    ) -> list[Outcome]:
        """Make waiting or delayed jobs due after a delay from now, or at an instant with a zone.

        Errors as `retry`, and OptionError.
        """
        delay_ms, run_at_ms, detail = due_time(delay, run_at)
        return await self._apply("reschedule", _verdicts.reschedule(delay_ms, run_at_ms), queue, ids, detail)

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
        if payload is not msgspec.UNSET and len(ids) != 1:
            raise OptionError("payload", "…", "another payload can only be given for one job")
        if payload is not msgspec.UNSET and self._redaction is not None:
            record, _ = await self._find(check_queue_name(queue), ids[0])
            payload = self._redaction.restore(record, payload)
        changes = Changes(
            priority=0 if priority is None else as_priority(priority),
            payload=payload,
            job=cast("JobType[object, object] | None", job),
        )
        outcomes = await _replay.replay(
            self._calls,
            check_queue_name(queue),
            ids,
            changes,
            rate=rate,
            progress=progress,
            dry_run=dry_run,
        )
        done = [each.id for each in outcomes if each.done]
        detail = "edited" if changes.edited else ""
        which = f"id:{','.join(done[:_NAMED])}"
        await self._logged("replay", queue, which, len(done), dry_run=dry_run, detail=detail)
        return outcomes

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
        count = await _replay.replay_all(
            self._calls,
            Changes(priority=0 if priority is None else as_priority(priority)),
            queue=queue,
            name=name,
            group=group,
            limit=_checked_limit(limit),
            rate=rate,
            progress=progress,
            dry_run=dry_run,
        )
        chosen = {"queue": queue, "name": name, "error": group}
        which = " ".join(f"{field}:{value}" for field, value in chosen.items() if value)
        await self._logged("replay", DEAD_LETTER_QUEUE, which, count, dry_run=dry_run)
        return count

    async def dead_letter_counts(self) -> list[LetterCount]:
        """Count the dead letters there ever were by queue, job and kind of error, the most frequent first."""
        return await _replay.letter_counts(self._calls)

    async def cancel(self, queue: str, *ids: str) -> list[Cancellation]:
        """Cancel jobs wherever they are; one that runs is asked to stop, and its worker settles it as cancelled."""
        outcomes = await _verdicts.cancel(self._calls, check_queue_name(queue), ids)
        done = [each.id for each in outcomes if each.outcome in {"cancelled", "requested"}]
        await self._log("cancel", queue, f"id:{','.join(done[:_NAMED])}", len(done))
        return outcomes

    async def flow(self, flow_id: str, *, queue: str | None = None) -> FlowRecord:
        """Return what is known of a flow: how many jobs it has, and how they ended.

        Without `queue` it is looked for in all. The id may as well be that of one of its jobs that has not ended, of a job that waits for
        others or that others wait for, or of a link of a chain: then it is counted what is around that one. Raises FlowNotFound, UnknownQueue, and
        OptionError for an id that several queues have.
        """
        return await self._flows().get(flow_id, queue)

    async def flow_jobs(
        self,
        flow_id: str,
        *,
        queue: str | None = None,
        state: str | None = None,
        start: int = 0,
        limit: int = 100,
    ) -> FlowJobsPage:
        """Return a flow and its jobs from number `start` on, in order: what each waits for, and where it is. `limit` is at most 500.

        `state` is that of jobs, or how they ended: `skipped` and `missing` too; one looks at 10,000 jobs. Of jobs around one that
        is no flow of its own these are at most 200. Errors as `flow`.
        """
        return await self._flows().jobs(flow_id, queue, state=state, start=start, limit=limit)

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
        return await self._flows().list(queue, state, limit, cursor)

    async def cancel_flow(self, flow_id: str, *, queue: str | None = None) -> bool:
        """Cancel a flow and all its jobs; those that run are asked to stop. Returns False if it had ended. Errors as `flow`.

        A job that is no flow of its own is cancelled by `cancel`.
        """
        return await self._flows().cancel(flow_id, queue)

    async def retry_flow(self, flow_id: str, *, queue: str | None = None) -> int:
        """Let a flow that failed go on from the jobs that did not complete; those that did keep their results. Errors as `flow`, and FlowNotFailed.

        Failed jobs are retried with fresh budgets, those that were skipped or failed for them wait again. Returns how many these are. A
        job that is not kept any more counts as missing, so the flow fails again for it.
        """
        return await self._flows().retry(flow_id, queue)

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
        if not query.strip():
            raise OptionError(
                "query", query, "say which jobs; state:failed means all that failed, for example"
            )
        if rate is not None and rate <= 0:
            raise OptionError("rate", rate, "it must be more than 0 jobs a second")
        wanted = make_filter(None, None, None, query)
        states = _where.sources(verb, wanted.query.states)
        change, there, detail = _change(verb, to, delay, run_at, await self._calls.server_ms())
        await self._known(queue)
        bound = _where.Bound(limit=_checked_limit(limit), rate=rate or 0.0, cursor=cursor)
        wanted = msgspec.structs.replace(wanted, states=states)
        total = None
        if not wanted.picky:
            sizes = (await self._tally(queue)).sizes
            total = sum(sizes[state] for state in states)
            total = total if limit is None else min(total, limit)
        count, after = await _where.change_where(
            self._calls,
            queue,
            None if dry_run else change,
            wanted,
            bound,
            there=there,
            total=total,
            progress=progress,
            shown=self._shown,
        )
        await self._logged(verb, queue, wanted.query.text, count, dry_run=dry_run, detail=detail)
        return BulkRecord(verb=verb, query=wanted.query.text, count=count, dry_run=dry_run, cursor=after)

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
        await self._known(queue)
        count = await _bulk.retry_failed(
            self._calls, queue, limit=_checked_limit(limit), dry_run=dry_run, progress=progress
        )
        return await self._logged("retry", queue, "state:failed", count, dry_run=dry_run)

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
        age_ms = to_ms(older_than, name="older_than")
        homes = make_filter(state, None, None).states
        for home in homes:
            if not home.final:
                finals = ", ".join(each for each in State if each.final)
                raise OptionError("state", home.value, f"only ended jobs can be cleaned: {finals}")
        await self._known(queue)
        count = await _bulk.clean(
            self._calls,
            queue,
            homes,
            age_ms=age_ms,
            limit=_checked_limit(limit),
            dry_run=dry_run,
            progress=progress,
        )
        which = f"state:{','.join(homes)} age>{age_ms / 1000:g}s"
        return await self._logged("clean", queue, which, count, dry_run=dry_run)

    async def obliterate(
        self, queue: str, *, force: bool = False, dry_run: bool = False, progress: Progress | None = None
    ) -> int:
        """Take away everything that a queue has: jobs of all states, totals, remembered ids. Returns how many jobs.

        It takes effect in one step, also while producers and workers go on; what is declared and paused stays.
        While jobs run it raises QueueBusy unless `force`d: then their handlers are cancelled, and what they still
        report is refused. `progress` and `dry_run` as for `retry_failed`. Raises UnknownQueue.
        """
        await self._known(queue)
        count = await _bulk.obliterate(self._calls, queue, force=force, dry_run=dry_run, progress=progress)
        if not dry_run and all(
            owner.dead for owner in await self._calls.read(self._calls.scripts.owners(queue))
        ):
            # Nobody serves it: it is listed again as soon as somebody uses it.
            await self._calls.change(forget_queue(self._client, self._prefix, queue))
        return await self._logged(
            "obliterate", queue, "", count, dry_run=dry_run, detail="forced" if force else ""
        )

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
        homes = ("waiting", "delayed") if delayed else ("waiting",)
        sizes = (await self._tally(queue)).sizes
        total = sum(sizes[home] for home in homes)
        count = await _bulk.drain(self._calls, queue, homes, total, dry_run=dry_run, progress=progress)
        return await self._logged("drain", queue, f"state:{','.join(homes)}", count, dry_run=dry_run)

    def listener(self, *queues: str, since: Mapping[str, str] | str | None = None) -> EventListener:
        """Return what hears the events of queues, or of all there are and will be, on a connection of its own.

        `since` is the cursor of an event to go on behind, one for each queue by name where there are several, or "0" for all
        that is kept; without it only what happens from now on is heard. Raises OptionError.
        """
        for queue in queues:
            check_queue_name(queue)
        shown = None if self._redaction is None else self._redaction.event
        return EventListener(self._client.address, self._prefix, queues, since, shown)

    async def events(
        self, *queues: str, since: Mapping[str, str] | str | None = None
    ) -> AsyncIterator[Event]:
        """Yield the events of queues, or of all, as they happen, from the first step of the loop on; as `listener`.

        Raises UnknownQueue.
        """
        for queue in queues:
            await self._known(queue)
        async with self.listener(*queues, since=since) as listener:
            async for event in listener:
                yield event

    async def doctor(self, queue: str | None = None, job_id: str | None = None) -> list[Finding]:
        """Examine the server, or why the jobs of a queue, or one job, do not run. Raises JobNotFound."""
        if queue is None:
            return await _doctor.examine_server(self._calls, self._prefix)
        check_queue_name(queue)
        if job_id is None:
            return await _doctor.examine_queue(self._calls, self._prefix, queue, self._declared)
        record, located = await self._find(queue, job_id)
        record = await self._with_awaited(record, located)
        return await _doctor.examine_job(self._calls, self._prefix, self._shown(record), located)

    async def logs(self, queue: str, job_id: str, *, after: str = "", limit: int = 500) -> JobLogs:
        """Return what a job's handlers logged, at most `limit` lines (up to 1,000) after a cursor; none for a job that has none.

        They are there as long as the job, or its result. Raises OptionError.
        """
        check_queue_name(queue)
        if not 1 <= limit <= _LOG_LINES:
            raise OptionError("limit", limit, f"it must be 1 to {_LOG_LINES:,}")
        if not _CURSOR(after):
            raise OptionError("after", after, "it must be the cursor of a line")
        found = await self._calls.read(
            self._calls.scripts.logs(queue, job_id=check_job_id(job_id), after=after, count=limit)
        )
        lines = tuple(log_records(found))
        if self._redaction is not None and lines:
            lines = await self._redacted_lines(self._redaction, queue, job_id, lines)
        more = len(lines) == limit and limit < found.kept
        return JobLogs(lines=lines, truncated=found.dropped > 0, cursor=lines[-1].cursor if more else None)

    async def check(self, queue: str | None = None, *, repair: bool = False) -> CheckReport:
        """Look whether every invariant of a queue holds, or of all queues and the keys beside them.

        It reads in bounded steps, changes nothing, and may run while jobs flow: what only moves is no breach.
        With `repair` it mends what can be mended, each breach only if it is still there; see docs/engine.md.
        Raises UnknownQueue.
        """
        if queue is not None:
            await self._known(queue)
        report = await _check.check(self._calls, queue, repair=repair)
        for breach in report.breaches:
            if breach.repaired:
                await self._log("repair", breach.queue, breach.code, breach.repaired)
        return report

    async def limits(self, queue: str) -> list[LimitRecord]:
        """Return every limit of a queue: what code declares, and what is set over it. Raises UnknownQueue."""
        await self._known(queue)
        return await _limits.read_limits(self._calls, queue)

    async def limit(self, queue: str, **limits: Unpack[LiveLimits]) -> bool:
        """Set limits of a queue live: they hold over what code declares, also over later declarations.

        None lifts a limit, `declared` takes back what was set. Those who wait are looked at again at once. Returns whether
        anything changed. Raises UnknownQueue or OptionError.
        """
        await self._known(queue)
        changed = await _limits.set_limits(self._calls, queue, limits)
        detail = ", ".join(f"{name} {value}" for name, value in limits.items())
        await self._log("limit", queue, "", int(changed), detail)
        return changed

    async def _apply(
        self, verb: str, change: _verdicts.Verb, queue: str, ids: Sequence[str], detail: str = ""
    ) -> list[Outcome]:
        outcomes = await _verdicts.apply(self._calls, change, check_queue_name(queue), ids)
        done = [each.id for each in outcomes if each.done]
        await self._log(verb, queue, f"id:{','.join(done[:_NAMED])}", len(done), detail)
        return outcomes

    async def _logged(
        self, verb: str, queue: str, which: str, count: int, *, dry_run: bool, detail: str = ""
    ) -> int:
        if not dry_run:
            await self._log(verb, queue, which, count, detail)
        return count

    async def _log(
        self,
        verb: str,
        queue: str,
        which: str,
        count: int,
        detail: str = "",
        *,
        actor: str = "",
        reason: str = "",
    ) -> None:
        record = AuditRecord(
            actor=actor or self._actor,
            verb=verb,
            queue=queue,
            filter=which,
            count=count,
            detail=detail,
            reason=reason or self._reason,
        )
        await _audit.write(self._calls, self._prefix, record)

    async def _names(self) -> list[str]:
        entries = await self._calls.read(list_queues(self._client, self._prefix))
        return [entry.queue for entry in entries]

    async def _tallies(self) -> dict[str, Tally]:
        names = await self._names()
        tallies = await self._calls.read_all([self._calls.scripts.tally(name) for name in names])
        return dict(zip(names, tallies, strict=True))

    async def _tally(self, queue: str) -> Tally:
        tally = await self._calls.read(self._calls.scripts.tally(check_queue_name(queue)))
        if not tally.used:
            await self._known(queue)
        return tally

    async def _known(self, queue: str) -> None:
        """Raise UnknownQueue for a queue that nobody used: a mistyped name would be changed in vain."""
        check_queue_name(queue)
        if queue in self._declared or await self._calls.exists(queue):
            return
        names = await self._names()
        if queue not in names:
            raise UnknownQueue(queue, nearest(queue, {*names, *self._declared}))

    def _shown(self, record: J) -> J:
        return record if self._redaction is None else self._redaction.job(record)

    async def _redacted_lines(
        self, redaction: Redaction, queue: str, job_id: str, lines: tuple[LogRecord, ...]
    ) -> tuple[LogRecord, ...]:
        try:
            record, _ = await self._find(queue, job_id)
        except JobNotFound:
            # The lines outlast it by a moment, in which nobody can tell what they may show.
            return ()
        return redaction.logs(record, lines)

    async def _with_awaited(self, record: JobRecord, located: Located) -> JobRecord:
        if record.state is not State.BLOCKED:
            return record
        place = Place(record.queue, record.id)
        awaited = await Neighbours(self._calls, self._names).waits_for(place, located)
        return msgspec.structs.replace(record, waits_for=awaited)

    def _flows(self) -> Flows:
        async def names(queue: str | None) -> list[str]:
            if queue is None:
                return await self._names()
            await self._known(queue)
            return [queue]

        return Flows(self._calls, names, self._log, self._redaction)

    async def _find(self, queue: str, job_id: str) -> tuple[JobRecord, Located]:
        (located,) = await self._calls.read(self._calls.scripts.lookup(check_queue_name(queue), ids=[job_id]))
        record = await self._calls.read(build_record(self._calls.scripts, queue, job_id, located))
        if record is None:
            raise JobNotFound(queue, job_id)
        return record, located


def _change(
    verb: BulkVerb,
    to: Priority | int | str | None,
    delay: Duration | None,
    run_at: datetime | None,
    now_ms: int,
) -> tuple[_verdicts.Verb, Callable[[JobRecord], bool], str]:
    """Return what changes jobs, what tells that one is so already, and the text of it. Raises OptionError."""
    match verb:
        case "retry":
            return _verdicts.retry, _never, ""
        case "promote":
            return _verdicts.promote, _never, ""
        case "cancel":
            return _verdicts.cancel_many, _never, ""
        case "remove":
            return _verdicts.remove, _never, ""
        case "priority":
            if to is None:
                raise OptionError("to", to, "say which priority")
            number = as_priority(to)
            name = Priority(number).name.lower()
            return _verdicts.priority(number), lambda job: job.priority == name, f"to {name}"
        case "reschedule":
            delay_ms, run_at_ms, detail = due_time(delay, run_at)
            # One instant for all of them, or those moved would be met again further on.
            at_ms = run_at_ms or now_ms + delay_ms

            def there(job: JobRecord) -> bool:
                return job.run_at is not None and round(job.run_at.timestamp() * 1000) == at_ms

            return _verdicts.reschedule(0, at_ms), there, detail


def _never(_: JobRecord) -> bool:
    return False


def due_time(delay: Duration | None, run_at: datetime | None) -> tuple[int, int, str]:
    """Return a due time as (delay in ms, Unix ms or 0, text). Raises OptionError."""
    if (delay is None) == (run_at is None):
        raise OptionError("delay", delay, "give either a delay or an instant (run_at)")
    if run_at is None:
        delay_ms = to_ms(cast("Duration", delay), name="delay")
        return delay_ms, 0, f"in {delay_ms / 1000:g} s"
    if run_at.utcoffset() is None:
        raise OptionError(
            "run_at", run_at, "it has no time zone, so it means another instant on each machine"
        )
    return 0, max(1, round(run_at.timestamp() * 1000)), f"at {run_at.isoformat()}"


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise OptionError("limit", limit, "it must be 0 or more")
    return limit
