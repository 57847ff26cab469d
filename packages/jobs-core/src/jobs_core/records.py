"""A job as it is told to people and programs: the same keys in Python, `--json`, REST and SSE."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.codecs import Codecs, Place, mark
from jobs_core.errors import JobsError
from jobs_core.flows.successors import end_of
from jobs_core.keys import big_key
from jobs_core.options import MetaValue, decode_policy
from jobs_core.payloads import JsonValue, decode_any
from jobs_core.scripts import Located
from jobs_core.states import Priority, State
from jobs_core.wire import (
    BIG,
    ErrorInfo,
    Progress,
    child_note,
    child_text,
    decode_envelope,
    decode_log_line,
    decode_progress,
    end_note,
    parse_finish,
    parse_header,
    parse_history,
    poison_counts,
    trace_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import JobLines, Scripts
    from jobs_core.wire import Envelope, FinishInfo, FlowEnd, Header


_NO_KEYS = Codecs()
# How many jobs a call looks for: with long histories it must not hold the server up.
_READ = 64


class JobRef(msgspec.Struct, frozen=True, kw_only=True):
    """A job by queue, name and id."""

    queue: str
    name: str
    id: str


class AwaitedJob(JobRef, frozen=True, kw_only=True):
    """A job that another one waits for, and where it is; `name` is "" where that is not known, `state` "missing" of one that is gone."""

    state: str


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands: number `position` of the `length` jobs of the chain whose first one is `chain`, if of one.

    `previous` is the job that it followed, `next` are those that start when it completed.
    """

    chain: str | None = None
    position: int | None = None
    length: int | None = None
    previous: JobRef | None = None
    next: tuple[JobRef, ...] = ()


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job and what is known of it.

    Times are UTC, durations milliseconds; None means not yet, or not kept. `schedule` is the id of the schedule that sent
    it, `scheduled_for` the time of that which it is for. `trace_id` (32 hex digits) is the trace that its
    enqueue was a part of. `waits_for` are the jobs, 100 at most, for whose ends a blocked one waits; it
    is told of one job, not in lists.
    """

    id: str
    queue: str
    name: str
    payload: JsonValue
    state: State
    priority: str
    progress: float | Progress | None = None
    attempts_made: int = 0
    attempts: int = 0
    stalled: int = 0
    releases: int = 0
    created_at: datetime
    run_at: datetime | None = None
    processed_at: datetime | None = None
    finished_at: datetime | None = None
    wait_ms: float | None = None
    run_ms: float | None = None
    result: JsonValue = None
    failed_reason: str | None = None
    metadata: dict[str, MetaValue] = {}
    tags: tuple[str, ...] = ()
    schedule: str | None = None
    scheduled_for: datetime | None = None
    trace_id: str | None = None
    flow: FlowRecord | None = None
    waits_for: tuple[AwaitedJob, ...] = ()


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that ended without a result; it waited `wait_ms` from when the job was ready."""

    attempt: int
    started_at: datetime
    wait_ms: float
    run_ms: float
    worker: str
    error_type: str
    error: str
    stack: str


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was logged while a job ran. `at` is the worker's time, UTC; `cursor` is where to go on from."""

    attempt: int
    at: datetime
    level: str
    logger: str
    message: str
    cursor: str


async def read_records(
    scripts: Scripts, queue: str, ids: Sequence[str], *, deadline: float | None = None
) -> list[JobRecord | None]:
    """Read jobs by id, in the order given; None for one that nothing is known of."""
    records: list[JobRecord | None] = []
    for start in range(0, len(ids), _READ):
        chunk = ids[start : start + _READ]
        found = await scripts.lookup(queue, ids=chunk, deadline=deadline)
        for job_id, located in zip(chunk, found, strict=True):
            records.append(await build_record(scripts, queue, job_id, located, deadline=deadline))
    return records


