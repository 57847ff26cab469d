"""`jobs queues`, `stats` and `metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json
from jobs_cli.output import milliseconds, print_fields, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, MetricsRecord, QueueRecord

_OneQueue = Annotated[str | None, Parameter(show_default=False, help="Name of the queue; all without it.")]


def queues(*, json: Json = False) -> None:
    """List the queues that somebody used, with their counts."""
    records = with_admin(lambda admin: admin.queues())
    if json:
        print_json(records)
    else:
        _print_queues(records)


def stats(queue: _OneQueue = None, /, *, json: Json = False) -> None:
    """Count the jobs of one queue, or of all.

    Completed, failed, cancelled, expired and stalled are totals since the queue was made; retained is what is
    kept now.
    """
    if queue is None:
        queues(json=json)
        return
    record = with_admin(lambda admin: admin.stats(queue))
    if json:
        print_json(record)
    else:
        print_fields((name, getattr(record, name)) for name in record.__struct_fields__)


def metrics(queue: _OneQueue = None, /, *, json: Json = False) -> None:
    """Measure one queue, or all of them together and each."""

    async def measure(admin: Admin) -> MetricsRecord:
        return await admin.metrics(queue)

    record = with_admin(measure)
    if json:
        print_json(record)
        return
    each = record.queues if isinstance(record.queues, tuple) else ()
    print_table(
        [
            *(
                "queue",
                "processed",
                "failed",
                "retried",
                "stalled",
                "success",
                "run",
                "run p95",
                "wait",
                "wait p95",
            ),
            *("running", "peak", "oldest"),
        ],
        [_metrics_row(one) for one in (*each, record)],
    )


def _print_queues(records: Sequence[QueueRecord]) -> None:
    if not records:
        print("no queues: nobody has enqueued a job or started a worker here yet")
        return
    names = [
        "queue",
        "waiting",
        "active",
        "delayed",
        "blocked",
        "unroutable",
        "completed",
        "failed",
        "paused",
    ]
    print_table(names, [[getattr(record, name) for name in names] for record in records])


def _metrics_row(record: MetricsRecord) -> list[object]:
    return [
        record.queue or "all",
        record.total_processed,
        record.total_failed,
        record.total_retried,
        record.total_stalled,
        None if record.success_rate is None else f"{record.success_rate:.2%}",
        milliseconds(record.avg_processing_ms),
        milliseconds(record.run_p95_ms),
        milliseconds(record.avg_wait_ms),
        milliseconds(record.wait_p95_ms),
        record.current_concurrency,
        record.peak_concurrency,
        milliseconds(record.oldest_waiting_ms),
    ]
