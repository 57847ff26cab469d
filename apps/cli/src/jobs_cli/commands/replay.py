"""The command that runs again what failed for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from jobs_cli.arguments import Actor, DryRun, Id, Json, Limit, Reason, flag, option
from jobs_cli.at_fault import at_fault, read_payload
from jobs_cli.changing import change_all, each_done
from jobs_cli.failures import DONE, USAGE
from jobs_cli.progress import progress_bar
from jobs_cli.session import with_admin
from jobs_cli.undo_window import ManyJobs, UndoWindow

if TYPE_CHECKING:
    from jobs_admin import Admin, Outcome, Progress
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType

# Not imported for the name alone: what stands behind it costs a tenth of a second.
DEAD_LETTERS = "dead-letter"


def replay(
    *ids: Id,
    queue: Annotated[
        str | None, option("The ids are those of failed jobs of this queue, not of dead letters.")
    ] = None,
    all: Annotated[bool, flag("All dead letters, or those that the next options choose.")] = False,  # noqa: A002 - the flag is --all
    of: Annotated[str | None, option("Dead letters of this queue.")] = None,
    job: Annotated[str | None, option("Dead letters of this job.")] = None,
    group: Annotated[str | None, option("Dead letters whose kind of error has this in its name.")] = None,
    rate: Annotated[float | None, option("At most so many a second.")] = None,
    priority: Annotated[str | None, option("With another priority.")] = None,
    edit: Annotated[
        str | None,
        option(
            "With another payload, as JSON; for one id. - reads it from standard input.", takes_hyphen=True
        ),
    ] = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    undo_window: UndoWindow = None,
    actor: Actor = None,
    reason: Reason = "",
    json: Json = False,
) -> int:
    """Run jobs again that failed for good, by the ids of their dead letters, or all that match."""
    chosen = all or any(each is not None for each in (of, job, group))
    if chosen == bool(ids):
        return _usage("give ids, or say which with --all, --of, --job or --group.")
    if edit is not None and len(ids) != 1:
        return _usage("--edit takes one id.")
    if chosen and queue is not None:
        return _usage("--queue goes with ids; --of chooses dead letters of a queue.")
    if ids and undo_window is not None:
        return _usage("--undo-window goes with --all, --of, --job or --group.")
    level = int(priority) if priority is not None and priority.isdecimal() else priority
    if not ids:

        async def work(admin: Admin, dry_run: bool, progress: Progress | None) -> int:  # noqa: FBT001
            return await admin.replay_all(
                queue=of,
                name=job,
                group=group,
                priority=level,
                limit=limit,
                rate=rate,
                dry_run=dry_run,
                progress=progress,
            )

        chosen_by = {"queue": of, "name": job, "error": group}
        query = " ".join(f"{field}:{value}" for field, value in chosen_by.items() if value)
        many = ManyJobs("replay", DEAD_LETTERS, "replayed", query)
        change_all(
            work, many, dry_run=dry_run, undo_window=undo_window, json=json, actor=actor, reason=reason
        )
        return DONE

    from jobs_core.errors import PayloadError, PayloadTooLarge

    with progress_bar("replayed", len(ids)) as progress:

        async def some(admin: Admin) -> list[Outcome]:
            where = queue or DEAD_LETTERS
            if edit is None:
                return await admin.replay(
                    *ids, queue=where, priority=level, rate=rate, dry_run=dry_run, progress=progress
                )
            payload, job_type = await _edited(admin, queue, ids[0], edit)
            with at_fault("--edit", PayloadError, PayloadTooLarge):
                return await admin.replay(
                    *ids, queue=where, priority=level, payload=payload, job=job_type, dry_run=dry_run
                )

        done = with_admin(some, actor=actor, reason=reason)
    return each_done(done, "would be replayed" if dry_run else "replayed", json=json)


async def _edited(
    admin: Admin, queue: str | None, job_id: str, text: str
) -> tuple[JsonValue, JobType[object, object] | None]:
    """Return the payload that was given, and the type of the job where code declares it."""
    from jobs_core.discovery import load_features
    from jobs_core.errors import UnknownJob, UnknownQueue
    from jobs_core.queue import Queue
    from jobs_core.settings import CommonSettings

    payload = read_payload("--edit", text, Queue("any").dynamic_job("any"))
    record = await admin.job(queue or DEAD_LETTERS, job_id)
    source, name = record.queue, record.name
    if queue is None and isinstance(record.payload, dict):
        source, name = str(record.payload.get("queue", "")), str(record.payload.get("name", ""))
    bare, _, version = name.rpartition("@")
    try:
        catalog = load_features(CommonSettings.from_env().features)
        return payload, catalog.job(source, bare or name, int(version) if bare else None)
    except (UnknownQueue, UnknownJob):
        return payload, None


def _usage(text: str) -> int:
    print(f"jobs replay: {text} See `jobs replay --help`.", file=sys.stderr)
    return USAGE
