"""How many workers of a weight class there should be: what an autoscaler outside (KEDA, an HPA) goes by.

It counts work that another worker could take: what runs, what waits, and what is due within the window. What a pause, a
rate or `max_active` holds back is none, for more workers would only wait as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from jobs_admin._numbers import sum_totals
from jobs_admin.records import RateRecord, ScalerQueue, ScalerRecord
from jobs_core.errors import OptionError
from jobs_core.queue import WEIGHT_CLASSES
from jobs_core.registry import list_queues, list_workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_admin._calls import Calls
    from jobs_admin.records import LimitRecord
    from jobs_core.registry import QueueEntry, WorkerEntry
    from jobs_core.scripts import Glance, Tally

# What a run is taken to last while none was measured, and the slots that heavy queues of one child share.
_UNKNOWN_RUN_S = 1.0
_HEAVY_SLOTS = 3
# How many queues one call looks at: it must not hold the server up.
_GLANCED = 32
# A score holds the due time in ms and four bits below it.
_BITS = 16


async def read_scaler(
    calls: Calls,
    prefix: str,
    profile: str,
    limits: Mapping[str, Sequence[LimitRecord]],
    entries: Sequence[QueueEntry],
    *,
    within_s: float,
) -> ScalerRecord:
    """Return the signal of a weight class, of whose queues these are the limits."""
    names = [entry.queue for entry in entries]
    scripts = calls.scripts
    workers = await calls.read(list_workers(calls.client, prefix))
    live = [each for each in workers if _serves(each, profile)]
    queues: list[ScalerQueue] = []
    if names:
        some = [names[at : at + _GLANCED] for at in range(0, len(names), _GLANCED)]
        glances: dict[str, Glance] = {}
        for each in await calls.read_all([scripts.glance(few) for few in some]):
            glances |= each
        tallies = await calls.read(scripts.tally(names))
        until = (await calls.server_ms() + round(within_s * 1000)) * _BITS + _BITS - 1
        due = await calls.read_all(
            [calls.client.call("ZCOUNT", scripts.key(name) + "delayed", "-inf", until) for name in names]
        )
        processes = max(1, round(sum(each.processes for each in live) / len(live))) if live else 1
        queues = [
            _queue(
                entry,
                glances[entry.queue],
                tallies[entry.queue],
                cast("int", soon),
                limits[entry.queue],
                within_s,
                processes,
            )
            for entry, soon in zip(entries, due, strict=True)
        ]
    oldest = [each.oldest_waiting_ms for each in queues if each.oldest_waiting_ms is not None]
    return ScalerRecord(
        profile=profile,
        replicas=_replicas(profile, queues),
        waiting=sum(each.waiting for each in queues),
        due_soon=sum(each.due_soon for each in queues),
        running=sum(each.running for each in queues),
        oldest_waiting_ms=max(oldest) if oldest else None,
        workers=len(live),
        slots=sum(each.slots for each in live),
        queues=tuple(queues),
    )


async def queues_of(calls: Calls, prefix: str, profile: str) -> list[QueueEntry]:
    """Return the queues of a weight class. Raises OptionError for one that is none."""
    if profile not in WEIGHT_CLASSES:
        raise OptionError("profile", profile, f"it must be one of {', '.join(WEIGHT_CLASSES)}")
    found = await calls.read(list_queues(calls.client, prefix))
    # A queue that no code declares is light, as it is for workers.
    return [entry for entry in found if (entry.profile or WEIGHT_CLASSES[0]) == profile]


def _serves(worker: WorkerEntry, profile: str) -> bool:
    return not worker.silent and worker.state == "running" and profile in worker.worker_type.split(",")


def _queue(  # noqa: PLR0917 - in one place
    entry: QueueEntry,
    glance: Glance,
    tally: Tally,
    due_soon: int,
    limits: Sequence[LimitRecord],
    within_s: float,
    processes: int,
) -> ScalerQueue:
    running = tally.sizes["active"]
    waiting = glance.waiting if glance.startable else 0
    soon = 0 if glance.paused else due_soon
    totals = sum_totals(tally.totals)
    runs = sum(totals.get(each, 0) for each in ("completed", "failed", "retried"))
    run_s = totals.get("run_us", 0) / 1_000_000 / runs if runs else _UNKNOWN_RUN_S
    wanted = waiting + soon
    # As many slots as it takes to do all of it within the window, by what a run has taken on average.
    more = min(wanted, max(math.ceil(wanted * run_s / within_s), 1)) if wanted else 0
    need = running + more
    for limit in limits:
        value = None if limit.lifted else limit.declared if limit.live is None else limit.live
        if limit.limit == "max_active" and isinstance(value, int):
            need = min(need, max(value, running))
        elif limit.limit == "rate_limit" and isinstance(value, RateRecord):
            # More cannot run at once, on average, than start in the time of one run.
            at_once = math.ceil(value.max / (value.per_ms / 1000) * run_s)
            need = min(need, max(at_once, running, 1))
    slots = max(entry.concurrency, 1) * processes
    return ScalerQueue(
        queue=entry.queue,
        waiting=waiting,
        due_soon=soon,
        running=running,
        oldest_waiting_ms=tally.longest_wait_ms if waiting else None,
        slots_wanted=need,
        slots_per_worker=slots,
    )


def _replicas(profile: str, queues: Sequence[ScalerQueue]) -> int:
    """Return how many workers have the slots that are wanted: each queue has its own, and heavy ones share a budget."""
    wanted = [math.ceil(each.slots_wanted / each.slots_per_worker) for each in queues]
    if profile == "heavy" and queues:
        budget = max(_HEAVY_SLOTS, *(each.slots_per_worker for each in queues))
        wanted.append(math.ceil(sum(each.slots_wanted for each in queues) / budget))
    return max(wanted, default=0)
