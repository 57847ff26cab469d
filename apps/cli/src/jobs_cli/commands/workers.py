"""`jobs workers`: list them, and tell them what to do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Actor, Json, Queue, Reason, option
from jobs_cli.failures import DONE, USAGE
from jobs_cli.output import milliseconds, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobs_admin import Admin

Worker = Annotated[str, Parameter(help="Id of the worker, as `jobs workers list` shows it.")]


def list_workers(*, json: Json = False) -> None:
    """List the workers that were heard of in the last 10 minutes, and what they serve."""
    workers = with_admin(lambda admin: admin.workers())
    if json:
        print_json(workers)
        return
    if not workers:
        print("no workers")
        return
    now = datetime.now(UTC)
    print_table(
        ["id", "host", "pid", "type", "running", "slots", "memory", "lag", "state", "up", "queues"],
        [
            [
                worker.id,
                worker.host,
                worker.pid,
                worker.worker_type,
                worker.running,
                worker.slots,
                f"{worker.memory_bytes / 2**20:.0f} MiB",
                milliseconds(worker.lag_ms),
                "silent" if worker.silent else worker.state,
                milliseconds((now - worker.started_at).total_seconds() * 1000),
                worker.queues,
            ]
            for worker in workers
        ],
    )


def running(worker: Worker, /, *, json: Json = False) -> None:
    """List what a worker runs, 100 jobs at most, those that run for longest first."""
    found = with_admin(lambda admin: admin.running(worker))
    if json:
        print_json(found)
        return
    now = datetime.now(UTC)
    print_table(
        ["queue", "id", "name", "for"],
        [
            [
                each.queue,
                each.id,
                each.name,
                "-"
                if each.started_at is None
                else milliseconds((now - each.started_at).total_seconds() * 1000),
            ]
            for each in found
        ],
    )


def scaler(
    profile: Annotated[str, Parameter(help="Weight class: light, medium or heavy.")],
    /,
    *,
    within: Annotated[str, option("Time in which what there is should be done (60s).")] = "60s",
    json: Json = False,
) -> None:
    """Say how many workers of a weight class there should be, for an autoscaler outside."""
    from jobs_core.durations import parse_duration

    seconds = parse_duration(within, name="--within")
    record = with_admin(lambda admin: admin.scaler(profile, within=seconds))
    if json:
        print_json(record)
        return
    names = ["queue", "waiting", "due_soon", "running", "slots_wanted", "slots_per_worker"]
    print_table(
        [name.replace("_", " ") for name in names],
        [[getattr(each, name) for name in names] for each in record.queues],
    )
    oldest = milliseconds(record.oldest_waiting_ms)
    print(
        f"{record.profile}: {record.replicas} workers wanted, {record.workers} run; oldest waiting {oldest}"
    )


def quiet(worker: Worker, /, *, json: Json = False, actor: Actor = None, reason: Reason = "") -> None:
    """Let a worker claim no more; what runs goes on, and the worker stays."""
    _told(worker, lambda admin: admin.quiet_worker(worker), json=json, actor=actor, reason=reason)


def resume(worker: Worker, /, *, json: Json = False, actor: Actor = None, reason: Reason = "") -> None:
    """Let a worker that was quieted claim again."""
    _told(worker, lambda admin: admin.resume_worker(worker), json=json, actor=actor, reason=reason)


def stop(worker: Worker, /, *, json: Json = False, actor: Actor = None, reason: Reason = "") -> None:
    """End a worker as SIGTERM does: it finishes what runs, within its grace."""
    _told(worker, lambda admin: admin.stop_worker(worker), json=json, actor=actor, reason=reason)


def concurrency(
    worker: Worker,
    queue: Queue,
    number: Annotated[int, Parameter(help="Jobs of the queue that each child runs at once.")],
    /,
    *,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> None:
    """Let each child of a worker run so many jobs of a queue at once, until the worker ends."""
    _told(
        worker,
        lambda admin: admin.set_concurrency(worker, queue, number),
        json=json,
        actor=actor,
        reason=reason,
    )


def stacks(worker: Worker, /, *, json: Json = False) -> None:
    """Show what all threads of a worker's children are doing."""
    found = with_admin(lambda admin: admin.stacks(worker))
    if json:
        print_json(found)
        return
    for child in found:
        print(f"child {child.pid}:")
        print("".join(each if each.isprintable() or each == "\n" else " " for each in child.stack))


def scale(
    queue: Annotated[str | None, Parameter(show_default=False, help="Name of the queue.")] = None,
    number: Annotated[
        str | None,
        Parameter(show_default=False, help="Children of each worker, 0 or more; auto releases it."),
    ] = None,
    /,
    *,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> int:
    """Let so many children of each worker serve a queue, until it is released; alone it lists what is set."""
    if queue is None:
        found = with_admin(lambda admin: admin.scales())
        if json:
            print_json(found)
        elif found:
            print_table(["queue", "number"], [[each.queue, each.number] for each in found])
        else:
            print("no queue has a number of its own")
        return DONE
    if number is None or not (number == "auto" or (number.isascii() and number.isdigit())):
        print("jobs workers scale: give a number, or auto. See `jobs workers scale --help`.", file=sys.stderr)
        return USAGE
    wanted = None if number == "auto" else int(number)
    changed = with_admin(lambda admin: admin.scale(queue, wanted), actor=actor, reason=reason)
    if json:
        print_json({"queue": queue, "number": wanted, "changed": changed})
    elif wanted is None:
        print(
            f"{queue} has no number of its own any more" if changed else f"{queue} had no number of its own"
        )
    else:
        print(f"{wanted} children of each worker serve {queue}, until it is released with auto")
    return DONE


def _told(
    worker: str, do: Callable[[Admin], Awaitable[str]], *, json: bool, actor: str | None, reason: str
) -> None:
    state = with_admin(do, actor=actor, reason=reason)
    if json:
        print_json({"worker": worker, "state": state})
    else:
        print(f"{worker} is {state}")
