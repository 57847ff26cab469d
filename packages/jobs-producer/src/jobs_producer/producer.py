"""The producer for asyncio programs: enqueue, and handles to await what was enqueued."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar, Unpack, cast

from jobs_core.boot import audit_server
from jobs_core.codecs import Codecs
from jobs_core.connection import ConnectionInfo, client_for, parse_address
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import DeclarationError, JobNotFound, JobsError, OptionError, OutcomeUnknown
from jobs_core.flows.book import FlowBook
from jobs_core.flows.calls import Chain, check_chain
from jobs_core.flows.successors import make_plan
from jobs_core.job_type import check_job
from jobs_core.names import check_job_id, check_prefix, check_queue_name
from jobs_core.options import DefaultJobOptions, JobOptions, check_options, resolve
from jobs_core.queue import JobType, Queue, QueueOptions, differences
from jobs_core.records import JobRecord, read_records
from jobs_core.schedules.options import CommonScheduleOptions
from jobs_core.scripts import Scripts
from jobs_core.settings import CommonSettings
from jobs_core.tracing import telemetry
from jobs_producer import _shortcuts
from jobs_producer._bulk import Bulk, BulkItem, Progress
from jobs_producer._chain import ChainHandle, links_of
from jobs_producer._flows import Flows
from jobs_producer._handle import JobHandle, Link, cancel
from jobs_producer._inbox import Inbox
from jobs_producer._lane import Item
from jobs_producer._queue_handle import QueueHandle
from jobs_producer._schedules import ScheduleHandle, Schedules
from jobs_producer._submission import Resubmitter
from jobs_producer._submitter import Submitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from jobs_core.flows.calls import Step
    from jobs_core.queues.llm_requests import Completion
    from jobs_core.queues.notifications import Channel, NotificationReceipt, UserId
    from jobs_core.queues.workflow import WorkflowResult
    from jobs_core.states import CancelOutcome
    from jobs_producer.declared import DeclaredWorkflow

P = TypeVar("P")
R = TypeVar("R")

_log = logging.getLogger("jobs_producer")


class Producer:
    """Enqueues typed jobs. Concurrent calls share round trips; one connection serves all of them.

    Belongs to the event loop it is connected on. Programs without one use `SyncProducer`. `schedules` are recurring
    jobs, `flows` jobs that wait for each other.
    """

    schedules: Final[Schedules]
    flows: Final[Flows]
    # The text of a Lua fragment that tells the time in place of the server's; only a test kit has one.
    _clock: str | None = None

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jobs",
        default_job_options: DefaultJobOptions | None = None,
        enqueue_timeout: Duration = 5.0,
        codecs: Codecs | None = None,
    ) -> None:
        """Prepare a producer; `enqueue_timeout` is how long a call tries.

        `codecs` hold keys and files for payloads that are encrypted or kept apart, by default those of JOBS_KEYS and
        FILES_URL. Raises ConfigurationError or OptionError.
        """
        self._address = parse_address(url)
        self._prefix = check_prefix(prefix)
        defaults = cast("DefaultJobOptions", check_options(default_job_options or {}))
        timeout = to_ms(enqueue_timeout, name="enqueue_timeout") / 1000
        if not timeout:
            raise OptionError("enqueue_timeout", enqueue_timeout, "it must be longer than 0")
        self._codecs = Codecs.from_env(self._prefix) if codecs is None else codecs
        self._queues: dict[str, QueueHandle] = {}
        self._link = Link(self._address, timeout, self._codecs)
        self._submitter = Submitter(self._link, defaults)
        self.schedules = Schedules(self._link, self._submitter)
        self.flows = Flows(self._link, self._submitter)
        self._prepare()

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Make a producer from REDIS_URL, JOBS_PREFIX, JOBS_DEFAULT_OPTIONS, JOBS_KEYS and FILES_URL.

        Raises SettingsError.
        """
        settings = CommonSettings.from_env(env)
        return cls(
            settings.redis_url,
            prefix=settings.prefix,
            default_job_options=settings.default_job_options,
            codecs=Codecs.from_env(settings.prefix, env),
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what is unsent, and close."""
        await self.close()

    async def connect(self) -> None:
        """Connect and audit the server; a producer that was closed connects again.

        Raises ConnectionFailed, ServerRefused or ConfigurationError.
        """
        loop, link = asyncio.get_running_loop(), self._link
        if link.loop is not None and not link.loop.is_closed():
            link.here()
            await self._client.connect(timeout=link.timeout)
            return
        if link.closed or link.loop is not None:
            self._prepare()
        client = self._client
        link.loop, link.closed = loop, False
        try:
            deadline = loop.time() + link.timeout
            await client.connect(timeout=link.timeout)
            audit = await audit_server(client, self._prefix, deadline=deadline)
            if audit.refusals:
                raise audit.refusals[0]
        except BaseException:
            link.loop = None
            self._prepare()
            await client.close()
            raise
        for warning in audit.warnings:
            _log.warning("%s: %s", self._address.display, warning)

    async def close(self, timeout: float | None = None) -> None:
        """Wait for what is under way (at most `timeout` seconds), then close the connection."""
        link = self._link
        if link.loop is None or link.loop.is_closed():
            link.loop, link.closed = None, True
            return
        link.here()
        link.loop, link.closed = None, True
        try:
            async with asyncio.timeout(timeout):
                await self._submitter.drain()
        except TimeoutError:
            _log.warning("closed with %d jobs unsent", self._submitter.buffer.jobs)
        finally:
            await self._client.close()
            # Whoever still waits learns at once that nothing more will come.
            self._inbox.wake_all()
            await self._submitter.drain()

    async def is_connected(self) -> bool:
        """Tell whether the server answers now, within a second."""
        if not self._client.is_connected:
            return False
        try:
            await self._client.call("PING", deadline=self._link.here().time() + 1.0)
        except JobsError:
            return False
        return True

    def connection_info(self) -> ConnectionInfo:
        """Describe the connection; never with the password."""
        return self._client.info()

    async def enqueue(
        self, job_type: JobType[P, R], payload: P, **options: Unpack[JobOptions]
    ) -> JobHandle[R]:
        """Add a job and return a handle on it.

        Raises PayloadError, PayloadTooLarge, CodecError or OptionError before anything is sent, Overloaded or
        ConnectionFailed where nothing was applied, OutcomeUnknown where it may have been (see `resubmit`),
        ServerFull where the server takes no writes, QueueFull or DuplicateJob where the queue refused the job.
        """
        traced = telemetry()
        if traced is None:
            item, policy = await self._submitter.submit(job_type, payload, options)
            outcome = await item.future
        else:
            item, policy, outcome = await self._submitter.send(traced, job_type, payload, options)
        typed = cast("JobType[object, R]", job_type)
        return JobHandle(self._link, typed, item.id, outcome, policy)

    async def enqueue_chain(
        self, chain: Chain[P, R], payload: P, **options: Unpack[JobOptions]
    ) -> ChainHandle[R]:
        """Add a chain of jobs, each of which takes the result of the one before, and return a handle on it.

        `payload` and `options` are those of the first link. Errors as `enqueue`, before anything is sent also for other links.
        """
        check_chain(chain)
        traced = telemetry()
        if traced is None:
            item, policy = await self._submitter.submit(chain.first, payload, options, chain.steps)
            outcome = await item.future
        else:
            item, policy, outcome = await self._submitter.send(
                traced, chain.first, payload, options, chain.steps
            )
        first = cast("JobType[object, object]", chain.first)
        links = links_of((first, item.id, policy), chain.steps, self._submitter.defaults)
        return ChainHandle(self._link, links, outcome)

    def enqueue_many(
        self,
        job_type: JobType[P, R] | Chain[P, R],
        items: Iterable[P | BulkItem[P]] | AsyncIterable[P | BulkItem[P]],
        *,
        progress: Progress | None = None,
        **options: Unpack[JobOptions],
    ) -> Bulk[P]:
        """Add very many jobs, or chains, in constant memory: await it for a summary, or iterate over it for each outcome.

        `progress(done, total)` is called now and then; total is None for an iterator. A payload that does not
        fit rejects its item alone. Raises OptionError for a wrong option, BulkInterrupted where the server
        goes away.
        """
        if "job_id" in options:
            reason = "one id cannot name many jobs; give it by BulkItem(payload, {'job_id': …})"
            raise OptionError("job_id", options["job_id"], reason)
        steps: Sequence[Step] = ()
        if isinstance(job_type, Chain):
            job_type, steps = cast("JobType[P, R]", job_type.first), job_type.steps
        first = job_type
        # What is wrong with the whole call is told before the first item.
        make_plan(
            resolve(first, options, self._submitter.defaults),
            steps=steps,
            service=self._submitter.defaults,
            codecs=self._codecs,
        )
        self._link.here()
        # Whatever is wrong with its declaration is told now, not for each item.
        self._submitter.lane(first.queue)
        traced = telemetry()
        sending = None if traced is None else traced.send(first.queue.name, first.name, many=True)
        carrier = None if sending is None else sending.carrier

        async def submit(payload: P, own: JobOptions) -> Item:
            item, _ = await self._submitter.submit(first, payload, own, steps, carrier)
            return item

        return Bulk(first.queue.name, items, submit, options, progress, sending=sending)

    async def enqueue_notification(
        self,
        user_id: UserId,
        message: str,
        channel: Channel | None = "email",
        *,
        to: str | None = None,
        subject: str | None = None,
        **options: Unpack[JobOptions],
    ) -> JobHandle[NotificationReceipt]:
        """Tell a user something: `notify` of queue `notifications`. Errors as `enqueue`.

        `channel` None means the one the user chose; without `to` their stored address is used.
        """
        job, payload = _shortcuts.notification(user_id, message, channel, to=to, subject=subject)
        return await self.enqueue(job, payload, **options)

    async def enqueue_llm_request(
        self, model: str, prompt: str, **options: Unpack[JobOptions]
    ) -> JobHandle[Completion]:
        """Ask a language model: `complete` of queue `llm-requests`. Errors as `enqueue`."""
        job, payload = _shortcuts.llm_request(model, prompt)
        return await self.enqueue(job, payload, **options)

    async def enqueue_workflow(
        self,
        name: str | DeclaredWorkflow[P],
        input: P,  # noqa: A002 - the word that the payload uses
        **options: Unpack[JobOptions],
    ) -> JobHandle[WorkflowResult]:
        """Run a declared workflow: `run` of queue `workflow`. Its result holds that of each step. Errors as `enqueue`.

        Given by its name, the input is checked by the worker; given itself (`@workflow`), here and by type checkers.
        """
        job, payload = _shortcuts.workflow(name, input)
        return await self.enqueue(job, payload, **options)

    async def schedule_recurring(
        self,
        queue: Queue | str,
        job: str,
        payload: object,
        cron: str,
        **options: Unpack[CommonScheduleOptions],
    ) -> ScheduleHandle:
        """Write a schedule of a job by name, under the id queue:job:spec. Errors as `schedules.upsert`.

        Where `queue` is a `Queue` that declares the job, the payload has to fit its type, given as that type or as JSON has it.
        """
        declared = self._named(queue, {}).declaration if isinstance(queue, str) else queue
        job_type, checked = _shortcuts.by_name(declared, job, payload)
        return await self.schedules.upsert(None, job_type, checked, cron=cron, **options)

    async def resubmit(self, error: OutcomeUnknown) -> bool:
        """Send a call again whose outcome is unknown, and return whether the job was created by it.

        Safe for 1 h. Raises OutcomeUnknown where it is still not known, OptionError for an older call and for
        one of another server.
        """
        deadline = self._link.here().time() + self._link.timeout
        return await self._resubmitter.send(error, deadline)

    def handle(self, job_type: JobType[P, R], job_id: str) -> JobHandle[R]:
        """Return a handle on a job enqueued elsewhere. Raises OptionError for what cannot be an id."""
        check_job(job_type)
        return JobHandle(self._link, cast("JobType[object, R]", job_type), check_job_id(job_id))

    def chain_handle(self, chain: Chain[P, R], job_id: str) -> ChainHandle[R]:
        """Return a handle on a chain enqueued elsewhere, by the id of its first link. Raises OptionError for what cannot be an id."""
        check_chain(chain)
        first = cast("JobType[object, object]", chain.first)
        links = links_of((first, check_job_id(job_id), b""), chain.steps, self._submitter.defaults)
        return ChainHandle(self._link, links)

    async def status(self, queue: str, job_id: str) -> JobRecord:
        """Return what is known of a job. Raises JobNotFound, ConnectionFailed or OptionError."""
        deadline = self._link.here().time() + self._link.timeout
        ids = [check_job_id(job_id)]
        (record,) = await read_records(self._scripts, check_queue_name(queue), ids, deadline=deadline)
        if record is None:
            raise JobNotFound(queue, job_id)
        return record

    async def cancel(self, queue: str, job_id: str) -> CancelOutcome:
        """Cancel a job, wherever it is; one that runs is asked to stop. Raises ConnectionFailed or OptionError."""
        return await cancel(self._link, check_queue_name(queue), check_job_id(job_id))

    def queue(self, name: str, **options: Unpack[QueueOptions]) -> QueueHandle:
        """Return a queue by name, for queues and jobs that no code declares; for one name always the same.

        Raises OptionError for a wrong name or option, DeclarationError for options that differ from earlier
        ones.
        """
        return self._named(name, options)

    def _prepare(self) -> None:
        """Make all that belongs to one connection."""
        self._client = client_for(self._address, name="jobs:producer")
        self._scripts = Scripts(self._client, self._prefix, clock=self._clock, codecs=self._codecs)
        self._inbox = Inbox(self._scripts)
        self._submitter.prepare()
        self._resubmitter = Resubmitter(self._scripts)
        self._link.scripts, self._link.inbox = self._scripts, self._inbox
        self._link.book = FlowBook(self._scripts)
        self._client.on_connect(self._submitter.declare_again)

    def _named(self, name: str, options: QueueOptions) -> QueueHandle:
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = QueueHandle(self, Queue(name, **options), options)
            if not options:
                self._submitter.bare[name] = known.declaration
        elif options and known.options != options:
            declaration = Queue(name, **options)
            if not known.options:
                known.declaration, known.options = declaration, options
                del self._submitter.bare[name]
            elif known.declaration != declaration:
                different = differences(known.declaration.declaration, declaration.declaration)
                raise DeclarationError(
                    f"producer.queue({name!r})", f"it was made before with {different}. Declare it once"
                )
        return known
