"""Why a schedule sends nothing: nobody looks for what is due, it was put off, or it is paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin._numbers import utc
from jobs_admin.records import Finding
from jobs_core.codecs import Codecs
from jobs_core.schedules.book import Book
from jobs_core.schedules.definition import GRACE_MS
from jobs_core.schedules.store import ACTIVE, PAUSED, act_ms
from jobs_core.scripts import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_admin._calls import Calls
    from jobs_core.schedules.store import Stored

_NAMED = 5


async def examine_schedules(calls: Calls, queue: str) -> list[Finding]:
    """Look at the schedules of a queue that fire next, and at those that fire no more: at most 128 of each."""
    book = Book(calls.scripts, Codecs())
    total, found = await calls.read(book.page(queue, limit=MAX_ITEMS))
    if total > len(found):
        last = max(total - MAX_ITEMS, len(found))
        found += (await calls.read(book.page(queue, offset=last, limit=MAX_ITEMS)))[1]
    if not found:
        return []
    now_ms = await calls.server_ms()
    active = [each for each in found if each.status == ACTIVE]
    put_off = [each for each in active if each.note]
    late = [
        each
        for each in active
        if not each.note and each.next_ms and act_ms(each.recurring, each.next_ms) < now_ms - GRACE_MS
    ]
    findings: list[Finding] = []
    if late:
        since = utc(min(each.next_ms for each in late))
        text = (
            f"{_named(late)} due since {since:%Y-%m-%d %H:%M:%S} UTC, and no worker sends what they have due"
        )
        mend = "Start a worker that serves the queue; what becomes of the times says `misfire`."
        findings.append(Finding("schedule_late", "warning", text, mend))
    if put_off:
        text = f"{_named(put_off)} put off, of {put_off[0].definition.id} since: {put_off[0].note}"
        mend = f"Mend the cause; it is tried again every minute. jobsctl schedules show {queue} {put_off[0].definition.id}"
        findings.append(Finding("schedule_put_off", "warning", text, mend))
    if paused := [each for each in found if each.status == PAUSED]:
        first = paused[0]
        by = f" by {first.actor}" if first.actor else ""
        why = f": {first.note}" if first.note else ""
        text = f"{_named(paused)} paused, {first.definition.id}{by}{why}"
        mend = f"jobsctl schedules resume {queue} {first.definition.id}"
        findings.append(Finding("schedule_paused", "info", text, mend))
    return findings


def _named(schedules: Sequence[Stored]) -> str:
    ids = [each.definition.id for each in schedules]
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    names = f"{', '.join(ids[:_NAMED])}{more}"
    return f"schedule {names} is" if len(ids) == 1 else f"schedules {names} are"
