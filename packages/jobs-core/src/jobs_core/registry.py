"""What is kept for listing only: which queues exist and which workers run.

Correctness never reads it, workers rebuild it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.keys import system_prefix

if TYPE_CHECKING:
    from jobs_core.connection.client import Client
    from jobs_core.queue import Queue

WORKER_SILENT_MS = 30_000
_FORGOTTEN_MS = 600_000


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that somebody used: its weight class, the jobs that code declares (name@version), thresholds of alerts."""

    queue: str
    profile: str = ""
    jobs: tuple[str, ...] = ()
    concurrency: int = 0
    alerts: Mapping[str, float | None] = {}


def queue_entry(queue: Queue) -> QueueEntry:
    """Return what is listed of a queue that code declares."""
    return QueueEntry(
        queue=queue.name,
        profile=queue.weight,
        jobs=tuple(sorted(queue.versions)),
        concurrency=queue.concurrency,
        alerts={**queue.alerts},
    )


class WorkerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as its supervisor last described it.

    Times are Unix ms of the worker's own clock, for people to read. `memory_bytes` is what all of its processes hold, `cpu` how many
    cores they used of late, `lag_ms` how late the slowest loop of its children was at its last tick. `memory_peaks` are the most MiB that
    they held in each of the last 60 minutes, the oldest first, the minute that runs included. `children` are what the names of
    its owners begin with, up to the dot.
    """

    id: str
    host: str
    pid: int
    version: str
    worker_type: str
    queues: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    slots: int = 0
    running: int = 0
    processes: int = 1
    memory_bytes: int = 0
    cpu: float = 0.0
    lag_ms: float = 0.0
    state: str = "running"
    http: str = ""
    started_ms: int = 0
    seen_ms: int = 0
    memory_peaks: tuple[int, ...] = ()
    children: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether nothing was heard of the worker for 30 s."""
        return time.time() * 1000 - self.seen_ms > WORKER_SILENT_MS


async def announce_queue(
    client: Client, prefix: str, entry: QueueEntry, *, anew: bool = True, deadline: float | None = None
) -> None:
    """Enter a queue among those listed.

    Who knows nothing of it (no profile) replaces no entry, and neither does who said it before (`anew` False).
    """
    command = "HSET" if entry.profile and anew else "HSETNX"
    key = system_prefix(prefix) + "queues"
    await client.call(command, key, entry.queue, msgspec.json.encode(entry), deadline=deadline)


async def forget_queue(client: Client, prefix: str, queue: str) -> None:
    """Take a queue off the list."""
    await client.call("HDEL", system_prefix(prefix) + "queues", queue)


async def list_queues(client: Client, prefix: str, *, deadline: float | None = None) -> list[QueueEntry]:
    """List the queues, sorted by name."""
    raw = cast(
        "dict[bytes, bytes]",
        await client.call("HGETALL", system_prefix(prefix) + "queues", deadline=deadline),
    )
    return sorted(
        (msgspec.json.decode(value, type=QueueEntry) for value in raw.values()), key=lambda entry: entry.queue
    )


async def announce_worker(client: Client, prefix: str, entry: WorkerEntry) -> None:
    """Describe a worker anew."""
    await client.call("HSET", system_prefix(prefix) + "workers", entry.id, msgspec.json.encode(entry))


async def forget_worker(client: Client, prefix: str, worker_id: str) -> None:
    """Take a worker that stopped off the list."""
    await client.call("HDEL", system_prefix(prefix) + "workers", worker_id)


async def list_workers(client: Client, prefix: str, *, deadline: float | None = None) -> list[WorkerEntry]:
    """List the workers, sorted by id; those not heard of for 10 min are forgotten on the way."""
    raw = cast(
        "dict[bytes, bytes]",
        await client.call("HGETALL", system_prefix(prefix) + "workers", deadline=deadline),
    )
    entries = [msgspec.json.decode(value, type=WorkerEntry) for value in raw.values()]
    now = time.time() * 1000
    for entry in entries:
        if now - entry.seen_ms > _FORGOTTEN_MS:
            await forget_worker(client, prefix, entry.id)
    return sorted(
        (entry for entry in entries if now - entry.seen_ms <= _FORGOTTEN_MS), key=lambda entry: entry.id
    )
