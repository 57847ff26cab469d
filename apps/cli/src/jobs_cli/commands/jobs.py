"""`jobs list` and `jobs show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from jobs_cli.arguments import Json, Queue, option
from jobs_cli.output import cell, milliseconds, print_fields, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import JobDetail
    from jobs_core.records import FlowRecord, JobRef

_REASON_LENGTH = 60


def list_jobs(
    queue: Queue,
    /,
    *,
    state: Annotated[tuple[str, ...] | None, option("States, separated by commas; all without it.")] = None,
    name: Annotated[str | None, option("Name of the job, or name@version.")] = None,
    tag: Annotated[str | None, option("A tag that they have.")] = None,
    query: Annotated[str | None, option("What they must be, such as 'age>1h payload.user_id=7'.")] = None,
    age: Annotated[str | None, option("Older than so long (1h), or not as old (<1h).")] = None,
    error: Annotated[str | None, option("What the reason of their failure holds.")] = None,
    limit: Annotated[int, option("At most so many (50), up to 500.")] = 50,
    offset: Annotated[int, option("Pass over so many first.")] = 0,
    cursor: Annotated[str | None, option("Go on where the page before ended.")] = None,
    json: Json = False,
) -> None:
    """List jobs of a queue, state by state: ended ones newest first, others in the order of their turns."""
    states = tuple(one for each in state or () for one in (part.strip() for part in each.split(",")) if one)
    text = asked(query, age, error)
    page = with_admin(
        lambda admin: admin.jobs(
            queue, states=states, name=name, tag=tag, query=text, limit=limit, offset=offset, cursor=cursor
        )
    )
    if json:
        print_json(page)
        return
    if page.jobs:
        print_table(
            ["id", "name", "state", "priority", "attempts", "created", "reason"],
            [
                [
                    job.id,
                    job.name,
                    job.state,
                    job.priority,
                    f"{job.attempts_made}/{job.attempts}",
                    job.created_at,
                    (job.failed_reason or "")[:_REASON_LENGTH],
                ]
                for job in page.jobs
            ],
        )
    else:
        print("no jobs")
    if page.cursor:
        print(f"more with --cursor {page.cursor}", file=sys.stderr)


def history(
    queue: Queue,
    /,
    *,
    outcome: Annotated[str | None, option("completed, failed, cancelled or expired; all without it.")] = None,
    name: Annotated[str | None, option("Name of the job, or name@version.")] = None,
    schedule: Annotated[str | None, option("Id of a schedule: the jobs that it sent.")] = None,
    limit: Annotated[int, option("At most so many (50), up to 500.")] = 50,
    cursor: Annotated[str | None, option("Go on where the page before ended.")] = None,
    json: Json = False,
) -> None:
    """List the last jobs of a queue that ended, newest first, also those that are not kept."""
    page = with_admin(
        lambda admin: admin.history(
            queue, outcome=outcome, name=name, schedule=schedule, limit=limit, cursor=cursor
        )
    )
    if json:
        print_json(page)
        return
    if page.rows:
        print_table(
            ["id", "name", "outcome", "attempts", "finished", "wait", "run", "error"],
            [
                [
                    *(row.id, row.name, row.outcome, row.attempts_made, row.finished_at),
                    *(milliseconds(row.wait_ms), milliseconds(row.run_ms), row.error[:_REASON_LENGTH]),
                ]
                for row in page.rows
            ],
        )
    else:
        print("no job has ended")
    if page.cursor:
        print(f"more with --cursor {page.cursor}", file=sys.stderr)


def asked(query: str | None, age: str | None = None, error: str | None = None) -> str:
    """Return one query of what the flags ask for."""
    terms = [query or ""]
    if age:
        terms.append(f"age{age}" if age[0] in "<>" else f"age>{age}")
    if error:
        # Quoted, since it may hold spaces.
        escaped = error.replace("\\", "\\\\").replace('"', '\\"')
        terms.append(f'error:"{escaped}"')
    return " ".join(terms).strip()


def show(queue: Queue, job_id: str, /, *, logs: bool = False, json: Json = False) -> None:
    """Show a job: payload, state, times, result or failure, and the attempts that failed.

    :param logs: Show the lines that its handlers logged instead.
    """
    if logs:
        _show_logs(queue, job_id, json=json)
        return
    detail = with_admin(lambda admin: admin.job_detail(queue, job_id))
    if json:
        print_json(detail)
    else:
        _print_detail(detail)


def _show_logs(queue: str, job_id: str, *, json: bool) -> None:
    from jobs_admin import Admin, JobLogs

    async def read(admin: Admin) -> JobLogs:
        page = await admin.logs(queue, job_id, limit=1000)
        if not page.lines:
            # Raises where there is no such job.
            await admin.job_detail(queue, job_id)
        return page

    page = with_admin(read)
    if json:
        print_json(page)
        return
    if page.truncated:
        print("older lines were dropped", file=sys.stderr)
    for line in page.lines:
        first, *more = line.message.splitlines() or [""]
        head = f"{cell(line.at)}  #{line.attempt}  {line.level:8}"
        print(f"{head}  {cell(line.logger)}: {cell(first)}")
        for each in more:
            print(f"    {cell(each)}")


def _flow_fields(flow: FlowRecord | None) -> list[tuple[str, object]]:
    """Return where a job stands, and the jobs around it."""
    if flow is None:
        return []

    def name(ref: JobRef) -> str:
        return f"{ref.queue}/{ref.name} {ref.id}"

    place = f"{flow.position} of {flow.length}, {flow.chain}" if flow.position else None
    before = name(flow.previous) if flow.previous else None
    return [("chain", place), ("follows", before), *(("next", name(ref)) for ref in flow.next)]


def _print_detail(job: JobDetail) -> None:
    import msgspec

    def as_json(value: object) -> str | None:
        return None if value is None or value == {} else msgspec.json.encode(value).decode()

    print_fields(
        [
            ("id", job.id),
            ("queue", job.queue),
            ("name", job.name),
            ("state", job.state),
            ("priority", job.priority),
            (
                "attempts",
                f"{job.attempts_made} of {job.attempts}, {job.stalled} stalled, {job.releases} released",
            ),
            ("progress", as_json(job.progress)),
            ("created", job.created_at),
            ("run at", job.run_at),
            ("started", job.processed_at),
            ("finished", job.finished_at),
            ("waited", milliseconds(job.wait_ms)),
            ("ran", milliseconds(job.run_ms)),
            ("tags", job.tags),
            ("metadata", as_json(job.metadata)),
            ("payload", as_json(job.payload)),
            ("result", as_json(job.result)),
            ("failed", job.failed_reason),
            *(
                ("waits for", f"{each.queue}/{each.name or '?'} {each.id} ({each.state})")
                for each in job.waits_for
            ),
            *_flow_fields(job.flow),
        ]
    )
    for attempt in job.history:
        print(
            f"\nattempt {attempt.attempt} at {cell(attempt.started_at)} on {cell(attempt.worker)}, ", end=""
        )
        print(f"waited {milliseconds(attempt.wait_ms)}, ran {milliseconds(attempt.run_ms)}: ", end="")
        print(f"{cell(attempt.error_type)}: {cell(attempt.error)}")
        for line in attempt.stack.splitlines():
            print(f"    {cell(line)}")
