"""Flows: jobs that wait for each other, for lists and graphs."""

from __future__ import annotations

from jobs_admin import FlowJobsPage, FlowPage
from jobs_core.flows.records import FlowRecord
from jobs_dashboard.bodies import Changed, Retried
from jobs_dashboard.call import Call
from jobs_dashboard.records import Change, FlowId, FlowJobsQuery, FlowQuery, FlowsQuery

_NO_REASON = Change()


async def list_flows(call: Call, query: FlowsQuery) -> FlowPage:
    """List flows, those that go on before those that ended, the newest of each first."""
    return await call.admin.flows(query.queue, state=query.state, limit=query.limit, cursor=query.cursor)


async def get_flow(call: Call, flow_id: FlowId, query: FlowQuery) -> FlowRecord:
    """Tell what is known of a flow, of the one that a job is a part of, or of the jobs around one."""
    return await call.admin.flow(flow_id, queue=query.queue)


async def list_flow_jobs(call: Call, flow_id: FlowId, query: FlowJobsQuery) -> FlowJobsPage:
    """Tell the jobs of a flow in order, what each waits for, and where it is."""
    return await call.admin.flow_jobs(
        flow_id,
        queue=query.queue,
        state=query.state,
        start=query.start,
        limit=query.limit,
        beside=query.beside,
    )


async def cancel_flow(call: Call, flow_id: FlowId, query: FlowQuery, body: Change = _NO_REASON) -> Changed:
    """Cancel a flow and all its jobs; those that run are asked to stop. Nothing is changed of one that had ended."""
    return Changed(changed=await call.acting(body.reason).cancel_flow(flow_id, queue=query.queue))


async def retry_flow(call: Call, flow_id: FlowId, query: FlowQuery, body: Change = _NO_REASON) -> Retried:
    """Let a flow that failed go on from the jobs that did not complete; those that did keep their results."""
    return Retried(await call.acting(body.reason).retry_flow(flow_id, queue=query.queue))
