"""Jobs: looked at, and changed one by one."""

from __future__ import annotations

from jobs_admin import Cancellation, Finding, JobDetail, JobLogs, Page
from jobs_core.errors import JobNotFound
from jobs_core.states import CancelOutcome
from jobs_dashboard.bodies import Changed, PriorityChange, ReasonQuery, Replay, Reschedule
from jobs_dashboard.call import Call
from jobs_dashboard.records import Change, JobId, JobsQuery, LogsQuery, Name
from jobs_dashboard.replaying import replay

_NO_REASON = Change()
_AS_IT_WAS = Replay()


async def list_jobs(call: Call, queue: Name, query: JobsQuery) -> Page:
    """List jobs of a queue, state by state in the order given.

    Without states: active ones first, ended ones last. Ended jobs come newest first, all others in the order of their turns. A
    page of a query may be short before the end: one looks at some 1,000 jobs.
    """
    return await call.admin.jobs(
        queue,
        states=query.state or None,
        name=query.name,
        tag=query.tag,
        query=query.q,
        limit=query.limit,
        offset=query.offset,
        cursor=query.cursor,
    )


async def get_job(call: Call, queue: Name, job_id: JobId) -> JobDetail:
    """Tell what is known of a job, with its attempts that failed."""
    return await call.admin.job_detail(queue, job_id)


async def list_job_logs(call: Call, queue: Name, job_id: JobId, query: LogsQuery) -> JobLogs:
    """Tell what a job's handlers logged, the oldest line first."""
    return await call.admin.logs(queue, job_id, after=query.after, limit=query.limit)


async def examine_job(call: Call, queue: Name, job_id: JobId) -> list[Finding]:
    """Say why a job does not run, and what mends it."""
    return await call.admin.doctor(queue, job_id)


async def retry_job(call: Call, queue: Name, job_id: JobId, body: Change = _NO_REASON) -> Changed:
    """Put a failed job back, with all its attempts before it again."""
    await call.acting(body.reason).retry(queue, job_id)
    return Changed(changed=True)


async def cancel_job(call: Call, queue: Name, job_id: JobId, body: Change = _NO_REASON) -> Cancellation:
    """Cancel a job wherever it is; one that runs is asked to stop."""
    (outcome,) = await call.acting(body.reason).cancel(queue, job_id)
    if outcome.outcome is CancelOutcome.NOT_FOUND:
        raise JobNotFound(queue, job_id)
    return outcome


async def promote_job(call: Call, queue: Name, job_id: JobId, body: Change = _NO_REASON) -> Changed:
    """Let a delayed job run now."""
    await call.acting(body.reason).promote(queue, job_id)
    return Changed(changed=True)


async def set_job_priority(call: Call, queue: Name, job_id: JobId, body: PriorityChange) -> Changed:
    """Give a job that has not started another priority."""
    await call.acting(body.reason).priority(queue, job_id, to=body.to)
    return Changed(changed=True)


async def reschedule_job(call: Call, queue: Name, job_id: JobId, body: Reschedule) -> Changed:
    """Make a job that has not started due at another time."""
    delay = None if body.delay_ms is None else body.delay_ms / 1000
    await call.acting(body.reason).reschedule(queue, job_id, delay=delay, run_at=body.run_at)
    return Changed(changed=True)


async def replay_job(call: Call, queue: Name, job_id: JobId, body: Replay = _AS_IT_WAS) -> Changed:
    """Run a job again that failed for good, with another priority or payload if wanted.

    Each failure is replayed once, by the job or by its dead letter.
    """
    await replay(call, queue, job_id, body)
    return Changed(changed=True)


async def remove_job(call: Call, queue: Name, job_id: JobId, query: ReasonQuery) -> None:
    """Remove a job and all that is kept of it; one that runs is refused."""
    await call.acting(query.reason).remove(queue, job_id)
