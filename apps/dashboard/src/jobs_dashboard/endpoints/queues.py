"""Queues: their numbers, measures and limits."""

from __future__ import annotations

from jobs_admin import (
    Finding,
    HistoryPage,
    LimitRecord,
    MetricsRecord,
    MinuteRecord,
    QueueRecord,
)
from jobs_dashboard.call import Call
from jobs_dashboard.records import HistoryQuery, Name, SeriesQuery


async def list_queues(call: Call) -> list[QueueRecord]:
    """Count every queue that somebody used, sorted by name."""
    return await call.admin.queues()


async def get_queue(call: Call, queue: Name) -> QueueRecord:
    """Count one queue, and name what of it is paused."""
    return await call.admin.stats(queue)


async def get_queue_metrics(call: Call, queue: Name) -> MetricsRecord:
    """Measure one queue."""
    return await call.admin.metrics(queue)


async def get_metrics(call: Call) -> MetricsRecord:
    """Measure all queues together, and each."""
    return await call.admin.metrics()


async def get_queue_series(call: Call, queue: Name, query: SeriesQuery) -> tuple[MinuteRecord, ...]:
    """Tell what a queue did in each of the last minutes, oldest first."""
    return await call.admin.series(queue, query.minutes)


async def list_queue_history(call: Call, queue: Name, query: HistoryQuery) -> HistoryPage:
    """List the last 10,000 jobs of a queue that ended, newest first, also those that are not kept."""
    return await call.admin.history(
        queue, outcome=query.outcome, name=query.name, limit=query.limit, cursor=query.cursor
    )


async def list_queue_limits(call: Call, queue: Name) -> list[LimitRecord]:
    """Tell every limit of a queue: what code declares, and what is set over it."""
    return await call.admin.limits(queue)


async def examine_queue(call: Call, queue: Name) -> list[Finding]:
    """Say why the jobs of a queue do not run, and what mends it."""
    return await call.admin.doctor(queue)
