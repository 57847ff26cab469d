"""What the commands that change jobs have in common: which jobs, by id or by query, and what is told of them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

from cyclopts import Parameter

from jobs_cli.arguments import Actor, Cursor, DryRun, Json, Limit, Query, Rate, Reason
from jobs_cli.failures import DONE, FAILED, MISSING, USAGE
from jobs_cli.output import print_json
from jobs_cli.progress import progress_bar
from jobs_cli.session import with_admin
from jobs_cli.undo_window import ManyJobs, UndoWindow, seconds, wait_for_undo

if TYPE_CHECKING:
    from datetime import datetime

    from jobs_admin import Admin, BulkRecord, BulkVerb, Outcome, Progress
    from jobs_core.durations import Duration

__all__ = ["WHICH", "Which", "cancel_jobs", "change", "change_all", "each_done", "tell_pause"]

_CANCELLED = {
    "cancelled": "cancelled",
    "requested": "runs and is asked to stop",
    "already_finished": "had ended already",
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Options of every command that changes jobs by id or by query."""

    query: Query = None
    limit: Limit = None
    rate: Rate = None
    cursor: Cursor = None
    dry_run: DryRun = False
    undo_window: UndoWindow = None
    reason: Reason = ""
    actor: Actor = None
    json: Json = False


WHICH = Which()
"""Ids, and nothing else."""


class _Changes(TypedDict, total=False):
    to: int | str
    delay: Duration | None
    run_at: datetime | None


def change(  # noqa: PLR0917 - what each of the commands differs in
    verb: BulkVerb,
    queue: str,
    ids: Sequence[str],
    which: Which,
    done: str,
    named: Callable[[Admin], Awaitable[list[Outcome]]],
    **changes: Unpack[_Changes],
) -> int:
    """Change the jobs named by their ids, or all that a query means, and print what became of them. Returns the exit code."""
    if which.query is not None:
        return _change_meant(verb, queue, ids, which.query, which, done, changes)
    if not ids or which.undo_window is not None:
        return _no_ids(ids)
    outcomes = with_admin(named, actor=which.actor, reason=which.reason)
    return each_done(outcomes, done, json=which.json)


def cancel_jobs(queue: str, ids: Sequence[str], which: Which) -> int:
    """Cancel jobs, which has an answer of its own for each of them."""
    if which.query is not None:
        return _change_meant("cancel", queue, ids, which.query, which, "cancelled", {})
    if not ids or which.undo_window is not None:
        return _no_ids(ids)
    outcomes = with_admin(lambda admin: admin.cancel(queue, *ids), actor=which.actor, reason=which.reason)
    if which.json:
        print_json(outcomes)
    missing = [each.id for each in outcomes if each.outcome == "not_found"]
    for each in outcomes:
        if not which.json and each.outcome != "not_found":
            print(f"{each.id} {_CANCELLED[each.outcome]}")
    for job_id in missing:
        print(f"jobs: queue {queue!r} has no job {job_id!r}.", file=sys.stderr)
    return MISSING if missing else DONE


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


def change_all(
    work: Callable[[Admin, bool, Progress | None], Awaitable[int]],
    many: ManyJobs,
    *,
    dry_run: bool,
    undo_window: str | None,
    json: bool,
    actor: str | None = None,
    reason: str = "",
) -> None:
    """Change a whole queue, and print how many jobs that were; `work` takes whether it only counts."""
    window = 0.0 if dry_run else seconds(undo_window)
    with progress_bar(many.done) as progress:

        async def whole(admin: Admin) -> int:
            await wait_for_undo(admin, many, window, lambda: work(admin, True, None))  # noqa: FBT003 - a dry run
            return await work(admin, dry_run, progress)

        count = with_admin(whole, actor=actor, reason=reason)
    if json:
        print_json({"count": count, "dry_run": dry_run})
    else:
        print(f"{count} would be {many.done}" if dry_run else f"{count} {many.done}")


def tell_pause(
    queue: str, job: str | None, key: str | None, state: str, *, changed: bool, json: bool
) -> None:
    """Print whether a queue, a job name or a key is paused now."""
    if json:
        told = {"queue": queue, "paused": state == "paused", "changed": changed}
        print_json({**told, **{name: value for name, value in (("job", job), ("key", key)) if value}})
    else:
        what = f"job {job} of {queue}" if job else f"key {key} of {queue}" if key else queue
        print(f"{what} is {state}" + ("" if changed else " already"))


def _change_meant(  # noqa: PLR0917
    verb: BulkVerb,
    queue: str,
    ids: Sequence[str],
    query: str,
    which: Which,
    done: str,
    changes: _Changes,
) -> int:
    if ids:
        print("jobs: give ids or --query, not both.", file=sys.stderr)
        return USAGE
    many = ManyJobs(verb, queue, done, query)
    window = 0.0 if which.dry_run else seconds(which.undo_window)
    with progress_bar(done) as progress:

        async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> BulkRecord:  # noqa: FBT001
            return await admin.bulk(
                verb,
                queue,
                query,
                **changes,
                limit=which.limit,
                rate=which.rate,
                cursor=which.cursor,
                dry_run=dry_run,
                progress=progress,
            )

        async def whole(admin: Admin) -> BulkRecord:
            async def count() -> int:
                return (await work(admin, True, None)).count  # noqa: FBT003 - a dry run

            await wait_for_undo(admin, many, window, count)
            return await work(admin, which.dry_run, progress)

        record = with_admin(whole, actor=which.actor, reason=which.reason)
    if which.json:
        print_json(record)
    else:
        print(f"{record.count} would be {done}" if record.dry_run else f"{record.count} {done}")
    if record.cursor:
        print(f"more with --cursor {record.cursor}", file=sys.stderr)
    return DONE


def _no_ids(ids: Sequence[str]) -> int:
    wrong = "--undo-window goes with --query" if ids else "give at least one id"
    print(f"jobs: {wrong}.", file=sys.stderr)
    return USAGE
