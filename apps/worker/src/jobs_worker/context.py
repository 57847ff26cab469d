"""What a handler is given besides its payload."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import msgspec

from jobs_core.errors import PayloadError, PayloadTooLarge
from jobs_core.flows.calls import Chain
from jobs_core.flows.modes import EdgePolicy, policy_mode
from jobs_core.payloads import JsonValue, decode_any
from jobs_core.wire import LogLine, Progress
from jobs_worker import logs
from jobs_worker.children import Children, Results
from jobs_worker.effects import Collector
from jobs_worker.facts import JobFacts
from jobs_worker.handler_call import HandlerCall
from jobs_worker.host import Alone, Host
from jobs_worker.job_logs import HANDLERS, OFF
from jobs_worker.reports import Checkpoint
from jobs_worker.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    import structlog

    from jobs_core.codecs import Codecs
    from jobs_core.options import JobOptions, MetaValue
    from jobs_core.queue import JobType
    from jobs_core.scripts import Scripts
    from jobs_worker.effects import Enqueued
    from jobs_worker.following import Previous
    from jobs_worker.time_limits import TimeLimit

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")


CHECKPOINT_CAP = 64 * 1024
_encode_msgpack = msgspec.msgpack.Encoder().encode


class JobContext(HandlerCall, msgspec.Struct, eq=False, weakref=True):
    """One delivery of one job. `attempt` counts from 1; `fence` grows with every delivery: use it to guard your own writes.

    Made by the worker, for each job, so what few handlers ask for is asked of `_host` when they do.
    """

    _host: Host
    _shared: Shared | None
    _codecs: Codecs | None = None
    limit: TimeLimit | None = None
    _checkpoint: bytes | None = None
    log_level: int = OFF
    cancelled: bool = False
    progress_log: list[Progress] = []
    _facts: JobFacts | None = None
    _log: structlog.stdlib.BoundLogger | None = None
    _collector: Collector | None = None
    _children: Children | None = None

    def __repr__(self) -> str:
        """Tell which job it is."""
        return f"JobContext({self.job_id!r}, attempt={self.attempt})"

    @property
    def _known(self) -> JobFacts:
        facts = self._facts
        if facts is None:
            facts = self._facts = self._host.facts()
        return facts

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._known.job_id

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return self._known.queue

    @property
    def name(self) -> str:
        """The name of the job, without its version."""
        return self._known.name

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._known.attempt

    @property
    def attempts(self) -> int:
        """How many attempts the job has."""
        return self._known.attempts

    @property
    def fence(self) -> int:
        """A number that grows with every delivery of any job of the queue."""
        return self._known.fence

    @property
    def metadata(self) -> Mapping[str, MetaValue]:
        """What whoever enqueued the job said of it."""
        return self._known.metadata

    @property
    def tags(self) -> tuple[str, ...]:
        """The job's tags."""
        return self._known.tags

    @property
    def previous(self) -> Previous | None:
        """The job that this one follows in a chain or by `on_success`, with its result; None where it follows none."""
        return self._host.previous(self._codecs)

    @property
    def children(self) -> Children:
        """The jobs that this one waited for, or that its batch had: how each ended, and its result."""
        if self._children is None:
            waited, pages = self._host.waited()
            self._children = Children(waited, self._codecs, pages)
        return self._children

    @property
    def results(self) -> Results:
        """The results of the jobs that this one waited for (`after`, steps of a workflow): by name of the step, else by id."""
        return Results(self.children, self._host.waited()[0], self._codecs)

    @property
    def created_at_ms(self) -> float:
        """When the server took the job, in ms."""
        return self._known.created_at_ms

    @property
    def scheduled_ms(self) -> float:
        """When the job was to run at first, in ms; see `scheduled_for`."""
        return self._known.scheduled_ms or self._known.created_at_ms

    @property
    def schedule_id(self) -> str | None:
        """The schedule that sent the job, of which `scheduled_for` is the time; None where somebody enqueued it."""
        return self._known.schedule_id or None

    @property
    def deadline_ms(self) -> int:
        """When the job must be done, in ms; 0: it has all the time."""
        return self._known.deadline_ms

    @classmethod
    def for_test(
        cls,
        queue: str = "test",
        name: str = "test",
        *,
        job_id: str = "test",
        attempt: int = 1,
        attempts: int = 3,
        checkpoint: object = None,
        schedule_id: str | None = None,
        previous: Previous | None = None,
    ) -> Self:
        """Make a context for calling a handler directly; `progress_log` collects its progress.

        `checkpoint` is what an earlier attempt left, `schedule_id` the schedule that sent the job, `previous` the job before, made by `Previous.of`.
        """
        facts = JobFacts(
            job_id, queue, name, attempt, attempts, 1, {}, (), time.time() * 1000, 0, 0, schedule_id or ""
        )
        host = Alone(facts, previous)
        packed = None if checkpoint is None else _encode_msgpack(checkpoint)
        ctx = cls(host, Shared(), _checkpoint=packed, progress_log=host.progress)
        ctx._collector = Collector(queue, job_id, 0, {}, keep=True)
        return ctx

    async def __aenter__(self) -> Self:
        """For tests: leaving closes what the handler shared."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what the handler shared."""
        if self._shared is not None:
            await self._shared.close()

    @property
    def created_at(self) -> datetime:
        """When the server took the job, UTC."""
        return datetime.fromtimestamp(self.created_at_ms / 1000, UTC)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger bound to the job: queue, job id, name, attempt."""
        if self._log is None:
            self._log = logs.get_kept(HANDLERS).bind(
                queue=self.queue, job_id=self.job_id, job=self.name, attempt=self.attempt
            )
        return self._log

    @property
    def scheduled_for(self) -> datetime:
        """When the job was to run at first, UTC: the end of its delay, its `run_at`, else when it was enqueued."""
        return datetime.fromtimestamp(self.scheduled_ms / 1000, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When the job, with all its attempts, must be done, UTC; None where it has all the time."""
        return datetime.fromtimestamp(self.deadline_ms / 1000, UTC) if self.deadline_ms else None

    def tell(self, told: Progress) -> None:
        """Hand on a report; for the worker."""
        self._host.tell(told)

    def checkpoint(self, value: object) -> None:
        """Leave something for the next attempt, at most 64 KiB as msgpack; the newest counts. Never blocks.

        It is written within a quarter of a second, and before a retry in any case; what a crash of the worker may cost is that
        quarter of a second. Raises PayloadError for what msgpack cannot carry, PayloadTooLarge.
        """
        try:
            data = _encode_msgpack(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadError(self.queue, self.name, "$", str(error), what="checkpoint") from error
        if len(data) > CHECKPOINT_CAP:
            raise PayloadTooLarge(self.queue, self.name, len(data), CHECKPOINT_CAP, what="checkpoint")
        self._checkpoint = data
        self._host.tell(Checkpoint(data))

    @property
    def last_checkpoint(self) -> JsonValue:
        """What this or an earlier attempt left, as msgpack holds it; None where nothing was left. See `load_checkpoint`."""
        return None if self._checkpoint is None else decode_any(self._checkpoint, "msgpack")

    def load_checkpoint(self, kind: type[T]) -> T | None:
        """Return what this or an earlier attempt left, as a value of a type; None where nothing was left.

        Raises PayloadError where it does not fit.
        """
        if self._checkpoint is None:
            return None
        try:
            return msgspec.msgpack.decode(self._checkpoint, type=kind)
        except msgspec.MsgspecError as error:
            raise PayloadError(self.queue, self.name, "$", str(error), what="checkpoint") from error

    def keep_line(self, line: LogLine, about: object) -> None:
        """Keep a line that was logged while the handler ran, whatever job it is `about`; for the worker."""
        del about
        self._host.tell(line)

    def enqueue(self, job: JobType[P, R] | Chain[P, R], payload: P, **options: Unpack[JobOptions]) -> str:
        """Enqueue a job, or a chain, as an effect of this one's success, and return its id (that of the first link).

        It is sent in the same step in which this job completes, and not at all if this attempt fails. Its id follows from this job
        unless one is given, and it inherits this job's metadata and deadline. Raises PayloadError, PayloadTooLarge,
        CodecError or OptionError.
        """
        if isinstance(job, Chain):
            return self._collected().add(job.first, payload, options, job.steps)
        return self._collected().add(job, payload, options)

    def add_child(
        self,
        job: JobType[P, R],
        payload: P,
        *,
        policy: EdgePolicy = "fail_parent",
        **options: Unpack[JobOptions],
    ) -> str:
        """Add a job that this one is to wait for, and return its id. Raise `WaitForChildren` when all are added.

        They are sent in the same step in which this job begins to wait, and not at all if this attempt fails, so a retry does not
        double them. `policy` says what becomes of this job where the child does not complete. Errors as `enqueue`.
        """
        collected, there = self._collected(), self.children.own
        return collected.add_child(job, payload, options, there + collected.children, policy_mode(policy))

    def add_children_of(self, queue: str, flow_id: str, jobs: int) -> None:
        """Wait for so many jobs of a flow that was submitted with edges to this job, and is cancelled with it; for the built-in processors."""
        self._collected().wait_for_flow(queue, flow_id, jobs)

    @property
    def scripts(self) -> Scripts:
        """The connection of the worker child; for the built-in processors, on the worker's loop."""
        scripts = None if self._shared is None else self._shared.scripts
        if scripts is None:
            raise RuntimeError(
                "there is no connection here: the handler runs in a test, or apart from the worker's loop"
            )
        return scripts

    @property
    def enqueued(self) -> tuple[Enqueued, ...]:
        """For tests: what a context made by `for_test` was given to enqueue."""
        return tuple(self._collected().enqueued)

    @property
    def collector(self) -> Collector | None:
        """What the handler enqueued, None if nothing; for the worker."""
        return self._collector

    def _collected(self) -> Collector:
        if self._collector is None:
            stamp_us = round(self.created_at_ms * 1000)
            self._collector = Collector(
                self.queue,
                self.job_id,
                stamp_us,
                self.metadata,
                deadline_ms=self.deadline_ms,
                codecs=self._codecs,
            )
        return self._collector

    async def shared(self, factory: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return what `factory` makes, one for each worker child, closed when the child ends. Only for handlers on the loop."""
        if self._shared is None:
            message = "ctx.shared works in handlers that run on the worker's loop; make the resource in the handler itself"
            raise RuntimeError(message)
        return await self._shared.get(factory)
