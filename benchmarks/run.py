"""What a job costs here, beside a yardstick measured in the same run: `make bench`.

Repetitions of all cells are interleaved, and medians are told, because a machine's speed drifts. The yardstick is a list: RPUSH and LPOP
of the same 200 bytes, 100 calls in flight on one connection, the least that any queue on this server could do. Times are ratios to it;
the server's CPU and the commands it ran are per job and hardly drift.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import uvloop

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer

sys.path.insert(0, str(Path(__file__).parent))
from bench_queues.noop.queue import NOOP, BenchPayload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

IN_FLIGHT = 100
BODY = "x" * 105


class Cell(msgspec.Struct, frozen=True):
    """One measurement: seconds, server CPU seconds and server commands, all per job."""

    seconds: float
    server_cpu: float
    commands: float


def payload(number: int) -> BenchPayload:
    """Return about 200 bytes of JSON."""
    return BenchPayload(
        id=10_000_000 + number, t=time.time(), user=f"user-{number}", action="send_email", body=BODY
    )


class Meter:
    """Reads the server's own counters around a piece of work."""

    def __init__(self, client: Client) -> None:
        """Read from one connection."""
        self._client = client

    async def read(self) -> tuple[float, float, int]:
        """Return wall time, the server's CPU seconds, and commands run, those inside scripts included."""
        text = cast("bytes", await self._client.call("INFO", "everything")).decode()
        cpu = sum(float(found) for found in re.findall(r"used_cpu_(?:user|sys):([\d.]+)", text))
        calls = sum(int(found) for found in re.findall(r"cmdstat_(?!info)[^:]+:calls=(\d+)", text))
        return time.perf_counter(), cpu, calls

    async def around(self, jobs: int, work: Callable[[], Awaitable[float | None]]) -> Cell:
        """Measure work on so many jobs; work may tell its own wall time."""
        began, cpu, calls = await self.read()
        told = await work()
        ended, cpu_after, calls_after = await self.read()
        return Cell(
            (told if told is not None else ended - began) / jobs,
            (cpu_after - cpu) / jobs,
            (calls_after - calls) / jobs,
        )


async def in_flight(count: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make `count` calls, 100 at a time."""
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))


async def drain(url: str, jobs: int, folder: Path) -> float:
    """Run one worker process on jobs that wait. Returns seconds from the first start to the last finish."""
    env = {
        **os.environ,
        "REDIS_URL": url,
        "JOBS_FEATURES": "bench_queues",
        "JOBS_PROCESSORS": "bench_queues",
        "WORKER_CONCURRENCY": str(IN_FLIGHT),
        "WORKER_HTTP_PORT": "0",
        "LOG_LEVEL": "warning",
        "PYTHONPATH": str(Path(__file__).parent),
        "BENCH_RECORD_DIR": str(folder),
    }
    # The files are local and tiny, and nothing else runs on this loop meanwhile.
    process = subprocess.Popen([sys.executable, "-m", "jobs_worker"], env=env)  # noqa: ASYNC220 - our own interpreter
    try:
        while True:
            counts = [
                struct.unpack("<ddd", file.read_bytes())
                for file in folder.glob("*.cnt")
                if file.stat().st_size
            ]
            if sum(count for count, _, _ in counts) >= jobs:
                return max(last for _, _, last in counts) - min(first for _, first, _ in counts)
            if process.poll() is not None:
                message = f"the worker ended with code {process.returncode}"
                raise RuntimeError(message)
            await asyncio.sleep(0.02)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
        for file in folder.glob("*.cnt"):
            file.unlink()


async def pick_up(url: str, jobs: int, folder: Path) -> list[float]:
    """Return how long an idle worker took from each enqueue call to the start of the handler, in ms."""
    os.environ["BENCH_LATENCY"] = "1"
    try:
        async with Producer(url) as producer:
            running = asyncio.create_task(drain(url, jobs, folder))
            await producer.enqueue(NOOP, payload(0), delay=3.0)
            await asyncio.sleep(3.5)
            for number in range(jobs - 1):
                await producer.enqueue(NOOP, payload(number))
                await asyncio.sleep(0.02)
            await running
    finally:
        del os.environ["BENCH_LATENCY"]
    pairs = [pair for file in folder.glob("*.lat") for pair in struct.iter_unpack("<dd", file.read_bytes())]
    for file in folder.glob("*.lat"):
        file.unlink()
    return sorted((started - sent) * 1000 for sent, started in pairs)[: jobs - 1]


async def repetition(url: str, jobs: int, folder: Path) -> AsyncIterator[tuple[str, Cell]]:
    """Measure every cell once."""
    client = client_for(parse_address(url), name="bench")
    await client.connect(timeout=5)
    meter = Meter(client)
    body = msgspec.json.encode(payload(1))
    await client.call("FLUSHALL")

    async def push_and_pop() -> None:
        await in_flight(jobs, lambda _: client.call("RPUSH", "bench:list", body))
        await in_flight(jobs, lambda _: client.call("LPOP", "bench:list"))

    yield "yardstick: RPUSH + LPOP", await meter.around(jobs, push_and_pop)
    async with Producer(url) as producer:

        async def concurrent() -> None:
            await in_flight(jobs, lambda number: producer.enqueue(NOOP, payload(number)))

        async def one_by_one() -> None:
            for number in range(jobs // 10):
                await producer.enqueue(NOOP, payload(number))

        async def bulk() -> None:
            await producer.enqueue_many(NOOP, (payload(number) for number in range(jobs)))

        yield "enqueue, 100 in flight", await meter.around(jobs, concurrent)
        yield "drain, one worker process", await meter.around(jobs, lambda: drain(url, jobs, folder))
        yield "enqueue_many", await meter.around(jobs, bulk)
        await client.call("FLUSHALL")
        yield "enqueue, one by one", await meter.around(jobs // 10, one_by_one)
    await client.call("FLUSHALL")
    await client.close()


async def measure(jobs: int, repetitions: int, binary: str | None) -> None:
    """Run all repetitions and print the medians."""
    if binary:
        os.environ["JOBS_SERVER_BIN"] = binary
    cells: dict[str, list[Cell]] = {}
    ratios: dict[str, list[float]] = {}
    with EmbeddedServer() as server, tempfile.TemporaryDirectory() as folder:
        for _ in range(repetitions):
            yardstick = 0.0
            async for name, cell in repetition(server.url, jobs, Path(folder)):
                yardstick = yardstick or cell.seconds
                cells.setdefault(name, []).append(cell)
                ratios.setdefault(name, []).append(cell.seconds / yardstick)
        latencies = await pick_up(server.url, 300, Path(folder))
    print(f"{jobs:,} jobs, {repetitions} repetitions, medians\n")
    print(f"{'':28}{'jobs/s':>10}{'x yardstick':>13}{'server CPU us':>15}{'commands':>10}")
    for name, found in cells.items():
        seconds, cpu, commands = (
            statistics.median(getattr(cell, field) for cell in found)
            for field in ("seconds", "server_cpu", "commands")
        )
        print(
            f"{name:28}{1 / seconds:>10,.0f}{statistics.median(ratios[name]):>13.2f}{cpu * 1e6:>15.1f}{commands:>10.2f}"
        )
    print(
        f"\npick-up by an idle worker: p50 {statistics.median(latencies):.2f} ms, p99 {latencies[int(len(latencies) * 0.99)]:.2f} ms"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=30_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--server", help="a server binary, instead of the one that is found")
    given = parser.parse_args()
    uvloop.run(measure(given.jobs, given.repetitions, given.server))


if __name__ == "__main__":
    main()
