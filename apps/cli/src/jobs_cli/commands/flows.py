"""`jobs flow`: flows of jobs, listed, shown as a picture, and cancelled."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Actor, Json, Reason, option
from jobs_cli.output import cell, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, FlowJobsPage
    from jobs_cli.pictures import Line
    from jobs_core.flows.records import FlowJobRecord, FlowRecord

_Id = Annotated[str, Parameter(help="Id of the flow, or of one of its jobs.", allow_leading_hyphen=True)]
_Queue = Annotated[str | None, option("The queue that keeps it; it is looked for in all without it.")]
_FAILURES = 10
_PAGE = 500
_COUNTS = ("completed", "pending", "failed", "cancelled", "expired", "removed", "skipped", "missing")
_STYLES = {"completed": "green", "failed": "red", "missing": "red", "active": "cyan", "(above)": "dim"}
_DIM = frozenset({"pending", "blocked", "skipped", "cancelled", "expired", "removed"})


def list_flows(
    queue: Annotated[
        str | None, Parameter(show_default=False, help="The queue that keeps them; all without it.")
    ] = None,
    /,
    *,
    state: Annotated[
        str | None, option("staging, open, running, completed, failed or cancelled; all without it.")
    ] = None,
    limit: Annotated[int, option("At most so many (50), up to 500.")] = 50,
    cursor: Annotated[str | None, option("Go on where the page before ended.")] = None,
    json: Json = False,
) -> None:
    """List flows, those that go on before those that ended, the newest of each first."""
    page = with_admin(lambda admin: admin.flows(queue, state=state, limit=limit, cursor=cursor))
    if json:
        print_json(page)
        return
    if page.flows:
        print_table(
            ["id", "queue", "name", "kind", "state", "jobs", "pending", "failed", "created"],
            [
                [
                    *(each.id, each.queue, each.name, each.kind, each.state),
                    *(each.total, each.pending, each.failed, each.created_at),
                ]
                for each in page.flows
            ],
        )
    else:
        print("no flows")
    if page.cursor:
        print(f"more with --cursor {page.cursor}", file=sys.stderr)


def show(
    flow: _Id,
    /,
    *,
    queue: _Queue = None,
    state: Annotated[str | None, option("List only its jobs in this state, such as failed.")] = None,
    start: Annotated[int, option("From this number on (0).")] = 0,
    limit: Annotated[int, option("At most so many jobs (200); more are only counted.")] = 200,
    json: Json = False,
) -> None:
    """Show a flow as a picture: what runs first stands above what follows it, a parent above its children.

    Also a chain by the id of any link, and a job with those that it waits for and that wait for it.
    """

    async def look(admin: Admin) -> tuple[FlowJobsPage, list[FlowJobRecord]]:
        first = min(max(limit, 1), _PAGE)
        page = await admin.flow_jobs(flow, queue=queue, state=state, start=start, limit=first)
        jobs = list(page.jobs)
        if json or state is not None:
            return page, jobs
        home = page.flow.queue
        if page.flow.total > limit:
            # Too many for a picture: what went wrong is what one asks for.
            if not page.flow.failed:
                return page, []
            failed = await admin.flow_jobs(flow, queue=home, state="failed", limit=_FAILURES)
            return page, list(failed.jobs)
        while page.next is not None and len(jobs) < limit:
            room = min(limit - len(jobs), _PAGE)
            page = await admin.flow_jobs(flow, queue=home, start=page.next, limit=room)
            jobs += page.jobs
        return page, jobs

    page, jobs = with_admin(look)
    if json:
        print_json(page)
        return
    _print_head(page.flow)
    whole = state is None and page.flow.total <= limit
    if whole:
        _print_picture(page.flow, jobs)
    else:
        _print_jobs(page.flow, jobs, None if state is not None else limit)
    if state is not None and page.next is not None:
        print(f"more with --start {page.next}", file=sys.stderr)


def cancel(
    flow: _Id, /, *, queue: _Queue = None, json: Json = False, actor: Actor = None, reason: Reason = ""
) -> None:
    """Cancel a flow and all its jobs; those that run are asked to stop."""
    done = with_admin(lambda admin: admin.cancel_flow(flow, queue=queue), actor=actor, reason=reason)
    if json:
        print_json({"id": flow, "changed": done})
    else:
        print(f"{flow} cancelled" if done else f"{flow} had ended already")


def retry(
    flow: _Id, /, *, queue: _Queue = None, json: Json = False, actor: Actor = None, reason: Reason = ""
) -> None:
    """Let a flow that failed go on from the jobs that did not complete; those that did keep their results."""
    count = with_admin(lambda admin: admin.retry_flow(flow, queue=queue), actor=actor, reason=reason)
    if json:
        print_json({"id": flow, "count": count})
    else:
        print(f"{count:,} {'job' if count == 1 else 'jobs'} of {flow} run again")


def _print_head(flow: FlowRecord) -> None:
    counts = ", ".join(f"{getattr(flow, each):,} {each}" for each in _COUNTS if getattr(flow, each))
    jobs = "job" if flow.total == 1 else "jobs"
    print(f"{cell(flow.name)}  {flow.kind}  {flow.state}")
    print(f"{flow.id} of {flow.queue}, {flow.total:,} {jobs}: {counts or 'none'}")
    ended = f", ended {cell(flow.ended_at)}" if flow.ended_at else ""
    print(f"created {cell(flow.created_at)}{ended}")
    if flow.metadata:
        print(", ".join(f"{cell(name)}={cell(value)}" for name, value in flow.metadata.items()))
    if flow.tags:
        print(f"tags {cell(flow.tags)}")
    print()


def _print_picture(flow: FlowRecord, jobs: list[FlowJobRecord]) -> None:
    from jobs_cli.pictures import picture

    parents_first = flow.kind in {"flow", "map_reduce"}
    for line in picture(jobs, flow=flow.id, parents_first=parents_first):
        _print_line(line)


def _print_line(line: Line) -> None:
    if not sys.stdout.isatty():
        print(line.text(None))
        return
    from rich.console import Console
    from rich.text import Text

    width = shutil.get_terminal_size((80, 24)).columns
    text = Text(line.text(width))
    style = _STYLES.get(line.state) or ("dim" if line.state in _DIM else "")
    if style:
        text.stylize(
            style, len(line.lead) + len(line.label), len(line.lead) + len(line.label) + 2 + len(line.state)
        )
    Console(width=width, highlight=False).print(text, no_wrap=True)


def _print_jobs(flow: FlowRecord, jobs: list[FlowJobRecord], limit: int | None) -> None:
    """List single jobs; of a flow that is too large for a picture (of `limit` jobs) the first that failed."""
    if jobs:
        if limit is not None:
            print(f"the first of {flow.failed:,} that failed:" if flow.failed > len(jobs) else "failed:")
        print_table(
            ["number", "label", "queue", "job", "id", "state", "error"],
            [
                [each.number, each.label, each.queue, each.name, each.id, each.state, (each.error or "")[:60]]
                for each in jobs
            ],
        )
    elif limit is None:
        print("no jobs")
    if limit is not None:
        print(
            f"too many for a picture: --limit draws more than {limit:,}, --state lists some", file=sys.stderr
        )
