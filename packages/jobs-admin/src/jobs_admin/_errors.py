"""What fails lately: the rows of failed jobs grouped by the fingerprint of their error."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

import msgspec

from jobs_admin._measures import read_minutes
from jobs_admin.records import ErrorGroup, ErrorGroups
from jobs_core.measures import failed_in
from jobs_core.records import job_name
from jobs_core.told import parse_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import Scripts
    from jobs_core.told import SummaryRow

SPANS: Final = 12
# Of those that failed most.
_MOST_QUEUES: Final = 20
# Entries of rows of each queue, and of all those together that have more. One holds a row where jobs end one by one, or up to 128.
_OWN_ENTRIES: Final = 128
_SHARED_ENTRIES: Final = 3072
_MOST_ROWS: Final = 16_384
_STEP: Final = 32
_LARGE_STEP: Final = 256
_MOST_GROUPS: Final = 100
_NAMED: Final = 10


class _Pot(msgspec.Struct):
    """How many entries are left of those that queues share."""

    left: int = _SHARED_ENTRIES


class _Group(msgspec.Struct):
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    last: tuple[str, str] = ("", "")
    queues: dict[str, None] = {}
    names: dict[str, None] = {}
    trend: list[int] = msgspec.field(default_factory=lambda: [0] * SPANS)


async def read_errors(scripts: Scripts, queues: Sequence[str], now_ms: int, minutes: int) -> ErrorGroups:
    """Group the jobs that failed for good in the last minutes; only queues whose minutes tell of failures are looked at."""
    since_ms = now_ms - minutes * 60_000
    series = await asyncio.gather(
        *(read_minutes(scripts, name, now_ms, min(minutes + 1, 1440)) for name in queues)
    )
    failed = {name: failed_in(told) for name, told in zip(queues, series, strict=True)}
    worst = sorted((name for name in queues if failed[name]), key=lambda name: -failed[name])
    pot = _Pot()
    found = await asyncio.gather(*(_failures(scripts, name, since_ms, pot) for name in worst[:_MOST_QUEUES]))
    groups: dict[str, _Group] = {}
    looked_at = 0
    for name, (rows, _) in zip(worst, found, strict=False):
        looked_at += len(rows)
        for row in rows:
            group = groups.get(row.error)
            if group is None:
                group = groups[row.error] = _Group()
            _add(group, name, row, since_ms, minutes)
    told = sorted(groups.items(), key=lambda item: (-item[1].count, item[0]))[:_MOST_GROUPS]
    return ErrorGroups(
        groups=tuple(_record(error, group) for error, group in told),
        since=_time(since_ms),
        looked_at=looked_at,
        complete=len(worst) <= _MOST_QUEUES
        and len(groups) <= _MOST_GROUPS
        and all(done for _, done in found),
    )


async def _failures(scripts: Scripts, queue: str, since_ms: int, pot: _Pot) -> tuple[list[SummaryRow], bool]:
    """Return the rows of jobs that failed since, newest first, and whether those are all."""
    key, call = f"{scripts.key(queue)}rows", scripts.client.call
    rows: list[SummaryRow] = []
    end, step, seen, own = "+", _STEP, 0, _OWN_ENTRIES
    while seen < _MOST_ROWS and (asked := min(step, own or pot.left)):
        if own:
            own -= asked
        else:
            pot.left -= asked
        entries = cast("list[list[object]]", await call("XREVRANGE", key, end, "-", "COUNT", asked))
        newest = told_now = 0
        for raw_id, fields in entries:
            told = [row for row, _ in parse_rows(cast("Sequence[bytes]", fields))]
            newest = max((row.finished_ms for row in told), default=0)
            rows += [row for row in reversed(told) if row.outcome == "failed" and row.finished_ms >= since_ms]
            told_now += len(told)
            end = f"({cast('bytes', raw_id).decode()}"
        if len(entries) < asked or newest < since_ms:
            return rows, True
        seen += told_now
        # Small ones come many at once.
        step = _LARGE_STEP if told_now <= 4 * asked else _STEP
    return rows, False


def _add(group: _Group, queue: str, row: SummaryRow, since_ms: int, minutes: int) -> None:
    group.count += 1
    group.first_ms = min(group.first_ms or row.finished_ms, row.finished_ms)
    if row.finished_ms >= group.last_ms:
        group.last_ms, group.last = row.finished_ms, (queue, row.id)
    group.queues[queue] = group.names[row.name] = None
    span = (row.finished_ms - since_ms) * SPANS // (minutes * 60_000)
    group.trend[min(max(span, 0), SPANS - 1)] += 1


def _record(error: str, group: _Group) -> ErrorGroup:
    return ErrorGroup(
        error=error,
        count=group.count,
        first_at=_time(group.first_ms),
        last_at=_time(group.last_ms),
        trend=tuple(group.trend),
        queues=tuple(group.queues)[:_NAMED],
        names=tuple(dict.fromkeys(map(job_name, group.names)))[:_NAMED],
        last_queue=group.last[0],
        last_id=group.last[1],
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
