"""A connected producer, the scripts beside it, and what takes the place of a worker."""

from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from tests.support.mail import Calls, Settler
from tests.support.proxy import Proxy

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_producer import Producer, SyncProducer

MakeProducer = Callable[..., Producer]
# As long as a busy machine may need: no test waits for it.
PATIENCE = 30.0


@pytest.fixture
async def make(redis_url: str, prefix: str) -> AsyncIterator[MakeProducer]:
    """Make producers that are closed in the end."""
    producers: list[Producer] = []

    def make(url: str = redis_url, **options: float) -> Producer:
        made = Producer(url, prefix=prefix, **{"enqueue_timeout": PATIENCE, **options})  # pyright: ignore[reportArgumentType]
        producers.append(made)
        return made

    yield make
    for producer in producers:
        await producer.close()


@pytest.fixture
async def producer(make: MakeProducer) -> Producer:
    """Return a producer that is connected."""
    producer = make()
    await producer.connect()
    return producer


@pytest.fixture
async def scripts(redis_url: str, prefix: str) -> AsyncIterator[Scripts]:
    """Return the scripts on a connection of their own."""
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield Scripts(client, prefix)
    await client.close()


@pytest.fixture
def settler(scripts: Scripts) -> Settler:
    """Return what ends the jobs of the queue `mail`."""
    return Settler(scripts)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """Return a proxy before the server."""
    async with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Watch the calls that add jobs."""
    calls = Calls()
    enqueue = Scripts.enqueue

    async def watched(self: Scripts, queue: str, **options: object) -> bytes:
        jobs = cast("list[str]", options["jobs"])
        ids: list[str] = []
        size = at = 0
        while at < len(jobs):
            end = at + 6 + 2 * int(jobs[at])
            ids += jobs[at + 6 : end : 2]
            size += sum(map(len, jobs[at + 6 : end : 2]))
            at = end
        calls.append(ids)
        calls.sizes.append(size)
        return await enqueue(self, queue, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Scripts, "enqueue", watched)
    return calls


@pytest.fixture
def sync(redis_url: str, prefix: str) -> SyncProducer:
    """Return a producer for threads, not connected yet, that is not closed."""
    return SyncProducer(redis_url, prefix=prefix, enqueue_timeout=PATIENCE)
