"""Flows that are filled while they run: batches with callbacks, and map-reduce, in constant memory.

async with producer.flows.batch("newsletter", EMAIL, on_success=[REPORT.call(report)]) as batch:
    async for user in users():
        await batch.add(SEND_EMAIL, SendEmail(to=user.email))
record = await batch.run.done()
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, Unpack, cast

import msgspec
from msgspec.structs import replace

from jobs_core.drafts import make_draft
from jobs_core.errors import OptionError
from jobs_core.flows.children import encode_children
from jobs_core.flows.graph import NodeInfo
from jobs_core.flows.modes import Mode
from jobs_core.options import resolve
from jobs_core.outbox import encode_jobs
from jobs_core.wire import EFFECTS, Waits
from jobs_producer._handle import arrived

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from types import TracebackType

    from jobs_core.connection.protocol import Encodable
    from jobs_core.flows.calls import Call
    from jobs_core.options import DefaultJobOptions, JobOptions, MetaValue, Resolved, StepOptions
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType, Queue
    from jobs_core.wire import Draft
    from jobs_producer._flows import FlowRun
    from jobs_producer._handle import JobHandle, Link

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")

__all__ = ["Batch", "MapReduce", "callback_parts"]

_CHUNK_JOBS = 128
_CHUNK_BYTES = 256 * 1024
_encode = msgspec.msgpack.Encoder().encode


class Batch:
    """A flow that is filled while its jobs run. Made by `Flows.batch` and `Flows.join`; used in `async with`, which closes it.

    What is added is sent in chunks of up to 128 jobs. Where the block is left by an exception the batch stays open: it fails after
    its `open_timeout`, or is resumed by its id, by adding the same jobs in the same order again; what arrived before is not doubled.
    """

    def __init__(
        self,
        link: Link,
        run: FlowRun[dict[str, JsonValue]],
        filler: str,
        given: tuple[DefaultJobOptions, Mapping[str, MetaValue], tuple[str, ...]],
        declare: Callable[[Queue, float], Coroutine[object, object, None]],
    ) -> None:
        """Made by `Flows`; `given` are options of the service, and metadata and tags that pass on to all jobs."""
        self.run: Final = run
        self.id: Final = run.id
        self.added = 0
        self._link = link
        self._filler = filler
        self._given = given
        self._declare = declare
        self._declared: set[str] = set()
        self._drafts: list[tuple[str, Draft, NodeInfo | None]] = []
        self._size = 0
        self._sent = 0
        # How many jobs the batch has, those of other fillers among them.
        self._seen: int = 0
        # Jobs that an earlier filler sent in a larger chunk, and that are still to be added here.
        self._there = 0

    async def __aenter__(self) -> Self:
        """Begin to fill it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, unless filling it failed."""
        if error is None:
            await self.close()

    async def add(self, job: JobType[P, R], payload: P, **options: Unpack[StepOptions]) -> None:
        """Add a job. Raises PayloadError, PayloadTooLarge, CodecError, OptionError, FlowClosed, FlowRolledBack or ConnectionFailed."""
        resolved = resolve(job, cast("JobOptions", options), self._given[0])
        if resolved.is_bound:
            reason = "a job of a batch is followed by the batch; leave out chain_to, on_success, on_failure and after"
            raise OptionError("options", ", ".join(options), reason)
        # What a codec makes of a payload is made for one id, so that cannot be given later.
        named = job.seals or resolved.job_id is not None
        own = resolved.job_id or (f"{self.id}.{self._filler}-{self.added}" if named else "")
        if self._drafts and named != (self._drafts[-1][2] is not None):
            await self.flush()
        if self._there:
            self._there -= 1
            self._sent += 1
            self.added += 1
            return
        draft = self._draft(job, payload, resolved, own)
        size = len(draft.body)
        if self._drafts and self._size + size > _CHUNK_BYTES:
            await self.flush()
        if job.queue.name not in self._declared:
            await self._declare(job.queue, self._deadline())
            self._declared.add(job.queue.name)
        info = NodeInfo(job.queue.name, own, own, job.wire_name) if named else None
        self._drafts.append((job.queue.name, draft, info))
        self._size += size
        self.added += 1
        if len(self._drafts) >= _CHUNK_JOBS:
            await self.flush()

    async def add_many(
        self, job: JobType[P, R], payloads: Iterable[P] | AsyncIterable[P], **options: Unpack[StepOptions]
    ) -> int:
        """Add a job for each payload, in constant memory. Returns how many. Errors as `add`."""
        before = self.added
        if isinstance(payloads, AsyncIterable):
            async for payload in payloads:
                await self.add(job, payload, **options)
        else:
            for payload in payloads:
                await self.add(job, payload, **options)
        return self.added - before

    async def flush(self) -> None:
        """Send what was added and not sent yet. Raises FlowClosed, FlowRolledBack or ConnectionFailed."""
        # One is enough, but where it was filled before and cut otherwise.
        while self._drafts:
            # Named by its first job, so that the same jobs are known again wherever they are cut.
            chunk = f"{self._filler}-{self._sent}"
            added = await self._link.book.add(
                self.run.queue, self.id, chunk, self._parts(), seen=self._seen, deadline=self._deadline()
            )
            self._seen = added.total
            done = min(added.count, len(self._drafts))
            self._there = added.count - done
            self._sent += done
            self._drafts = self._drafts[done:]
        self._size = 0

    def _parts(self) -> list[Encodable]:
        """Return what was added and not sent yet as the script takes it: in order, those for one queue together."""
        parts: list[Encodable] = []
        drafts: list[Draft] = []
        for at, (queue, draft, info) in enumerate(self._drafts):
            drafts.append(draft)
            if info is not None:
                parts += (queue, "node", 0, _encode(info))
            last = at + 1 == len(self._drafts)
            if last or self._drafts[at + 1][0] != queue:
                parts += (queue, "children", len(drafts), encode_children(drafts, Mode.COUNTED))
                drafts = []
        return parts

    async def close(self) -> FlowRun[dict[str, JsonValue]]:
        """Send the rest and close the batch: it ends when all its jobs have.

        Raises FlowClosed, FlowNotFound, FlowRolledBack or ConnectionFailed.
        """
        await self.flush()
        await self._link.book.close(self.run.queue, self.id, seen=self._seen, deadline=self._deadline())
        return self.run

    def _draft(self, job: JobType[P, R], payload: P, resolved: Resolved, job_id: str) -> Draft:
        _, metadata, tags = self._given
        merged = resolved.tagged(tags)
        draft = make_draft(job, payload, merged, job_id=job_id, metadata=metadata, codecs=self._link.codecs)
        lead, *others = draft.alike
        alike = (bytes((lead[0], lead[1] | EFFECTS, *lead[2:])), *others)
        return replace(draft, alike=alike)

    def _deadline(self) -> float:
        return self._link.here().time() + self._link.timeout


class MapReduce(Generic[S]):
    """A map-reduce that was submitted: `run` is its flow, `reduce` a handle on the job at its end."""

    def __init__(self, link: Link, run: FlowRun[dict[str, JsonValue]], reduce: JobHandle[S]) -> None:
        """Made by `Flows.map_reduce`."""
        self._link = link
        self.run: Final = run
        self.reduce: Final = reduce

    async def result(self, timeout: float | None = None) -> S:
        """Wait for all maps and the reduce, and return its result; `timeout` in seconds for each of the two.

        Raises FlowFailed where a map did not complete, FlowCancelled, FlowTimeout, and as `JobHandle.result`.
        """
        await self.run.result(timeout)
        return await arrived(self._link, self.reduce, timeout)


def callback_parts(
    calls: Mapping[str, Sequence[Call]],
    home: tuple[str, str],
    link: Link,
    given: tuple[DefaultJobOptions, Mapping[str, MetaValue], tuple[str, ...]],
) -> tuple[list[Encodable], list[Queue], dict[str, list[str]]]:
    """Return the callbacks of a flow as the server keeps them, the queues that they go to, and their ids by moment.

    `home` is the queue and id of the flow. Raises PayloadError, OptionError and others as `enqueue`.
    """
    service, metadata, tags = given
    packed: list[Encodable] = []
    queues: dict[str, Queue] = {}
    ids: dict[str, list[str]] = {}
    for moment, each in calls.items():
        parts: list[bytes] = []
        for number, call in enumerate(each):
            resolved = resolve(call.job, call.options, service)
            if call.steps or resolved.is_bound:
                reason = "a callback cannot be followed itself; start a workflow from it"
                raise OptionError(f"on_{moment}[{number}]", call.job.name, reason)
            merged = resolved.tagged(tags)
            own = resolved.job_id or f"{home[1]}.{moment}-{number}"
            draft = make_draft(
                call.job,
                call.payload,
                merged,
                job_id=own,
                metadata=metadata,
                codecs=link.codecs,
                waits=Waits((), *home),
            )
            ids.setdefault(moment, []).append(own)
            queue = call.job.queue
            queues[queue.name] = queue
            parts += (queue.name.encode(), b"jobs", encode_jobs([draft]))
        if parts:
            packed += (moment, b"".join(len(part).to_bytes(4, "big") + part for part in parts))
    return packed, list(queues.values()), ids
