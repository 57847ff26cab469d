"""What fails lately: the rows of failed jobs grouped by the fingerprint of their error."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final, cast

import msgspec

from jobs_admin._measures import read_minutes
from jobs_admin.records import ErrorGroup, ErrorGroups
from jobs_core.measures import failed_in
from jobs_core.records import job_name
from jobs_core.told import Failures, parse_failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.scripts import Scripts

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
    finished_ms: list[int] = []
    last_ms: int = 0
    last: tuple[str, str] = ("", "")
    queues: dict[str, None] = {}
    names: dict[str, None] = {}

    def add(self, queue: str, name: str, ids: Sequence[str], finished_ms: Sequence[int]) -> None:
        self.finished_ms += finished_ms
        newest = max(finished_ms)
        if newest >= self.last_ms:
            self.last_ms, self.last = newest, (queue, ids[finished_ms.index(newest)])
        self.queues[queue] = self.names[name] = None


async def read_errors(scripts: Scripts, queues: Sequence[str], now_ms: int, minutes: int) -> ErrorGroups:
    """Group the jobs that failed for good in the last minutes; only queues whose minutes tell of failures are looked at."""
    since_ms = now_ms - minutes * 60_000
    series = await read_minutes(scripts, queues, now_ms, min(minutes + 1, 1440))
    failed = {name: failed_in(told) for name, told in series.items()}
    worst = sorted((name for name in queues if failed[name]), key=lambda name: -failed[name])
    pot = _Pot()
    found = await asyncio.gather(*(_failures(scripts, name, since_ms, pot) for name in worst[:_MOST_QUEUES]))
    groups: defaultdict[str, _Group] = defaultdict(_Group)
    for name, (failures, _) in zip(worst, found, strict=False):
        for each in failures:
            if each.ids:
                _add(groups, name, each)
    told = sorted(groups.items(), key=lambda item: (-len(item[1].finished_ms), item[0]))[:_MOST_GROUPS]
    return ErrorGroups(
        groups=tuple(_record(error, group, since_ms, minutes) for error, group in told),
        since=_time(since_ms),
        looked_at=sum(len(group.finished_ms) for group in groups.values()),
        complete=len(worst) <= _MOST_QUEUES
        and len(groups) <= _MOST_GROUPS
        and all(done for _, done in found),
    )


async def _failures(scripts: Scripts, queue: str, since_ms: int, pot: _Pot) -> tuple[list[Failures], bool]:
    """Return the jobs that failed since, and whether those are all."""
    key, call = f"{scripts.key(queue)}rows", scripts.client.call
    found: list[Failures] = []
    end, step, seen, own = "+", _STEP, 0, _OWN_ENTRIES
    while seen < _MOST_ROWS and (asked := min(step, own or pot.left)):
        if own:
            own -= asked
        else:
            pot.left -= asked
        entries = cast("list[list[object]]", await call("XREVRANGE", key, end, "-", "COUNT", asked))
        newest = told_now = 0
        for raw_id, fields in entries:
            failures, told, newest = parse_failures(cast("Sequence[bytes]", fields))
            found += [each.only([ms >= since_ms for ms in each.finished_ms]) for each in failures]
            told_now += told
            end = f"({cast('bytes', raw_id).decode()}"
        if len(entries) < asked or newest < since_ms:
            return found, True
        seen += told_now
        # Small ones come many at once.
        step = _LARGE_STEP if told_now <= 4 * asked else _STEP
    return found, False


def _add(groups: defaultdict[str, _Group], queue: str, failures: Failures) -> None:
    """Add what failed to the groups of its errors; those of one entry are mostly alike."""
    errors, ids, finished_ms = failures.errors, failures.ids, failures.finished_ms
    if len(set(errors)) == 1:
        groups[errors[0]].add(queue, failures.name, ids, finished_ms)
        return
    for error, job_id, ms in zip(errors, ids, finished_ms, strict=True):
        groups[error].add(queue, failures.name, (job_id,), (ms,))


def _record(error: str, group: _Group, since_ms: int, minutes: int) -> ErrorGroup:
    times = sorted(group.finished_ms)
    ends = [bisect_left(times, since_ms + at * minutes * 60_000 // SPANS) for at in range(1, SPANS)]
    return ErrorGroup(
        error=error,
        count=len(times),
        first_at=_time(times[0]),
        last_at=_time(times[-1]),
        trend=tuple(end - begin for begin, end in pairwise((0, *ends, len(times)))),
        queues=tuple(group.queues)[:_NAMED],
        names=tuple(dict.fromkeys(map(job_name, group.names)))[:_NAMED],
        last_queue=group.last[0],
        last_id=group.last[1],
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
