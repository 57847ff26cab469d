"""Say at the end what happened: a row for each queue, a line for each check."""

import math
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from demo.api import Record
from demo.check import Check


class QueueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a queue's jobs. `throughput` is jobs a second; times are p50, p95 and p99 in ms."""

    queue: str
    jobs: int
    completed: int
    retried: int
    interrupted: int
    throughput: float
    wait_ms: Sequence[float]
    run_ms: Sequence[float]


def summarise(queue: str, records: Sequence[Record]) -> QueueSummary:
    """Reckon up the records of one queue."""
    ends = [record.finished_at for record in records if record.finished_at is not None]
    seconds = (max(ends) - min(record.created_at for record in records)).total_seconds() if ends else 0.0
    completed = sum(record.state == "completed" for record in records)
    return QueueSummary(
        queue=queue,
        jobs=len(records),
        completed=completed,
        retried=sum(record.attempts_made > 1 for record in records),
        interrupted=sum(record.interrupted for record in records),
        throughput=completed / seconds if seconds else 0.0,
        wait_ms=percentiles([record.wait_ms for record in records if record.wait_ms is not None]),
        run_ms=percentiles([record.run_ms for record in records if record.run_ms is not None]),
    )


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99 by nearest rank; zeros of nothing."""
    if not values:
        return (0.0, 0.0, 0.0)
    ordered = sorted(values)
    p50, p95, p99 = (ordered[max(math.ceil(len(ordered) * share) - 1, 0)] for share in (0.50, 0.95, 0.99))
    return (p50, p95, p99)


def report(console: Console, queues: Sequence[QueueSummary], checks: Sequence[Check]) -> int:
    """Print what happened, and return the exit code: 0 if every check passed."""
    console.print()
    console.print(_queues(queues))
    console.print(
        "[dim]retried: after a failed attempt; killed: run again, as their worker was killed[/dim]\n"
    )
    console.print(_checks(checks))
    console.print()
    failed = [check for check in checks if not check.passed]
    for check in failed:
        console.print(f"[bold red]Failed.[/bold red] {check.complaint()}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _queues(queues: Sequence[QueueSummary]) -> Table:
    table = _table("What the queues did")
    table.add_column("queue", no_wrap=True)
    for heading in ("jobs", "retried", "killed", "jobs/s", "wait p50/95/99", "run p50/95/99"):
        table.add_column(heading, justify="right", no_wrap=True)
    for queue in queues:
        table.add_row(
            queue.queue,
            f"{queue.jobs:,}",
            f"{queue.retried:,}",
            f"{queue.interrupted:,}",
            f"{queue.throughput:,.0f}" if queue.throughput >= 10 else f"{queue.throughput:.1f}",
            _times(queue.wait_ms),
            _times(queue.run_ms),
        )
    return table


def _checks(checks: Sequence[Check]) -> Table:
    table = _table("What was opened and checked")
    table.add_column("output")
    table.add_column("right", justify="right")
    table.add_column("came twice", justify="right")
    table.add_column("verdict")
    for check in checks:
        verdict = "[green]all there, all right[/green]" if check.passed else "[red]not as it should be[/red]"
        twice = f"{check.repeated:,} (worker killed)" if check.explained else f"{check.repeated:,}"
        table.add_row(check.name, f"{check.right:,} of {check.expected:,}", twice, verdict)
    return table


def _table(title: str) -> Table:
    """Return a table that fits a terminal of 80 columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    table.title_style = table.header_style = "bold"
    return table


def _times(milliseconds: Sequence[float]) -> str:
    """Return times in the unit that suits the longest: 178/219/980 ms, 3.1/4.5/12 s."""
    longest = max(milliseconds)
    divisor, unit = (1000, "s") if longest >= 1000 else (1, "ms")
    values = (value / divisor for value in milliseconds)
    return "/".join(f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in values) + f" {unit}"
