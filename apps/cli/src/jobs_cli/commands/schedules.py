"""`jobs schedules`: recurring jobs, looked at and changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from jobs_cli.arguments import Actor, Json, Queue, Reason, flag, option, read_instant
from jobs_cli.failures import DONE
from jobs_cli.output import cell, print_fields, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs_admin import Admin
    from jobs_core.schedules.records import ScheduleRecord

Schedule = Annotated[
    str, Parameter(help="Id of the schedule, as `jobs schedules list` shows it.", allow_leading_hyphen=True)
]
_PAGE = 100


def list_schedules(
    queue: Annotated[
        str | None, Parameter(show_default=False, help="Name of the queue; all without it.")
    ] = None,
    /,
    *,
    json: Json = False,
) -> None:
    """List schedules, the next to fire first."""

    async def look(admin: Admin) -> list[ScheduleRecord]:
        names = [queue] if queue is not None else [each.queue for each in await admin.queues()]
        found: list[ScheduleRecord] = []
        for name in names:
            total = len(found) + 1
            mine: list[ScheduleRecord] = []
            while len(mine) < total:
                page = await admin.schedules.list(name, offset=len(mine), limit=_PAGE)
                mine += page.schedules
                total = page.total if page.schedules else len(mine)
            found += mine
        return sorted(found, key=lambda each: (each.next_at or _NEVER, each.queue, each.id))

    records = with_admin(look)
    if json:
        print_json(records)
    elif records:
        print_table(
            ["id", "queue", "job", "when", "next", "last", "fired", "state"],
            [
                [
                    each.id,
                    each.queue,
                    each.name,
                    _when(each),
                    each.next_at,
                    each.last_at,
                    each.fired,
                    each.state,
                ]
                for each in records
            ],
        )
    else:
        print("no schedules")


def show(queue: Queue, schedule: Schedule, /, *, json: Json = False) -> None:
    """Show a schedule, what became of its fires, and the next ones."""

    async def look(admin: Admin) -> tuple[ScheduleRecord, tuple[datetime, ...]]:
        record = await admin.schedules.get(queue, schedule)
        return record, await admin.schedules.next(queue, schedule, 3)

    record, upcoming = with_admin(look)
    if json:
        print_json(record)
        return
    print_fields(
        [
            *_told_fields(record),
            ("next", ", ".join(cell(each) for each in upcoming) or "never"),
        ]
    )


def remove(
    queue: Queue,
    schedule: Schedule,
    /,
    *,
    keep_job: Annotated[bool, flag("Leave the job that it sent last, where that has not started.")] = False,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> None:
    """Remove a schedule, and the job that it sent last if that has not started."""
    with_job = with_admin(
        lambda admin: admin.schedules.remove(queue, schedule, keep_job=keep_job), actor=actor, reason=reason
    )
    _told(queue, schedule, "removed, and its job" if with_job else "removed", json=json, job=with_job)


def pause(
    queue: Queue,
    schedule: Schedule,
    /,
    *,
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> None:
    """Pause a schedule; what it would have sent meanwhile is not made up for."""
    changed = with_admin(
        lambda admin: admin.schedules.pause(queue, schedule, reason=reason), actor=actor, reason=reason
    )
    _told(queue, schedule, "is paused", json=json, changed=changed)


def resume(
    queue: Queue, schedule: Schedule, /, *, json: Json = False, actor: Actor = None, reason: Reason = ""
) -> None:
    """Let a schedule go on with its next fire from now on."""
    changed = with_admin(lambda admin: admin.schedules.resume(queue, schedule), actor=actor, reason=reason)
    _told(queue, schedule, "is active", json=json, changed=changed)


def trigger(
    queue: Queue, schedule: Schedule, /, *, json: Json = False, actor: Actor = None, reason: Reason = ""
) -> None:
    """Enqueue the job of a schedule now; its own times stay as they are."""
    job_id = with_admin(lambda admin: admin.schedules.trigger(queue, schedule), actor=actor, reason=reason)
    if json:
        print_json({"queue": queue, "id": schedule, "job": job_id})
    else:
        print(job_id)


def upcoming(
    queue: Queue,
    schedule: Schedule,
    /,
    *,
    count: Annotated[int, option("How many (5).")] = 5,
    json: Json = False,
) -> None:
    """Tell the next times of a schedule, UTC."""
    times = with_admin(lambda admin: admin.schedules.next(queue, schedule, count))
    if json:
        print_json(times)
        return
    for each in times:
        print(cell(each))


def backfill(
    queue: Queue,
    schedule: Schedule,
    /,
    *,
    start: Annotated[str, option("From an instant on, such as 2026-11-01T00:00:00Z.")],
    end: Annotated[str, option("Up to an instant.")],
    json: Json = False,
    actor: Actor = None,
    reason: Reason = "",
) -> int:
    """Enqueue a job for every time that a schedule has in a range of the past."""
    first, last = read_instant("--start", start), read_instant("--end", end)
    count = with_admin(
        lambda admin: admin.schedules.backfill(queue, schedule, first, last), actor=actor, reason=reason
    )
    if json:
        print_json({"queue": queue, "id": schedule, "count": count})
    else:
        print(f"{count} enqueued")
    return DONE


_COUNTS = frozenset({"fired", "late", "skipped", "missed", "overlapped"})
_NEVER = datetime.max.replace(tzinfo=UTC)


def _told_fields(record: ScheduleRecord) -> Iterator[tuple[str, object]]:
    """Yield what is set, and each count; the payload as it is written."""
    for name in record.__struct_fields__:
        value: object = getattr(record, name)
        if name == "payload":
            yield name, msgspec.json.encode(value).decode()
        elif value or name in _COUNTS:
            yield name, value


def _when(record: ScheduleRecord) -> str:
    if record.cron is not None:
        return f"{record.cron} ({record.timezone})"
    if record.every_ms is not None:
        return f"every {record.every_ms / 1000:.12g} s"
    if record.after_completion_ms is not None:
        return f"{record.after_completion_ms / 1000:.12g} s after each run"
    return f"at {len(record.at)} instants"


def _told(queue: str, schedule: str, what: str, *, json: bool, **facts: bool) -> None:
    if json:
        print_json({"queue": queue, "id": schedule, **facts})
    else:
        print(f"{queue}/{schedule} {what}")
