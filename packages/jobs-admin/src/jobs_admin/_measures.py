"""What was written down of a queue over time: histograms, minutes, and the rows of jobs that ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_admin.records import HistoryPage, HistoryRecord, MinuteRecord
from jobs_core.errors import OptionError
from jobs_core.measures import (
    KEPT_DAYS,
    MINUTES_A_DAY,
    Histogram,
    filled,
    merged,
    minute_parts,
    parse_histograms,
    parse_minutes,
)
from jobs_core.records import job_name
from jobs_core.schedules.fires import is_fire_of
from jobs_core.states import State
from jobs_core.told import parse_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import Scripts
    from jobs_core.told import SummaryRow

MAX_MINUTES = KEPT_DAYS * MINUTES_A_DAY
# So many minutes of many queues are read by a script at once; of more each reply is large, and a script would copy it thrice.
_SHORT = 240
# Entries a round trip, and round trips a page: an entry has at most 128 rows, and a filter may pass most of them over.
_ENTRIES = 32
_MAX_STEPS = 50


class Durations(msgspec.Struct, frozen=True):
    """The histograms of a queue, by name@version."""

    run: dict[str, Histogram]
    wait: dict[str, Histogram]


class Spread(msgspec.Struct, frozen=True):
    """How long attempts ran and waited, over all job names of one queue or more."""

    run: Histogram = Histogram()
    wait: Histogram = Histogram()

    def __add__(self, other: Spread) -> Spread:
        """Return both together."""
        return Spread(self.run + other.run, self.wait + other.wait)


# Most names were not measured between two looks, and their histograms are then what they were.
_parsed = lru_cache(4096)(parse_histograms)


async def read_durations(scripts: Scripts, queues: Sequence[str]) -> dict[str, Durations]:
    """Read the histograms of queues, at most 101 names of each."""
    found: dict[str, Durations] = {}
    for queue, packed in (await scripts.durations(queues)).items():
        both = {name: _parsed(each) for name, each in packed.items()}
        found[queue] = Durations(
            {name: run for name, (run, _) in both.items()}, {name: wait for name, (_, wait) in both.items()}
        )
    return found


async def read_spreads(scripts: Scripts, queues: Sequence[str]) -> dict[str, Spread]:
    """Read the histograms of queues, all names of each together."""
    durations = await read_durations(scripts, queues)
    return {queue: Spread(merged(each.run), merged(each.wait)) for queue, each in durations.items()}


async def read_minutes(scripts: Scripts, queues: Sequence[str], now_ms: int, count: int) -> dict[str, bytes]:
    """Read the last `count` minutes, the one that runs included, oldest first, packed as the server holds them."""
    parts = minute_parts(now_ms // 60_000 - count + 1, count)
    if count <= _SHORT:
        found = await scripts.minutes(queues, parts=parts)
    else:
        days = await asyncio.gather(*(_days(scripts, queue, parts) for queue in queues))
        found = dict(zip(queues, days, strict=True))
    sizes = [last - first + 1 for _, first, last in parts]
    return {queue: b"".join(map(filled, told, sizes)) for queue, told in found.items()}


async def _days(scripts: Scripts, queue: str, parts: Sequence[tuple[int, int, int]]) -> list[bytes]:
    key, call = scripts.key(queue), scripts.client.call
    replies = (call("GETRANGE", f"{key}series:{day}", first, last) for day, first, last in parts)
    return cast("list[bytes]", await asyncio.gather(*replies))


def minute_records(packed: bytes, now_ms: int, count: int) -> tuple[MinuteRecord, ...]:
    """Return the last `count` minutes of one queue, or of several that were added."""
    records: list[MinuteRecord] = []
    for number, each in enumerate(parse_minutes(packed, count), now_ms // 60_000 - count + 1):
        ended = each.completed + each.failed + each.retried
        records.append(
            MinuteRecord(
                at=datetime.fromtimestamp(number * 60, UTC),
                added=each.added,
                completed=each.completed,
                failed=each.failed,
                retried=each.retried,
                avg_processing_ms=round(each.run_us / 1000 / ended, 3) if ended else None,
                avg_wait_ms=round(each.wait_us / 1000 / ended, 3) if ended else None,
            )
        )
    return tuple(records)


async def read_history(
    scripts: Scripts,
    queue: str,
    *,
    outcome: str | None,
    name: str | None,
    schedule: str | None,
    limit: int,
    cursor: str | None,
) -> HistoryPage:
    """Read one page of the rows of jobs that ended, newest first. Raises OptionError."""
    if outcome is not None and outcome not in {each.value for each in State if each.final}:
        finals = ", ".join(each for each in State if each.final)
        raise OptionError("outcome", outcome, f"it must be one of {finals}")
    end, before = _place(cursor)
    key, call = f"{scripts.key(queue)}rows", scripts.client.call
    found: list[HistoryRecord] = []
    for _ in range(_MAX_STEPS):
        entries = cast("list[list[object]]", await call("XREVRANGE", key, end, "-", "COUNT", _ENTRIES))
        for raw_id, fields in entries:
            entry = cast("bytes", raw_id).decode().partition("-")[0]
            rows = parse_rows(cast("Sequence[bytes]", fields))
            last = len(rows) if before is None or entry != end else min(before, len(rows))
            for index in range(last - 1, -1, -1):
                row, worker = rows[index]
                if (
                    (outcome and row.outcome != outcome)
                    or (name and name not in {row.name, job_name(row.name)})
                    or (schedule and not is_fire_of(schedule, row.id))
                ):
                    continue
                found.append(_history_record(queue, row, worker))
                if len(found) == limit:
                    return HistoryPage(tuple(found), f"{entry}.{index}")
        if len(entries) < _ENTRIES:
            return HistoryPage(tuple(found))
        end, before = cast("bytes", entries[-1][0]).decode().partition("-")[0], 0
    return HistoryPage(tuple(found), f"{end}.0")


def _place(cursor: str | None) -> tuple[str, int | None]:
    """Return the entry to begin with, and how many of its rows are still to be shown (None: all)."""
    if not cursor:
        return "+", None
    entry, _, index = cursor.partition(".")
    if not (entry.isdecimal() and index.isdecimal() and len(cursor) < 32):
        raise OptionError("cursor", cursor, "it is none of ours; take the one of the page before")
    return entry, int(index)


def _history_record(queue: str, row: SummaryRow, worker: str) -> HistoryRecord:
    return HistoryRecord(
        id=row.id,
        queue=queue,
        name=job_name(row.name),
        outcome=State(row.outcome),
        created_at=datetime.fromtimestamp(row.created_ms / 1000, UTC),
        processed_at=datetime.fromtimestamp(row.started_ms / 1000, UTC) if row.started_ms else None,
        finished_at=datetime.fromtimestamp(row.finished_ms / 1000, UTC),
        wait_ms=row.wait_us / 1000,
        run_ms=row.run_us / 1000,
        attempts_made=row.attempts,
        worker=worker,
        error=row.error,
    )
