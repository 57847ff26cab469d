"""A job that was enqueued: its id, its state, and its result when it has one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Literal, NoReturn, TypeVar, cast

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    ResultError,
    ResultExpired,
    ResultNotKept,
    ResultTimeout,
)
from jobs_core.keys import big_key
from jobs_core.options import decode_policy
from jobs_core.records import build_record, failure_text, read_records
from jobs_core.states import CancelOutcome, State
from jobs_core.wire import BIG, decode_envelope, parse_finish, parse_header

if TYPE_CHECKING:
    from jobs_core.connection import Address
    from jobs_core.flows.book import FlowBook
    from jobs_core.queue import JobType
    from jobs_core.records import JobRecord
    from jobs_core.scripts import Located, Scripts
    from jobs_producer._inbox import Inbox
    from jobs_producer._submission import Outcome

R = TypeVar("R")
# Effects are carried within milliseconds, and within seconds where a worker died between the two.
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.5
_PATIENCE = 20.0
_STATES = frozenset(str(state) for state in State)


class Link:
    """What handles need of their producer; it points to another connection when the producer has one."""

    __slots__ = ("address", "book", "closed", "codecs", "inbox", "loop", "scripts", "timeout")

    def __init__(self, address: Address, timeout: float, codecs: Codecs) -> None:
        """Begin without a connection; the producer sets `scripts`, `book` and `inbox` before anybody sees a link."""
        self.address = address
        self.timeout = timeout
        self.codecs = codecs
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closed = False
        self.scripts: Scripts
        # One for all flows, for it looks after what it sent for some seconds.
        self.book: FlowBook
        self.inbox: Inbox

    def here(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.

        Raises ConfigurationError where it is not the one that the producer is connected on, ConnectionFailed
        where the producer is closed.
        """
        loop = asyncio.get_running_loop()
        if loop is self.loop:
            return loop
        if self.closed:
            raise ConnectionFailed(self.address.display, "the producer is closed")
        if self.loop is None:
            raise ConfigurationError(
                "The producer is not connected: use it in `async with`, or await its connect() first."
            )
        raise ConfigurationError(
            "The producer is connected on another event loop: make one for each loop, or use SyncProducer, "
            "which any thread may call."
        )


async def cancel(link: Link, queue: str, job_id: str) -> CancelOutcome:
    """Cancel a job by id. Raises ConnectionFailed."""
    deadline = link.here().time() + link.timeout
    try:
        done = await link.scripts.cancel(queue, ids=[job_id], deadline=deadline)
    except OutcomeLost as error:
        # To cancel twice is to cancel once, so all there is to do is to ask again.
        raise ConnectionFailed(link.address.display, str(error)) from None
    if done.posted:
        # Its children are to stop now, perhaps without a worker of its queue; what does not arrive in time is carried by others.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await link.book.relay(queue, done.posted)
    return CancelOutcome(done.verdicts[0])


async def failure_of(link: Link, queue: str, job_id: str, found: Located) -> ResultError | None:
    """Return what is told of a job that ended in another way than completed; None of one that did, or is not kept."""
    info = parse_finish(found.info)
    match info.state if info is not None else found.state:
        case State.COMPLETED | "":
            return None
        case State.CANCELLED:
            return JobCancelled(queue, job_id)
        case State.EXPIRED:
            return JobExpired(queue, job_id)
        case _:
            deadline = link.here().time() + link.timeout
            record = await build_record(link.scripts, queue, job_id, found, deadline=deadline)
            reason = record.failed_reason if record else None
            reason = reason or failure_text(info.error if info else None)
            return JobFailed(queue, job_id, reason or "no reason was recorded")


