"""Tells the server what code declares of the served queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.registry import QueueEntry, announce_queue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.scripts import Scripts
    from jobs_core.settings import CommonSettings
    from jobs_worker.routes import QueueRoutes


def switched_off(settings: CommonSettings) -> str:
    """Name what is not to be written down of the queues: metrics, events, both with a comma, or nothing."""
    return ",".join(
        name for name, on in (("metrics", settings.metrics), ("events", settings.events)) if not on
    )


async def declare(scripts: Scripts, routes: Mapping[str, QueueRoutes], off: str = "") -> None:
    """Write what code declares of the served queues, and what is `off`, and list them."""
    for name, each in routes.items():
        await scripts.declare(
            name, definition=each.queue.definition_hash, off=off, fields=each.queue.definition()
        )
        entry = QueueEntry(
            queue=name,
            profile=each.queue.weight,
            jobs=tuple(sorted(each.queue.versions)),
            concurrency=each.queue.concurrency,
        )
        await announce_queue(scripts.client, scripts.prefix, entry)
