"""The commands that change jobs and queues."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from jobs_cli.arguments import DryRun, Id, Json, Limit, Queue, flag, option
from jobs_cli.failures import DONE, FAILED, MISSING, USAGE
from jobs_cli.output import print_json
from jobs_cli.progress import progress_bar
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, Outcome, Progress


_CANCELLED = {
    "cancelled": "cancelled",
    "requested": "runs and is asked to stop",
    "already_finished": "had ended already",
}


def retry(queue: Queue, /, *ids: Id, json: Json = False) -> int:
    """Put failed jobs back, with all their attempts before them again."""
    return _each(lambda admin: admin.retry(queue, *ids), ids, "put back", json=json)


def promote(queue: Queue, /, *ids: Id, json: Json = False) -> int:
    """Let delayed jobs run now."""
    return _each(lambda admin: admin.promote(queue, *ids), ids, "promoted", json=json)


def remove(queue: Queue, /, *ids: Id, json: Json = False) -> int:
    """Remove jobs and all that is kept of them. One that runs is refused."""
    return _each(lambda admin: admin.remove(queue, *ids), ids, "removed", json=json)


def cancel(queue: Queue, /, *ids: Id, json: Json = False) -> int:
    """Cancel jobs wherever they are. One that runs is asked to stop, and ends as cancelled when it did."""
    if not ids:
        return _no_ids()
    outcomes = with_admin(lambda admin: admin.cancel(queue, *ids))
    if json:
        print_json(outcomes)
    missing = [each.id for each in outcomes if each.outcome == "not_found"]
    for each in outcomes:
        if not json and each.outcome != "not_found":
            print(f"{each.id} {_CANCELLED[each.outcome]}")
    for job_id in missing:
        print(f"jobs: queue {queue!r} has no job {job_id!r}.", file=sys.stderr)
    return MISSING if missing else DONE


def retry_failed(
    queue: Queue, /, *, limit: Limit = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Put back the jobs of a queue that have failed until now, oldest first, and print how many."""

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.retry_failed(queue, limit=limit, dry_run=dry_run, progress=progress)

    _bulk(work, "put back", dry_run=dry_run, json=json)


def clean(
    queue: Queue,
    /,
    *,
    state: Annotated[tuple[str, ...], option("completed (unless given), failed, cancelled, expired.")] = (
        "completed",
    ),
    older_than: Annotated[str, option("Only those that ended so long ago, such as 24h.")] = "0",
    limit: Limit = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove ended jobs that are still kept, and print how many. Totals stay."""
    from jobs_core.durations import parse_duration

    age = parse_duration(older_than, name="--older-than")
    states = tuple(one.strip() for each in state for one in each.split(","))

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.clean(
            queue, states, older_than=age, limit=limit, dry_run=dry_run, progress=progress
        )

    _bulk(work, "removed", dry_run=dry_run, json=json)


def drain(
    queue: Queue,
    /,
    *,
    delayed: Annotated[bool, flag("Also those not yet due.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove all jobs of a queue that wait, never one that runs, and print how many."""

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.drain(queue, delayed=delayed, dry_run=dry_run, progress=progress)

    _bulk(work, "removed", dry_run=dry_run, json=json)


def pause(
    queue: Queue,
    /,
    *,
    reason: Annotated[str, option("Why; shown to whoever asks.")] = "",
    json: Json = False,
) -> None:
    """Stop workers from taking jobs of a queue. Those that run go on."""
    changed = with_admin(lambda admin: admin.pause(queue, reason=reason, actor=_actor()))
    _gate(queue, "paused", changed=changed, json=json)


def resume(queue: Queue, /, *, json: Json = False) -> None:
    """Let workers take jobs of a queue again."""
    changed = with_admin(lambda admin: admin.resume(queue))
    _gate(queue, "running", changed=changed, json=json)


def _each(
    work: Callable[[Admin], Awaitable[list[Outcome]]], ids: Sequence[str], done: str, *, json: bool
) -> int:
    if not ids:
        return _no_ids()
    return each_done(with_admin(work), done, json=json)


def each_done(outcomes: Sequence[Outcome], done: str, *, json: bool) -> int:
    """Print what became of each job. Returns the exit code."""
    if json:
        print_json(outcomes)
    for outcome in outcomes:
        if not outcome.done:
            print(f"jobs: {outcome.message}", file=sys.stderr)
        elif not json:
            print(f"{outcome.id} {done}")
    codes = {outcome.code for outcome in outcomes if not outcome.done}
    if "job_not_found" in codes:
        return MISSING
    return FAILED if codes else DONE


def _no_ids() -> int:
    print("jobs: give at least one id.", file=sys.stderr)
    return USAGE


def _bulk(work: Callable[[Admin, Progress], Awaitable[int]], done: str, *, dry_run: bool, json: bool) -> None:
    with progress_bar(done) as progress:
        count = with_admin(lambda admin: work(admin, progress))
    if json:
        print_json({"count": count, "dry_run": dry_run})
    else:
        print(f"{count} would be {done}" if dry_run else f"{count} {done}")


def _gate(queue: str, state: str, *, changed: bool, json: bool) -> None:
    if json:
        print_json({"queue": queue, "paused": state == "paused", "changed": changed})
    else:
        print(f"{queue} is {state}" + ("" if changed else " already"))


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container's user often has no name.
        return ""