class JobHandle(msgspec.Struct, Generic[R], eq=False, weakref=True):
    """A typed handle on one job, made by the producer.

    `outcome` says what the enqueue did: `created`, `known` (its own id was known), or that a job with the same
    unique key stands for it: `skipped`, `replaced`, `extended`, `kept`; "" where the handle was made otherwise. `id`
    is that of the job which is there now.
    """

    _link: Link
    _job_type: JobType[object, R]
    id: str
    outcome: Outcome | Literal[""] = ""
    # Of the call which enqueued the job.
    _policy: bytes = b""

    @property
    def created(self) -> bool:
        """Whether this call added the job."""
        return self.outcome == "created"

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._job_type.queue.name

    @property
    def name(self) -> str:
        """The name of the job's type, without its version."""
        return self._job_type.name

    def __repr__(self) -> str:
        """Name the job."""
        return f"JobHandle({self.queue}/{self.name} {self.id})"

    async def status(self) -> JobRecord:
        """Return what is known of the job. Raises JobNotFound or ConnectionFailed."""
        deadline = self._link.here().time() + self._link.timeout
        (record,) = await read_records(self._link.scripts, self.queue, [self.id], deadline=deadline)
        if record is None:
            raise JobNotFound(self.queue, self.id)
        return record

    async def cancel(self) -> CancelOutcome:
        """Cancel the job, wherever it is; one that runs is asked to stop. Raises ConnectionFailed."""
        return await cancel(self._link, self.queue, self.id)

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the job to complete and return its result; `timeout` in seconds.

        Raises ResultNotKept before it waits where the job keeps no result, JobFailed, JobCancelled,
        JobExpired, JobNotFound, ResultExpired, ResultTimeout (the job goes on), and CodecError where it cannot be opened.
        """
        if self.created:
            self._check_kept(self._policy)
        found, heard = await self._wait(timeout, check=not self.created)
        if not found.state:
            self._raise_gone(heard)
        info = parse_finish(found.info)
        match info.state if info is not None else found.state:
            case State.COMPLETED if info is not None and info.result is not None:
                return await self._decoded(info.name, info.result, info.codec)
            case _:
                failure = await failure_of(self._link, self.queue, self.id, found)
                raise failure or ResultNotKept(self.queue, self.id)

    async def _decoded(self, name: str, data: bytes, text: str | None) -> R:
        form = "json"
        if text is not None:
            place = Place(self.queue, name, self.id, "result")
            codecs = self._link.codecs
            if Codecs.is_slow_to_open(text, len(data)):
                data, form = await asyncio.to_thread(codecs.open, place, data, text)
            else:
                data, form = codecs.open(place, data, text)
        return self._job_type.decode_result(data, form)

    async def done(self, timeout: float | None = None) -> State | None:
        """Wait until the job ended and return its final state; None where nothing is kept that tells it.

        Raises ResultTimeout.
        """
        found, heard = await self._wait(timeout, check=False)
        info = parse_finish(found.info)
        state = info.state if info is not None else found.state or heard
        return State(state) if state in _STATES else None

    async def _wait(self, timeout: float | None, *, check: bool) -> tuple[Located, str]:
        now = self._link.here().time()
        deadline = None if timeout is None else now + timeout
        checked = self._check_record if check else None
        try:
            return await self._link.inbox.wait(self.queue, self.id, deadline, checked)
        except TimeoutError:
            raise ResultTimeout(self.queue, self.id, timeout or 0.0) from None

    async def _check_record(self, found: Located) -> None:
        """Raise ResultNotKept where the policy that is frozen on the job keeps no result."""
        if not found.record:
            return
        header = parse_header(found.record)
        packed: bytes | None = found.record[header.size :]
        if header.flags & BIG:
            scripts = self._link.scripts
            deadline = self._link.here().time() + self._link.timeout
            reply = await scripts.client.call(
                "GET", big_key(scripts.key(self.queue), self.id), deadline=deadline
            )
            packed = cast("bytes | None", reply)
        if packed:
            self._check_kept(decode_envelope(packed).policy)

    def _check_kept(self, policy: bytes) -> None:
        decided = decode_policy(policy)
        if not decided.result_ttl_ms and decided.keep_completed.count == 0:
            raise ResultNotKept(self.queue, self.id)

    def _raise_gone(self, heard: str) -> NoReturn:
        """Say what is known of a job that nothing is kept of; `heard` is how it ended if it just did."""
        match heard:
            case State.COMPLETED:
                raise ResultExpired(self.queue, self.id)
            case State.FAILED:
                raise JobFailed(self.queue, self.id, "it is not kept, and neither is the reason")
            case State.CANCELLED:
                raise JobCancelled(self.queue, self.id)
            case State.EXPIRED:
                raise JobExpired(self.queue, self.id)
            case "" if self._policy:
                # It was there when it was enqueued.
                raise ResultExpired(self.queue, self.id)
            case _:
                raise JobNotFound(self.queue, self.id)


async def arrived(link: Link, handle: JobHandle[R], timeout: float | None) -> R:
    """Wait for a job that is to appear within moments, as the callback of a flow that ended, and then for its result."""
    loop = link.here()
    began, pause = loop.time(), _FIRST_PAUSE
    while not (await link.inbox.look(handle.queue, handle.id)).state:
        if loop.time() - began >= (_PATIENCE if timeout is None else min(timeout, _PATIENCE)):
            break
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return await handle.result(timeout)
