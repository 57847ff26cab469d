"""A worker in the test's own process: producer, lanes and what they wrote, for handlers that a test defines."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import structlog
from tests.support.waiting import WITHIN

from jobs_core import State
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_producer import Producer
from jobs_worker import logs
from jobs_worker.backoffs import backoff_of
from jobs_worker.declared import declare
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.runtime import Runtime

if TYPE_CHECKING:
    from jobs_core import Queue
    from jobs_core.scripts import Glance, Located
    from jobs_core.wire import JobStateEntry
    from jobs_producer import JobHandle
    from jobs_worker.hooks import Hooks
    from jobs_worker.lane import Lane

R = TypeVar("R")


class InProcess:
    """A runtime with its own client, and a producer."""

    def __init__(self, producer: Producer, scripts: Scripts, runtime: Runtime) -> None:
        self.producer = producer
        self.scripts = scripts
        self.runtime = runtime
        self.leases: dict[tuple[str, str], bool] = {}

    def lane(self, queue: str) -> Lane:
        """Return the lane of a queue."""
        return self.runtime.lanes[queue]

    async def located(self, queue: str, job_id: str) -> Located:
        """Return what the server holds of a job."""
        return (await self.scripts.lookup(queue, ids=[job_id]))[0]

    async def entry(self, queue: str, job_id: str) -> JobStateEntry:
        """Return the budgets that a job has spent."""
        return (await self.located(queue, job_id)).entry


Run = Callable[..., AbstractAsyncContextManager[InProcess]]


@asynccontextmanager
async def running(
    url: str,
    prefix: str,
    *handlers: Callable[..., object],
    queues: tuple[Queue, ...] = (),
    concurrency: int | None = None,
    off: str = "",
    hooks: Hooks | None = None,
) -> AsyncGenerator[InProcess]:
    """Run handlers (decorated functions) until the end of the block; what still runs then is abandoned."""
    specs = [spec for handler in handlers for spec in marks_of(handler)]
    served = {spec.queue.name: spec.queue for spec in specs} | {queue.name: queue for queue in queues}
    backoffs = [each for each in map(backoff_of, handlers) if each is not None]
    routes = build_routes(specs, served.values(), backoffs)
    client = client_for(parse_address(url), name="test")
    await client.connect(timeout=WITHIN)
    scripts = Scripts(client, prefix)
    await declare(scripts, routes, off)
    leases: dict[tuple[str, str], bool] = {}

    def on_owner(queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - as the runtime calls it
        leases[queue, owner] = alive

    async with Producer(url, prefix=prefix, enqueue_timeout=WITHIN) as producer:
        runtime = Runtime(
            scripts,
            routes,
            on_owner=on_owner,
            concurrency=concurrency,
            off=off,
            hooks=[hooks] if hooks else [],
        )
        worker = InProcess(producer, scripts, runtime)
        worker.leases = leases
        await runtime.start()
        try:
            yield worker
        finally:
            drained = await runtime.drain(0.05)
            await runtime.close(abandon=not drained)
            await client.close()


async def no_glances(_scripts: Scripts, _queues: Sequence[str]) -> dict[str, Glance]:
    """Stand for the glances of a runtime, and see nothing: what starts all the same was woken for."""
    return {}


class Lines(logging.Handler):
    """The log lines of a worker in this process, as dicts."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        said: object = record.msg
        if isinstance(said, dict):
            self._lines.append({**cast("dict[str, object]", said), "level": record.levelname.lower()})

    def of(self, event: str, **fields: object) -> list[dict[str, object]]:
        """Return the lines of an event that have these fields."""
        return [
            line
            for line in self._lines
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
        ]


@contextmanager
def captured_lines(level: str) -> Generator[Lines]:
    """Configure the logs as a worker does, and collect what is written."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    logs.configure(level, "json")
    lines = Lines()
    root.handlers[:] = [lines]
    try:
        yield lines
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        structlog.reset_defaults()


async def failure(job: JobHandle[R], within: float = WITHIN) -> str:
    """Wait for a job to fail and return why."""
    assert await job.done(within) is State.FAILED
    return (await job.status()).failed_reason or ""
