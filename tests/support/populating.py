"""A busy company: hundreds of queues of all kinds, with as many jobs in every state as are asked for, made by the public API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from tests.support.runtime import captured_lines, running
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core import Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.registry import WorkerEntry, announce_worker
from jobs_core.scripts import Scripts
from jobs_producer import BulkItem, Producer, Workflow
from jobs_worker import JobContext, processor

if TYPE_CHECKING:
    from jobs_core.options import JobOptions
    from jobs_core.payloads import JsonValue

NAMES = ("send", "sync", "export")
REASONS = (
    "timeout",
    "no such mailbox",
    "refused",
    "quota",
    "bad gateway",
    "no answer",
    "locked",
    "too large",
)
TENANTS = 50


class Work(msgspec.Struct):
    """What a job is about; `fails` says which error it ends with, "" with none."""

    to: str
    tenant: int
    fails: str = ""


class Crowd(msgspec.Struct, frozen=True):
    """Who there is: the queues, and of them those with very many waiting, completed, failed and delayed jobs."""

    queues: tuple[str, ...]
    waiting: str
    completed: str
    failed: str
    delayed: str
    workers: tuple[str, ...]
    flows: tuple[str, ...]


def declared(name: str) -> Queue:
    """Return a queue with its three job types."""
    queue = Queue(name)
    for each in NAMES:
        queue.job(each, payload=Work)
    return queue


async def populate(url: str, prefix: str, total: int, *, queues: int = 200, workers: int = 50) -> Crowd:
    """Put so many jobs into so many queues: two fifths wait in one, a tenth each is completed, failed or delayed in others."""
    every = {name: declared(name) for name in (f"q{n:03}" for n in range(queues))}
    names = [*every]
    crowd = Crowd(
        tuple(names),
        *names[:4],
        workers=tuple(f"worker-{n:02}" for n in range(workers)),
        flows=tuple(f"flow-{n}" for n in range(max(total // 20_000, 5))),
    )
    share = max(total * 3 // 10 // (queues - 4), 10)
    rest = names[4:]
    async with Producer(url, prefix=prefix) as producer:
        completed = {crowd.completed: total // 10} | dict.fromkeys(rest, share * 3 // 20)
        failed = {crowd.failed: total // 20} | dict.fromkeys(rest, share // 20)
        await _add(producer, every, completed, remove_on_complete=False)
        await _add(producer, every, failed, fails=True, attempts=1)
        await _worked(url, prefix, every, sum(completed.values()), sum(failed.values()))
        delayed = {crowd.delayed: total // 10} | dict.fromkeys(rest, share // 5)
        waiting = {crowd.waiting: total * 2 // 5} | dict.fromkeys(rest, share * 3 // 5)
        await _add(producer, every, delayed, delay=86_400)
        await _add(producer, every, waiting)
        await _planned(producer, every, crowd)
    await _run_some(url, prefix, rest[:workers])
    async with Admin(url, prefix=prefix, actor="ada") as admin:
        for number, queue in enumerate([*names, *names]):
            await admin.note("retry", queue, f"id:{number}", number)
        await admin.pause(rest[-1], reason="for a measure")
        await admin.pause(rest[-2], job="send")
    return crowd


async def _add(
    producer: Producer,
    queues: dict[str, Queue],
    counts: dict[str, int],
    *,
    fails: bool = False,
    **options: object,
) -> None:
    chosen: JobOptions = {**options}  # pyright: ignore[reportAssignmentType] - named by who calls

    async def one(queue: Queue, count: int) -> None:
        for nth, name in enumerate(NAMES):
            job = queue.versions[f"{name}@1"]
            await producer.enqueue_many(job, _items(count // 3 + (nth < count % 3), fails=fails), **chosen)

    pending = iter(counts.items())
    while some := list(islice(pending, 16)):
        await asyncio.gather(*(one(queues[name], count) for name, count in some))


def _items(count: int, *, fails: bool) -> Iterator[BulkItem[Work]]:
    for number in range(count):
        work = Work(
            f"user{number}@example.com", number % TENANTS, REASONS[number % len(REASONS)] if fails else ""
        )
        yield BulkItem(
            work, {"tags": ("vip",) if number % 100 == 0 else (), "metadata": {"user_id": str(number)}}
        )


async def _worked(url: str, prefix: str, queues: dict[str, Queue], completed: int, failed: int) -> None:
    """Run all that waits, and until every dead letter has come."""
    # A line for each would be told otherwise.
    with captured_lines("error"):
        await _until_worked(url, prefix, queues, completed, failed)


async def _until_worked(url: str, prefix: str, queues: dict[str, Queue], completed: int, failed: int) -> None:
    async with (
        running(url, prefix, *map(_handler, queues.values()), concurrency=50),
        Admin(url, prefix=prefix) as admin,
    ):

        async def done() -> bool:
            records = {each.queue: each for each in await admin.queues()}
            letters = records.get(DEAD_LETTER_QUEUE)
            ours = [records[name] for name in queues if name in records]
            return (
                sum(each.completed for each in ours) >= completed
                and sum(each.failed for each in ours) >= failed
                and letters is not None
                and letters.waiting >= failed
            )

        await until(done, within=3000)


def _handler(queue: Queue) -> Callable[..., object]:
    @processor(queue)
    async def handle(payload: JsonValue, _ctx: JobContext) -> None:
        work = msgspec.convert(payload, Work)
        if work.fails:
            raise ValueError(f"{work.fails} of {work.to}")

    return handle


async def _planned(producer: Producer, queues: dict[str, Queue], crowd: Crowd) -> None:
    """Write five schedules a queue, and workflows of which nothing runs yet."""
    for queue in queues.values():
        await asyncio.gather(
            *(
                producer.schedules.upsert(
                    f"plan-{n}", queue.versions["send@1"], Work("all", n), cron=f"{n * 10} 3 * * *"
                )
                for n in range(5)
            )
        )
    for number, flow_id in enumerate(crowd.flows):
        workflow = Workflow("import", id=flow_id, metadata={"created_by": "ada"})
        queue = queues[crowd.queues[4 + number % 20]]
        first = workflow.add("extract", queue.versions["send@1"], Work("a", 1), delay=86_400)
        second = workflow.add("load", queue.versions["sync@1"], Work("b", 2), after=[first])
        workflow.add("report", queue.versions["export@1"], Work("c", 3), after=[second])
        await workflow.start(producer)


async def _run_some(url: str, prefix: str, names: Sequence[str]) -> None:
    """Let ten jobs of some queues be running, each queue's in a child of a worker."""
    client = client_for(parse_address(url))
    await client.connect(timeout=10)
    scripts = Scripts(client, prefix)
    for number, queue in enumerate(names):
        owner = f"child-{number}.0"
        await scripts.claim(queue, session=owner, seq=1, owner=owner, register=True, want=10, free=10)
    await client.close()


@asynccontextmanager
async def registered(url: str, prefix: str, crowd: Crowd) -> AsyncGenerator[None]:
    """Let the workers of a crowd tell of themselves until the end of the block, as workers do."""
    client = client_for(parse_address(url))
    await client.connect(timeout=10)
    jobs = tuple(f"{name}@1" for name in NAMES)
    # Each runs what runs in its queues.
    children = tuple(f"child-{number}" for number in range(len(crowd.workers)))

    async def tell() -> None:
        while True:
            for number, worker in enumerate(crowd.workers):
                entry = WorkerEntry(
                    id=worker,
                    host=f"host{number % 10}",
                    pid=number,
                    version="1.0",
                    worker_type="light",
                    queues=crowd.queues[number::10],
                    jobs=jobs,
                    slots=100,
                    running=10,
                    children=children,
                    seen_ms=int(time.time() * 1000),
                )
                await announce_worker(client, prefix, entry)
            await asyncio.sleep(5)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await client.close()
