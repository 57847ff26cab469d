"""Which workers serve a queue, which of its jobs they know, and whether they have free slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from jobs_admin.records import Finding
from jobs_core.names import nearest
from jobs_core.queue import WEIGHT_CLASSES
from jobs_core.records import job_name

if TYPE_CHECKING:
    from jobs_core.registry import WorkerEntry

_ANY = "*"


def by_class(queue: str, weight: str, workers: Sequence[WorkerEntry]) -> Iterator[Finding]:
    """Say whether a worker serves the queue at all."""
    serving = [worker for worker in workers if queue in worker.queues]
    if not serving:
        flag = f" --type {weight}" if weight else f" --queues {queue}"
        text, mend = f"no worker serves queue {queue}", f"jobsctl worker{flag}"
        same = [worker for worker in workers if weight in _weights(worker)]
        if same:
            text += (
                f": {len(same)} of its class ({weight}) run, but WORKER_QUEUES leaves it out, or their code "
                "does not declare it"
            )
            mend = f"Add {queue} to WORKER_QUEUES, or start workers with the code that declares it (JOBS_FEATURES)."
        elif weight:
            text += f", and none of its class ({weight}) runs"
        yield Finding("no_worker", "warning", text, mend)
        return
    silent = [worker.id for worker in serving if worker.silent]
    if silent:
        only = (
            "every worker that serves"
            if len(silent) == len(serving)
            else f"{len(silent)} of {len(serving)} workers of"
        )
        text = f"{only} queue {queue} went silent: {', '.join(silent[:5])}"
        mend = "Look at their logs, and start others; their jobs start elsewhere within 30 s."
        yield Finding("worker_silent", "warning", text, mend)
    for worker in serving:
        if not worker.silent and worker.state != "running":
            yield Finding(
                "worker_not_claiming", "info", f"worker {worker.id} is {worker.state} and takes no new jobs"
            )


def by_number(queue: str, number: int | None) -> Iterator[Finding]:
    """Say that somebody set how many children of each worker serve the queue."""
    if number == 0:
        text = f"no child of any worker serves queue {queue}: somebody set their number to 0"
        yield Finding("scaled_to_zero", "warning", text, f"jobsctl workers scale {queue} auto")
    elif number is not None:
        text = f"{number} children of each worker serve queue {queue}, as somebody set"
        yield Finding("scaled", "info", text)


def by_name(queue: str, names: Mapping[str, int], workers: Sequence[WorkerEntry]) -> Iterator[Finding]:
    """Say of jobs (name@version, and how many are parked) which no worker of the queue knows.

    Where nobody serves the queue that is what is wrong, and only parked jobs are told besides.
    """
    serving = [worker for worker in workers if queue in worker.queues and not worker.silent]
    known = {name for worker in serving for name in _known(queue, worker)}
    for wire_name, parked in sorted(names.items()):
        if wire_name in known or _ANY in known or not (parked or serving):
            continue
        what = f"{parked:,} parked as {wire_name}" if parked else f"job {wire_name}"
        versions = sorted(each for each in known if job_name(each) == job_name(wire_name))
        if versions:
            yield Finding(
                "unroutable_version",
                "warning",
                f"{what}: no worker of queue {queue} knows this version, only {', '.join(versions)}",
                "Start workers of the release that declares it; parked jobs go to the first that does.",
            )
        else:
            near = nearest(job_name(wire_name), {job_name(each) for each in known})
            hint = f"; they know {' and '.join(near)}" if near else ""
            yield Finding(
                "no_processor",
                "warning",
                f"{what}: no worker of queue {queue} has a processor for it{hint}",
                "Add a @processor, set the variables it requires, or name its package in JOBS_PROCESSORS.",
            )


def by_slots(queue: str, waiting: int, workers: Sequence[WorkerEntry]) -> Iterator[Finding]:
    """Say whether jobs wait because every slot is taken."""
    serving = [worker for worker in workers if queue in worker.queues and not worker.silent]
    slots, running = sum(worker.slots for worker in serving), sum(worker.running for worker in serving)
    if waiting and 0 < slots <= running:
        yield Finding(
            "slots_busy",
            "info",
            f"all {slots} slots of the workers of queue {queue} are busy",
            "Start more workers, or raise WORKER_PROCESSES or the queue's concurrency.",
        )


def _weights(worker: WorkerEntry) -> set[str]:
    named = {each.strip() for each in worker.worker_type.split(",")}
    return {*WEIGHT_CLASSES} if "all" in named else named


def _known(queue: str, worker: WorkerEntry) -> Iterator[str]:
    """Yield the name@version that a worker runs in a queue; it lists them bare, or as queue/name@version."""
    for each in worker.jobs:
        of, slash, name = each.rpartition("/")
        if not slash or of == queue:
            yield name
