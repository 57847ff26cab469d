"""The producer for programs without an event loop (Flask, Django, scripts): thread-safe, and safe over fork.

It is the asyncio producer on a loop of its own in a background thread, so that calls of many threads share
round trips as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import TYPE_CHECKING, Final, Generic, TypeVar, Unpack

from jobs_core.codecs import Codecs
from jobs_core.durations import Duration
from jobs_core.errors import JobsError
from jobs_core.options import DefaultJobOptions, JobOptions
from jobs_core.settings import CommonSettings
from jobs_producer import _shortcuts
from jobs_producer._bulk import check_items
from jobs_producer._queue_handle import QueueHandle
from jobs_producer._schedules import ScheduleHandle, SyncSchedules
from jobs_producer._thread import Feed, ForkableProducer, Keeper
from jobs_producer.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from types import TracebackType
    from typing import Self

    from jobs_core.connection import ConnectionInfo
    from jobs_core.errors import OutcomeUnknown
    from jobs_core.flows.calls import Call, Chain
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType, Queue, QueueOptions
    from jobs_core.queues.llm_requests import Completion
    from jobs_core.queues.notifications import Channel, NotificationReceipt, UserId
    from jobs_core.queues.workflow import WorkflowResult
    from jobs_core.records import JobRecord
    from jobs_core.schedules.options import CommonScheduleOptions
    from jobs_core.states import CancelOutcome, State
    from jobs_producer._bulk import BulkItem, BulkSummary, Progress
    from jobs_producer._chain import ChainHandle
    from jobs_producer._handle import JobHandle
    from jobs_producer.declared import DeclaredWorkflow

P = TypeVar("P")
R = TypeVar("R")
T = TypeVar("T")


class SyncProducer:
    """Enqueues typed jobs from any thread. Connects at the first call, and anew in a forked child.

    `schedules` are recurring jobs.
    """

    schedules: Final[SyncSchedules]

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "jobs",
        default_job_options: DefaultJobOptions | None = None,
        enqueue_timeout: Duration = 5.0,
        codecs: Codecs | None = None,
    ) -> None:
        """Prepare a producer as `Producer` does. Raises ConfigurationError or OptionError."""
        self._producer = ForkableProducer(
            url,
            prefix=prefix,
            default_job_options=default_job_options,
            enqueue_timeout=enqueue_timeout,
            codecs=codecs,
        )
        self._keeper = Keeper(self._producer)
        self.schedules = SyncSchedules(self, lambda handle: SyncJobHandle(self, handle))

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Make a producer as `Producer.from_env` does. Raises SettingsError."""
        settings = CommonSettings.from_env(env)
        return cls(
            settings.redis_url,
            prefix=settings.prefix,
            default_job_options=settings.default_job_options,
            codecs=Codecs.from_env(settings.prefix, env),
        )

    def __enter__(self) -> Self:
        """Connect."""
        self._keeper.runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self, timeout: float | None = None) -> None:
        """Send what is unsent (at most `timeout` seconds), close the connection and end the thread.

        A later call connects again.
        """
        self._keeper.close(timeout)

    def enqueue(self, job_type: JobType[P, R], payload: P, **options: Unpack[JobOptions]) -> SyncJobHandle[R]:
        """Add a job and return a handle on it; errors as `Producer.enqueue`."""
        return SyncJobHandle(self, self.run(lambda producer: producer.enqueue(job_type, payload, **options)))

    def enqueue_chain(
        self, chain: Chain[P, R], payload: P, **options: Unpack[JobOptions]
    ) -> SyncChainHandle[R]:
        """Add a chain of jobs and return a handle on it; errors as `Producer.enqueue_chain`."""
        return SyncChainHandle(
            self, self.run(lambda producer: producer.enqueue_chain(chain, payload, **options))
        )

    def enqueue_many(
        self,
        job_type: JobType[P, R] | Chain[P, R],
        items: Iterable[P | BulkItem[P]],
        *,
        progress: Progress | None = None,
        **options: Unpack[JobOptions],
    ) -> BulkSummary:
        """Add very many jobs in constant memory; errors as `Producer.enqueue_many`.

        Items are read, and progress is told, in the thread that called.
        """
        check_items(items, Iterable)
        feed: Feed[P | BulkItem[P]] = Feed(self._keeper.runner())

        async def summary() -> BulkSummary:
            tell = None if progress is None else feed.tell
            return await self._producer.enqueue_many(job_type, feed, progress=tell, **options)

        total = len(items) if isinstance(items, Sized) else None
        return feed.serve(summary(), items, lambda done: progress and progress(done, total))

    def enqueue_notification(
        self,
        user_id: UserId,
        message: str,
        channel: Channel | None = "email",
        *,
        to: str | None = None,
        subject: str | None = None,
        **options: Unpack[JobOptions],
    ) -> SyncJobHandle[NotificationReceipt]:
        """Tell a user something, as `Producer.enqueue_notification`."""
        job, payload = _shortcuts.notification(user_id, message, channel, to=to, subject=subject)
        return self.enqueue(job, payload, **options)

    def enqueue_llm_request(
        self, model: str, prompt: str, **options: Unpack[JobOptions]
    ) -> SyncJobHandle[Completion]:
        """Ask a language model, as `Producer.enqueue_llm_request`."""
        job, payload = _shortcuts.llm_request(model, prompt)
        return self.enqueue(job, payload, **options)

    def enqueue_workflow(
        self,
        name: str | DeclaredWorkflow[P],
        input: P,  # noqa: A002 - the word that the payload uses
        **options: Unpack[JobOptions],
    ) -> SyncJobHandle[WorkflowResult]:
        """Run a declared workflow, as `Producer.enqueue_workflow`."""
        job, payload = _shortcuts.workflow(name, input)
        return self.enqueue(job, payload, **options)

    def schedule_recurring(
        self,
        queue: Queue | str,
        job: str,
        payload: object,
        cron: str,
        **options: Unpack[CommonScheduleOptions],
    ) -> ScheduleHandle:
        """Write a schedule of a job by name, as `Producer.schedule_recurring`."""
        return self.run(lambda producer: producer.schedule_recurring(queue, job, payload, cron, **options))

    def resubmit(self, error: OutcomeUnknown) -> bool:
        """Send a call again whose outcome is unknown, as `Producer.resubmit`."""
        return self.run(lambda producer: producer.resubmit(error))

    def handle(self, job_type: JobType[P, R], job_id: str) -> SyncJobHandle[R]:
        """Return a handle on a job enqueued elsewhere, as `Producer.handle`."""
        return SyncJobHandle(self, self._producer.handle(job_type, job_id))

    def chain_handle(self, chain: Chain[P, R], job_id: str) -> SyncChainHandle[R]:
        """Return a handle on a chain enqueued elsewhere, as `Producer.chain_handle`."""
        return SyncChainHandle(self, self._producer.chain_handle(chain, job_id))

    def status(self, queue: str, job_id: str) -> JobRecord:
        """Return what is known of a job, as `Producer.status`."""
        return self.run(lambda producer: producer.status(queue, job_id))

    def cancel(self, queue: str, job_id: str) -> CancelOutcome:
        """Cancel a job, as `Producer.cancel`."""
        return self.run(lambda producer: producer.cancel(queue, job_id))

    def queue(self, name: str, **options: Unpack[QueueOptions]) -> SyncQueueHandle:
        """Return a queue by name, as `Producer.queue`."""
        return SyncQueueHandle(self, self._producer.queue(name, **options))

    def is_connected(self) -> bool:
        """Tell whether the server answers now."""
        try:
            return self.run(lambda producer: producer.is_connected())
        except JobsError:
            return False

    def connection_info(self) -> ConnectionInfo:
        """Describe the connection; never with the password."""
        return self._producer.connection_info()

    def run(self, work: Callable[[Producer], Coroutine[object, object, T]]) -> T:
        """Run a coroutine function with the underlying producer in its thread, and return what it returns."""
        return self._keeper.runner().call(work(self._producer))


