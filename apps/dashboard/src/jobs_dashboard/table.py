"""The table of routes: all that the API can do, and who may. Routing, checks and the OpenAPI document come from it."""

from __future__ import annotations

from jobs_core.errors import (
    JobNotFound,
    ScheduleNotFound,
    UnknownJob,
    UnknownQueue,
)
from jobs_dashboard.endpoints import jobs, queues, schedules, system, workers
from jobs_dashboard.records import Status
from jobs_dashboard.roles import Role
from jobs_dashboard.row import Row

__all__ = ["ROWS"]

_VIEWER = Role.VIEWER
_QUEUE = (UnknownQueue,)
_JOB = (UnknownQueue, JobNotFound)
_SCHEDULE = (ScheduleNotFound,)

# Of two paths that fit, the first is taken: an id may hold slashes.
ROWS: tuple[Row, ...] = (
    Row("GET", "/healthz", system.healthz, None),
    Row("GET", "/readyz", system.readyz, None, also={503: Status}),
    Row("GET", "/api/openapi.json", system.get_openapi, None),
    Row("GET", "/api/server", system.get_server, _VIEWER),
    Row("GET", "/api/overview", system.get_overview, _VIEWER),
    Row("GET", "/api/metrics", queues.get_metrics, _VIEWER),
    Row("GET", "/api/audit", system.list_audit, _VIEWER),
    Row("GET", "/api/doctor", system.examine_server, _VIEWER),
    Row("GET", "/api/declared", system.list_declared, _VIEWER),
    Row(
        "GET", "/api/declared/{queue}/{name}", system.get_job_type, _VIEWER, errors=(UnknownQueue, UnknownJob)
    ),
    Row("GET", "/api/queues", queues.list_queues, _VIEWER),
    Row("GET", "/api/queues/{queue}", queues.get_queue, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/metrics", queues.get_queue_metrics, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/series", queues.get_queue_series, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/history", queues.list_queue_history, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/limits", queues.list_queue_limits, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/doctor", queues.examine_queue, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/jobs", jobs.list_jobs, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}/logs", jobs.list_job_logs, _VIEWER),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}/doctor", jobs.examine_job, _VIEWER, errors=_JOB),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}", jobs.get_job, _VIEWER, errors=_JOB),
    Row("GET", "/api/schedules", schedules.list_schedules, _VIEWER),
    Row(
        "GET",
        "/api/schedules/{queue}/{schedule_id}/next",
        schedules.list_schedule_times,
        _VIEWER,
        errors=_SCHEDULE,
    ),
    Row("GET", "/api/schedules/{queue}/{schedule_id}", schedules.get_schedule, _VIEWER, errors=_SCHEDULE),
    Row("GET", "/api/workers", workers.list_workers, _VIEWER),
    Row("GET", "/api/scales", workers.list_scales, _VIEWER),
    Row("GET", "/api/scaler/{profile}", workers.get_scaler, _VIEWER),
)
