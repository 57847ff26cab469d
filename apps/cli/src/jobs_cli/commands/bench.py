"""`jobs bench`: what this server and this machine do with jobs that do nothing."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, Annotated

import msgspec

from jobs_cli.arguments import Json, option
from jobs_cli.failures import DONE, USAGE
from jobs_cli.output import print_fields, print_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_IN_FLIGHT = 100
_PICKUPS = 200


class BenchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured: jobs a second, and milliseconds from the enqueue of a job to the start of its handler."""

    server: str
    jobs: int
    concurrency: int
    enqueue_per_s: float
    enqueue_bulk_per_s: float
    drain_per_s: float
    pickup_p50_ms: float
    pickup_p99_ms: float


def bench(
    *,
    jobs: Annotated[int, option("How many jobs (20000).")] = 20_000,
    concurrency: Annotated[int, option("How many the worker runs at once (100).")] = 100,
    json: Json = False,
) -> int:
    """Enqueue and run jobs that do nothing, on a queue of its own that is removed afterwards."""
    try:
        import jobs_worker
    except ModuleNotFoundError:
        print("jobs bench: jobs-worker is not installed; install jobs-cli[worker]", file=sys.stderr)
        return USAGE
    if jobs < 1 or not 1 <= concurrency <= 10_000:
        print(
            "jobs bench: --jobs from 1 on, --concurrency 1 to 10000. See `jobs bench --help`.",
            file=sys.stderr,
        )
        return USAGE
    del jobs_worker
    record = asyncio.run(_measure(jobs, concurrency))
    if json:
        print_json(record)
        return DONE
    print_fields(
        (
            ("server", record.server),
            ("jobs", record.jobs),
            ("enqueue, 100 calls at once", f"{record.enqueue_per_s:,.0f} /s"),
            ("enqueue, in bulk", f"{record.enqueue_bulk_per_s:,.0f} /s"),
            (f"run, {record.concurrency} at once", f"{record.drain_per_s:,.0f} /s"),
            ("pick-up of an idle worker, p50", f"{record.pickup_p50_ms:.2f} ms"),
            ("pick-up of an idle worker, p99", f"{record.pickup_p99_ms:.2f} ms"),
        )
    )
    return DONE


async def _measure(jobs: int, concurrency: int) -> BenchRecord:
    from jobs_admin import Admin
    from jobs_core.queue import Queue
    from jobs_core.settings import CommonSettings
    from jobs_producer import Producer
    from jobs_worker import JobContext, Worker, processor

    settings = CommonSettings.from_env()
    queue = Queue(f"bench-{os.getpid()}-{secrets.token_hex(4)}", concurrency=concurrency, dead_letter=False)
    noop = queue.job("noop", payload=float)
    done = asyncio.Event()
    picked: list[float] = []
    left = jobs

    @processor(noop)
    async def run(payload: float, ctx: JobContext) -> None:
        nonlocal left
        del ctx
        if payload:
            picked.append((time.perf_counter() - payload) * 1000)
        left -= 1
        if left <= 0:
            done.set()

    async with Producer(settings.redis_url, prefix=settings.prefix) as producer:
        try:
            singles = min(jobs, 5000)
            at_once = await _enqueue_at_once(singles, lambda: producer.enqueue(noop, 0.0))
            began = time.perf_counter()
            await producer.enqueue_many(noop, (0.0 for _ in range(jobs - singles)))
            bulk = time.perf_counter() - began
            began = time.perf_counter()
            async with Worker(processors=[run], url=settings.redis_url, prefix=settings.prefix):
                await done.wait()
                drained = time.perf_counter() - began
                for _ in range(min(_PICKUPS, jobs)):
                    done.clear()
                    left = 1
                    await producer.enqueue(noop, time.perf_counter())
                    await done.wait()
        finally:
            async with Admin(settings.redis_url, prefix=settings.prefix, declared=[queue.name]) as admin:
                info = admin.connection_info()
                await admin.obliterate(queue.name, force=True)
    return BenchRecord(
        server=f"{info.address} ({info.server} {info.version})",
        jobs=jobs,
        concurrency=concurrency,
        enqueue_per_s=round(singles / at_once, 1),
        enqueue_bulk_per_s=round((jobs - singles) / bulk, 1) if jobs > singles else 0.0,
        drain_per_s=round(jobs / drained, 1),
        pickup_p50_ms=round(_percentile(picked, 0.5), 3),
        pickup_p99_ms=round(_percentile(picked, 0.99), 3),
    )


async def _enqueue_at_once(count: int, enqueue: Callable[[], Awaitable[object]]) -> float:
    """Return how long so many enqueues took, a hundred callers each waiting for theirs."""
    waiting = iter(range(count))

    async def caller() -> None:
        for _ in waiting:
            await enqueue()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
    return time.perf_counter() - began


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