async def build_record(
    scripts: Scripts, queue: str, job_id: str, found: Located, *, deadline: float | None = None
) -> JobRecord | None:
    """Make the record of one job from what a script found; a large envelope is fetched."""
    if not found.state:
        return None
    if not found.record:
        info = parse_finish(found.info)
        return _from_info(scripts.codecs, queue, job_id, info) if info else None
    header = parse_header(found.record)
    packed = await _packed(scripts, queue, job_id, found.record, header, deadline)
    # Without one it ended between the two calls.
    return None if packed is None else _from_record(scripts.codecs, queue, job_id, found, header, packed)


async def read_envelope(
    scripts: Scripts, queue: str, job_id: str, found: Located, *, deadline: float | None = None
) -> Envelope | None:
    """Return the envelope of a job that a script found; None of one that is gone, or of which no record is kept."""
    if not found.record:
        return None
    header = parse_header(found.record)
    packed = await _packed(scripts, queue, job_id, found.record, header, deadline)
    return None if packed is None else decode_envelope(packed)


async def _packed(  # noqa: PLR0917 - in one place
    scripts: Scripts, queue: str, job_id: str, record: bytes, header: Header, deadline: float | None
) -> bytes | None:
    if not header.flags & BIG:
        return record[header.size :]
    key = big_key(scripts.key(queue), job_id)
    return cast("bytes | None", await scripts.client.call("GET", key, deadline=deadline))


def attempts_of(found: Located) -> list[AttemptRecord]:
    """Return the attempts of a job that failed, oldest first."""
    return [
        AttemptRecord(
            attempt=each.attempt,
            started_at=_time(each.started_ms),
            wait_ms=each.wait_us / 1000,
            run_ms=each.run_us / 1000,
            worker=each.worker,
            error_type=each.error.type,
            error=each.error.message,
            stack=each.error.stack,
        )
        for each in parse_history(found.history)
    ]


def log_records(found: JobLines) -> list[LogRecord]:
    """Return lines of a job's log as they are told."""
    lines: list[LogRecord] = []
    for cursor, packed in found.lines:
        line = decode_log_line(packed)
        lines.append(
            LogRecord(
                attempt=line.attempt,
                at=_time(line.at_ms),
                level=line.level,
                logger=line.logger,
                message=line.message,
                cursor=cursor,
            )
        )
    return lines


def failure_text(error: ErrorInfo | None) -> str | None:
    """Return the reason of a failure in one line."""
    if error is None:
        return None
    return f"{error.type}: {error.message}" if error.type else error.message


# Ended by a script: what is told of them is how and when.
_UNRUN = frozenset({State.EXPIRED, State.CANCELLED})


@lru_cache(maxsize=4096)
def job_name(wire_name: str) -> str:
    """Return the name of a job without its version."""
    return wire_name.rpartition("@")[0] or wire_name


