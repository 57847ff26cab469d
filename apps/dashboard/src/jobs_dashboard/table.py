"""The table of routes: all that the API can do, and who may. Routing, checks and the OpenAPI document come from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from jobs_admin import BulkAction, BulkNotFound, QueueBusy
from jobs_core.errors import (
    DuplicateJob,
    FlowNotFailed,
    FlowNotFound,
    JobNotFound,
    PayloadError,
    PayloadTooLarge,
    QueueFull,
    ScheduleEnded,
    ScheduleNotFound,
    UnknownJob,
    UnknownQueue,
    WorkerNotFound,
    WorkerSilent,
    WrongState,
)
from jobs_dashboard.bodies import Enqueued, EnqueueItem, ScheduleWritten
from jobs_dashboard.bulks import Preview
from jobs_dashboard.endpoints import (
    bulk,
    dead_letters,
    enqueueing,
    events,
    flows,
    jobs,
    oidc,
    queues,
    schedules,
    session,
    system,
    workers,
)
from jobs_dashboard.records import Status
from jobs_dashboard.roles import Role
from jobs_dashboard.row import KIB, Row

__all__ = ["ROWS"]


class _Bulk(TypedDict):
    status: int
    answers: object
    also: Mapping[int, object]


_VIEWER, _OPERATOR, _ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN
_QUEUE = (UnknownQueue,)
_JOB = (UnknownQueue, JobNotFound)
_FLOW = (FlowNotFound, UnknownQueue)
_SCHEDULE = (ScheduleNotFound,)
_CHANGED = (JobNotFound, WrongState)
_REPLAYED = (JobNotFound, WrongState, PayloadError)
_WORKER = (WorkerNotFound, WorkerSilent)
_BULK: _Bulk = {"status": 202, "answers": BulkAction, "also": {200: Preview}}


ROWS: tuple[Row, ...] = (
    Row("GET", "/healthz", system.healthz, None),
    Row("GET", "/readyz", system.readyz, None, also={503: Status}),
    Row("GET", "/api/openapi.json", system.get_openapi, None),
    Row("GET", "/sign-in/oidc", oidc.begin_oidc, None, media="text/html"),
    Row("GET", "/sign-in/oidc/callback", oidc.finish_oidc, None, media="text/html", takes_anything=True),
    Row("GET", "/api/session", session.get_session, None),
    Row("POST", "/api/session", session.sign_in, None, codes={404: "no_tokens"}),
    Row("DELETE", "/api/session", session.sign_out, None),
    Row("GET", "/api/server", system.get_server, _VIEWER),
    Row("GET", "/api/overview", system.get_overview, _VIEWER),
    Row("GET", "/api/events", events.stream_events, _VIEWER, media="text/event-stream"),
    Row("GET", "/api/metrics", queues.get_metrics, _VIEWER),
    Row("GET", "/api/series", queues.get_series, _VIEWER),
    Row("GET", "/api/errors", queues.list_errors, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/audit", system.list_audit, _VIEWER),
    Row("GET", "/api/alerts", system.list_alerts, _VIEWER, errors=_QUEUE),
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
    Row("POST", "/api/queues/{queue}/pause", queues.pause_queue, _OPERATOR, errors=_QUEUE),
    Row("POST", "/api/queues/{queue}/resume", queues.resume_queue, _OPERATOR, errors=_QUEUE),
    Row("POST", "/api/queues/{queue}/drain", bulk.drain_queue, _OPERATOR, errors=_QUEUE, **_BULK),
    Row("POST", "/api/queues/{queue}/clean", bulk.clean_queue, _OPERATOR, errors=_QUEUE, **_BULK),
    Row("POST", "/api/queues/{queue}/retry-failed", bulk.retry_failed, _OPERATOR, errors=_QUEUE, **_BULK),
    Row(
        *("POST", "/api/queues/{queue}/obliterate", bulk.obliterate_queue, _ADMIN),
        errors=(UnknownQueue, QueueBusy),
        **_BULK,
    ),
    Row("PUT", "/api/queues/{queue}/alerts", queues.set_queue_alert, _ADMIN, errors=_QUEUE),
    Row("PUT", "/api/queues/{queue}/limits", queues.set_queue_limits, _ADMIN, errors=_QUEUE),
    Row("PUT", "/api/queues/{queue}/scale", queues.scale_queue, _OPERATOR, errors=_QUEUE),
    Row("GET", "/api/queues/{queue}/jobs", jobs.list_jobs, _VIEWER, errors=_QUEUE),
    Row(
        *("POST", "/api/queues/{queue}/jobs", enqueueing.enqueue_jobs, _OPERATOR),
        errors=(UnknownQueue, UnknownJob, PayloadError, PayloadTooLarge, DuplicateJob, QueueFull),
        status=202,
        answers=Enqueued,
        also={207: tuple[EnqueueItem, ...]},
        body_limit=16 * 1024 * KIB,
    ),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}/logs", jobs.list_job_logs, _VIEWER),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}/doctor", jobs.examine_job, _VIEWER, errors=_JOB),
    Row("POST", "/api/queues/{queue}/jobs/{job_id}/retry", jobs.retry_job, _OPERATOR, errors=_CHANGED),
    Row(
        "POST", "/api/queues/{queue}/jobs/{job_id}/cancel", jobs.cancel_job, _OPERATOR, errors=(JobNotFound,)
    ),
    Row("POST", "/api/queues/{queue}/jobs/{job_id}/promote", jobs.promote_job, _OPERATOR, errors=_CHANGED),
    Row(
        *("POST", "/api/queues/{queue}/jobs/{job_id}/priority", jobs.set_job_priority, _OPERATOR),
        errors=_CHANGED,
    ),
    Row(
        *("POST", "/api/queues/{queue}/jobs/{job_id}/reschedule", jobs.reschedule_job, _OPERATOR),
        errors=_CHANGED,
    ),
    Row(
        *("POST", "/api/queues/{queue}/jobs/{job_id}/replay", jobs.replay_job, _OPERATOR),
        errors=_REPLAYED,
        body_limit=2048 * KIB,
    ),
    Row("DELETE", "/api/queues/{queue}/jobs/{job_id}", jobs.remove_job, _OPERATOR, errors=_CHANGED),
    Row("GET", "/api/queues/{queue}/jobs/{job_id}", jobs.get_job, _VIEWER, errors=_JOB),
    Row("GET", "/api/flows", flows.list_flows, _VIEWER, errors=_QUEUE),
    Row("GET", "/api/flows/{flow_id}/jobs", flows.list_flow_jobs, _VIEWER, errors=_FLOW),
    Row("POST", "/api/flows/{flow_id}/cancel", flows.cancel_flow, _OPERATOR, errors=_FLOW),
    Row("POST", "/api/flows/{flow_id}/retry", flows.retry_flow, _OPERATOR, errors=(*_FLOW, FlowNotFailed)),
    Row("GET", "/api/flows/{flow_id}", flows.get_flow, _VIEWER, errors=_FLOW),
    Row("GET", "/api/schedules", schedules.list_schedules, _VIEWER),
    Row(
        *("POST", "/api/schedules", schedules.write_schedule, _OPERATOR),
        errors=(UnknownQueue, UnknownJob, PayloadError, PayloadTooLarge),
        also={201: ScheduleWritten},
        body_limit=2048 * KIB,
    ),
    Row(
        *("GET", "/api/schedules/{queue}/{schedule_id}/next", schedules.list_schedule_times, _VIEWER),
        errors=_SCHEDULE,
    ),
    Row(
        *("POST", "/api/schedules/{queue}/{schedule_id}/pause", schedules.pause_schedule, _OPERATOR),
        errors=(ScheduleNotFound, ScheduleEnded),
    ),
    Row(
        *("POST", "/api/schedules/{queue}/{schedule_id}/resume", schedules.resume_schedule, _OPERATOR),
        errors=_SCHEDULE,
    ),
    Row(
        *("POST", "/api/schedules/{queue}/{schedule_id}/trigger", schedules.trigger_schedule, _OPERATOR),
        errors=_SCHEDULE,
    ),
    Row(
        *("POST", "/api/schedules/{queue}/{schedule_id}/backfill", schedules.backfill_schedule, _OPERATOR),
        errors=_SCHEDULE,
    ),
    Row(
        *("DELETE", "/api/schedules/{queue}/{schedule_id}", schedules.remove_schedule, _OPERATOR),
        errors=_SCHEDULE,
    ),
    Row("GET", "/api/schedules/{queue}/{schedule_id}", schedules.get_schedule, _VIEWER, errors=_SCHEDULE),
    Row("GET", "/api/dead-letters", dead_letters.list_dead_letters, _VIEWER),
    Row("GET", "/api/dead-letters/groups", dead_letters.list_dead_letter_groups, _VIEWER),
    Row("POST", "/api/dead-letters/replay", bulk.replay_dead_letters, _OPERATOR, **_BULK),
    Row(
        *("POST", "/api/dead-letters/{letter_id}/replay", dead_letters.replay_dead_letter, _OPERATOR),
        errors=_REPLAYED,
        body_limit=2048 * KIB,
    ),
    Row("GET", "/api/dead-letters/{letter_id}", dead_letters.get_dead_letter, _VIEWER, errors=(JobNotFound,)),
    Row(
        "DELETE", "/api/dead-letters/{letter_id}", dead_letters.remove_dead_letter, _OPERATOR, errors=_CHANGED
    ),
    Row("GET", "/api/bulk", bulk.list_bulk, _VIEWER),
    Row("POST", "/api/bulk", bulk.start_bulk, _OPERATOR, errors=_QUEUE, **_BULK),
    Row("GET", "/api/bulk/{bulk_id}", bulk.get_bulk, _VIEWER, errors=(BulkNotFound,)),
    Row("POST", "/api/bulk/{bulk_id}/cancel", bulk.cancel_bulk, _OPERATOR, errors=(BulkNotFound,)),
    Row("GET", "/api/workers", workers.list_workers, _VIEWER),
    Row("GET", "/api/workers/{worker_id}/running", workers.list_running, _VIEWER, errors=(WorkerNotFound,)),
    Row("POST", "/api/workers/{worker_id}/quiet", workers.quiet_worker, _OPERATOR, errors=_WORKER),
    Row("POST", "/api/workers/{worker_id}/resume", workers.resume_worker, _OPERATOR, errors=_WORKER),
    Row("POST", "/api/workers/{worker_id}/stop", workers.stop_worker, _OPERATOR, errors=_WORKER),
    Row(
        *("POST", "/api/workers/{worker_id}/concurrency", workers.set_worker_concurrency, _OPERATOR),
        errors=_WORKER,
    ),
    Row("POST", "/api/workers/{worker_id}/stacks", workers.dump_worker_stacks, _OPERATOR, errors=_WORKER),
    Row("GET", "/api/scales", workers.list_scales, _VIEWER),
    Row("GET", "/api/scaler/{profile}", workers.get_scaler, _VIEWER),
)
