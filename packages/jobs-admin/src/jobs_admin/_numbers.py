"""From the counts of a queue to the records that are told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from jobs_admin.records import LiveRecord, MetricsRecord, QueueRecord, WorkerRecord
from jobs_core.records import AttemptRecord, attempts_of
from jobs_core.wire import parse_finish

if TYPE_CHECKING:
    from jobs_admin._measures import Spread
    from jobs_core.registry import WorkerEntry
    from jobs_core.scripts import Located, Tally


def queue_record(queue: str, tally: Tally) -> QueueRecord:
    """Return the counts of a queue."""
    sizes = tally.sizes
    totals = sum_totals(tally.totals)
    return QueueRecord(
        queue=queue,
        waiting=sizes["waiting"],
        active=sizes["active"],
        delayed=sizes["delayed"],
        blocked=sizes["blocked"],
        unroutable=sizes["unroutable"],
        completed=totals.get("completed", 0),
        failed=totals.get("failed", 0),
        cancelled=totals.get("cancelled", 0),
        expired=totals.get("expired", 0),
        stalled=totals.get("stalled", 0),
        retained_completed=sizes["completed"],
        retained_failed=sizes["failed"],
        retained_cancelled=sizes["cancelled"],
        retained_expired=sizes["expired"],
        paused=tally.paused_ms is not None,
        total=sizes["waiting"] + sizes["active"] + sizes["delayed"] + sizes["blocked"],
        paused_at=None if tally.paused_ms is None else utc(tally.paused_ms),
        paused_by=tally.pause_actor,
        pause_reason=tally.pause_reason,
        paused_until=None if tally.paused_until_ms is None else utc(tally.paused_until_ms),
        pauses=tally.pauses,
    )


def live_record(queue: str, tally: Tally) -> LiveRecord:
    """Return the counts of a queue that are watched second by second."""
    totals = sum_totals(tally.totals)
    return LiveRecord(
        **msgspec.structs.asdict(queue_record(queue, tally)),
        added=totals.get("added", 0),
        retried=totals.get("retried", 0),
        oldest_waiting_ms=tally.longest_wait_ms,
    )


def metrics_record(queue: str | None, tallies: Sequence[Tally], spread: Spread) -> MetricsRecord:
    """Return how one queue does, or several together."""
    totals: dict[str, int] = {}
    errors: dict[str, int] = {}
    for tally in tallies:
        for field, count in tally.errors.items():
            kind = field.partition(":")[2]
            errors[kind] = errors.get(kind, 0) + count
        for field, count in sum_totals(tally.totals).items():
            totals[field] = totals.get(field, 0) + count
    completed, failed, retried = (totals.get(field, 0) for field in ("completed", "failed", "retried"))
    processed, runs = completed + failed, completed + failed + retried
    waits = [tally.longest_wait_ms for tally in tallies if tally.longest_wait_ms is not None]
    return MetricsRecord(
        queue=queue,
        total_added=totals.get("added", 0),
        total_processed=processed,
        total_failed=failed,
        total_retried=retried,
        total_stalled=totals.get("stalled", 0),
        success_rate=round(completed / processed, 6) if processed else None,
        avg_processing_ms=round(totals.get("run_us", 0) / 1000 / runs, 3) if runs else None,
        avg_wait_ms=round(totals.get("wait_us", 0) / 1000 / runs, 3) if runs else None,
        run_p50_ms=spread.run.percentile_ms(0.5),
        run_p95_ms=spread.run.percentile_ms(0.95),
        run_p99_ms=spread.run.percentile_ms(0.99),
        wait_p50_ms=spread.wait.percentile_ms(0.5),
        wait_p95_ms=spread.wait.percentile_ms(0.95),
        wait_p99_ms=spread.wait.percentile_ms(0.99),
        peak_concurrency=sum(tally.peak for tally in tallies),
        errors=dict(sorted(errors.items(), key=lambda each: -each[1])),
        current_concurrency=sum(tally.sizes["active"] for tally in tallies),
        oldest_waiting_ms=max(waits) if waits else None,
    )


def sum_totals(totals: Mapping[str, int]) -> dict[str, int]:
    """Sum the totals of a queue, kept as `field:name@version`, over its job names."""
    sums: dict[str, int] = {}
    for field, count in totals.items():
        kind = field.partition(":")[0]
        sums[kind] = sums.get(kind, 0) + count
    return sums


def worker_record(entry: WorkerEntry) -> WorkerRecord:
    """Return what a worker said of itself."""
    return WorkerRecord(
        id=entry.id,
        host=entry.host,
        pid=entry.pid,
        version=entry.version,
        worker_type=entry.worker_type,
        queues=entry.queues,
        jobs=entry.jobs,
        slots=entry.slots,
        running=entry.running,
        processes=entry.processes,
        memory_bytes=entry.memory_bytes,
        cpu=entry.cpu,
        lag_ms=entry.lag_ms,
        state=entry.state,
        silent=entry.silent,
        http=entry.http,
        started_at=utc(entry.started_ms),
        seen_at=utc(entry.seen_ms),
        memory_peaks=entry.memory_peaks,
    )


def failed_attempts(located: Located) -> list[AttemptRecord]:
    """Return the attempts of a job that failed, oldest first; the last one is told with the job's end."""
    attempts = attempts_of(located)
    info = parse_finish(located.info)
    if info is not None and info.error is not None:
        attempts.append(
            AttemptRecord(
                attempt=info.attempts_made,
                started_at=utc(info.started_ms),
                wait_ms=info.wait_us / 1000,
                run_ms=info.run_us / 1000,
                worker=info.worker,
                error_type=info.error.type,
                error=info.error.message,
                stack=info.error.stack,
            )
        )
    return attempts


def utc(ms: float) -> datetime:
    """Return an instant given in Unix ms."""
    return datetime.fromtimestamp(ms / 1000, UTC)
