"""Every zone of the time zone database, every change of its clocks from 2020 to 2040, thirty expressions: none missed, none twice.

Zones whose clocks show the same all that time are looked at once. What fires is compared with what an oracle works out
without any of the code under test: from minutes of real time around each change, and from dates on the wall over the whole
time; where any hour is meant, from the offset of each day. The quick sample is in packages/jobs-core/tests/schedules/test_recurrence.py.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest
from tests.support.wall_clocks import EXPRESSIONS, Expression, changes, expected, minutes

from jobs_core.schedules.recurrence import CronTimes, fires

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

DAY = 86_400
AROUND = 3
FIRST, LAST = 2020, 2040
BEGIN = int(datetime(FIRST, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(LAST + 1, 1, 1, tzinfo=UTC).timestamp())
FIXED = [each for each in EXPRESSIONS if not each.repeats]
WILD = [each for each in EXPRESSIONS if each.repeats]


class Figures(NamedTuple):
    """What was compared."""

    fires: int
    missed: int
    doubled: int


@cache
def groups() -> dict[tuple[object, ...], list[str]]:
    """Return the zones by what their clocks show: the first offset, and each change with the offset after it."""
    found: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        turns = changes(zone, FIRST - 1, LAST + 1)
        # A change that is no whole hour off is told apart by the minute at which it comes.
        shown = tuple((at, *(_offset(zone, at + minute * 60) for minute in range(61))) for at in turns)
        found[_offset(zone, BEGIN - 366 * DAY), shown].append(name)
    return dict(found)


def _offset(zone: ZoneInfo, at: int) -> timedelta | None:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()


def before_change(at: int) -> int:
    """Return where the days around a change begin: it comes up to an hour after `at`, perhaps on the second of them."""
    return at // DAY * DAY - DAY


def compare(expression: Expression, zone: str, begin: int, end: int, oracle: Iterable[int]) -> Figures:
    """Compare what fires from `begin` on and before `end` with what should."""
    found = [at // 1000 for at in fires(CronTimes(expression.text, zone), begin * 1000 - 1, end * 1000 - 1)]
    return judge(found, list(oracle))


def judge(found: list[int], wanted: list[int]) -> Figures:
    """Count what is missing and what is too much, of times that are in order."""
    if found == wanted:
        return Figures(len(found), 0, 0)
    assert found == sorted(found)
    return Figures(
        len(found), (Counter(wanted) - Counter(found)).total(), (Counter(found) - Counter(wanted)).total()
    )


def told(what: str, started: float, zones: int, figures: list[Figures]) -> None:
    """Print the figures, and judge them."""
    compared, missed, doubled = (sum(each) for each in zip(*figures, strict=True))
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"\n{what}: {len(available_timezones())} zones ({zones} different), {len(figures)} comparisons, "
        f"{compared} fires, {missed} missed, {doubled} doubled, {seconds:.0f} s\n"
    )
    assert (missed, doubled) == (0, 0)


def test_thirty_expressions_around_every_change() -> None:
    started, figures = time.monotonic(), list[Figures]()
    for names in groups().values():
        zone = ZoneInfo(names[0])
        for at in changes(zone, FIRST, LAST):
            begin = before_change(at)
            end = begin + AROUND * DAY
            of = list(minutes(zone, begin, end))
            figures += [compare(each, names[0], begin, end, expected(each, of)) for each in EXPRESSIONS]
    told("around every change", started, len(groups()), figures)


@cache
def walls(expression: Expression) -> list[datetime]:
    """Return the minutes on the wall that an expression means, in any zone."""
    day, end = datetime(FIRST - 1, 12, 31), datetime(LAST + 1, 1, 2)  # noqa: DTZ001 - a wall has no zone
    # Its minutes of a day are those that it means on any day of nine months, a leap day among them.
    tried = [datetime(2020, 2, 1) + timedelta(days=days) for days in range(274)]  # noqa: DTZ001
    of_day = [timedelta(minutes=minute) for minute in range(24 * 60)]
    meant = [minute for minute in of_day if any(expression.matches(each + minute) for each in tried)]
    found: list[datetime] = []
    while day < end:
        found += [day + minute for minute in meant if expression.matches(day + minute)]
        day += timedelta(days=1)
    return found


def instants(expression: Expression, zone: ZoneInfo) -> Iterator[int]:
    """Yield when the clocks of a zone show these minutes for the first time, or first skip them."""
    before = None
    for wall in walls(expression):
        aware = wall.replace(tzinfo=zone)
        at = int(aware.timestamp())
        if datetime.fromtimestamp(at, zone).replace(tzinfo=None) != wall:
            at = _end_of_gap(zone, int(aware.replace(fold=1).timestamp()), at)
        # Several minutes of one gap come right after it, once.
        if at != before and BEGIN <= at < END:
            yield at
        before = at


def _end_of_gap(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second of a stretch that has the offset of its end."""
    offset = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, middle) == offset else (middle, high)
    return high


def test_fixed_hours_over_twenty_one_years() -> None:
    started, figures = time.monotonic(), list[Figures]()
    for names in groups().values():
        zone = ZoneInfo(names[0])
        figures += [compare(each, names[0], BEGIN, END, instants(each, zone)) for each in FIXED]
    told("fixed hours, 21 years", started, len(groups()), figures)


@cache
def quiet_days() -> dict[tuple[int, timedelta | None], list[str]]:
    """Return the days (UTC) away from all changes, those of 21 years and all zones, and by the offset which zones have it."""
    found: defaultdict[tuple[int, timedelta | None], list[str]] = defaultdict(list)
    for names in groups().values():
        zone = ZoneInfo(names[0])
        changing = {
            begin + days * DAY
            for begin in map(before_change, changes(zone, FIRST - 1, LAST + 1))
            for days in range(AROUND)
        }
        for day in range(BEGIN, END, DAY):
            if day not in changing:
                offset = _offset(zone, day)
                assert offset == _offset(zone, day + DAY - 1)
                found[day, offset] += names
    return dict(found)


@cache
def of_day(expression: Expression, offset: timedelta) -> list[int]:
    """Return the seconds of a day (UTC) at which an expression that means any day fires."""
    midnight = datetime(2020, 1, 6) + offset  # noqa: DTZ001 - a wall has no zone
    minutes_of_day = (timedelta(minutes=minute) for minute in range(24 * 60))
    return [each // timedelta(seconds=1) for each in minutes_of_day if expression.matches(midnight + each)]


@pytest.mark.parametrize("year", range(FIRST, LAST + 1))
@pytest.mark.parametrize("expression", WILD, ids=lambda each: each.text)
def test_any_hour_over_twenty_one_years(expression: Expression, year: int) -> None:
    """On each day that the test around the changes leaves out, with one of the zones that have its offset, each in turn.

    A year at a time: that of any minute takes minutes each.
    """
    started, figures = time.monotonic(), list[Figures]()
    begin, end = (int(datetime(each, 1, 1, tzinfo=UTC).timestamp()) for each in (year, year + 1))
    for (day, offset), names in quiet_days().items():
        if not begin <= day < end:
            continue
        assert offset is not None
        times = CronTimes(expression.text, names[day // DAY % len(names)])
        found = [at // 1000 - day for at in fires(times, day * 1000 - 1, (day + DAY) * 1000 - 1)]
        wanted = of_day(expression, offset)
        figures.append(judge(found, wanted))
    told(f"{expression.text}, {year}", started, len(groups()), figures)
