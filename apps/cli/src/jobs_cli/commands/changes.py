"""The commands that change jobs and queues."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from jobs_cli.arguments import Actor, DryRun, Id, Json, Limit, Queue, Reason, flag, option
from jobs_cli.changing import WHICH, Which, cancel_jobs, change, change_all, tell_pause
from jobs_cli.failures import DONE, USAGE
from jobs_cli.session import with_admin
from jobs_cli.undo_window import ManyJobs, UndoWindow

if TYPE_CHECKING:
    from jobs_admin import Admin, Progress


def retry(queue: Queue, /, *ids: Id, which: Which = WHICH) -> int:
    """Put failed jobs back, with all their attempts before them again."""
    return change("retry", queue, ids, which, "put back", lambda admin: admin.retry(queue, *ids))


def promote(queue: Queue, /, *ids: Id, which: Which = WHICH) -> int:
    """Let delayed jobs run now."""
    return change("promote", queue, ids, which, "promoted", lambda admin: admin.promote(queue, *ids))


def remove(queue: Queue, /, *ids: Id, which: Which = WHICH) -> int:
    """Remove jobs and all that is kept of them. One that runs is refused."""
    return change("remove", queue, ids, which, "removed", lambda admin: admin.remove(queue, *ids))


def priority(
    queue: Queue,
    /,
    *ids: Id,
    to: Annotated[str, option("critical, high, normal, low, background, or 1 to 5.")],
    which: Which = WHICH,
) -> int:
    """Give waiting or delayed jobs another priority. Their places in the queue follow."""
    level = int(to) if to.isdecimal() else to
    return change(
        "priority",
        queue,
        ids,
        which,
        f"{to} now",
        lambda admin: admin.priority(queue, *ids, to=level),
        to=level,
    )


def reschedule(
    queue: Queue,
    /,
    *ids: Id,
    delay: Annotated[str | None, option("Due so long from now, such as 10m.")] = None,
    at: Annotated[str | None, option("Due then, such as 2027-01-31T09:00:00+01:00.")] = None,
    which: Which = WHICH,
) -> int:
    """Give waiting or delayed jobs another due time."""
    from jobs_core.json_options import parse_options

    given = {"delay": delay, "run_at": at}
    when = parse_options({name: value for name, value in given.items() if value is not None})
    due, run_at = when.get("delay"), when.get("run_at")
    return change(
        "reschedule",
        queue,
        ids,
        which,
        "rescheduled",
        lambda admin: admin.reschedule(queue, *ids, delay=due, run_at=run_at),
        delay=due,
        run_at=run_at,
    )


def cancel(queue: Queue, /, *ids: Id, which: Which = WHICH) -> int:
    """Cancel jobs wherever they are. One that runs is asked to stop, and ends as cancelled when it did.

    Children that it waits for are cancelled with it.
    """
    return cancel_jobs(queue, ids, which)


def retry_failed(
    queue: Queue,
    /,
    *,
    limit: Limit = None,
    dry_run: DryRun = False,
    undo_window: UndoWindow = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Put back the jobs of a queue that have failed until now, oldest first, and print how many."""

    async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> int:  # noqa: FBT001
        return await admin.retry_failed(queue, limit=limit, dry_run=dry_run, progress=progress)

    change_all(
        work,
        ManyJobs("retry", queue, "put back"),
        dry_run=dry_run,
        undo_window=undo_window,
        json=json,
        actor=actor,
        reason=reason,
    )


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
    undo_window: UndoWindow = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Remove ended jobs that are still kept, and print how many. Totals stay."""
    from jobs_core.durations import parse_duration

    age = parse_duration(older_than, name="--older-than")
    states = tuple(one.strip() for each in state for one in each.split(","))

    async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> int:  # noqa: FBT001
        return await admin.clean(
            queue, states, older_than=age, limit=limit, dry_run=dry_run, progress=progress
        )

    change_all(
        work,
        ManyJobs("clean", queue, "removed"),
        dry_run=dry_run,
        undo_window=undo_window,
        json=json,
        actor=actor,
        reason=reason,
    )


def drain(
    queue: Queue,
    /,
    *,
    delayed: Annotated[bool, flag("Also those not yet due.")] = False,
    dry_run: DryRun = False,
    undo_window: UndoWindow = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Remove all jobs of a queue that wait, never one that runs, and print how many."""

    async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> int:  # noqa: FBT001
        return await admin.drain(queue, delayed=delayed, dry_run=dry_run, progress=progress)

    change_all(
        work,
        ManyJobs("drain", queue, "removed"),
        dry_run=dry_run,
        undo_window=undo_window,
        json=json,
        actor=actor,
        reason=reason,
    )


def obliterate(
    queue: Queue,
    /,
    *,
    yes: Annotated[bool, flag("Do it; without this nothing is done.")] = False,
    force: Annotated[bool, flag("Also while jobs run: their handlers are cancelled.")] = False,
    reason: Reason = "",
    actor: Actor = None,
    dry_run: DryRun = False,
    undo_window: UndoWindow = None,
    json: Json = False,
) -> int:
    """Take away everything that a queue has: jobs of all states, totals and remembered ids. It cannot be undone."""
    if not (yes or dry_run):
        print(f"jobs: this removes all jobs and totals of {queue}. Say so with --yes.", file=sys.stderr)
        return USAGE

    async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> int:  # noqa: FBT001
        return await admin.obliterate(queue, force=force, dry_run=dry_run, progress=progress)

    change_all(
        work,
        ManyJobs("obliterate", queue, "removed"),
        dry_run=dry_run,
        undo_window=undo_window,
        json=json,
        actor=actor,
        reason=reason,
    )
    return DONE


_Job = Annotated[str | None, option("Only the jobs of this name.")]
_Key = Annotated[str | None, option("Only the jobs of this key.")]


def pause(
    queue: Queue,
    /,
    *,
    job: _Job = None,
    key: _Key = None,
    reason: Annotated[str, option("Why; shown to whoever asks.")] = "",
    for_: Annotated[str | None, option("Resume by itself after so long, such as 10m.")] = None,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Stop workers from taking jobs of a queue, a job name or a key. Those that run go on."""
    from jobs_core.durations import parse_duration

    seconds = None if for_ is None else parse_duration(for_, name="--for")
    changed = with_admin(
        lambda admin: admin.pause(queue, job=job, key=key, reason=reason, for_=seconds), actor=actor
    )
    tell_pause(queue, job, key, "paused", changed=changed, json=json)


def resume(
    queue: Queue,
    /,
    *,
    job: _Job = None,
    key: _Key = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Let workers take jobs of a queue, a job name or a key again."""
    changed = with_admin(lambda admin: admin.resume(queue, job=job, key=key), actor=actor, reason=reason)
    tell_pause(queue, job, key, "running", changed=changed, json=json)
