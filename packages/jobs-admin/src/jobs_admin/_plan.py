"""What starting workers with some code would change: its declarations beside what the server has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_admin.records import PlanField, PlanRecord
from jobs_core.registry import list_queues

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs_admin._calls import Calls
    from jobs_core.queue import Queue
    from jobs_core.registry import QueueEntry


async def read_plan(calls: Calls, prefix: str, queues: Iterable[Queue]) -> list[PlanRecord]:
    """Compare declared queues with those of the server, sorted by name."""
    declared = {queue.name: queue for queue in queues}
    entries = {entry.queue: entry for entry in await calls.read(list_queues(calls.client, prefix))}
    records: list[PlanRecord] = []
    for name in sorted({*declared, *entries}):
        queue, entry = declared.get(name), entries.get(name)
        records.append(
            _undeclared(entry)
            if queue is None and entry is not None
            else await _compared(calls, cast("Queue", queue), entry)
        )
    return records


def _undeclared(entry: QueueEntry) -> PlanRecord:
    return PlanRecord(
        queue=entry.queue,
        change="undeclared",
        profile=entry.profile,
        concurrency=entry.concurrency,
        jobs=entry.jobs,
    )


async def _compared(calls: Calls, queue: Queue, entry: QueueEntry | None) -> PlanRecord:
    key = calls.scripts.key(queue.name)
    found = await calls.read(calls.client.call("HGETALL", f"{key}cfg"))
    cfg = {name.decode(): value.decode() for name, value in cast("dict[bytes, bytes]", found).items()}
    before = {name: cfg.get(name, "") for name in cfg.get("declared", "").split(",") if name}
    after = queue.definition()
    fields = [
        PlanField(field=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    if entry is not None and entry.profile:
        fields += [
            PlanField(field=name, before=str(old), after=str(new))
            for name, old, new in (
                ("profile", entry.profile, queue.weight),
                ("concurrency", entry.concurrency, queue.concurrency),
            )
            if old != new
        ]
    jobs = tuple(sorted(queue.versions))
    known = set(entry.jobs) if entry is not None else set[str]()
    fresh = "definition" not in cfg
    added, gone = tuple(sorted({*jobs} - known)), tuple(sorted(known - {*jobs}))
    changed = bool(fields or gone or (known and added))
    return PlanRecord(
        queue=queue.name,
        change="new" if fresh else "changed" if changed else "same",
        profile=queue.weight,
        concurrency=queue.concurrency,
        jobs=jobs,
        fields=() if fresh else tuple(fields),
        jobs_added=() if fresh else added,
        jobs_gone=gone,
    )
