"""Two hundred idle workers on one queue: a job wakes about one of them, and frozen ones hold up nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles

import pytest
from tests.support.waiting import WITHIN, until

from jobs_core import Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.keys import wake_channel
from jobs_core.queue import JobType
from jobs_core.scripts import Claim, Glance, Scripts
from jobs_producer import Producer
from jobs_worker import JobContext, processor
from jobs_worker.declared import declare
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.runtime import Runtime

WORKERS = 200
JOBS = 200
# So many idle workers look every 3 s, give or take a fifth.
BACKSTOP = 3.6


class CountingScripts(Scripts):
    """Counts the claims of all workers that share it, and those of them that a glance led to."""

    claims = 0
    glanced = 0

    async def glance(self, queues: Sequence[str], *, deadline: float | None = None) -> dict[str, Glance]:
        seen = await super().glance(queues, deadline=deadline)
        self.glanced += sum(each.waiting > 0 for each in seen.values())
        return seen

    async def claim(self, queue: str, **arguments: object) -> Claim:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.claims += 1
        return await super().claim(queue, **arguments)  # pyright: ignore[reportArgumentType]


def _ignore(queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - as the runtime calls it
    """Renew no lease: a first one lasts for longer than the test."""


class Fleet:
    """Workers that share a process and a connection; each has an owner, a channel and a glance of its own."""

    def __init__(self, scripts: CountingScripts, producer: Producer, job: JobType[float, None]) -> None:
        self.scripts = scripts
        self.producer = producer
        self.job = job
        self.workers: list[Runtime] = []
        self.frozen = 0
        self.started: asyncio.Queue[float] = asyncio.Queue()

    async def start(self) -> None:
        @processor(self.job)
        async def note(payload: float, ctx: JobContext) -> None:
            self.started.put_nowait(time.perf_counter() - payload)

        queue = self.job.queue
        routes = build_routes(marks_of(note), [queue])
        await declare(self.scripts, routes)
        for _ in range(WORKERS):
            worker = Runtime(self.scripts, routes, on_owner=_ignore)
            self.workers.append(worker)
            await worker.start()
        await until(self.all_idle)

    async def all_idle(self) -> bool:
        """Tell whether all that are not frozen can be woken; a frozen one that was woken never comes back."""
        queue = self.job.queue.name
        return (await self.scripts.glance([queue]))[queue].idle >= WORKERS - self.frozen

    async def freeze(self, count: int) -> None:
        """Have the workers that would be woken first hear and see nothing more."""
        self.frozen = count
        queue = self.job.queue.name
        key = self.scripts.key(queue)
        idle = await self.scripts.client.call("ZRANGE", f"{key}idle", 0, count, "REV") if count else []
        assert isinstance(idle, list)
        for worker in self.workers:
            lane = worker.lanes[queue]
            if lane.owner.encode() in idle:
                self.scripts.client.subscribe(wake_channel(key, lane.owner), lambda _: None)
                for loop in worker._loops:
                    loop.cancel()

    async def close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self.workers))


@asynccontextmanager
async def fleet(url: str, prefix: str, concurrency: int) -> AsyncGenerator[Fleet]:
    client = client_for(parse_address(url))
    await client.connect(timeout=WITHIN)
    job = Queue("crowd", concurrency=concurrency).job("note", payload=float)
    async with Producer(url, prefix=prefix) as producer:
        made = Fleet(CountingScripts(client, prefix), producer, job)
        await made.start()
        yield made
        await made.close()
    await client.close()


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("frozen", [0, 20])
async def test_job_wakes_about_one_worker(
    redis_url: str, prefix: str, frozen: int, concurrency: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with fleet(redis_url, prefix, concurrency) as crowd:
        await crowd.freeze(frozen)
        before = crowd.scripts.claims
        waits: list[float] = []
        for _ in range(JOBS):
            await crowd.producer.enqueue(crowd.job, time.perf_counter())
            async with asyncio.timeout(WITHIN):
                waits.append(await crowd.started.get())
            await until(crowd.all_idle)
        claims = (crowd.scripts.claims - before) / JOBS
        cuts = [round(cut * 1000, 2) for cut in quantiles(waits, n=100)]
        with capsys.disabled():
            print(  # noqa: T201 - figures to be read
                f"\n{WORKERS} idle workers of {concurrency} slots, {frozen} frozen: {claims:.2f} claims a job, "
                f"picked up in p50 {cuts[49]} ms, p99 {cuts[98]} ms, at most {max(waits) * 1000:.1f} ms"
            )
        # A worker of one slot claims again with each job that it settles, in the same trip.
        assert claims - crowd.scripts.glanced / JOBS <= 2
        # Woken, and not found by a look. What wakes a frozen one is found all the same, as soon as the machine lets others look.
        assert cuts[49] < BACKSTOP * 1000
