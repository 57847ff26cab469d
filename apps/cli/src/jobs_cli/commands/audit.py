"""`jobs audit`."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json, option
from jobs_cli.output import print_json, print_table
from jobs_cli.session import with_admin


def audit(
    queue: Annotated[str | None, Parameter(show_default=False, help="Only of this queue.")] = None,
    /,
    *,
    limit: Annotated[int, option("At most so many (50), up to 500.")] = 50,
    cursor: Annotated[str | None, option("Go on where the page before ended.")] = None,
    json: Json = False,
) -> None:
    """List the last changes that people made, newest first: when, who, what, of which jobs, how many, why."""
    page = with_admin(lambda admin: admin.audit(queue, limit=limit, cursor=cursor))
    if json:
        print_json(page)
        return
    if page.changes:
        print_table(
            ["at", "actor", "verb", "queue", "which", "count", "detail", "reason"],
            [
                [one.at, one.actor, one.verb, one.queue, one.filter, one.count, one.detail, one.reason]
                for one in page.changes
            ],
        )
    else:
        print("no changes")
    if page.cursor:
        print(f"more with --cursor {page.cursor}", file=sys.stderr)
