"""A workflow that a job starts and waits for: submitted with edges to that job, and read when it ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.flows.book import FlowBook
from jobs_core.flows.ends import read_ended
from jobs_core.flows.graph import Given, decode_node
from jobs_core.flows.modes import Sign
from jobs_core.flows.records import FlowInfo
from jobs_core.names import check_job_id
from jobs_core.records import shown_payload
from jobs_core.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobs_core.flows.ends import Ended
    from jobs_core.payloads import JsonValue
    from jobs_core.scripts import Scripts
    from jobs_producer import Workflow
    from jobs_worker.context import JobContext

__all__ = ["FlowReader", "Submitted", "cancel_workflow", "submit_workflow"]

_SECONDS = 30.0
STARTED_BY = "started_by"


class Submitted(msgspec.Struct, frozen=True):
    """A workflow that is there: the queue that keeps it, its id, how many jobs it has, and whether they tell this job of their ends."""

    queue: str
    id: str
    jobs: int
    own: bool


async def submit_workflow(ctx: JobContext, workflow: Workflow) -> Submitted:
    """Submit a workflow, all of its jobs or none, so that each tells the job of `ctx` of its end.

    One without an id gets that of the job, so it is started once however often the job runs. Where a workflow of the id is there
    which another job started, that one is returned, with `own` False. Raises FlowError, PayloadError, PayloadTooLarge, CodecError, OptionError
    or ConnectionFailed.
    """
    graph, me = workflow.graph(), f"{ctx.queue}/{ctx.job_id}"
    flow_id = check_job_id(workflow.id or ctx.job_id)
    home = graph.nodes[0].call.job.queue.name
    metadata = {**ctx.metadata, **workflow.metadata}
    given = Given(CommonSettings.from_env().default_job_options, metadata, workflow.tags, ctx.scripts.codecs)
    made = await asyncio.to_thread(graph.drafts, (home, flow_id), given, told=(ctx.queue, ctx.job_id))
    info = FlowInfo("workflow", workflow.name, {**metadata, STARTED_BY: me}, workflow.tags)
    book = FlowBook(ctx.scripts, graph.queues.values())
    deadline = asyncio.get_running_loop().time() + max(_SECONDS, len(made) / 200)
    if await book.submit(home, flow_id, info, made, deadline=deadline):
        return Submitted(home, flow_id, len(made), own=True)
    record = await book.record(home, flow_id, deadline=deadline)
    return Submitted(home, flow_id, record.total, own=record.metadata.get(STARTED_BY) == me)


async def cancel_workflow(ctx: JobContext, submitted: Submitted) -> None:
    """Cancel a workflow with all its jobs. Raises FlowNotFound or ConnectionFailed."""
    deadline = asyncio.get_running_loop().time() + _SECONDS
    await FlowBook(ctx.scripts).cancel(submitted.queue, submitted.id, deadline=deadline)


class FlowReader:
    """Reads a workflow that was submitted."""

    def __init__(self, scripts: Scripts, submitted: Submitted) -> None:
        """Bind to the scripts of the worker."""
        self._scripts = scripts
        self._queue = submitted.queue
        self._id = submitted.id

    async def state(self) -> str:
        """Return the state of the workflow. Raises FlowNotFound."""
        deadline = asyncio.get_running_loop().time() + _SECONDS
        return (await FlowBook(self._scripts).record(self._queue, self._id, deadline=deadline)).state

    async def results(self) -> dict[str, JsonValue]:
        """Return the results of its steps by name, of those that have one."""
        codecs = self._scripts.codecs or Codecs()
        found: dict[str, JsonValue] = {}
        async for label, sign, ended in self._ends():
            if sign is Sign.COMPLETED and ended.result is not None:
                place = Place(ended.queue, ended.name, ended.id, "result")
                found[label] = await asyncio.to_thread(
                    shown_payload, place, ended.result, ended.codec, codecs
                )
        return found

    async def failure(self, state: str) -> str:
        """Say which step was the first in order that did not complete by itself."""
        if state == "cancelled":
            return f"workflow {self._id!r} was cancelled"
        async for label, sign, ended in self._ends():
            if sign not in {Sign.COMPLETED, Sign.SKIPPED} and ended.error_type != "child":
                reason = f"{ended.error_type}: {ended.error}" if ended.error_type else ended.error
                return f"step {label!r} of workflow {self._id!r} failed (job {ended.id!r} of {ended.queue!r}): {reason}"
        return f"workflow {self._id!r} {state}"

    async def _ends(self) -> AsyncIterator[tuple[str, Sign, Ended]]:
        at: int | None = 0
        while at is not None:
            page = await self._scripts.flow_jobs(self._queue, flow_id=self._id, kind="b", from_=at)
            for job in page.jobs:
                if job.told and job.node:
                    sign, ended = read_ended(job.told)
                    yield decode_node(job.node).label, sign, ended
            at = page.next
