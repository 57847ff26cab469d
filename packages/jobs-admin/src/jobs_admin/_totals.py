"""All that is counted of every queue by job name: what exporters of metrics stand on."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_admin._alerts import read_firing
from jobs_admin._measures import read_durations
from jobs_admin._numbers import queue_record
from jobs_admin.records import QueueRecord
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.measures import Histogram
from jobs_core.records import job_name
from jobs_core.registry import list_queues, list_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs_admin._calls import Calls
    from jobs_admin._measures import Durations
    from jobs_core.scripts import Tally

OTHER = "other"
MOST_NAMES = 50
_STEP = 32
_PARALLEL = 2


class JobTotals(msgspec.Struct, kw_only=True):
    """What one job name of a queue did since the queue was made, all its versions together; `processing` is what runs now.

    `leases_lost` counts runs that were taken away because the lease of their worker ran out, `errors` attempts that
    failed by the type of their error.
    """

    name: str
    processing: int = 0
    added: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0
    stalled: int = 0
    expired: int = 0
    cancelled: int = 0
    leases_lost: int = 0
    run: Histogram = Histogram()
    wait: Histogram = Histogram()
    errors: dict[str, int] = {}


class QueueTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One queue: its counts, at most 50 of its job names (the others together are `other`), and what belongs to it as a whole.

    `dead_letters` is how many there are of its jobs, `workers` how many serve it now, `alerts` how many fire.
    """

    queue: QueueRecord
    jobs: tuple[JobTotals, ...]
    oldest_waiting_ms: int | None
    dead_letters: int
    workers: int
    alerts: int


async def read_totals(calls: Calls, prefix: str) -> list[QueueTotals]:
    """Read all queues, some at a time, so that no reply waits behind hundreds of others."""
    entries, running, letters, firing = await asyncio.gather(
        calls.read(list_queues(calls.client, prefix)),
        calls.read(list_workers(calls.client, prefix)),
        _dead_letters(calls),
        read_firing(calls, prefix),
    )
    names = [entry.queue for entry in entries]
    serving = Counter(queue for each in running if not each.silent for queue in dict.fromkeys(each.queues))
    # While what one part answered is read, the server works on the next one.
    turns = asyncio.Semaphore(_PARALLEL)

    async def part(some: Sequence[str]) -> list[QueueTotals]:
        async with turns:
            tallies, durations = await asyncio.gather(
                calls.read(calls.scripts.tally(some)), calls.read(read_durations(calls.scripts, some))
            )
            busy = [name for name, tally in tallies.items() if tally.sizes["active"]]
            active = dict(
                zip(busy, await calls.read_all([calls.scripts.active(name) for name in busy]), strict=True)
            )
        return [
            _queue(
                name,
                tallies[name],
                durations[name],
                active.get(name, {}),
                letters.get(name, 0),
                serving[name],
                firing.get(name, 0),
            )
            for name in some
        ]

    parts = await asyncio.gather(*(part(names[at : at + _STEP]) for at in range(0, len(names), _STEP)))
    return [each for found in parts for each in found]


def _queue(  # noqa: PLR0917 - in one place
    queue: str,
    tally: Tally,
    durations: Durations,
    active: dict[str, int],
    dead_letters: int,
    workers: int,
    alerts: int,
) -> QueueTotals:
    return QueueTotals(
        queue=queue_record(queue, tally),
        jobs=tuple(_jobs(tally, durations, active)),
        oldest_waiting_ms=tally.longest_wait_ms,
        dead_letters=dead_letters,
        workers=workers,
        alerts=alerts,
    )


def _jobs(tally: Tally, durations: Durations, active: dict[str, int]) -> Iterable[JobTotals]:
    totals = [(kind, name, count) for (kind, name), count in _split(tally.totals) if kind in _COUNTS]
    errors = _split(tally.errors)
    seen = sorted({name for _, name, _ in totals} | {name for (name, _), _ in errors} | set(active))
    # Those measured first come first, whatever comes later: a name must not move to `other` and back.
    jobs: dict[str, JobTotals] = {}
    by_name: dict[str, JobTotals] = {}
    for name in [*durations.run, *seen]:
        label = _label(name)
        if label not in jobs and len(jobs) >= MOST_NAMES:
            label = OTHER
        by_name[name] = (
            jobs[label] if label in jobs else jobs.setdefault(label, JobTotals(name=label, errors={}))
        )

    for kind, name, count in totals:
        job, field = by_name[name], _COUNTS[kind]
        setattr(job, field, getattr(job, field) + count)
    for (name, kind), count in errors:
        counts = by_name[name].errors
        counts[kind] = counts.get(kind, 0) + count
    for name, count in active.items():
        by_name[name].processing += count
    for name, run in durations.run.items():
        job, wait = by_name[name], durations.wait[name]
        # Of most jobs there is one version.
        job.run, job.wait = (job.run + run, job.wait + wait) if job.run.total else (run, wait)
    return jobs.values()


_COUNTS = {
    **{each: each for each in ("added", "completed", "failed", "retried", "stalled", "expired", "cancelled")},
    "lost": "leases_lost",
}


def _split(counts: Mapping[str, int]) -> list[tuple[tuple[str, str], int]]:
    """Return the two parts of the name of each count: those of one part belong to the queue as a whole."""
    return [(parts, count) for field, count in counts.items() if (parts := _parts(field)) is not None]


# Hundreds of queues count the same things.
@lru_cache(4096)
def _parts(field: str) -> tuple[str, str] | None:
    first, colon, second = field.partition(":")
    return (first, second) if colon else None


def _label(name: str) -> str:
    return job_name(name) or OTHER


async def _dead_letters(calls: Calls) -> dict[str, int]:
    """Count the dead letters that there are, by the queue that they come from."""
    key = calls.scripts.key(DEAD_LETTER_QUEUE) + "letters.kept"
    raw = cast("dict[bytes, bytes]", await calls.read(calls.client.call("HGETALL", key)))
    return {queue.decode(): int(count) for queue, count in raw.items()}
