"""This project as a peer of a side-by-side benchmark of job queues: one operation a run, given as a JSON spec.

    jobs_adapter.py '{"op": "enqueue", "mode": "concurrent", "n": 10000, "redis": "redis://127.0.0.1:6379/0", …}'

Operations: `info`, `enqueue` (single, concurrent, bulk), `pace` (a job each interval), `work` (one worker until SIGTERM). The handler
counts in a mapped file of three doubles (jobs, first start, last finish), never on the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


class Spec(msgspec.Struct, frozen=True):
    """What the driver asks for."""

    op: str
    redis: str = ""
    mode: str = "single"
    n: int | None = None
    seconds: float | None = None
    inflight: int = 100
    chunk: int = 1000
    interval: float = 0.02
    concurrency: int = 100
    payload_bytes: int = 200
    record_dir: str = ""
    latency: bool = False


def payloads(spec: Spec) -> Iterator[BenchPayload]:
    """Yield payloads of the asked size as compact JSON, each another one."""
    sample = BenchPayload(
        id=10_000_000, t=1_700_000_000.123456, user="user-10000000", action="send_email", body=""
    )
    body = "x" * max(spec.payload_bytes - len(msgspec.json.encode(sample)), 0)
    number = 10_000_000
    while True:
        yield BenchPayload(
            id=number, t=1_700_000_000.123456, user=f"user-{number}", action="send_email", body=body
        )
        number += 1


async def enqueue(spec: Spec) -> None:
    """Enqueue until there are enough or the time is over; print how many and how long."""
    limit = spec.n or sys.maxsize
    source = payloads(spec)
    async with Producer(spec.redis) as producer:
        began = time.perf_counter()
        until = began + (spec.seconds or 1e9)
        done = 0
        if spec.mode == "bulk":
            while done < limit and time.perf_counter() < until:
                size = min(spec.chunk, limit - done)
                await producer.enqueue_many(NOOP, [next(source) for _ in range(size)])
                done += size
        elif spec.mode == "single":
            while done < limit and time.perf_counter() < until:
                await producer.enqueue(NOOP, next(source))
                done += 1
        else:
            started = 0

            async def caller() -> None:
                nonlocal done, started
                while started < limit and time.perf_counter() < until:
                    started += 1
                    await producer.enqueue(NOOP, next(source))
                    done += 1

            await asyncio.gather(*(caller() for _ in range(spec.inflight)))
        spent = time.perf_counter() - began
    print(json.dumps({"n": done, "seconds": spent, "cpu_seconds": time.process_time()}))


async def pace(spec: Spec) -> None:
    """Enqueue a job each interval, with the time of the call in it."""
    source = payloads(spec)
    async with Producer(spec.redis) as producer:
        began = time.perf_counter()
        for number in range(spec.n or 0):
            await asyncio.sleep(max(began + number * spec.interval - time.perf_counter(), 0))
            await producer.enqueue(NOOP, msgspec.structs.replace(next(source), t=time.time()))
    print(json.dumps({"n": spec.n}))


def work(spec: Spec) -> None:
    """Become one worker, as `jobs worker` runs it."""
    os.environ.update(
        BENCH_RECORD_DIR=spec.record_dir,
        BENCH_LATENCY="1" if spec.latency else "",
        REDIS_URL=spec.redis,
        JOBS_FEATURES="bench_queues",
        JOBS_PROCESSORS="bench_queues",
        WORKER_CONCURRENCY=str(spec.concurrency),
        WORKER_HTTP_PORT="0",
        LOG_LEVEL="warning",
        PYTHONPATH=str(HERE),
    )
    os.execv(sys.executable, [sys.executable, "-m", "jobs_worker"])  # noqa: S606 - becoming the worker is the point


def main() -> None:
    """Do what the spec says."""
    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    if spec.op == "info":
        names = ("jobs-core", "redis", "hiredis", "uvloop", "msgspec")
        print(
            json.dumps(
                {"versions": {"python": sys.version.split()[0], **{name: version(name) for name in names}}}
            )
        )
    elif spec.op == "work":
        work(spec)
    else:
        uvloop.run(enqueue(spec) if spec.op == "enqueue" else pace(spec))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    from bench_queues.noop.queue import NOOP, BenchPayload

    from jobs_producer import Producer

    main()
