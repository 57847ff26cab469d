"""`jobs events`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from jobs_cli.arguments import Json, option
from jobs_cli.output import cell
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from jobs_admin import Admin, Event

_DATA_LENGTH = 80


def events(
    queue: Annotated[
        str | None, Parameter(show_default=False, help="Name of the queue; all without it.")
    ] = None,
    /,
    *,
    since: Annotated[str | None, option("Go on behind this cursor; 0 shows all that is kept first.")] = None,
    json: Json = False,
) -> None:
    """Follow what happens in a queue, or in all, until it is interrupted: a line for each event."""

    async def follow(admin: Admin) -> None:
        async for event in admin.events(*([queue] if queue else []), since=since):
            print(msgspec.json.encode(event).decode() if json else _line(event))
            sys.stdout.flush()

    with_admin(follow)


def _line(event: Event) -> str:
    data = (
        "(to be fetched)" if event.left_out else "" if event.data is None else cell(event.data)[:_DATA_LENGTH]
    )
    attempt = f"#{event.attempt}" if event.attempt else ""
    told = (
        f"{event.at:%H:%M:%S.%f}"[:-3],
        event.queue,
        f"{event.event:10}",
        event.name,
        event.id,
        attempt,
        data,
    )
    return "  ".join(part for part in told if part).rstrip()
