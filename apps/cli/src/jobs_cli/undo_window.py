"""The time in which a change of many jobs can be taken back: it is counted, told, and begins after a while."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

from jobs_cli.arguments import option

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobs_admin import Admin

__all__ = ["ManyJobs", "UndoWindow", "seconds", "wait_for_undo"]

UndoWindow: TypeAlias = Annotated[
    str | None, option("Count them, and begin only after so long, such as 10s: Ctrl-C undoes it until then.")
]


class ManyJobs(NamedTuple):
    """What is to be done to which jobs, for the audit, and in a word for whoever waits (such as removed)."""

    verb: str
    queue: str
    done: str
    query: str = ""


def seconds(window: str | None) -> float:
    """Return how long it can be undone. Raises OptionError."""
    if window is None:
        return 0.0
    from jobs_core.durations import parse_duration

    return parse_duration(window, name="--undo-window")


async def wait_for_undo(
    admin: Admin, many: ManyJobs, window: float, count: Callable[[], Awaitable[int]]
) -> None:
    """Tell how many jobs it will change, and wait; where this is broken off, nothing is changed, and the audit says so."""
    if not window:
        return
    told = f"{await count()} will be {many.done} in {window:g} s"
    print(f"{told}; Ctrl-C undoes it.", file=sys.stderr, flush=True)
    try:
        await asyncio.sleep(window)
    except asyncio.CancelledError:
        print("Undone: nothing was changed.", file=sys.stderr)
        await admin.note("bulk undo", many.queue, many.query, 0, many.verb)
        raise
