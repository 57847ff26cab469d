"""Schedules: recurring jobs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from jobs_core.schedules.records import SchedulePage, ScheduleRecord
from jobs_dashboard.call import Call
from jobs_dashboard.records import Name, NextQuery, NextTimes, ScheduleId, SchedulesQuery

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


async def list_schedules(call: Call, query: SchedulesQuery) -> SchedulePage:
    """List schedules of a queue, or of all, the next to fire first, those that fire no more last."""
    schedules = call.admin.schedules
    if query.queue is not None:
        return await schedules.list(query.queue, offset=query.offset, limit=query.limit)
    names = [each.queue for each in await call.admin.queues()]
    pages = await asyncio.gather(*(schedules.list(name, limit=query.limit) for name in names))
    found = sorted(
        (each for page in pages for each in page.schedules),
        key=lambda each: (each.next_at or _NEVER, each.queue, each.id),
    )
    return SchedulePage(tuple(found[: query.limit]), sum(page.total for page in pages))


async def get_schedule(call: Call, queue: Name, schedule_id: ScheduleId) -> ScheduleRecord:
    """Tell what is known of a schedule."""
    return await call.admin.schedules.get(queue, schedule_id)


async def list_schedule_times(
    call: Call, queue: Name, schedule_id: ScheduleId, query: NextQuery
) -> NextTimes:
    """Tell the next times of a schedule; of a paused one those that it would have if it went on now."""
    return NextTimes(await call.admin.schedules.next(queue, schedule_id, query.n))
