import time
from collections.abc import AsyncIterator

import pytest

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.registry import (
    QueueEntry,
    WorkerEntry,
    announce_queue,
    announce_worker,
    forget_queue,
    forget_worker,
    list_queues,
    list_workers,
)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield client
    await client.close()


def worker(name: str, *, silent_ms: int = 0) -> WorkerEntry:
    seen_ms = int(time.time() * 1000) - silent_ms
    return WorkerEntry(
        id=name, host="h", pid=1, version="1", worker_type="light", queues=("mail",), seen_ms=seen_ms
    )


async def test_queues_are_listed_by_name(client: Client, prefix: str) -> None:
    for name in ("mail", "images", "mail"):
        await announce_queue(client, prefix, QueueEntry(queue=name, profile="light", jobs=("send@1",)))
    assert [entry.queue for entry in await list_queues(client, prefix)] == ["images", "mail"]
    await forget_queue(client, prefix, "mail")
    assert [entry.queue for entry in await list_queues(client, prefix)] == ["images"]
    assert await list_queues(client, prefix + "other") == []


async def test_workers_that_fell_silent_are_shown_and_then_forgotten(client: Client, prefix: str) -> None:
    for entry in (worker("b"), worker("a", silent_ms=31_000), worker("c", silent_ms=601_000)):
        await announce_worker(client, prefix, entry)
    found = await list_workers(client, prefix)
    assert [(entry.id, entry.silent) for entry in found] == [("a", True), ("b", False)]
    assert await client.call("HLEN", f"{prefix}:{{~}}:workers") == 2
    await forget_worker(client, prefix, "b")
    assert [entry.id for entry in await list_workers(client, prefix)] == ["a"]
