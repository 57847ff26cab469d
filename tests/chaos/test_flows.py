"""Flows whose workers, producers and servers are killed, and servers forget: none is stuck, and each callback comes once.

What ran is written down outside of the system: each process appends to a file of its own.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tests.support.cluster import Cluster
from tests.support.forgetting import kill_forgetting
from tests.support.invariants import broken_queues
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, kill_group, write_package

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer

SCALE = float(os.environ.get("JOBS_SCALE", "1"))
QUEUES = """
from jobs_core import *

UP = Queue("up", concurrency=20, max_stalled=1000, dead_letter=False)
DOWN = Queue("down", concurrency=20, max_stalled=1000, dead_letter=False)
UP_NODE = UP.job("node", payload=list[int], result=int, attempts=1, result_ttl=0)
DOWN_NODE = DOWN.job("node", payload=list[int], result=int, attempts=1, result_ttl=0)
TOLD = UP.job("told", payload=list[str], attempts=1)
"""
PROCESSOR = """
import os
from jobs_worker import Fail, JobContext, processor
from shop.flows.queue import DOWN_NODE, TOLD, UP_NODE

BOOK = os.open(os.path.join(os.environ["CHAOS_BOOKS"], str(os.getpid())), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def write(*words: object) -> None:
    os.write(BOOK, (" ".join(map(str, words)) + "\\n").encode())

@processor(UP_NODE)
@processor(DOWN_NODE)
async def node(payload: list[int], ctx: JobContext) -> int:
    number, children, fails = payload
    found = ctx.children.results(UP_NODE)
    write("node", number, ctx.queue, ctx.job_id, children, len(found))
    if fails:
        raise Fail("on purpose")
    return 1 + sum(found)

@processor(TOLD)
async def told(payload: list[str], ctx: JobContext) -> None:
    moment, batch = payload
    write("told", batch, moment, ctx.job_id, len(ctx.children), len(ctx.children.failures))
"""
PRODUCER = """
import asyncio, os, random, sys
from jobs_core import FlowClosed
from jobs_producer import Flow, Producer
from shop.flows.queue import DOWN, DOWN_NODE, TOLD, UP, UP_NODE

def tree(number: int) -> Flow[int]:
    chance = random.Random(number)
    wide = 1000 if number % 500 == 499 else 40 if number % 50 == 49 else 4

    def grow(depth: int, queue: int) -> Flow[int]:
        few = 0 if depth == 0 else chance.randint(0, wide if depth == 1 else 3)
        children = [grow(depth - 1, 1 - queue) for _ in range(few)]
        return Flow(DOWN_NODE if queue else UP_NODE, [number, len(children), 0], children=children, id=f"tree-{number}")

    return grow(1 if wide > 4 else chance.randint(1, 5), number % 2)

async def main(first: int, last: int) -> None:
    async with Producer(os.environ["REDIS_URL"], prefix=os.environ["JOBS_PREFIX"], enqueue_timeout=60) as producer:
        for number in range(first, last):
            if number % 5:
                await tree(number).submit(producer)
                continue
            name = f"batch-{number}"
            try:
                async with await producer.flows.batch(
                    "batch", (UP, DOWN)[number % 2], id=name,
                    on_success=[TOLD.call(["success", name])],
                    on_failure=[TOLD.call(["failure", name])],
                    on_complete=[TOLD.call(["complete", name])],
                ) as batch:
                    for job in range(jobs_of(number)):
                        await batch.add(DOWN_NODE if job % 2 else UP_NODE, [number, 0, int(fails(number) and job == 3)])
            except FlowClosed:
                pass

def jobs_of(number: int) -> int:
    return random.Random(number).randint(4, 30) if number % 100 else 500

def fails(number: int) -> bool:
    return number % 3 == 0

if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


class Place:
    """Servers that outlive their kills, workers and a producer that are killed, and the books that they write.

    On a cluster of three primaries with a replica each, the two queues and the list of queues are on different nodes.
    """

    def __init__(self, path: Path, prefix: str, *, cluster: bool, forgets: bool) -> None:
        """Start the servers. Those that forget lose what they had answered in up to 1.5 s before they were killed."""
        self.forgets = forgets
        self.books = path / "books"
        self.books.mkdir()
        modules = {"flows/queue.py": QUEUES, "flows/processor.py": PROCESSOR, "fill.py": PRODUCER}
        write_package(path, "shop", modules)
        self.path, self.prefix = path, prefix
        self.stack = ExitStack()
        # A node that is back within this time keeps its slots, so that no write is lost: replication is asynchronous.
        nodes = Cluster(replicas=3, data_dir=path / "data", node_timeout_ms=15_000) if cluster else None
        self.cluster = None if nodes is None else self.stack.enter_context(nodes)
        # Written before it is answered, so that a kill of the process loses nothing: with `everysec` the server holds
        # writes back while the disk is busy, and what was acknowledged can be lost.
        self.server = EmbeddedServer(data_dir=path / "data", port=0, options={"appendfsync": "no"})
        if self.cluster is None:
            self.stack.enter_context(self.server)
        self.url = self.server.url if self.cluster is None else self.cluster.url
        self.workers: list[WorkerProcess] = []
        self.kinds: Counter[str] = Counter()

    def start_worker(self) -> None:
        """Start one more worker of two children."""
        self.workers.append(
            WorkerProcess(
                url=self.url,
                prefix=self.prefix,
                path=self.path,
                package="shop",
                WORKER_HTTP_PORT="0",
                WORKER_PROCESSES="2",
                CHAOS_BOOKS=str(self.books),
            )
        )

    def start_producer(self, count: int) -> subprocess.Popen[bytes]:
        """Submit all flows; those that are there already are not started again."""
        env = os.environ | {"REDIS_URL": self.url, "JOBS_PREFIX": self.prefix, "PYTHONPATH": str(self.path)}
        env["JOBS_FEATURES"] = "shop"
        command = [sys.executable, "-m", "shop.fill", "0", str(count)]
        return subprocess.Popen(command, env=env, cwd=self.path)

    async def strike(
        self, chance: random.Random, number: int, producer: subprocess.Popen[bytes], *, few: bool
    ) -> None:
        """Kill something, by turns; a whole worker only where there are not `few` kills, since another takes a while to start."""
        if number % 4 == 2 or (self.cluster is not None and number % 4 == 0):
            # What is added and forgotten is gone, though its producer holds an id: it adds nothing meanwhile.
            holds = self.forgets and producer.poll() is None
            if holds:
                producer.send_signal(signal.SIGSTOP)
                # What it had sent is carried out.
                await asyncio.sleep(0.3)
            await self.strike_server(chance)
            if holds:
                producer.send_signal(signal.SIGCONT)
        elif number % 4 == 3 and not few:
            self.strike_worker(chance)
        else:
            self.strike_child(chance)

    async def strike_server(self, chance: random.Random) -> None:
        """Kill the server and start it again; of a cluster a primary, or have a replica take over from one."""
        if self.cluster is None:
            await self.kill_server(chance, "server", self.server, self.path / "data")
            self.server.start()
            assert self.server.url == self.url
            return
        # One at a time: two nodes that are away may be all that have some slot.
        await until(self.cluster.whole, within=120)
        replicas = [node for node in self.cluster.nodes if node.role == "slave"]
        primaries = [node for node in self.cluster.nodes if node not in replicas]
        if self.kinds["primary"] > self.kinds["failover"]:
            self.kinds["failover"] += 1
            replica = chance.choice(replicas)
            replica.ask("CLUSTER", "FAILOVER")
            await until(lambda: replica.role == "master", within=60, what="the replica took over")
            return
        primary = chance.choice(primaries)
        data = self.path / "data" / str(self.cluster.nodes.index(primary))
        await self.kill_server(chance, "primary", primary.server, data)
        primary.server.start()

    async def kill_server(self, chance: random.Random, kind: str, server: EmbeddedServer, data: Path) -> None:
        """Kill a server, which perhaps forgets what it did last."""
        self.kinds[kind] += 1
        if not self.forgets:
            server.kill()
        elif await kill_forgetting(server, data, chance.uniform(0, 1.5)):
            self.kinds["forgetting"] += 1

    def strike_worker(self, chance: random.Random) -> None:
        """Kill a worker with all its children at once, and start another."""
        self.kinds["worker"] += 1
        self.workers.pop(chance.randrange(len(self.workers))).__exit__(None, None, None)
        self.start_worker()

    def strike_child(self, chance: random.Random) -> None:
        """Kill a child of a worker."""
        children = [
            child.pid for each in self.workers for child in psutil.Process(each.process.pid).children()
        ]
        if children:
            self.kinds["child"] += 1
            kill_group(chance.choice(children))

    def close(self) -> None:
        """Kill all that is left."""
        for each in self.workers:
            each.__exit__(None, None, None)
        self.stack.close()


async def flows(
    path: Path, prefix: str, *, count: int, kills: int, cluster: bool = False, forgets: bool = False
) -> str:
    """Run flows while everything is killed, check the books, and return the figures."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    place = Place(path, prefix, cluster=cluster, forgets=forgets)
    began = time.monotonic()
    client = client_for(parse_address(place.url))
    await client.connect(timeout=5)
    scripts = Scripts(client, prefix)

    producer = place.start_producer(count)

    async def ended() -> int:
        nonlocal producer
        if producer.poll():
            # It was killed, or gave up while the server was away: whoever submits again, by the same ids, goes on.
            producer = place.start_producer(count)
        pages = [await scripts.flow_page(queue, which="ended", count=1) for queue in ("up", "down")]
        return sum(total for total, _ in pages)

    try:
        for _ in range(2):
            place.start_worker()
        for number in range(kills):
            goal = count * (number + 1) // (kills + 2)

            async def reached(goal: int = goal) -> bool:
                return await ended() >= goal

            await until(reached, within=120 + count / 20, what=f"{goal} flows")
            await place.strike(chance, number, producer, few=kills <= 4)
            if producer.poll() is None and number % 2:
                place.kinds["producer"] += 1
                producer.kill()
                producer.wait()

        async def over() -> bool:
            return await ended() == count

        await until(over, within=180 + count / 20, what="the last flows")
        assert producer.wait(60) == 0

        async def quiet() -> bool:
            seen = await scripts.glance(["up", "down"])
            return not any(each.waiting or each.outbox for each in seen.values()) and not sum(
                [(await scripts.tally([queue]))[queue].sizes["active"] for queue in seen]
            )

        await until(quiet, within=120, what="the last callbacks")
        assert await broken_queues(scripts) == []
        assert (
            (await scripts.tally(["up"]))["up"].sizes["blocked"]
            == (await scripts.tally(["down"]))["down"].sizes["blocked"]
            == 0
        )
        failed = [
            flow
            for queue in ("up", "down")
            for flow, _ in (await _all_ended(scripts, queue))
            if (await scripts.flow_show(queue, flow_id=flow)).state == "failed"
        ]
    finally:
        producer.kill()
        producer.wait()
        await client.close()
        place.close()
    nodes, told = _read(place.books)
    assert sorted(failed) == sorted(f"batch-{n}" for n in range(0, count, 5) if n % 3 == 0)
    # Whoever ran had the results of all its children, each time that it ran.
    assert [each for each in nodes if each[-2] != each[-1]] == []
    expected = {(f"batch-{n}", "complete") for n in range(0, count, 5)}
    expected |= {(f"batch-{n}", "failure" if n % 3 == 0 else "success") for n in range(0, count, 5)}
    assert told.keys() == expected
    assert [each for each, ids in told.items() if len(ids) != 1] == [], "a callback came twice"
    seconds = time.monotonic() - began
    return f"{count} flows, {len(nodes)} starts of jobs, {dict(place.kinds)} killed, {seconds:.0f} s: none stuck, {len(told)} callbacks once each"


async def _all_ended(scripts: Scripts, queue: str) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    before = ""
    while True:
        _, page = await scripts.flow_page(queue, which="ended", before=before)
        fresh = [each for each in page if each[0] not in found]
        found |= dict(page)
        if not fresh:
            return list(found.items())
        # Several may have ended in one millisecond.
        before = str(page[-1][1] + 1)


def _read(books: Path) -> tuple[list[list[str]], dict[tuple[str, str], set[str]]]:
    nodes: list[list[str]] = []
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for book in books.iterdir():
        for line in book.read_text().splitlines():
            kind, *words = line.split()
            if kind == "node":
                nodes.append(words)
            else:
                told[words[0], words[1]].add(words[2])
    return nodes, told


async def test_kills_leave_no_flow_stuck_and_double_no_callback(tmp_path: Path, prefix: str) -> None:
    print(await flows(tmp_path, prefix, count=60, kills=4))  # noqa: T201


@pytest.mark.chaos
@pytest.mark.parametrize("forgets", [False, True])
async def test_kills_under_load_leave_no_flow_stuck(
    tmp_path: Path,
    prefix: str,
    capsys: pytest.CaptureFixture[str],
    forgets: bool,  # noqa: FBT001
) -> None:
    count, kills = max(int(10_000 * SCALE), 100), max(int(100 * SCALE), 10)
    figures = await flows(tmp_path, prefix, count=count, kills=kills, forgets=forgets)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures to be read


@pytest.mark.chaos
@pytest.mark.parametrize("forgets", [False, True])
async def test_kills_on_a_cluster_leave_no_flow_stuck(
    tmp_path: Path,
    prefix: str,
    capsys: pytest.CaptureFixture[str],
    forgets: bool,  # noqa: FBT001
) -> None:
    count, kills = max(int(10_000 * SCALE), 100), max(int(100 * SCALE), 12)
    figures = await flows(tmp_path, prefix, count=count, kills=kills, cluster=True, forgets=forgets)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures to be read
