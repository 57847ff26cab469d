"""What follows the success of a job: planned when it is enqueued, made into jobs by the worker that completed it.

The plan travels in the job's envelope as branches, which all begin when the job completed; of each the jobs run one after
the other. So a job carries what follows it, and hands the rest of a branch on to the first of it. Ids follow from the
job before (`follower_id`), so that whoever knows the first of a chain can name all of them.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from jobs_core.codecs import Codec, Codecs, Place
from jobs_core.errors import OptionError, PayloadTooLarge
from jobs_core.flow import key_of
from jobs_core.options import MetaValue, resolve, within_deadline
from jobs_core.payloads import MAX_BYTES
from jobs_core.tracing import create
from jobs_core.wire import (
    EXPIRES,
    KEYED,
    OWN_ID,
    UNIQUE,
    Before,
    Draft,
    Envelope,
    Flow,
    FlowEnd,
    RecordHead,
    encode_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jobs_core.flows.calls import Call, Step
    from jobs_core.options import DefaultJobOptions, Resolved
    from jobs_core.queue import JobType, Queue

__all__ = ["MAX_LINKS", "Done", "Plan", "check_record", "end_of", "follower_id", "followers", "make_plan"]

MAX_LINKS = 1000
"""How many jobs may follow a job, all branches taken together."""

_MAX_DEPTH = 50
# What a record may have; scripts refuse more.
_MAX_RECORD = 1_310_700
# What the results that its followers are handed may have in all.
_MAX_HANDED = 16 * 1024 * 1024


class _Planned(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A job that will follow: what its options came to. Without `payload` it takes the result of the one before.

    `place` is its number in its chain and how many there are. `key_fields` and `seals` are for a payload that is still to come: the
    fields that its key is made of, and what is done to it.
    """

    queue: str
    name: str
    policy: bytes
    priority: int
    cost: int
    delay_ms: int
    run_at_ms: int
    decide: str
    flags: int
    job_id: str
    payload: bytes | None
    codec: str | None
    metadata: dict[str, MetaValue] | None
    tags: tuple[str, ...] | None
    key: bytes
    unique: bytes
    place: tuple[int, int] | None
    then: tuple[tuple[bytes, ...], ...]
    key_fields: tuple[str, ...] = ()
    seals: Codec | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is to follow a job, and the queues in which it does."""

    flow: Flow
    queues: tuple[Queue, ...]


class Done(msgspec.Struct, frozen=True):
    """A job that completed: its result in its format, and what its followers inherit.

    `value` returns the result as its type; `seals` is what is done to its results.
    """

    queue: str
    name: str
    id: str
    data: bytes
    form: str
    metadata: Mapping[str, MetaValue] | None
    deadline_ms: int
    value: Callable[[], object]
    seals: Codec


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Planned).decode
_head = lru_cache(maxsize=4096)(RecordHead)


def follower_id(queue: str, job_id: str, branch: int = 0) -> str:
    """Return the id of the first job of a branch that follows a job, unless it was given one of its own."""
    return sha256(f"{queue}\0{job_id}\0then\0{branch}".encode()).hexdigest()[:24]


def make_plan(
    resolved: Resolved,
    *,
    steps: Sequence[Step] = (),
    service: DefaultJobOptions | None = None,
    codecs: Codecs | None = None,
) -> Plan | None:
    """Return what is to follow a job; None: nothing.

    `steps` are the links of a chain behind it. Raises PayloadError, PayloadTooLarge, OptionError, CodecError or ConfigurationError.
    """
    if not steps and not resolved.chain_to and not resolved.on_success:
        return None
    planner = _Planner(service, codecs or Codecs())
    then = planner.branches(steps, resolved)
    length = 1 + (len(steps) or len(resolved.chain_to))
    place = (1, length) if length > 1 else (0, 0)
    return Plan(Flow("", *place, then=then), tuple(planner.queues.values()))


class _Planner:
    """Decides what the options of followers come to, and counts them."""

    def __init__(self, service: DefaultJobOptions | None, codecs: Codecs) -> None:
        self.queues: dict[str, Queue] = {}
        self._service = service
        self._codecs = codecs
        self._links = 0
        self._bytes = 0
        self._depth = 0

    def branches(self, steps: Sequence[Step], resolved: Resolved) -> tuple[tuple[bytes, ...], ...]:
        """Return what follows a job: the links of its chain, those of `chain_to`, and each of `on_success`."""
        found: list[tuple[bytes, ...]] = []
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            reason = f"at most {_MAX_DEPTH} may be nested in each other; links of a chain do not count"
            raise OptionError("on_success", self._depth, reason)
        if steps:
            length = 1 + len(steps)
            found.append(tuple(self._step(step, (2 + at, length)) for at, step in enumerate(steps)))
        if resolved.chain_to:
            length = 1 + len(resolved.chain_to)
            found.append(
                tuple(self._call(call, (2 + at, length)) for at, call in enumerate(resolved.chain_to))
            )
        found += [(self._call(call, None),) for call in resolved.on_success]
        self._depth -= 1
        return tuple(found)

    def _step(self, step: Step, place: tuple[int, int]) -> bytes:
        job = step.job
        resolved = self._resolve(job, step.options, chained=True)
        fields = job.queue.key_fields if resolved.key is None else ()
        key = b"" if resolved.key is None else job.key_of(None, resolved.key).encode()
        return self._planned(
            job,
            resolved,
            payload=None,
            codec=None,
            key=key,
            unique=b"",
            place=place,
            then=self.branches((), resolved),
            key_fields=fields,
            seals=job.codec if job.seals else None,
        )

    def _call(self, call: Call, place: tuple[int, int] | None) -> bytes:
        job, payload = call.job, call.payload
        resolved = self._resolve(job, call.options, chained=place is not None or bool(call.steps))
        data = job.encode(payload)
        codec = None if job.format == "json" else job.format
        if job.seals:
            # It lies with the job that it follows, not in a file of its own, which nothing would hold yet.
            kept = replace(job.codec, offload=False)
            spot = Place(job.queue.name, job.wire_name, resolved.job_id or "")
            data, codec = self._codecs.seal(spot, data, job.format, kept)
            job.check_size(len(data), "payload")
        key = job.key_of(payload, resolved.key).encode()
        unique = b"" if resolved.rule is None else resolved.rule.value(job.name, payload)
        then = self.branches(call.steps, resolved)
        if place is None and (call.steps or resolved.chain_to):
            place = (1, 1 + (len(call.steps) or len(resolved.chain_to)))
        return self._planned(
            job, resolved, payload=data, codec=codec, key=key, unique=unique, place=place, then=then
        )

    def _resolve(self, job: JobType[object, object], options: object, *, chained: bool) -> Resolved:
        resolved: Resolved = resolve(job, options, self._service)  # pyright: ignore[reportArgumentType] - checked there
        if resolved.rule is not None and (chained or resolved.chain_to or resolved.on_success):
            reason = (
                f"{job.queue.name}/{job.name} is a link of a chain, and where it is skipped the rest would never run; "
                f"give the link {resolved.rule.option}=None"
            )
            raise OptionError(resolved.rule.option, job.name, reason)
        self.queues.setdefault(job.queue.name, job.queue)
        return resolved

    def _planned(
        self,
        job: JobType[object, object],
        resolved: Resolved,
        *,
        payload: bytes | None,
        codec: str | None,
        key: bytes,
        unique: bytes,
        place: tuple[int, int] | None,
        then: tuple[tuple[bytes, ...], ...],
        key_fields: tuple[str, ...] = (),
        seals: Codec | None = None,
    ) -> bytes:
        # An id that follows from the job before is not remembered: `apply` adds each once, and none that is there.
        flags = OWN_ID if resolved.job_id else 0
        flags |= (EXPIRES if resolved.expires else 0) | (KEYED if key else 0) | (UNIQUE if unique else 0)
        packed = _encode(
            _Planned(
                job.queue.name,
                job.wire_name,
                resolved.policy,
                resolved.priority,
                resolved.cost if resolved.cost > 1 else 0,
                resolved.delay_ms,
                resolved.run_at_ms,
                resolved.decide,
                flags,
                resolved.job_id or "",
                payload,
                codec,
                resolved.metadata,
                resolved.tags,
                key,
                unique,
                place,
                then,
                key_fields,
                seals,
            )
        )
        self._links += 1
        if self._links > MAX_LINKS:
            raise OptionError("chain_to", self._links, f"at most {MAX_LINKS:,} jobs may follow a job")
        # What lies inside of it was counted already.
        self._bytes += len(packed) - sum(len(link) for branch in then for link in branch)
        if self._bytes > MAX_BYTES:
            raise PayloadTooLarge(
                job.queue.name, job.name, self._bytes, MAX_BYTES, what="plan of what follows"
            )
        return packed


def check_record(queue: str, name: str, size: int) -> None:
    """Refuse a record that no script would take, `size` being what it has from byte 21 on. Raises PayloadTooLarge."""
    if size > _MAX_RECORD:
        what = "payload, with the result that it is handed and what follows it,"
        raise PayloadTooLarge(queue, name, size, _MAX_RECORD, what=what)


def followers(flow: Flow, done: Done, codecs: Codecs) -> Iterator[tuple[str, Draft]]:
    """Make the jobs that follow one that completed: of each its queue and its draft.

    Raises CodecError, ConfigurationError or PayloadTooLarge.
    """
    handed: tuple[bytes, str | None] | None = None
    total = 0
    for slot, branch in enumerate(flow.then):
        link, rest = _decode(branch[0]), branch[1:]
        job_id = link.job_id or follower_id(done.queue, done.id, slot)
        key, before = link.key, Before(done.queue, done.name, done.id)
        if link.payload is None:
            data, codec = _piped(link, job_id, done, codecs)
            if link.key_fields:
                key = key_of(link.key_fields, done.value()).encode()
        else:
            data, codec = link.payload, link.codec
            if handed is None:
                handed = _handed(done, codecs)
            before = Before(done.queue, done.name, done.id, *handed)
            total += len(handed[0])
            if total > _MAX_HANDED:
                name = done.name.rpartition("@")[0]
                raise PayloadTooLarge(
                    done.queue, name, total, _MAX_HANDED, what="result, once for each job that follows,"
                )
        position, length = link.place or (0, 0)
        goes_on = slot == 0 and (position, length) == (flow.position + 1, flow.length)
        chain = flow.chain or done.id if goes_on else done.id
        then = (rest, *link.then) if rest else link.then
        envelope = Envelope(
            within_deadline(link.policy, done.deadline_ms) if done.deadline_ms else link.policy,
            data,
            {**(done.metadata or {}), **(link.metadata or {})} or None,
            link.tags,
            create(link.queue, link.name.rpartition("@")[0], job_id),
            codec,
            flow=Flow(chain if position > 1 else "", position, length, before, then),
        )
        head = _head(link.name)
        alike = head.alike(
            link.flags | (KEYED if key else 0),
            link.priority,
            link.cost,
            link.delay_ms,
            link.run_at_ms,
            link.decide,
        )
        body = head.body(encode_envelope(envelope), key=key, unique=link.unique)
        check_record(link.queue, link.name.rpartition("@")[0], len(body))
        yield link.queue, Draft(job_id, body, alike)


def end_of(flow: Flow, queue: str, job_id: str) -> FlowEnd:
    """Return what is told of the flow of a job: its place, and the jobs around it."""
    before = flow.before
    firsts: list[tuple[str, str, str]] = []
    for slot, branch in enumerate(flow.then):
        link = _decode(branch[0])
        firsts.append((link.queue, link.name, link.job_id or follower_id(queue, job_id, slot)))
    chain = (flow.chain or job_id) if flow.position else ""
    around = None if before is None else (before.queue, before.name, before.id)
    return FlowEnd(chain, flow.position, flow.length, around, tuple(firsts))


def _piped(link: _Planned, job_id: str, done: Done, codecs: Codecs) -> tuple[bytes, str | None]:
    """Return a result as the payload of the job that takes it."""
    if link.seals is None:
        return done.data, None if done.form == "json" else done.form
    place = Place(link.queue, link.name, job_id)
    data, codec = codecs.seal(place, done.data, done.form, link.seals)
    if len(data) > MAX_BYTES:
        raise PayloadTooLarge(link.queue, link.name.rpartition("@")[0], len(data), MAX_BYTES, what="payload")
    return data, codec


def _handed(done: Done, codecs: Codecs) -> tuple[bytes, str | None]:
    """Return a result as it travels with jobs that have payloads of their own."""
    if done.seals.does_nothing:
        return done.data, None if done.form == "json" else done.form
    place = Place(done.queue, done.name, done.id, "result")
    return codecs.seal(place, done.data, done.form, replace(done.seals, offload=False))
