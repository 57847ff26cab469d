"""What a chain of five jobs costs beside five single jobs: the server's CPU and commands, `python benchmarks/chains.py`.

The jobs do nothing and keep no result; producer and worker are the real ones, in this process. Loads: batched (all are enqueued at once)
and one by one (each waits for the one before to end); in one queue, and in five. Repetitions of all cells are interleaved, and a ratio
is that of two runs next to each other: a machine's speed drifts, ratios hardly do.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from typing import TYPE_CHECKING, cast

import uvloop

from jobs_core import Queue
from jobs_core.connection import Client, client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer
from jobs_worker import JobContext, processor
from jobs_worker.declared import declare
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LINKS = 5
# After the last handler has ended it is settled, and what was carried is held for 3 s and then acknowledged.
REST = 5.0


class Bench:
    """Five jobs, a worker that runs them, and how many it ran."""

    def __init__(self, queues: int) -> None:
        """Declare the jobs of one queue, or of five."""
        names = [f"bench-{at if queues > 1 else 0}" for at in range(LINKS)]
        declared = {name: Queue(name, concurrency=100) for name in names}
        self.jobs = [declared[name].job("noop", payload=int, result=int, result_ttl=0) for name in names]
        first, *rest = self.jobs
        self.chain = first.then(rest[0])
        for job in rest[1:]:
            self.chain = self.chain.then(job)
        self.queues = [*declared.values()]
        self.ran = 0
        self.done = asyncio.Event()
        self.goal = 0

        async def noop(payload: int, _: JobContext) -> int:
            self.ran += 1
            if self.ran >= self.goal:
                self.done.set()
            return payload

        for job in self.jobs:
            processor(job)(noop)
        self.handler = noop

    async def reach(self, more: int, enqueue: Callable[[], Awaitable[object]]) -> None:
        """Enqueue, and wait until so many more handlers have ended."""
        self.goal = self.ran + more
        self.done.clear()
        await enqueue()
        await self.done.wait()


async def meter(client: Client) -> tuple[float, int]:
    """Return the server's CPU seconds and the commands that it ran, those inside of scripts included."""
    text = cast("bytes", await client.call("INFO", "everything")).decode()
    cpu = sum(float(found) for found in re.findall(r"used_cpu_(?:user|sys):([\d.]+)", text))
    calls = sum(int(found) for found in re.findall(r"cmdstat_(?!info)[^:]+:calls=(\d+)", text))
    return cpu, calls


def no_lease(*_: object) -> None:
    """Renew nothing: a load is over before a lease is."""


async def cells(url: str, queues: int, chains: int) -> dict[str, tuple[float, float, float]]:
    """Measure each load once: CPU us, commands and wall us, all per job."""
    bench = Bench(queues)
    client = client_for(parse_address(url))
    await client.connect(timeout=5)
    await client.call("FLUSHALL")
    scripts = Scripts(client, "bench")
    routes = build_routes(marks_of(bench.handler), bench.queues)
    await declare(scripts, routes)
    runtime = Runtime(scripts, routes, on_owner=no_lease)
    await runtime.start()
    found: dict[str, tuple[float, float, float]] = {}
    async with Producer(url, prefix="bench") as producer:

        async def singles() -> None:
            for job in bench.jobs:
                await producer.enqueue_many(job, range(chains))

        async def one_single(number: int) -> None:
            for job in bench.jobs:
                await bench.reach(1, lambda job=job: producer.enqueue(job, number))

        async def all_singles() -> None:
            for number in range(chains // 10):
                await one_single(number)

        async def all_chains() -> None:
            for number in range(chains // 10):
                await bench.reach(LINKS, lambda number=number: producer.enqueue_chain(bench.chain, number))

        loads: dict[str, tuple[int, Callable[[], Awaitable[object]]]] = {
            "batched, single": (chains, lambda: bench.reach(LINKS * chains, singles)),
            "batched, chain": (
                chains,
                lambda: bench.reach(
                    LINKS * chains, lambda: producer.enqueue_many(bench.chain, range(chains))
                ),
            ),
            "one by one, single": (chains // 10, all_singles),
            "one by one, chain": (chains // 10, all_chains),
        }
        await loads["batched, single"][1]()
        for name, (count, load) in loads.items():
            await asyncio.sleep(REST)
            cpu, calls = await meter(client)
            began = time.perf_counter()
            await load()
            took = time.perf_counter() - began
            await asyncio.sleep(REST)
            cpu_after, calls_after = await meter(client)
            jobs = LINKS * count
            found[name] = ((cpu_after - cpu) / jobs * 1e6, (calls_after - calls) / jobs, took / jobs * 1e6)
    await runtime.drain(1)
    await runtime.close(abandon=False)
    await client.close()
    return found


async def main(chains: int, repetitions: int) -> None:
    """Measure and print a table."""
    kept: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    with EmbeddedServer() as server:
        for _ in range(repetitions):
            for queues in (1, LINKS):
                for name, cell in (await cells(server.url, queues, chains)).items():
                    kept.setdefault((queues, name), []).append(cell)
    print(f"{'':32}{'server CPU us/job':>18}{'commands/job':>14}{'us/job':>9}{'to single':>11}")
    for (queues, name), runs in kept.items():
        cpu, commands, took = (statistics.median(run[at] for run in runs) for at in range(3))
        load = name.partition(",")[0]
        base = kept[queues, f"{load}, single"]
        ratio = statistics.median(run[0] / single[0] for run, single in zip(runs, base, strict=True))
        where = "1 queue" if queues == 1 else f"{queues} queues"
        print(f"{where + ', ' + name:32}{cpu:>18.1f}{commands:>14.1f}{took:>9.0f}{ratio:>11.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chains", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    uvloop.run(main(given.chains, given.repetitions))
