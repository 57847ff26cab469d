"""A worker inside an application: the same lanes on the application's own event loop, its leases renewed by a keeper process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Self

import msgspec

from jobs_core.boot import audit_server
from jobs_core.codecs import Codecs
from jobs_core.connection import Client, ConnectionInfo, client_for, parse_address
from jobs_core.errors import ConfigurationError, ConnectionFailed, DeclarationError
from jobs_core.names import check_prefix
from jobs_core.queue import WEIGHT_CLASSES, JobLogs, Queue
from jobs_core.scripts import Scripts
from jobs_core.settings import WorkerSettings
from jobs_worker import alerting, logs, loops
from jobs_worker.backoffs import NamedBackoff, backoff_of, backoffs_of
from jobs_worker.declared import declare, switched_off
from jobs_worker.hooks import Hooks
from jobs_worker.keeper import Keeper, KeeperConfig
from jobs_worker.processors import ProcessorSpec, marks_of, specs_of
from jobs_worker.routes import QueueRoutes, build_routes, load_routes
from jobs_worker.runtime import Runtime, RuntimeStats

if TYPE_CHECKING:
    from types import TracebackType

_log = logs.get("jobs.worker")
_CONNECT_TIMEOUT = 5.0


class WorkerMetrics(msgspec.Struct, frozen=True):
    """What a worker does and did: jobs that run now, jobs that completed and failed for good, average run time, uptime."""

    active: int
    completed: int
    failed: int
    avg_processing_ms: float
    uptime_s: float


class Worker:
    """Runs jobs in this process, on this event loop.

        async with Worker(queues=[EMAIL], processors=[send_email], url="redis://localhost:6379/0"):
            ...

    Handlers that run in processes are as safe here as in `jobs worker`. What blocks the loop blocks the application too, but costs
    no lease; a worker of its own (`jobs worker`) also ends a handler that never comes back.
    """

    def __init__(
        self,
        *,
        queues: Sequence[Queue | str] | None = None,
        processors: Iterable[Callable[..., object] | ModuleType] | None = None,
        worker_type: str | Sequence[str] = "all",
        url: str = "redis://localhost:6379/0",
        prefix: str = "jobs",
        concurrency: int | None = None,
        codecs: Codecs | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        """Serve `queues` with `processors` (decorated functions, or modules of them).

        Without processors they are discovered as `jobs worker` does (JOBS_FEATURES, JOBS_PROCESSORS), for the weight classes of
        `worker_type` and narrowed to `queues`. `codecs` hold keys and files for payloads that are encrypted or kept apart, by default
        those of JOBS_KEYS and FILES_URL. Raises DeclarationError or ConfigurationError.
        """
        settings = WorkerSettings.from_env()
        self._codecs = Codecs.from_env(prefix) if codecs is None else codecs
        self._address = parse_address(url)
        self._url = url
        self._prefix = check_prefix(prefix)
        self._concurrency = concurrency
        self._log = (settings.log_level, settings.log_format)
        self._job_logs: JobLogs | None = settings.job_logs
        self._off = switched_off(settings)
        self._hooks = [hooks] if hooks is not None else []
        self._routes = self._find(settings, queues, processors, _weights(worker_type))
        self._client: Client | None = None
        self._keeper: Keeper | None = None
        self._watching: asyncio.Task[None] | None = None
        self._alerting: asyncio.Task[None] | None = None
        self._runtime: Runtime | None = None
        self._leases: set[tuple[str, str]] = set()

    @classmethod
    def from_env(
        cls,
        *,
        queues: Sequence[Queue | str] | None = None,
        processors: Iterable[Callable[..., object] | ModuleType] | None = None,
        hooks: Hooks | None = None,
    ) -> Self:
        """Make a worker from REDIS_URL, JOBS_PREFIX, WORKER_TYPE, WORKER_QUEUES and WORKER_CONCURRENCY. Raises SettingsError."""
        settings = WorkerSettings.from_env()
        return cls(
            queues=queues if queues is not None else settings.queues,
            processors=processors,
            worker_type=settings.weights,
            url=settings.redis_url,
            prefix=settings.prefix,
            concurrency=settings.concurrency,
            hooks=hooks,
        )

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what runs, and close."""
        await self.close()

    async def start(self) -> None:
        """Connect and begin to claim; after `stop` claim again. Raises ConnectionFailed or ServerRefused."""
        if self._runtime is not None:
            self._runtime.resume()
            return
        client = self._client = client_for(self._address, name="jobs:worker:embedded")
        try:
            await client.connect(timeout=_CONNECT_TIMEOUT)
            audit = await audit_server(client, self._prefix)
            if audit.refusals:
                raise audit.refusals[0]
            scripts = Scripts(client, self._prefix)
            undeclared = await declare(scripts, self._routes, self._off)
        except BaseException:
            await client.close()
            self._client = None
            raise
        await self._start_keeper()
        level, form = self._log
        self._runtime = Runtime(
            scripts,
            self._routes,
            on_owner=self._owner,
            concurrency=self._concurrency,
            log_level=level,
            log_format=form,
            codecs=self._codecs,
            job_logs=self._job_logs,
            off=self._off,
            hooks=self._hooks,
        )
        await self._runtime.start(undeclared)
        self._watching = loops.spawn("keeper", self._watch_keeper)
        self._alerting = loops.spawn("alerts", lambda: alerting.watch(scripts))

    def stop(self) -> None:
        """Claim no more; what runs goes on."""
        if self._runtime is not None:
            self._runtime.quiet()

    async def wait_for_completion(self, timeout: float | None = None) -> bool:
        """Claim no more and wait for active jobs. Returns whether all ended within `timeout` seconds."""
        return True if self._runtime is None else await self._runtime.drain(timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Wait for active jobs (None: as long as it takes), then let go; jobs that outlive `timeout` are stopped and wait again."""
        runtime, self._runtime = self._runtime, None
        if runtime is None:
            return
        drained = await runtime.drain(timeout)
        await runtime.close(abandon=not drained)
        for task in (self._watching, self._alerting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._keeper is not None:
            await self._keeper.stop()
        if self._client is not None:
            await self._client.close()

    def metrics(self) -> WorkerMetrics:
        """Return what this worker does and did since it started."""
        stats = (
            self._runtime.stats() if self._runtime is not None else RuntimeStats(0, 0, 0, 0, 0, 0.0, 0.0, 0.0)
        )
        return WorkerMetrics(stats.active, stats.completed, stats.failed, stats.avg_ms, stats.uptime_s)

    async def is_connected(self) -> bool:
        """Tell whether the server answers now."""
        if self._client is None:
            return False
        try:
            await self._client.call("PING", deadline=asyncio.get_running_loop().time() + 1.0)
        except ConnectionFailed:
            return False
        return True

    def connection_info(self) -> ConnectionInfo:
        """Describe the connection; never with the password."""
        return (self._client or client_for(self._address)).info()

    def _find(
        self,
        settings: WorkerSettings,
        queues: Sequence[Queue | str] | None,
        processors: Iterable[Callable[..., object] | ModuleType] | None,
        weights: Sequence[str],
    ) -> Mapping[str, QueueRoutes]:
        if processors is None:
            names = (
                None
                if queues is None
                else [each.name if isinstance(each, Queue) else each for each in queues]
            )
            return load_routes(settings.features, settings.processors, weights=weights, only=names)
        specs: list[ProcessorSpec] = []
        backoffs: list[NamedBackoff] = []
        for each in processors:
            found = specs_of(each) if isinstance(each, ModuleType) else marks_of(each)
            named = backoffs_of(each) if isinstance(each, ModuleType) else [backoff_of(each)]
            backoffs += [one for one in named if one is not None]
            if not found and not any(named):
                raise DeclarationError(
                    repr(each), "it is no processor: decorate a handler with @processor(JOB)"
                )
            specs += found
        served = {spec.queue.name: spec.queue for spec in specs}
        if queues is not None:
            wanted = {each.name if isinstance(each, Queue) else each for each in queues}
            unserved = wanted - served.keys()
            if unserved:
                message = f"no processor was given for queue {', '.join(sorted(unserved))}"
                raise ConfigurationError(message)
            served = {name: queue for name, queue in served.items() if name in wanted}
        chosen = [queue for queue in served.values() if queue.weight in weights]
        return build_routes(specs, chosen, backoffs, keys=self._codecs.keys is not None)

    def _owner(self, queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - (queue, owner, alive), as everywhere
        change = self._leases.add if alive else self._leases.discard
        change((queue, owner))
        if self._keeper is not None:
            self._keeper.lease(queue, owner, alive=alive)

    def _stalled(self, queue: str, job_ids: list[str]) -> None:
        if self._runtime is not None and queue in self._runtime.lanes:
            self._runtime.lanes[queue].stalled(job_ids)

    async def _start_keeper(self) -> None:
        level, form = self._log
        self._keeper = await Keeper.start(KeeperConfig(self._url, self._prefix, level, form))
        for queue, owner in self._leases:
            self._keeper.lease(queue, owner, alive=True)

    async def _watch_keeper(self) -> None:
        """Replace a keeper that died, well within the 20 s that a lease lasts."""
        while self._keeper is not None:
            code = await self._keeper.wait(self._stalled)
            _log.warning("keeper_died", code=code)
            await asyncio.sleep(0.5)
            await self._start_keeper()


def _weights(worker_type: str | Sequence[str]) -> tuple[str, ...]:
    given = worker_type.split(",") if isinstance(worker_type, str) else worker_type
    weights = tuple(dict.fromkeys(each.strip() for each in given))
    if weights == ("all",):
        return WEIGHT_CLASSES
    for each in weights:
        if each not in WEIGHT_CLASSES:
            message = f"worker_type is light, medium, heavy, a list of them, or all, not {each!r}"
            raise ConfigurationError(message)
    return weights


__all__ = ["Worker", "WorkerMetrics"]
