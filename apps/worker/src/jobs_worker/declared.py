"""Tells the server what code declares of the served queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.registry import QueueEntry, announce_queue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.scripts import Scripts
    from jobs_worker.routes import QueueRoutes


async def declare(scripts: Scripts, routes: Mapping[str, QueueRoutes]) -> None:
    """Write what code declares of the served queues, and list them."""
    for name, each in routes.items():
        await scripts.declare(name, definition=each.queue.definition_hash, fields=each.queue.definition())
        entry = QueueEntry(
            queue=name,
            profile=each.queue.weight,
            jobs=tuple(sorted(each.queue.versions)),
            concurrency=each.queue.concurrency,
        )
        await announce_queue(scripts.client, scripts.prefix, entry)
