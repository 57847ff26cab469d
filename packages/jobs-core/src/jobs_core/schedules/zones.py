"""Time zones as stretches of one offset each, so that a wall clock is plain arithmetic between two changes."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from jobs_core.errors import OptionError
from jobs_core.names import nearest

__all__ = ["Stretch", "load_zone", "stretch_at"]

# Two changes are never so close: the shortest stretch on record since 1970 is longer than a week.
_PROBE = timedelta(hours=12)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400
# What datetime can hold, less a year on either side.
_FIRST_YEAR, _LAST_YEAR = 1970, 9997


class Stretch(NamedTuple):
    """The time between two changes of a zone's offset: begin and end in Unix seconds, offsets in seconds.

    `before` is the offset that ended at `begin`; equal to `offset` where the stretch begins with a year.
    """

    begin: int
    end: int
    offset: int
    before: int


def load_zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name. Raises OptionError, with names that are near, for anything else."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        near = nearest(str(name), available_timezones())
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        reason = f"there is no such IANA time zone, as 'Europe/Paris' or 'UTC'{hint}"
        raise OptionError("timezone", name, reason) from error


def stretch_at(zone: ZoneInfo, second: int) -> Stretch:
    """Return the stretch that an instant (Unix seconds) lies in; a year's end ends it too."""
    year = date.fromordinal(_EPOCH_DAY + second // _DAY).year
    stretches = _stretches(zone, min(max(year, _FIRST_YEAR), _LAST_YEAR))
    return stretches[bisect_right(stretches, second, key=_begin) - 1]


def _begin(stretch: Stretch) -> int:
    return stretch.begin


@lru_cache(maxsize=4096)
def _stretches(zone: ZoneInfo, year: int) -> list[Stretch]:
    """Find a year's changes of offset by looking twice a day and halving the half days that differ."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    found: list[Stretch] = []
    since = _seconds(begin)
    offset = before = _offset(zone, begin)
    at = begin
    while at < end:
        then = min(at + _PROBE, end)
        after = _offset(zone, then)
        # A change at the very end of the year begins the next one.
        change = _change(zone, _seconds(at), _seconds(then), offset) if after != offset else _seconds(end)
        if change < _seconds(end):
            found.append(Stretch(since, change, offset, before))
            since, before, offset = change, offset, after
        at = then
    found.append(Stretch(since, _seconds(end), offset, before))
    first = _offset(zone, begin - timedelta(seconds=1))
    found[0] = found[0]._replace(before=first)
    return found


def _change(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """Return the first second after `low` and up to `high` whose offset differs from that of `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, _EPOCH + timedelta(seconds=middle)) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _seconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(seconds=1)
