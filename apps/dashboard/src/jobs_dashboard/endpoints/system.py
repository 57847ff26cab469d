"""The system as a whole: what is going on, who changed what, what is wrong, what code declares."""

from __future__ import annotations

import msgspec

from jobs_admin import AlertRecord, AuditPage, Finding
from jobs_core.payloads import JsonValue
from jobs_dashboard.call import Answer, Call
from jobs_dashboard.records import (
    AlertsQuery,
    AuditQuery,
    Declared,
    JobTypeSchema,
    Name,
    Overview,
    ServerRecord,
    Status,
)


async def healthz(call: Call) -> Status:  # noqa: ARG001 - every handler takes it
    """Answer while the process serves requests."""
    return Status("ok")


async def readyz(call: Call) -> Answer[Status]:
    """Answer 200 while the server answers, else 503."""
    if await call.admin.is_connected():
        return Answer(Status("ok"))
    return Answer(Status("unreachable"), 503)


async def get_openapi(call: Call) -> dict[str, JsonValue]:
    """Describe this API by OpenAPI 3.1."""
    return call.services.openapi


async def get_server(call: Call) -> ServerRecord:
    """Tell which server is behind the dashboard."""
    info = call.admin.connection_info()
    return ServerRecord(
        address=info.address,
        server=info.server,
        version=info.version,
        dashboard_version=call.services.version,
        trace_url=call.services.trace_url,
    )


async def get_overview(call: Call) -> Overview:
    """Count all queues and list all workers: what the event `stats` tells each second."""
    return await call.services.hub.watch.overview()


async def list_audit(call: Call, query: AuditQuery) -> AuditPage:
    """List the last changes that anybody made, newest first."""
    return await call.admin.audit(query.queue, limit=query.limit, cursor=query.cursor)


async def list_alerts(call: Call, query: AlertsQuery) -> list[AlertRecord]:
    """List the alerts of a queue, or of all, with their thresholds and what they were last judged by."""
    return await call.admin.alerts(query.queue, active=query.active)


async def examine_server(call: Call) -> list[Finding]:
    """Examine the server: version, eviction, persistence, clock."""
    return await call.admin.doctor()


async def list_declared(call: Call) -> list[Declared]:
    """List the queues and jobs that code declares, as far as the dashboard knows the packages."""
    return call.services.declared


async def get_job_type(call: Call, queue: Name, name: Name) -> JobTypeSchema:
    """Give the JSON Schema of what a declared job takes and returns, in its highest version."""
    job = call.services.catalog.job(queue, name)
    payload = msgspec.json.schema(job.payload_type)
    result = msgspec.json.schema(job.result_type) if job.declares_result else None
    return JobTypeSchema(queue=queue, name=job.name, version=job.version, payload=payload, result=result)
