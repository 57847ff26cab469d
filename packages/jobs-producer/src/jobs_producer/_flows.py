"""Flows of a producer: submitted whole, or filled while they run; and handles on them."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, Generic, TypeVar, Unpack, cast

from jobs_core.codecs import Place
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import (
    FlowCancelled,
    FlowClosed,
    FlowFailed,
    FlowNotFound,
    FlowTimeout,
    OptionError,
    ResultExpired,
    ResultNotKept,
)
from jobs_core.flows.ends import read_ended
from jobs_core.flows.graph import Given, decode_node
from jobs_core.flows.modes import Sign
from jobs_core.flows.records import FlowInfo
from jobs_core.ids import new_job_id
from jobs_core.job_type import check_job
from jobs_core.names import check_job_id, check_queue_name
from jobs_core.payloads import JsonValue
from jobs_core.queue import Queue
from jobs_core.records import shown_payload
from jobs_core.scripts import MAX_ITEMS
from jobs_producer._handle import JobHandle
from jobs_producer._part import Part
from jobs_producer.batches import Batch, MapReduce, callback_parts

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Iterable,
        Mapping,
        Sequence,
    )

    from jobs_core.flows.calls import Call
    from jobs_core.flows.graph import Graph
    from jobs_core.flows.records import FlowJobRecord, FlowRecord
    from jobs_core.options import JobOptions, MetaValue, StepOptions
    from jobs_core.queue import JobType
    from jobs_core.scripts.flows import FlowJob
    from jobs_producer._handle import Link
    from jobs_producer.workflows import Flow, Step, Workflow

P = TypeVar("P")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")

__all__ = ["FlowRun", "Flows"]


class Flows(Part):
    """The flows that a producer submits and reads. Each is kept by the queue of its first job; ids are unique in it.

    Every call raises ConnectionFailed where the server does not answer in time; each has the same effect twice as once.
    """

    async def start(self, workflow: Workflow) -> FlowRun[dict[str, JsonValue]]:
        """Submit a workflow: all of its steps, or none. One whose id is known is not started again.

        Raises FlowError, PayloadError, PayloadTooLarge, CodecError or OptionError before anything is sent.
        """
        info = FlowInfo("workflow", workflow.name, workflow.metadata, workflow.tags)
        queue, flow_id, created = await self._submit(workflow.graph(), workflow.id, info)
        return FlowRun(self._link, queue, flow_id, workflow.name, created=created)

    async def submit(self, flow: Flow[R]) -> FlowRun[R]:
        """Submit a parent and its children: all of them, or none. Errors as `start`."""
        info = FlowInfo("flow", flow.name, flow.metadata, flow.tags)
        queue, flow_id, created = await self._submit(flow.graph(), flow.id, info)
        return FlowRun(self._link, queue, flow_id, flow.name, created=created, root=flow.job)

    async def batch(
        self,
        name: str,
        queue: Queue | str,
        *,
        id: str | None = None,  # noqa: A002 - the word that records use
        on_success: Sequence[Call] = (),
        on_failure: Sequence[Call] = (),
        on_complete: Sequence[Call] = (),
        metadata: Mapping[str, MetaValue] | None = None,
        tags: Sequence[str] = (),
        open_timeout: Duration = 3600.0,
    ) -> Batch:
        """Open a batch: jobs are added while others of it run, and callbacks sent once each.

        `on_success` when all completed (also later, by a retry), `on_failure` at the first that did not, `on_complete` when all ended;
        a batch that is cancelled sends none. `queue` keeps it; its jobs may go anywhere. With an `id` that is open already the
        batch is resumed. One that is not closed fails when nothing was added for `open_timeout`. Errors as `start`.
        """
        calls = {"success": on_success, "failure": on_failure, "complete": on_complete}
        info = FlowInfo("batch", name, dict(metadata or {}), tuple(tags))
        batch, _ = await self._open(info, queue, id, calls, open_timeout)
        return batch

    def join(self, queue: Queue | str, flow_id: str) -> Batch:
        """Return a batch that is open, to add to it from elsewhere: leave it by `flush`, and close it where it was opened."""
        filler = secrets.token_hex(6)
        return Batch(self._link, self.run(queue, flow_id), filler, (self._service, {}, ()), self._declare)

    async def map_reduce(
        self,
        map_job: JobType[P, R],
        items: Iterable[P] | AsyncIterable[P],
        reduce_job: JobType[Q, S],
        reduce_payload: Q,
        *,
        name: str = "",
        id: str | None = None,  # noqa: A002 - the word that records use
        open_timeout: Duration = 3600.0,
        **options: Unpack[StepOptions],
    ) -> MapReduce[S]:
        """Run a job for each item, and when all have completed one more, which finds their results in `ctx.children`, in order.

        `items` may be millions, from an iterator: they are sent as they come, in constant memory. `options` are those of the map
        jobs; their `metadata` and `tags` are those of the flow, their `deadline` holds for the reduce too. With an `id` that is
        open already it is resumed: give the same items in the same order. Errors as `start`.
        """
        check_job(map_job, "map_job")
        check_job(reduce_job, "reduce_job")
        metadata, tags = dict(options.get("metadata") or {}), tuple(options.get("tags") or ())
        info = FlowInfo("map_reduce", name or map_job.name, metadata, tags)
        within: JobOptions = {"deadline": options["deadline"]} if "deadline" in options else {}
        calls = {"success": (reduce_job.call(reduce_payload, **within),)}
        batch, ids = await self._open(info, map_job.queue, id, calls, open_timeout)
        await batch.add_many(map_job, items, **options)
        await batch.close()
        reduce = JobHandle(self._link, cast("JobType[object, S]", reduce_job), ids["success"][0])
        return MapReduce(self._link, batch.run, reduce)

    async def _open(
        self,
        info: FlowInfo,
        queue: Queue | str,
        flow_id: str | None,
        calls: Mapping[str, Sequence[Call]],
        open_timeout: Duration,
    ) -> tuple[Batch, dict[str, list[str]]]:
        """Open a flow that is filled, or resume it. Returns it, and the ids of its callbacks by moment. Raises FlowClosed."""
        home, flow_id = _name(queue), new_job_id() if flow_id is None else check_job_id(flow_id)
        given = (self._service, info.metadata, info.tags)
        callbacks, queues, ids = callback_parts(calls, (home, flow_id), self._link, given)
        timeout_ms = to_ms(open_timeout, name="open_timeout")
        if not timeout_ms:
            raise OptionError("open_timeout", open_timeout, "it must be longer than 0")
        deadline = self._deadline()
        if not isinstance(queue, str):
            queues.append(queue)
        for each in queues:
            await self._declare(each, deadline)
        there = await self._link.book.open(
            home, flow_id, info, state="open", timeout_ms=timeout_ms, callbacks=callbacks, deadline=deadline
        )
        if there not in {"", "open"}:
            raise FlowClosed(home, flow_id)
        run: FlowRun[dict[str, JsonValue]] = FlowRun(self._link, home, flow_id, info.name, created=not there)
        return Batch(self._link, run, "main", given, self._declare), ids

    def run(self, queue: Queue | str, flow_id: str) -> FlowRun[dict[str, JsonValue]]:
        """Return a handle on a flow that was submitted elsewhere. Raises OptionError for what cannot be an id."""
        return FlowRun(self._link, _name(queue), check_job_id(flow_id), "", created=False)

    async def _submit(self, graph: Graph, flow_id: str | None, info: FlowInfo) -> tuple[str, str, bool]:
        flow_id = new_job_id() if flow_id is None else check_job_id(flow_id)
        home = graph.nodes[0].call.job.queue.name
        given = Given(self._service, info.metadata, info.tags, self._link.codecs)
        if len(graph.nodes) <= MAX_ITEMS:
            made = graph.drafts((home, flow_id), given)
        else:
            # Encoding many payloads takes a while, and the loop is not ours alone.
            made = await asyncio.to_thread(graph.drafts, (home, flow_id), given)
        deadline = self._deadline()
        for queue in graph.queues.values():
            await self._declare(queue, deadline)
        self._link.book.declare(graph.queues.values())
        # Each call of it has the time of an enqueue.
        deadline = self._link.here().time() + max(self._link.timeout, len(made) / 200)
        created = await self._link.book.submit(home, flow_id, info, made, deadline=deadline)
        return home, flow_id, created


class FlowRun(Generic[R]):
    """A handle on a flow. `created` says whether this call made it; `queue` is the queue that keeps it."""

    def __init__(
        self,
        link: Link,
        queue: str,
        flow_id: str,
        name: str,
        *,
        created: bool,
        root: JobType[object, R] | None = None,
    ) -> None:
        """Made by `Flows`."""
        self.queue: Final = queue
        self.id: Final = flow_id
        self.name: Final = name
        self.created: Final = created
        self._link = link
        self._root = root

    def __repr__(self) -> str:
        return f"FlowRun({self.queue}/{self.id})"

    async def status(self) -> FlowRecord:
        """Return what is known of the flow. Raises FlowNotFound or ConnectionFailed."""
        return await self._link.book.record(self.queue, self.id, deadline=self._deadline())

    async def jobs(self, start: int = 0, limit: int = MAX_ITEMS) -> list[FlowJobRecord]:
        """Return jobs of the flow in order, from a number on: what each waits for, and where it is."""
        found, _ = await self._link.book.jobs(
            self.queue, self.id, start=start, limit=limit, deadline=self._deadline()
        )
        return found

    async def cancel(self) -> bool:
        """Cancel the flow and all its jobs; those that run are asked to stop. Returns False if it had ended. Raises FlowNotFound."""
        return await self._link.book.cancel(self.queue, self.id, deadline=self._deadline()) == "cancelled"

    async def done(self, timeout: float | None = None) -> FlowRecord:
        """Wait until the flow ended, and return what is known of it. Raises FlowTimeout or FlowNotFound."""
        now = self._link.here().time()
        deadline = None if timeout is None else now + timeout
        try:
            told = await self._link.inbox.wait_flow(self.queue, self.id, deadline)
        except TimeoutError:
            raise FlowTimeout(self.queue, self.id, timeout or 0.0) from None
        if told.kind != "b":
            raise FlowNotFound(self.queue, self.id)
        return await self.status()

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the flow to complete, and return its result; `timeout` in seconds.

        That of a parent with children is the parent's. That of a workflow holds the result of each step by its name, where
        that has one. Raises FlowFailed, FlowCancelled, FlowTimeout (it goes on) or FlowNotFound.
        """
        record = await self.done(timeout)
        if record.state == "cancelled":
            raise FlowCancelled(self.queue, self.id)
        if record.state != "completed":
            raise await self._failure()
        if self._root is not None:
            return await self._typed(0, self._root)
        return cast("R", {label: value async for label, value in self._results()})

    async def result_of(self, step: Step[S]) -> S:
        """Return the typed result of a step that completed.

        Raises ResultNotKept where it has none, ResultExpired for a step that is not there or has not completed.
        """
        async for number, job in self._each():
            if job.node and decode_node(job.node).label == step.label:
                return await self._typed(number, step.job)
        raise ResultExpired(self.queue, step.label)

    async def _typed(self, number: int, job: JobType[object, S]) -> S:
        page = await self._link.scripts.flow_jobs(
            self.queue, flow_id=self.id, from_=number, count=1, deadline=self._deadline()
        )
        found = page.jobs[0]
        node = decode_node(found.node)
        if not found.ended:
            raise ResultExpired(node.queue, node.id)
        if not found.told:
            raise ResultNotKept(node.queue, node.id)
        sign, ended = read_ended(found.told)
        if sign is not Sign.COMPLETED:
            raise ResultExpired(node.queue, node.id)
        if ended.result is None:
            raise ResultNotKept(node.queue, node.id)
        data, form = ended.result, "json"
        if ended.codec is not None:
            place = Place(ended.queue, ended.name, ended.id, "result")
            data, form = await asyncio.to_thread(self._link.codecs.open, place, data, ended.codec)
        return job.decode_result(data, form)

    async def _failure(self) -> FlowFailed:
        """Say which job of the flow was the first in order that did not complete by itself, or for one that is none of the flow."""
        waited: dict[str, FlowFailed] = {}
        async for _, job in self._each():
            if not job.told:
                continue
            sign, ended = read_ended(job.told)
            if sign in {Sign.COMPLETED, Sign.SKIPPED}:
                continue
            label = decode_node(job.node).label if job.node else ended.id
            reason = f"{ended.error_type}: {ended.error}" if ended.error_type else ended.error
            failed = FlowFailed(self.id, label, ended.queue, ended.id, reason)
            if ended.error_type != "child":
                return failed
            waited[ended.id] = failed
        for failed in waited.values():
            # Its reason names the job that it waited for.
            if failed.reason.partition("'")[2].partition("'")[0] not in waited:
                return failed
        return FlowFailed(
            self.id, "", self.queue, "", "it was left open, or what failed is not known any more"
        )

    async def _results(self) -> AsyncIterator[tuple[str, JsonValue]]:
        async for _, job in self._each():
            if not job.told or not job.node:
                continue
            sign, ended = read_ended(job.told)
            if sign is Sign.COMPLETED and ended.result is not None:
                place = Place(ended.queue, ended.name, ended.id, "result")
                value = shown_payload(place, ended.result, ended.codec, self._link.codecs)
                yield decode_node(job.node).label, value

    async def _each(self) -> AsyncIterator[tuple[int, FlowJob]]:
        at: int | None = 0
        while at is not None:
            page = await self._link.scripts.flow_jobs(
                self.queue, flow_id=self.id, from_=at, deadline=self._deadline()
            )
            for number, job in enumerate(page.jobs, at):
                yield number, job
            at = page.next

    def _deadline(self) -> float:
        return self._link.here().time() + self._link.timeout


def _name(queue: Queue | str) -> str:
    if not isinstance(queue, (str, Queue)):  # pyright: ignore[reportUnnecessaryIsInstance] - a job is easily given instead
        raise OptionError(
            "queue", repr(queue), "it must be a queue or its name: the one that is to keep the flow"
        )
    return check_queue_name(queue) if isinstance(queue, str) else queue.name
