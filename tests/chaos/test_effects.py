"""Workers that are killed between the end of a job and what follows from it: no effect is lost, and none comes twice.

What was started is written down outside of the system: each process appends to a file of its own.
"""

import random
from collections import Counter
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, kill_group, write_package

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer

QUEUE = """
from jobs_core import *

QUEUE = Queue("first", concurrency=10, max_stalled=1000)
FIRST = QUEUE.job("first", payload=int, attempts=1)
"""
NEXT_QUEUE = """
from jobs_core import *

QUEUE = Queue("second", concurrency=10, max_stalled=1000, dead_letter=False)
SECOND = QUEUE.job("second", payload=int, attempts=1)
"""
PROCESSOR = """
import asyncio, random
from jobs_worker import Fail, JobContext, processor
from shop.first.queue import FIRST
from shop.second.queue import SECOND

@processor(FIRST)
async def first(payload: int, ctx: JobContext) -> None:
    await asyncio.sleep(random.uniform(0.001, 0.02))
    if payload % 10 == 0:
        raise Fail("dead")
    ctx.enqueue(SECOND, 2 * payload)
    ctx.enqueue(SECOND, 2 * payload + 1)
"""
NEXT_PROCESSOR = """
import os
from jobs_worker import JobContext, processor
from shop.second.queue import SECOND

BOOK = os.open(os.path.join(os.environ["CHAOS_BOOKS"], str(os.getpid())), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@processor(SECOND)
async def second(payload: int, ctx: JobContext) -> None:
    os.write(BOOK, f"{payload} {ctx.job_id}\\n".encode())
"""


async def chain(path: Path, prefix: str, *, jobs: int, kills: int) -> str:
    """Run jobs with effects while children are killed, check the books, and return the figures."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    books = path / "books"
    books.mkdir()
    modules = {"first/queue.py": QUEUE, "first/processor.py": PROCESSOR}
    modules |= {"second/queue.py": NEXT_QUEUE, "second/processor.py": NEXT_PROCESSOR}
    write_package(path, "shop", modules)
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
        try:
            async with Producer(server.url, prefix=prefix) as producer:
                queue = producer.queue("first")
                await producer.enqueue_many(queue.declaration.dynamic_job("first"), range(jobs), attempts=1)

            async def count(name: str, field: str) -> int:
                return (await scripts.tally([name]))[name].totals.get(field, 0)

            for number in range(kills):
                goal = jobs * (number + 1) // (kills + 1)

                async def reached(goal: int = goal) -> bool:
                    return await count("first", "completed:first@1") >= goal * 9 // 10

                await until(reached, within=90, what=f"{goal} jobs")
                children = [child.pid for child in psutil.Process(worker.process.pid).children()]
                if children:
                    kill_group(chance.choice(children))

            async def over() -> bool:
                ended = await count("first", "completed:first@1") + await count("first", "failed:first@1")
                followed = await count("second", "completed:second@1")
                letters = await count("dead-letter", "completed:dead-letter@1")
                return (ended, followed, letters) == (jobs, jobs * 9 // 10 * 2, jobs // 10)

            try:
                await until(over, within=60)
            except AssertionError:
                tallies = [(await scripts.tally([name]))[name] for name in ("first", "second", "dead-letter")]
                raise AssertionError(f"lost or stuck: {tallies}") from None
            added = await count("second", "added:second@1"), await count("dead-letter", "added:dead-letter@1")

            async def carried() -> bool:
                return (await scripts.outbox("first")).entries == []

            await until(carried, what="an empty outbox")
        finally:
            await client.close()
            worker.__exit__(None, None, None)
    ids: dict[int, Counter[str]] = {}
    for book in books.iterdir():
        for line in book.read_text().splitlines():
            number, job_id = line.split()
            ids.setdefault(int(number), Counter())[job_id] += 1
    expected = {2 * number + i for number in range(jobs) if number % 10 for i in (0, 1)}
    assert set(ids) == expected
    assert all(len(each) == 1 for each in ids.values()), "one effect came as two jobs"
    assert added == (len(expected), jobs // 10)
    return f"{jobs} jobs, {kills} kills: {len(expected)} effects and {jobs // 10} dead letters, each once"


async def test_kills_lose_and_double_no_effect(tmp_path: Path, prefix: str) -> None:
    print(await chain(tmp_path, prefix, jobs=1000, kills=5))  # noqa: T201


@pytest.mark.chaos
async def test_kills_under_load_lose_and_double_no_effect(
    tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await chain(tmp_path, prefix, jobs=20_000, kills=40)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - figures to be read
