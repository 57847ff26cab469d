"""`jobs queues`, `stats`, `metrics`, `health`, `plan` and `dead-letters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json, option
from jobs_cli.failures import DONE, FAILED
from jobs_cli.output import cell, milliseconds, print_fields, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, HealthRecord, MetricsRecord, QueueRecord

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
        print_fields(
            (name, getattr(record, name)) for name in record.__struct_fields__ if name != "paused_parts"
        )
        for part in record.paused_parts or ():
            until = f" until {cell(part.paused_until)}" if part.paused_until is not None else ""
            told = ", ".join(each for each in (part.paused_by, part.pause_reason) if each)
            print(f"paused: {part.scope} {cell(part.name)}{until}{f' ({cell(told)})' if told else ''}")


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


def health(
    queue: _OneQueue = None,
    /,
    *,
    max_waiting: Annotated[int, option("Unhealthy where more jobs wait (1000).")] = 1000,
    max_failed: Annotated[int, option("Unhealthy where more failed jobs are kept (100).")] = 100,
    max_age: Annotated[str | None, option("Unhealthy where a job waits for longer, such as 5m.")] = None,
    json: Json = False,
) -> int:
    """Say whether one queue is well, or each; exits with 1 where one is not."""
    from jobs_core.durations import parse_duration

    age = None if max_age is None else parse_duration(max_age, name="--max-age")

    async def look(admin: Admin) -> list[HealthRecord]:
        names = [queue] if queue is not None else [each.queue for each in await admin.queues()]
        return [
            await admin.queue_health(name, max_waiting=max_waiting, max_failed=max_failed, max_age=age)
            for name in names
        ]

    records = with_admin(look)
    if json:
        print_json(records if queue is None else records[0])
    else:
        for record in records:
            print(f"{'ok' if record.healthy else 'unhealthy':9}  {record.message}")
    return DONE if all(record.healthy for record in records) else FAILED


def plan(*, json: Json = False) -> None:
    """Say what starting workers with the code of here would change on the server; it changes nothing itself."""
    from jobs_core.discovery import load_features
    from jobs_core.settings import CommonSettings

    catalog = load_features(CommonSettings.from_env().features)
    records = with_admin(lambda admin: admin.plan(catalog.queues.values()))
    if json:
        print_json(records)
        return
    for record in records:
        print(
            f"{record.change:10}  {record.queue} ({record.profile or 'no profile'}, {record.concurrency} at once)"
        )
        for field in record.fields:
            print(f"            {field.field}: {cell(field.before)} -> {cell(field.after)}")
        for name in record.jobs_added:
            print(f"            + {name}")
        for name in record.jobs_gone:
            print(f"            - {name}: what is left of it would be parked as unroutable")
    counts = {kind: sum(record.change == kind for record in records) for kind in ("new", "changed", "same")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))


def dead_letters(*, json: Json = False) -> None:
    """Count dead letters by queue, job and kind of error, as many as there ever were."""
    counts = with_admin(lambda admin: admin.dead_letter_counts())
    if json:
        print_json(counts)
    elif counts:
        print_table(
            ["queue", "job", "error", "count"],
            [[each.queue, each.name, each.group, each.count] for each in counts],
        )
    else:
        print("no dead letters")


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
