"""Jobs: listed and looked at."""

from __future__ import annotations

from jobs_admin import Finding, JobDetail, JobLogs, Page
from jobs_dashboard.call import Call
from jobs_dashboard.records import JobId, JobsQuery, LogsQuery, Name


async def list_jobs(call: Call, queue: Name, query: JobsQuery) -> Page:
    """List jobs of a queue, state by state in the order given.

    Without states: active ones first, ended ones last. Ended jobs come newest first, all others in the order of their turns. A
    page of a query may be short before the end: one looks at some 2,000 jobs.
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
