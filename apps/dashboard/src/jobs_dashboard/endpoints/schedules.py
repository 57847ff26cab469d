"""Schedules: recurring jobs."""

from __future__ import annotations

from typing import cast

from jobs_core.schedules.options import RunAll, ScheduleOptions
from jobs_core.schedules.records import SchedulePage, ScheduleRecord
from jobs_dashboard.bodies import (
    Backfill,
    Backfilled,
    Changed,
    RemoveScheduleQuery,
    ScheduleWrite,
    ScheduleWritten,
    Triggered,
)
from jobs_dashboard.call import Answer, Call
from jobs_dashboard.endpoints.enqueueing import job_type_of, read_options, read_payload
from jobs_dashboard.records import Change, Name, NextQuery, NextTimes, ScheduleId, SchedulesQuery

_NO_REASON = Change()
_AS_THEY_ARE = ("cron", "timezone", "at", "start", "end", "limit", "overlap", "pause_on_failure")
_IN_MS = ("every", "after_completion", "jitter", "catch_up_window")


async def list_schedules(call: Call, query: SchedulesQuery) -> SchedulePage:
    """List schedules of a queue, or of all, the next to fire first, those that fire no more last."""
    schedules = call.admin.schedules
    if query.queue is not None:
        return await schedules.list(query.queue, offset=query.offset, limit=query.limit)
    return await schedules.list_all(limit=query.limit)


async def get_schedule(call: Call, queue: Name, schedule_id: ScheduleId) -> ScheduleRecord:
    """Tell what is known of a schedule."""
    return await call.admin.schedules.get(queue, schedule_id)


async def list_schedule_times(
    call: Call, queue: Name, schedule_id: ScheduleId, query: NextQuery
) -> NextTimes:
    """Tell the next times of a schedule; of a paused one those that it would have if it went on now."""
    return NextTimes(await call.admin.schedules.next(queue, schedule_id, query.n))


async def write_schedule(call: Call, body: ScheduleWrite) -> Answer[ScheduleWritten]:
    """Write a schedule; one that is there and says the same stays as it is. Without an id it is queue:job:spec."""
    job_type = await job_type_of(call, body.queue, body.name)
    payload = read_payload(call, job_type, body.payload)
    given: dict[str, object] = {name: getattr(body, name) for name in _AS_THEY_ARE}
    for name in _IN_MS:
        milliseconds = getattr(body, f"{name}_ms")
        given[name] = None if milliseconds is None else milliseconds / 1000
    given["misfire"] = RunAll(body.misfire) if isinstance(body.misfire, int) else body.misfire
    given["options"] = read_options(call, body.options) or None
    options = cast("ScheduleOptions", {name: value for name, value in given.items() if value is not None})
    handle = await call.services.producer.schedules.upsert(body.id, job_type, payload, **options)
    admin = call.acting(body.reason)
    await admin.note("schedule.write", body.queue, handle.record.id, int(handle.outcome != "unchanged"))
    written = ScheduleWritten(
        outcome=handle.outcome, schedule=await admin.schedules.get(body.queue, handle.record.id)
    )
    return Answer(written, 201 if handle.outcome == "created" else 200)


async def pause_schedule(
    call: Call, queue: Name, schedule_id: ScheduleId, body: Change = _NO_REASON
) -> Changed:
    """Pause a schedule; what it would have sent meanwhile is not made up for."""
    schedules = call.acting(body.reason).schedules
    return Changed(changed=await schedules.pause(queue, schedule_id, reason=body.reason))


async def resume_schedule(
    call: Call, queue: Name, schedule_id: ScheduleId, body: Change = _NO_REASON
) -> Changed:
    """Let a schedule go on with its next fire from now on."""
    return Changed(changed=await call.acting(body.reason).schedules.resume(queue, schedule_id))


async def trigger_schedule(
    call: Call, queue: Name, schedule_id: ScheduleId, body: Change = _NO_REASON
) -> Triggered:
    """Enqueue the job of a schedule now, also of a paused one; its own times stay as they are."""
    return Triggered(await call.acting(body.reason).schedules.trigger(queue, schedule_id))


async def backfill_schedule(call: Call, queue: Name, schedule_id: ScheduleId, body: Backfill) -> Backfilled:
    """Enqueue a job for every time that a schedule has in a range of the past."""
    schedules = call.acting(body.reason).schedules
    return Backfilled(await schedules.backfill(queue, schedule_id, body.start, body.end))


async def remove_schedule(
    call: Call, queue: Name, schedule_id: ScheduleId, query: RemoveScheduleQuery
) -> None:
    """Remove a schedule, and unless `keep_job` the job that it sent last if that has not started."""
    await call.acting(query.reason).schedules.remove(queue, schedule_id, keep_job=query.keep_job)
