"""Queues: their numbers, measures and limits."""

from __future__ import annotations

from typing import cast

import msgspec

from jobs_admin import (
    ErrorGroups,
    Finding,
    HistoryPage,
    LimitRecord,
    LiveLimits,
    MetricsRecord,
    MinuteRecord,
    QueueRecord,
)
from jobs_core.errors import OptionError
from jobs_core.flow import RateLimit
from jobs_dashboard.bodies import AlertChange, Changed, Limits, Pause, Rate, Resume, ScaleChange
from jobs_dashboard.call import Call
from jobs_dashboard.records import ErrorsQuery, HistoryQuery, Name, SeriesQuery

_WHOLE_QUEUE = Pause()
_WHOLE_AGAIN = Resume()


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


async def get_series(call: Call, query: SeriesQuery) -> tuple[MinuteRecord, ...]:
    """Tell what all queues together did in each of the last minutes, oldest first."""
    return await call.admin.series(minutes=query.minutes)


async def list_errors(call: Call, query: ErrorsQuery) -> ErrorGroups:
    """Group what failed for good in the last minutes by the fingerprint of its error, the most frequent first."""
    return await call.admin.errors(query.minutes, queue=query.queue)


async def list_queue_history(call: Call, queue: Name, query: HistoryQuery) -> HistoryPage:
    """List the last 10,000 jobs of a queue that ended, newest first, also those that are not kept."""
    return await call.admin.history(
        queue,
        outcome=query.outcome,
        name=query.name,
        schedule=query.schedule,
        limit=query.limit,
        cursor=query.cursor,
    )


async def list_queue_limits(call: Call, queue: Name) -> list[LimitRecord]:
    """Tell every limit of a queue: what code declares, and what is set over it."""
    return await call.admin.limits(queue)


async def examine_queue(call: Call, queue: Name) -> list[Finding]:
    """Say why the jobs of a queue do not run, and what mends it."""
    return await call.admin.doctor(queue)


async def pause_queue(call: Call, queue: Name, body: Pause = _WHOLE_QUEUE) -> Changed:
    """Stop workers from taking jobs of a queue, or of it those of a job name or a key; those that run go on."""
    for_ = None if body.for_ms is None else body.for_ms / 1000
    changed = await call.acting(body.reason).pause(queue, job=body.job, key=body.key, for_=for_)
    return Changed(changed=changed)


async def resume_queue(call: Call, queue: Name, body: Resume = _WHOLE_AGAIN) -> Changed:
    """Let workers take jobs again of a queue, a job name or a key."""
    return Changed(changed=await call.acting(body.reason).resume(queue, job=body.job, key=body.key))


async def set_queue_limits(call: Call, queue: Name, body: Limits) -> list[LimitRecord]:
    """Set limits live, over what code declares, and tell all of them."""
    given = {
        name: _limit(value)
        for name in ("max_active", "rate_limit", "key_concurrency", "key_rate")
        if (value := getattr(body, name)) is not msgspec.UNSET
    }
    if not given:
        raise OptionError("max_active", None, f"give one of {', '.join(LiveLimits.__annotations__)}")
    admin = call.acting(body.reason)
    await admin.limit(queue, **cast("LiveLimits", given))
    return await admin.limits(queue)


async def set_queue_alert(call: Call, queue: Name, body: AlertChange) -> Changed:
    """Set the threshold of an alert live, over what code declares: it is judged by it from the next minute on."""
    return Changed(changed=await call.acting(body.reason).set_alert(queue, body.alert, body.threshold))


async def scale_queue(call: Call, queue: Name, body: ScaleChange) -> Changed:
    """Let so many children of each worker serve a queue, until that is released."""
    return Changed(changed=await call.acting(body.reason).scale(queue, body.number))


def _limit(value: object) -> object:
    return RateLimit(value.max, value.per_ms / 1000, value.burst) if isinstance(value, Rate) else value
