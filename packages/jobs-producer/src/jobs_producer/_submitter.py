"""Makes jobs ready to be sent: options resolved, payload written, what follows planned; and hands each to the lane of its queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from jobs_core.codecs import Codecs, Place
from jobs_core.errors import OptionError
from jobs_core.flows.edges import bound, failure_edges, follow_edges
from jobs_core.flows.failures import drafts_of
from jobs_core.flows.successors import check_record, make_plan
from jobs_core.ids import new_job_id
from jobs_core.option_values import no_job
from jobs_core.options import DefaultJobOptions, JobOptions, resolve
from jobs_core.wire import EXPIRES, KEYED, OWN_ID, UNIQUE, Envelope, RecordHead, Waits, encode_envelope
from jobs_producer._lane import Buffer, Item, Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.flows.calls import Step
    from jobs_core.queue import JobType, Queue
    from jobs_core.telemetry import Telemetry
    from jobs_core.wire import Flow
    from jobs_producer._handle import Link
    from jobs_producer._submission import Outcome

P = TypeVar("P")
R = TypeVar("R")

# Calls are given up by so large a part of the timeout before it ends, at most: callers whose deadlines are no
# further apart share a call, and who gets room or a turn later than that would not make it.
_SLACK = 0.05
_RECORD_HEADS = 4096
# What travels with a job: what follows it, its trace, and that it waits for others.
Around: TypeAlias = "tuple[Flow | None, dict[str, str] | None, Waits | None]"
_BOUND = frozenset({"after", "chain_to", "on_success", "on_failure"})


class Submitter:
    """What a producer sends jobs by. `defaults` are the options of the service, `bare` the queues that were only named, `buffer` what is unsent."""

    lanes: dict[str, Lane]
    buffer: Buffer

    def __init__(self, link: Link, defaults: DefaultJobOptions) -> None:
        """Begin without a connection; `prepare` is called before the first job."""
        self.defaults = defaults
        self.bare: dict[str, Queue] = {}
        self._link = link
        self._slack = link.timeout * _SLACK
        self._heads: dict[str, RecordHead] = {}

    def prepare(self) -> None:
        """Make all that belongs to one connection."""
        self.buffer = Buffer()
        self.lanes = {}

    async def send(
        self,
        traced: Telemetry,
        job_type: JobType[P, R],
        payload: P,
        options: JobOptions,
        steps: Sequence[Step] = (),
    ) -> tuple[Item, bytes, Outcome]:
        """Send a job in a span, and wait for the answer."""
        sending = traced.send(job_type.queue.name, job_type.name)
        try:
            item, policy = await self.submit(job_type, payload, options, steps, sending.carrier)
            outcome = await item.future
        except BaseException as error:
            sending.failed(error)
            raise
        sending.sent(item.id, outcome)
        return item, policy, outcome

    async def submit(
        self,
        job_type: JobType[P, R],
        payload: P,
        options: JobOptions,
        steps: Sequence[Step] = (),
        trace: dict[str, str] | None = None,
    ) -> tuple[Item, bytes]:
        """Hand a job to the lane of its queue; its future is done when the server has answered.

        `steps` are the links of a chain behind it, `trace` the context that travels with it.
        """
        try:
            seals = job_type.seals
        except AttributeError:
            raise no_job(job_type) from None
        plan = waits = None
        edges = ""
        if steps or (options and not _BOUND.isdisjoint(options)):
            plan = await self._planned(job_type, options, steps)
            if "after" in options or "on_failure" in options:
                options = cast("JobOptions", {"job_id": new_job_id(), **options})
                waits, edges = await self._bind(job_type, options)
        item, policy = (
            await self._sealed(job_type, payload, options, (plan, trace, waits))
            if seals
            else self._item(job_type, payload, options, (plan, trace, waits))
        )
        if edges or waits is not None:
            blocks = None if waits is None else len(options.get("after", ()))
            item.alike = bound(item.alike, edges, blocks=blocks)
        lane = self.lane(job_type.queue)
        if not lane.add(item):
            await lane.add_later(item)
        return item, policy

    async def _planned(
        self, job_type: JobType[P, R], options: JobOptions, steps: Sequence[Step]
    ) -> Flow | None:
        """Decide what is to follow a job, and declare the queues that it goes to."""
        deadline = self._link.here().time() + self._link.timeout
        resolved = resolve(job_type, options, self.defaults)
        plan = make_plan(resolved, steps=steps, service=self.defaults, codecs=self._link.codecs)
        if plan is None:
            return None
        for queue in plan.queues:
            await self.lane(queue).declared(deadline)
        return plan.flow

    async def _bind(self, job_type: JobType[P, R], options: JobOptions) -> tuple[Waits | None, str]:
        """Make jobs tell of their ends that a new one waits for, and return that it waits, and the edges of its own."""
        deadline = self._link.here().time() + self._link.timeout
        resolved = resolve(job_type, options, self.defaults)
        queue, job_id = job_type.queue.name, options.get("job_id", "")
        if resolved.after and resolved.rule is not None and not resolved.rule.stands_alone:
            reason = (
                "a job that waits for others cannot take the place of one that is there; use skip or error"
            )
            raise OptionError("after", len(resolved.after), reason)
        edges = ""
        if resolved.on_failure:
            made = drafts_of(
                resolved.on_failure, (queue, job_id), self.defaults, resolved.metadata, self._link.codecs
            )
            for target in made.queues:
                await self.lane(target).declared(deadline)
            edges = failure_edges(made.drafts)
        if not resolved.after:
            return None, edges
        for name, each in follow_edges(queue, job_id, resolved.after).items():
            await self._link.book.follow_all(name, each, deadline=deadline)
        on = tuple((each.queue or queue, each.id) for each in resolved.after)
        return Waits(on=on, modes="".join(each.mode for each in resolved.after)), edges

    async def _sealed(
        self,
        job_type: JobType[P, R],
        payload: P,
        options: JobOptions,
        around: Around,
    ) -> tuple[Item, bytes]:
        """Make the item of a job with a codec; a large payload goes through it in a thread."""
        job_id = options.get("job_id") or new_job_id()
        data = job_type.encode(payload)
        place = Place(job_type.queue.name, job_type.wire_name, job_id)
        work = (place, data, job_type.format, job_type.codec)
        if Codecs.is_slow(job_type.codec, len(data)):
            # Else the file of a job that is refused would be left for the sweep.
            resolve(job_type, options, self.defaults)
            stored, text = await asyncio.to_thread(self._link.codecs.seal, *work)
        else:
            stored, text = self._link.codecs.seal(*work)
        job_type.check_size(len(stored), "payload")
        return self._item(job_type, payload, options, around, (job_id, stored, text))

    def _item(
        self,
        job_type: JobType[P, R],
        payload: P,
        options: JobOptions,
        around: Around,
        sealed: tuple[str, bytes, str | None] | None = None,
    ) -> tuple[Item, bytes]:
        """Make an item; `sealed` is the id, and what a codec made of the payload, `around` what travels with it."""
        loop = self._link.here()
        flow, trace, waits = around
        resolved = resolve(job_type, options, self.defaults)
        if sealed is None:
            made_id, data = new_job_id(), job_type.encode(payload)
            codec = None if job_type.format == "json" else job_type.format
        else:
            made_id, data, codec = sealed
        head = self._heads.get(job_type.wire_name)
        if head is None:
            if len(self._heads) >= _RECORD_HEADS:
                self._heads.clear()
            head = self._heads[job_type.wire_name] = RecordHead(job_type.wire_name)
        envelope = encode_envelope(
            Envelope(
                resolved.policy, data, resolved.metadata, resolved.tags, trace, codec, flow=flow, waits=waits
            )
        )
        flags, unique, key = OWN_ID if resolved.job_id is not None else 0, b"", b""
        if resolved.decide:
            flags |= EXPIRES if resolved.expires else 0
            if resolved.rule is not None:
                flags, unique = flags | UNIQUE, resolved.rule.value(job_type.name, payload)
        if job_type.queue.keyed or resolved.key is not None:
            key = job_type.key_of(payload, resolved.key).encode()
            flags |= KEYED if key else 0
        body = head.body(envelope, key=key, unique=unique)
        if flow is not None:
            check_record(job_type.queue.name, job_type.name, len(body))
        item = Item(
            resolved.job_id or made_id,
            body,
            head.alike(
                flags,
                resolved.priority,
                resolved.cost if resolved.cost > 1 else 0,
                resolved.delay_ms,
                resolved.run_at_ms,
                resolved.decide,
            ),
            loop.create_future(),
            loop.time() + self._link.timeout,
            resolved.waits,
        )
        return item, resolved.policy

    def lane(self, queue: Queue) -> Lane:
        """Return the lane of a queue, which declares it before its next job."""
        lane = self.lanes.get(queue.name)
        if lane is not None and lane.declaration is queue:
            return lane
        if lane is None:
            lane = Lane(self._link.scripts, queue.name, self.buffer, slack=self._slack)
            self.lanes[queue.name] = lane
        if self.bare.get(queue.name) is not queue:
            lane.declare(queue)
        return lane

    async def declare(self, queue: Queue, deadline: float) -> None:
        """Write what code declares of a queue."""
        await self.lane(queue).declared(deadline)

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while busy := [lane for lane in self.lanes.values() if lane.busy]:
            for lane in busy:
                await lane.drain()

    def declare_again(self) -> None:
        """Let every queue be declared once more."""
        # The server that is back may have lost what was declared.
        for lane in self.lanes.values():
            lane.declare_again()
