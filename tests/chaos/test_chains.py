"""Chains whose workers are killed between the end of a link and the beginning of the next: each goes on, and none runs twice.

What was started is written down outside of the system: each process appends to a file of its own.
"""

import random
from collections import Counter
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, kill_group, write_package

from jobs_core import Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer

LINKS = 5
QUEUES = """
from jobs_core import *

ODD = Queue("odd", concurrency=10, max_stalled=1000, dead_letter=False)
EVEN = Queue("even", concurrency=10, max_stalled=1000, dead_letter=False)
ODD_LINK = ODD.job("link", payload=list[int], result=list[int], attempts=1, result_ttl=0)
EVEN_LINK = EVEN.job("link", payload=list[int], result=list[int], attempts=1, result_ttl=0)
"""
PROCESSOR = """
import os
from jobs_worker import JobContext, processor
from shop.links.queue import EVEN_LINK, ODD_LINK

BOOK = os.open(os.path.join(os.environ["CHAOS_BOOKS"], str(os.getpid())), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@processor(ODD_LINK)
@processor(EVEN_LINK)
async def link(payload: list[int], ctx: JobContext) -> list[int]:
    number, position = payload
    before = ctx.previous
    assert position == 1 if before is None else before.value == payload
    os.write(BOOK, f"{number} {position} {ctx.job_id}\\n".encode())
    return [number, position + 1]
"""


async def chains(path: Path, prefix: str, *, count: int, kills: int) -> str:
    """Run chains over two queues while children are killed, check the books, and return the figures."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    books = path / "books"
    books.mkdir()
    write_package(path, "shop", {"links/queue.py": QUEUES, "links/processor.py": PROCESSOR})
    odd, even = (
        Queue(name, concurrency=10, max_stalled=1000, dead_letter=False).job(
            "link", payload=list[int], result=list[int], attempts=1, result_ttl=0
        )
        for name in ("odd", "even")
    )
    chain = odd.then(even).then(odd).then(even).then(odd)
    with EmbeddedServer() as server:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=5)
        scripts = Scripts(client, prefix)
        worker = WorkerProcess(
            url=server.url,
            prefix=prefix,
            path=path,
            package="shop",
            WORKER_HTTP_PORT="0",
            WORKER_PROCESSES="2",
            CHAOS_BOOKS=str(books),
        )

        async def totals(field: str) -> int:
            tallies = [(await scripts.tally([name]))[name].totals for name in ("odd", "even")]
            return sum(each.get(field, 0) for each in tallies)

        try:
            async with Producer(server.url, prefix=prefix) as producer:
                await producer.enqueue_many(chain, ([number, 1] for number in range(count)))
            for number in range(kills):
                goal = count * LINKS * (number + 1) // (kills + 1)

                async def reached(goal: int = goal) -> bool:
                    return await totals("completed:link@1") >= goal * 9 // 10

                await until(reached, within=90, what=f"{goal} links")
                children = [child.pid for child in psutil.Process(worker.process.pid).children()]
                if children:
                    kill_group(chance.choice(children))

            async def over() -> bool:
                return await totals("completed:link@1") == count * LINKS

            await until(over, within=60, what="the last links")
            added = await totals("added:link@1")

            async def carried() -> bool:
                pages = [await scripts.outbox(name) for name in ("odd", "even")]
                return not any(page.entries for page in pages)

            await until(carried, what="empty outboxes")
        finally:
            await client.close()
            worker.__exit__(None, None, None)
    ids: dict[tuple[int, int], Counter[str]] = {}
    for book in books.iterdir():
        for line in book.read_text().splitlines():
            number, position, job_id = line.split()
            ids.setdefault((int(number), int(position)), Counter())[job_id] += 1
    assert ids.keys() == {(number, 1 + at) for number in range(count) for at in range(LINKS)}
    assert all(len(each) == 1 for each in ids.values()), "one link came as two jobs"
    assert added == count * LINKS
    return f"{count} chains of {LINKS} links, {kills} kills: each link once"


async def test_kills_stop_no_chain_and_double_no_link(tmp_path: Path, prefix: str) -> None:
    print(await chains(tmp_path, prefix, count=200, kills=5))  # noqa: T201


@pytest.mark.chaos
async def test_kills_under_load_stop_no_chain(
    tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await chains(tmp_path, prefix, count=4000, kills=40)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures to be read