def _time(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _from_info(codecs: Codecs | None, queue: str, job_id: str, info: FinishInfo) -> JobRecord:
    return JobRecord(
        id=job_id,
        queue=queue,
        name=job_name(info.name),
        payload=None,
        state=State(info.state),
        priority=Priority(info.priority).name.lower(),
        attempts_made=info.attempts_made,
        attempts=info.attempts,
        stalled=info.stalled,
        releases=info.releases,
        created_at=_time(info.created_ms),
        run_at=_time(info.run_at_ms) if info.run_at_ms else None,
        processed_at=_time(info.started_ms),
        finished_at=_time(info.started_ms + info.run_us / 1000),
        wait_ms=info.wait_us / 1000,
        run_ms=info.run_us / 1000,
        result=_result(codecs, queue, job_id, info),
        failed_reason=failure_text(info.error),
        metadata=info.metadata or {},
        tags=info.tags or (),
        flow=_flow(info.flow),
    )


def _from_record(  # noqa: PLR0917 - in one place
    codecs: Codecs | None, queue: str, job_id: str, found: Located, header: Header, packed: bytes
) -> JobRecord:
    info = parse_finish(found.info)
    envelope = decode_envelope(packed)
    policy = decode_policy(envelope.policy)
    history = parse_history(found.history)
    attempts_made, stalled, releases = found.entry.attempts, found.entry.crashes, found.entry.releases
    reason = failure_text(history[-1].error) if history else None
    due_ms = found.entry.ready_ms or header.due_ms
    processed_ms = found.fence / 1000 if found.fence else None
    wait_ms = run_ms = finished_ms = None
    if processed_ms is not None:
        wait_ms = max(processed_ms - (due_ms or header.stamp_us / 1000), 0.0)
    if info is not None:
        attempts_made, stalled, releases = info.attempts_made, info.stalled, info.releases
        reason = failure_text(info.error)
        processed_ms, wait_ms, run_ms = info.started_ms, info.wait_us / 1000, info.run_us / 1000
        finished_ms = info.started_ms + run_ms
    elif found.state in _UNRUN and found.info:
        _, numbers = end_note(found.info)
        finished_ms = numbers[0] if numbers else None
        child = child_note(found.info)
        reason = reason if child is None else child_text(*child)
    elif found.info and (child := child_note(found.info)) is not None:
        finished_ms = end_note(found.info)[1][0]
        reason = f"child: {child_text(*child)}"
    elif found.info:
        stalled, attempts_made = poison_counts(found.info)
        reason = f"poison: the worker died {stalled} times while it ran this job"
    return JobRecord(
        id=job_id,
        queue=queue,
        name=job_name(header.name),
        payload=shown_payload(Place(queue, header.name, job_id), envelope.payload, envelope.codec, codecs),
        state=State(found.state),
        priority=Priority(header.priority).name.lower(),
        progress=_progress(found.progress),
        attempts_made=attempts_made,
        attempts=policy.attempts,
        stalled=stalled,
        releases=releases,
        created_at=_time(header.stamp_us / 1000),
        run_at=_time(due_ms) if due_ms else None,
        processed_at=_time(processed_ms) if processed_ms is not None else None,
        finished_at=_time(finished_ms) if finished_ms is not None else None,
        wait_ms=wait_ms,
        run_ms=run_ms,
        result=None if info is None else _result(codecs, queue, job_id, info),
        failed_reason=reason,
        metadata=envelope.metadata or {},
        tags=envelope.tags or (),
        schedule=envelope.schedule[0] if envelope.schedule else None,
        scheduled_for=_time(envelope.schedule[1]) if envelope.schedule else None,
        trace_id=trace_id_of(envelope.trace) or None,
        flow=None if envelope.flow is None else _flow(end_of(envelope.flow, queue, job_id)),
    )


def _flow(end: FlowEnd | None) -> FlowRecord | None:
    if end is None:
        return None
    around = [
        JobRef(queue=queue, name=job_name(name), id=job_id)
        for queue, name, job_id in (*((end.before,) if end.before else ()), *end.next)
    ]
    placed = end.position > 0
    return FlowRecord(
        chain=end.chain if placed else None,
        position=end.position if placed else None,
        length=end.length if placed else None,
        previous=around[0] if end.before else None,
        next=tuple(around[1:] if end.before else around),
    )


def _result(codecs: Codecs | None, queue: str, job_id: str, info: FinishInfo) -> JsonValue:
    if not info.result:
        return None
    return shown_payload(Place(queue, info.name, job_id, "result"), info.result, info.codec, codecs)


def shown_payload(place: Place, data: bytes, text: str | None, codecs: Codecs | None) -> JsonValue:
    """Return a payload or result as JSON shows it: the bytes of a msgpack one in base64, its times as text.

    One that is encrypted with a key that is not here, or kept in a file, is shown as a mark that says so.
    """
    try:
        if text is None:
            return decode_any(data, "json")
        stands_for = mark(data, text, None if codecs is None else codecs.keys)
        if stands_for is not None:
            return stands_for
        plain, form = (codecs or _NO_KEYS).open(place, data, text)
        return cast("JsonValue", msgspec.to_builtins(decode_any(plain, form), str_keys=True))
    except (JobsError, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        return {"$unreadable": str(error), "bytes": len(data)}


def _progress(packed: bytes) -> float | Progress | None:
    if not packed:
        return None
    progress = decode_progress(packed)
    plain = progress.current is None and progress.total is None and progress.message is None
    return progress.percent if plain else progress
