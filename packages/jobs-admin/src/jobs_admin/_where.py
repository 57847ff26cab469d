"""Changes of all jobs that a query means, page by page, that end although jobs keep coming and going."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from jobs_admin._listing import list_page
from jobs_admin._verdicts import ENDING
from jobs_core.errors import OptionError
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import State

if TYPE_CHECKING:
    from jobs_admin._bulk import Progress
    from jobs_admin._calls import Calls
    from jobs_admin._listing import Filter
    from jobs_admin._verdicts import Verb
    from jobs_core.records import JobRecord

# In this order, so that what a change moves on is not met again.
SOURCES: dict[str, tuple[State, ...]] = {
    "retry": (State.FAILED,),
    "promote": (State.DELAYED,),
    "reschedule": (State.DELAYED, State.WAITING),
    "priority": (State.WAITING, State.DELAYED),
    "cancel": (State.UNROUTABLE, State.BLOCKED, State.DELAYED, State.WAITING, State.ACTIVE),
    "remove": tuple(state for state in State if state is not State.ACTIVE),
}


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """How far one call may go: so many jobs, so many a second (0: no bound), from where."""

    limit: int | None = None
    rate: float = 0.0
    cursor: str | None = None


def sources(verb: str, states: Sequence[State]) -> tuple[State, ...]:
    """Return the states that a verb takes jobs from, of those asked for. Raises OptionError where there are none."""
    possible = SOURCES[verb]
    wanted = tuple(state for state in possible if not states or state in states)
    if not wanted:
        raise OptionError("state", ",".join(states), f"{verb} takes jobs that are {', '.join(possible)}")
    return wanted


async def change_where(
    calls: Calls,
    queue: str,
    verb: Verb | None,
    wanted: Filter,
    bound: Bound,
    *,
    there: Callable[[JobRecord], bool],
    total: int | None,
    progress: Progress | None,
    shown: Callable[[JobRecord], JobRecord],
) -> tuple[int, str | None]:
    """Change the jobs that there were at the start, or only count them (no verb).

    Jobs for which `there` is true are as they are to be. Returns how many, and where to go on (None: at the end).
    """
    now = await calls.server_ms()
    step = MAX_ITEMS if not bound.rate else max(min(MAX_ITEMS, int(bound.rate)), 1)
    done, cursor = 0, bound.cursor
    loop = asyncio.get_running_loop()
    started = loop.time()
    while bound.limit is None or done < bound.limit:
        size = step if bound.limit is None else min(step, bound.limit - done)
        page = await calls.read(
            list_page(
                *(calls.scripts, queue, wanted),
                limit=size,
                offset=0,
                cursor=cursor,
                now_ms=now,
                shown=shown,
            )
        )
        # What came, or ended, since this began is left alone: what is retried may fail again, for ever.
        ids = [job.id for job in page.jobs if _before(job, now) and not there(job)]
        if ids and verb is not None:
            done += (await calls.change(verb(calls.scripts, queue, ids))).count("1")
            if verb in ENDING:
                await calls.relay(queue)
        else:
            done += len(ids)
        cursor = page.cursor
        if progress is not None:
            progress(done, total)
        if cursor is None:
            break
        if bound.rate and verb is not None:
            await asyncio.sleep(max(done / bound.rate - (loop.time() - started), 0))
    return done, cursor


def _before(job: JobRecord, now_ms: int) -> bool:
    # The instant is a whole ms: what came earlier in that one was there.
    return int((job.finished_at or job.created_at).timestamp() * 1000) <= now_ms
