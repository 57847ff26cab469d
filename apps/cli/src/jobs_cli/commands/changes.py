"""The commands that change jobs and queues."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from jobs_cli.arguments import (
    Actor,
    Cursor,
    DryRun,
    Id,
    Json,
    Limit,
    Query,
    Queue,
    Rate,
    Reason,
    flag,
    option,
)
from jobs_cli.failures import DONE, FAILED, MISSING, USAGE
from jobs_cli.output import print_json
from jobs_cli.progress import progress_bar
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, BulkRecord, Outcome, Progress


_CANCELLED = {
    "cancelled": "cancelled",
    "requested": "runs and is asked to stop",
    "already_finished": "had ended already",
}


def retry(
    queue: Queue,
    /,
    *ids: Id,
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Put failed jobs back, with all their attempts before them again."""
    if query is None:
        return _each(
            lambda admin: admin.retry(queue, *ids), ids, "put back", json=json, actor=actor, reason=reason
        )

    async def work(admin: Admin, progress: Progress) -> BulkRecord:
        return await admin.bulk(
            "retry", queue, query, limit=limit, rate=rate, cursor=cursor, dry_run=dry_run, progress=progress
        )

    return _all(work, ids, "put back", json=json, actor=actor, reason=reason)


def promote(
    queue: Queue,
    /,
    *ids: Id,
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Let delayed jobs run now."""
    if query is None:
        return _each(
            lambda admin: admin.promote(queue, *ids), ids, "promoted", json=json, actor=actor, reason=reason
        )

    async def work(admin: Admin, progress: Progress) -> BulkRecord:
        return await admin.bulk(
            "promote", queue, query, limit=limit, rate=rate, cursor=cursor, dry_run=dry_run, progress=progress
        )

    return _all(work, ids, "promoted", json=json, actor=actor, reason=reason)


def remove(
    queue: Queue,
    /,
    *ids: Id,
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Remove jobs and all that is kept of them. One that runs is refused."""
    if query is None:
        return _each(
            lambda admin: admin.remove(queue, *ids), ids, "removed", json=json, actor=actor, reason=reason
        )

    async def work(admin: Admin, progress: Progress) -> BulkRecord:
        return await admin.bulk(
            "remove", queue, query, limit=limit, rate=rate, cursor=cursor, dry_run=dry_run, progress=progress
        )

    return _all(work, ids, "removed", json=json, actor=actor, reason=reason)


def priority(
    queue: Queue,
    /,
    *ids: Id,
    to: Annotated[str, option("critical, high, normal, low, background, or 1 to 5.")],
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Give waiting or delayed jobs another priority. Their places in the queue follow."""
    level = int(to) if to.isdecimal() else to
    done = f"{to} now"
    if query is None:
        return _each(
            lambda admin: admin.priority(queue, *ids, to=level),
            ids,
            done,
            json=json,
            actor=actor,
            reason=reason,
        )

    async def work(admin: Admin, progress: Progress) -> BulkRecord:
        return await admin.bulk(
            "priority",
            queue,
            query,
            to=level,
            limit=limit,
            rate=rate,
            cursor=cursor,
            dry_run=dry_run,
            progress=progress,
        )

    return _all(work, ids, done, json=json, actor=actor, reason=reason)


def reschedule(
    queue: Queue,
    /,
    *ids: Id,
    delay: Annotated[str | None, option("Due so long from now, such as 10m.")] = None,
    at: Annotated[str | None, option("Due then, such as 2027-01-31T09:00:00+01:00.")] = None,
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Give waiting or delayed jobs another due time."""
    from jobs_core.json_options import parse_options

    given = {"delay": delay, "run_at": at}
    when = parse_options({name: value for name, value in given.items() if value is not None})
    if query is None:
        return _each(
            lambda admin: admin.reschedule(queue, *ids, delay=when.get("delay"), run_at=when.get("run_at")),
            ids,
            "rescheduled",
            json=json,
            actor=actor,
            reason=reason,
        )

    async def work(admin: Admin, progress: Progress) -> BulkRecord:
        return await admin.bulk(
            "reschedule",
            queue,
            query,
            delay=when.get("delay"),
            run_at=when.get("run_at"),
            limit=limit,
            rate=rate,
            cursor=cursor,
            dry_run=dry_run,
            progress=progress,
        )

    return _all(work, ids, "rescheduled", json=json, actor=actor, reason=reason)


def cancel(
    queue: Queue,
    /,
    *ids: Id,
    query: Query = None,
    limit: Limit = None,
    rate: Rate = None,
    cursor: Cursor = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> int:
    """Cancel jobs wherever they are. One that runs is asked to stop, and ends as cancelled when it did."""
    if query is not None:

        async def work(admin: Admin, progress: Progress) -> BulkRecord:
            return await admin.bulk(
                "cancel",
                queue,
                query,
                limit=limit,
                rate=rate,
                cursor=cursor,
                dry_run=dry_run,
                progress=progress,
            )

        return _all(work, ids, "cancelled", json=json, actor=actor, reason=reason)
    if not ids:
        return _no_ids()
    outcomes = with_admin(lambda admin: admin.cancel(queue, *ids), actor=actor, reason=reason)
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
    queue: Queue,
    /,
    *,
    limit: Limit = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Put back the jobs of a queue that have failed until now, oldest first, and print how many."""

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.retry_failed(queue, limit=limit, dry_run=dry_run, progress=progress)

    _bulk(work, "put back", dry_run=dry_run, json=json, actor=actor, reason=reason)


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
    reason: Reason = "",
    actor: Actor = None,
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

    _bulk(work, "removed", dry_run=dry_run, json=json, actor=actor, reason=reason)


def drain(
    queue: Queue,
    /,
    *,
    delayed: Annotated[bool, flag("Also those not yet due.")] = False,
    dry_run: DryRun = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Remove all jobs of a queue that wait, never one that runs, and print how many."""

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.drain(queue, delayed=delayed, dry_run=dry_run, progress=progress)

    _bulk(work, "removed", dry_run=dry_run, json=json, actor=actor, reason=reason)


def obliterate(
    queue: Queue,
    /,
    *,
    yes: Annotated[bool, flag("Do it; without this nothing is done.")] = False,
    force: Annotated[bool, flag("Also while jobs run: their handlers are cancelled.")] = False,
    reason: Reason = "",
    actor: Actor = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Take away everything that a queue has: jobs of all states, totals and remembered ids. It cannot be undone."""
    if not (yes or dry_run):
        print(f"jobs: this removes all jobs and totals of {queue}. Say so with --yes.", file=sys.stderr)
        return USAGE

    async def work(admin: Admin, progress: Progress) -> int:
        return await admin.obliterate(queue, force=force, dry_run=dry_run, progress=progress)

    _bulk(work, "removed", dry_run=dry_run, json=json, actor=actor, reason=reason)
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
    _gate(queue, job, key, "paused", changed=changed, json=json)


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
    _gate(queue, job, key, "running", changed=changed, json=json)


def _each(
    work: Callable[[Admin], Awaitable[list[Outcome]]],
    ids: Sequence[str],
    done: str,
    *,
    json: bool,
    actor: str | None,
    reason: str,
) -> int:
    if not ids:
        return _no_ids()
    return each_done(with_admin(work, actor=actor, reason=reason), done, json=json)


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


def _all(
    work: Callable[[Admin, Progress], Awaitable[BulkRecord]],
    ids: Sequence[str],
    done: str,
    *,
    json: bool,
    actor: str | None,
    reason: str,
) -> int:
    if ids:
        print("jobs: give ids or --query, not both.", file=sys.stderr)
        return USAGE
    with progress_bar(done) as progress:
        record = with_admin(lambda admin: work(admin, progress), actor=actor, reason=reason)
    if json:
        print_json(record)
    else:
        print(f"{record.count} would be {done}" if record.dry_run else f"{record.count} {done}")
    if record.cursor:
        print(f"more with --cursor {record.cursor}", file=sys.stderr)
    return DONE


def _bulk(
    work: Callable[[Admin, Progress], Awaitable[int]],
    done: str,
    *,
    dry_run: bool,
    json: bool,
    actor: str | None = None,
    reason: str = "",
) -> None:
    with progress_bar(done) as progress:
        count = with_admin(lambda admin: work(admin, progress), actor=actor, reason=reason)
    if json:
        print_json({"count": count, "dry_run": dry_run})
    else:
        print(f"{count} would be {done}" if dry_run else f"{count} {done}")


def _gate(queue: str, job: str | None, key: str | None, state: str, *, changed: bool, json: bool) -> None:
    if json:
        told = {"queue": queue, "paused": state == "paused", "changed": changed}
        print_json({**told, **{name: value for name, value in (("job", job), ("key", key)) if value}})
    else:
        what = f"job {job} of {queue}" if job else f"key {key} of {queue}" if key else queue
        print(f"{what} is {state}" + ("" if changed else " already"))
