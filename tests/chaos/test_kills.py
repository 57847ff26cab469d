"""Workers that are killed at random under load: no job is lost, none is stuck, and each second start has its kill.

What was started and ended is written down outside of the system: each process appends to a file of its own.
"""

import random
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, kill_group, write_package

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts, Tally
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer

QUEUE = """
from jobs_core import *

QUEUE = Queue("grind", concurrency=10, max_stalled=1000)
GRIND = QUEUE.job("grind", payload=int, attempts=1)
"""
PROCESSOR = """
import asyncio, os, random
from jobs_worker import JobContext, processor
from shop.grind.queue import GRIND

BOOK = os.open(os.path.join(os.environ["CHAOS_BOOKS"], str(os.getpid())), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@processor(GRIND)
async def grind(payload: int, ctx: JobContext) -> None:
    os.write(BOOK, f"start {payload} {ctx.fence}\\n".encode())
    await asyncio.sleep(random.uniform(0.001, 0.03))
    os.write(BOOK, f"end {payload} {ctx.fence}\\n".encode())
"""


class Start(msgspec.Struct, frozen=True, order=True):
    """One start of a job: its fence, and the process that it ran in."""

    fence: int
    pid: int


class Chaos:
    """Some workers, and what is done to them."""

    def __init__(self, url: str, prefix: str, path: Path, seed: int) -> None:
        self.books = path / "books"
        self.books.mkdir()
        write_package(path, "shop", {"grind/queue.py": QUEUE, "grind/processor.py": PROCESSOR})
        self.random = random.Random(seed)
        self.killed: set[int] = set()
        self.kinds: Counter[str] = Counter()
        self._url, self._prefix, self._path = url, prefix, path
        self._workers: list[WorkerProcess] = []
        self._all: list[WorkerProcess] = []

    def start(self) -> None:
        """Start one more worker of two children."""
        worker = WorkerProcess(
            url=self._url,
            prefix=self._prefix,
            path=self._path,
            package="shop",
            WORKER_HTTP_PORT="0",
            WORKER_PROCESSES="2",
            CHAOS_BOOKS=str(self.books),
        )
        self._workers.append(worker)
        self._all.append(worker)

    def strike(self, *, lose_leases: bool) -> None:
        """Kill a child, now and then a supervisor, and where their leases may be lost a whole worker."""
        worker = self.random.choice(self._workers)
        children = [child.pid for child in psutil.Process(worker.process.pid).children()]
        chance = self.random.random()
        if children and chance < 0.8:
            self.kinds["child"] += 1
            pid = self.random.choice(children)
            self.killed.add(pid)
            kill_group(pid)
            return
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        self._workers.remove(worker)
        if lose_leases and chance > 0.85:
            self.kinds["whole worker"] += 1
            self.killed.update(children)
            for pid in children:
                kill_group(pid)
        else:
            # Its children finish what they run, and go.
            self.kinds["supervisor"] += 1
        self.start()

    def close(self) -> None:
        """Kill all that is left."""
        for worker in self._all:
            worker.__exit__(None, None, None)

    def read(self) -> tuple[dict[int, list[Start]], set[int]]:
        """Return the starts of each job, oldest first, and the jobs that came to their end."""
        starts: dict[int, list[Start]] = defaultdict(list)
        ended: set[int] = set()
        for book in self.books.iterdir():
            for line in book.read_text().splitlines():
                what, number, fence = line.split()
                if what == "start":
                    starts[int(number)].append(Start(int(fence), int(book.name)))
                else:
                    ended.add(int(number))
        return {number: sorted(each) for number, each in starts.items()}, ended


async def grind(path: Path, prefix: str, *, jobs: int, kills: int, lose_leases: bool) -> str:
    """Run jobs while workers are killed, check the books, and return the figures."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    with EmbeddedServer() as server:
        chaos = Chaos(server.url, prefix, path, seed)
        client = client_for(parse_address(server.url))
        await client.connect(timeout=5)
        scripts = Scripts(client, prefix)
        began = time.monotonic()
        try:
            for _ in range(2):
                chaos.start()
            async with Producer(server.url, prefix=prefix) as producer:
                queue = producer.queue("grind")
                await producer.enqueue_many(queue.declaration.dynamic_job("grind"), range(jobs), attempts=1)

            async def tally() -> Tally:
                return (await scripts.tally(["grind"]))["grind"]

            async def completed() -> int:
                return (await tally()).totals.get("completed:grind@1", 0)

            for number in range(kills):
                goal = jobs * (number + 1) // (kills + 1)

                async def reached(goal: int = goal) -> bool:
                    return await completed() >= goal

                await until(reached, within=90, what=f"{goal} jobs")
                chaos.strike(lose_leases=lose_leases)

            async def over() -> bool:
                sizes = (await tally()).sizes
                return sizes["waiting"] == sizes["active"] == sizes["delayed"] == 0

            try:
                await until(over, within=120 if lose_leases else 50)
            except AssertionError:
                raise AssertionError(f"stuck: {await tally()} {await scripts.owners('grind')}") from None
            seconds = time.monotonic() - began
            end = await tally()
        finally:
            await client.close()
            chaos.close()
    starts, ended = chaos.read()
    again = {number: each for number, each in starts.items() if len(each) > 1}
    unexplained = {
        number: each
        for number, each in again.items()
        if any(start.pid not in chaos.killed for start in each[:-1])
    }
    assert end.totals["completed:grind@1"] == jobs
    assert end.totals.get("failed:grind@1", 0) == 0
    assert all(size == 0 for size in end.sizes.values()), end.sizes
    assert set(starts) == ended == set(range(jobs))
    assert unexplained == {}
    assert sum(chaos.kinds.values()) == kills
    return (
        f"{jobs} jobs, {kills} kills ({', '.join(f'{n} of a {kind}' for kind, n in chaos.kinds.items())}) "
        f"in {seconds:.1f} s: {len(again)} jobs started again, each for a kill; none lost, none stuck"
    )


async def test_kills_under_light_load_lose_nothing(tmp_path: Path, prefix: str) -> None:
    print(await grind(tmp_path, prefix, jobs=1500, kills=6, lose_leases=False))  # noqa: T201


@pytest.mark.chaos
async def test_kills_under_load_lose_nothing(
    tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await grind(tmp_path, prefix, jobs=20_000, kills=50, lose_leases=True)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures to be read