class SyncJobHandle(Generic[R]):
    """A typed handle on one job, for programs without an event loop."""

    def __init__(self, producer: SyncProducer, handle: JobHandle[R]) -> None:
        """Made by the producer."""
        self._producer = producer
        self._handle = handle
        self.id = handle.id
        self.queue = handle.queue
        self.name = handle.name
        self.created = handle.created
        self.outcome = handle.outcome

    def __repr__(self) -> str:
        """Name the job."""
        return f"Sync{self._handle!r}"

    def status(self) -> JobRecord:
        """Return what is known of the job, as `JobHandle.status`."""
        return self._producer.run(lambda _: self._handle.status())

    def cancel(self) -> CancelOutcome:
        """Cancel the job, as `JobHandle.cancel`."""
        return self._producer.run(lambda _: self._handle.cancel())

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result; errors as `JobHandle.result`."""
        return self._producer.run(lambda _: self._handle.result(timeout))

    def done(self, timeout: float | None = None) -> State | None:
        """Wait until the job ended, as `JobHandle.done`."""
        return self._producer.run(lambda _: self._handle.done(timeout))


class SyncChainHandle(Generic[R]):
    """A typed handle on a chain, for programs without an event loop."""

    def __init__(self, producer: SyncProducer, handle: ChainHandle[R]) -> None:
        """Made by the producer."""
        self._producer = producer
        self._handle = handle
        self.id = handle.id
        self.created = handle.created
        self.outcome = handle.outcome
        self.links = tuple(SyncJobHandle(producer, link) for link in handle.links)

    def __repr__(self) -> str:
        """Name the chain."""
        return f"Sync{self._handle!r}"

    def result(self, timeout: float | None = None) -> R:
        """Wait for the last link's result; errors as `ChainHandle.result`."""
        return self._producer.run(lambda _: self._handle.result(timeout))


class SyncQueueHandle:
    """A queue by name, for programs without an event loop."""

    def __init__(self, producer: SyncProducer, handle: QueueHandle) -> None:
        """Made by the producer."""
        self.name = handle.name
        self._producer = producer
        self._handle = handle

    def enqueue(
        self, job_name: str, data: JsonValue = None, **options: Unpack[JobOptions]
    ) -> SyncJobHandle[JsonValue]:
        """Add a job; errors as `Producer.enqueue`."""
        handle = self._producer.run(lambda _: self._handle.enqueue(job_name, data, **options))
        return SyncJobHandle(self._producer, handle)

    def call(self, job_name: str, data: JsonValue = None, **options: Unpack[JobOptions]) -> Call:
        """Return a job with its payload, for `chain_to` and `on_success` of another, as `JobType.call`."""
        return self._handle.call(job_name, data, **options)

    def handle(self, job_name: str, job_id: str) -> SyncJobHandle[JsonValue]:
        """Return a handle on a job enqueued elsewhere."""
        return SyncJobHandle(self._producer, self._handle.handle(job_name, job_id))
