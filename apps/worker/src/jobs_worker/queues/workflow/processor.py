"""Run one workflow: make it of its input, start it once, and wait for its end without holding a slot."""

import asyncio
from functools import lru_cache

import msgspec

from jobs_core.errors import FlowError, FlowNotFound, OptionError, PayloadError
from jobs_core.queues.workflow.queue import RUN_WORKFLOW, RunWorkflow, WorkflowResult
from jobs_core.settings import CommonSettings
from jobs_producer.declared import DeclaredWorkflow, UnknownWorkflow, find_workflow, load_workflows
from jobs_worker import Fail, JobContext, JobTimeout, Snooze, WaitForChildren, processor
from jobs_worker.submitting import FlowReader, Submitted, cancel_workflow, submit_workflow

_MOST = 512 * 1024
_AGAIN = 2.0
# The ends of a workflow's last jobs reach this job and the workflow each by itself.
_SOON = 100


@processor(RUN_WORKFLOW)
async def run_workflow(payload: RunWorkflow, ctx: JobContext) -> WorkflowResult:
    """Start the workflow, wait until it ended, and return its results. Where it failed, this job fails, and says at which step."""
    started = ctx.load_checkpoint(Submitted)
    if started is None:
        started = await _whole(payload, ctx)
        ctx.checkpoint(started)
    if not ctx.children and started.own:
        ctx.add_children_of(started.queue, started.id, started.jobs)
        raise WaitForChildren
    reader = FlowReader(ctx.scripts, started)
    try:
        state = await reader.state()
        for _ in range(_SOON if state == "running" and started.own else 0):
            await asyncio.sleep(0.02)
            state = await reader.state()
            if state != "running":
                break
    except FlowNotFound as error:
        raise Fail(str(error)) from error
    if state in {"staging", "open", "running"}:
        # One that another job started, or whose failed jobs run again.
        raise Snooze(_AGAIN, f"workflow {started.id} runs")
    if state != "completed":
        raise Fail(await reader.failure(state))
    results = await reader.results()
    truncated = len(msgspec.json.encode(results)) > _MOST
    return WorkflowResult(
        workflow=payload.workflow,
        id=started.id,
        queue=started.queue,
        jobs=started.jobs,
        results={} if truncated else results,
        truncated=truncated,
    )


async def _whole(payload: RunWorkflow, ctx: JobContext) -> Submitted:
    """Start it to the end; should the job be cancelled meanwhile, the workflow is so too. From when the job waits on, the server sees to that."""
    starting = asyncio.ensure_future(_start(payload, ctx))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError as error:
        started = await starting
        if started.own and ctx.cancelled and not isinstance(error, JobTimeout):
            await cancel_workflow(ctx, started)
        raise


async def _start(payload: RunWorkflow, ctx: JobContext) -> Submitted:
    """Make the workflow and submit it; where it was submitted before, that is the one."""
    try:
        made = find_workflow(_workflows(), payload.workflow).make(payload.input)
        started = await submit_workflow(ctx, made)
    except (UnknownWorkflow, PayloadError, FlowError, OptionError) as error:
        raise Fail(str(error)) from error
    ctx.log.info("workflow.started", workflow=payload.workflow, flow=started.id, jobs=started.jobs)
    return started


@lru_cache(maxsize=1)
def _workflows() -> dict[str, DeclaredWorkflow[object]]:
    # Once in each process: what is imported stays.
    return load_workflows(CommonSettings.from_env().features)
