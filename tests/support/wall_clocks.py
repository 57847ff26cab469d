"""When cron expressions fire, worked out minute by minute and without any of the code under test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

MINUTE = 60


class Expression(NamedTuple):
    """An expression and what it means, said in another way; `repeats` is whether its hours are a wildcard."""

    text: str
    matches: Callable[[datetime], bool]
    repeats: bool


def _at(*times: tuple[int, int]) -> Callable[[datetime], bool]:
    wanted = {hour * 60 + minute for hour, minute in times}
    return lambda wall: wall.hour * 60 + wall.minute in wanted


def _last_day(wall: datetime) -> bool:
    return (wall + timedelta(days=1)).day == 1


def _weekday(wall: datetime, *days: int) -> bool:
    """Whether it is one of these days, Sunday being 0."""
    return (wall.weekday() + 1) % 7 in days


_daily = {
    "0 0 * * *": _at((0, 0)),
    "30 0 * * *": _at((0, 30)),
    "0 1 * * *": _at((1, 0)),
    "30 1 * * *": _at((1, 30)),
    "59 1 * * *": _at((1, 59)),
    "0 2 * * *": _at((2, 0)),
    "15 2 * * *": _at((2, 15)),
    "30 2 * * *": _at((2, 30)),
    "0 3 * * *": _at((3, 0)),
    "45 23 * * *": _at((23, 45)),
    "0 9,17 * * *": _at((9, 0), (17, 0)),
    "15,45 1-3 * * *": _at(*((hour, minute) for hour in (1, 2, 3) for minute in (15, 45))),
    "*/20 2 * * *": _at((2, 0), (2, 20), (2, 40)),
    "0 1-5/2 * * *": _at((1, 0), (3, 0), (5, 0)),
}
_dated: dict[str, tuple[Callable[[datetime], bool], Callable[[datetime], bool]]] = {
    "30 2 * * SUN": (_at((2, 30)), lambda wall: _weekday(wall, 0)),
    "0 2 29 2 *": (_at((2, 0)), lambda wall: (wall.month, wall.day) == (2, 29)),
    "30 1 1,15 * *": (_at((1, 30)), lambda wall: wall.day in (1, 15)),
    "0 3 L * *": (_at((3, 0)), _last_day),
    "30 2 * * SUN#2": (_at((2, 30)), lambda wall: _weekday(wall, 0) and 8 <= wall.day <= 14),
    "30 1 * * 0L": (_at((1, 30)), lambda wall: _weekday(wall, 0) and (wall + timedelta(days=7)).day <= 7),
    "0 2 13 * FRI": (_at((2, 0)), lambda wall: wall.day == 13 or _weekday(wall, 5)),
    "0 0 * 3,10 MON-FRI": (_at((0, 0)), lambda wall: wall.month in (3, 10) and _weekday(wall, 1, 2, 3, 4, 5)),
    "@weekly": (_at((0, 0)), lambda wall: _weekday(wall, 0)),
    "@monthly": (_at((0, 0)), lambda wall: wall.day == 1),
}
_wild: dict[str, Callable[[datetime], bool]] = {
    "* * * * *": lambda _: True,
    "*/15 * * * *": lambda wall: wall.minute % 15 == 0,
    "30 * * * *": lambda wall: wall.minute == 30,
    "@hourly": lambda wall: wall.minute == 0,
    "0 */2 * * *": lambda wall: wall.minute == 0 and wall.hour % 2 == 0,
    "7 */3 * * *": lambda wall: wall.minute == 7 and wall.hour % 3 == 0,
}


def _both(time: Callable[[datetime], bool], day: Callable[[datetime], bool]) -> Callable[[datetime], bool]:
    return lambda wall: time(wall) and day(wall)


EXPRESSIONS = [
    *(Expression(text, matches, repeats=False) for text, matches in _daily.items()),
    *(Expression(text, _both(time, day), repeats=False) for text, (time, day) in _dated.items()),
    *(Expression(text, matches, repeats=True) for text, matches in _wild.items()),
]


class Minute(NamedTuple):
    """One minute of real time: when it begins, what the wall clock shows, and what it skipped just before."""

    at: int
    wall: datetime
    again: bool
    skipped: tuple[datetime, ...]


def minutes(zone: ZoneInfo, begin: int, end: int) -> Iterator[Minute]:
    """Yield the minutes of a stretch of real time, Unix seconds."""
    before = datetime.fromtimestamp(begin - MINUTE, UTC).astimezone(zone).replace(tzinfo=None)
    for at in range(begin, end, MINUTE):
        shown = datetime.fromtimestamp(at, UTC).astimezone(zone)
        wall = shown.replace(tzinfo=None, fold=0)
        gap = (wall - before) // timedelta(minutes=1) - 1
        skipped = tuple(before + timedelta(minutes=i) for i in range(1, gap + 1))
        yield Minute(at, wall, bool(shown.fold), skipped)
        before = wall


def expected(expression: Expression, of: list[Minute]) -> list[int]:
    """Return when an expression fires in these minutes."""
    matches, repeats = expression.matches, expression.repeats
    return [
        each.at
        for each in of
        if ((repeats or not each.again) and matches(each.wall)) or any(matches(wall) for wall in each.skipped)
    ]


def changes(zone: ZoneInfo, first_year: int, last_year: int) -> list[int]:
    """Return when the offset of a zone changes, to the hour before, Unix seconds."""
    found: list[int] = []
    at = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    while at < end:
        then = at + 6 * 3600
        after = datetime.fromtimestamp(then, UTC).astimezone(zone).utcoffset()
        if after != offset:
            while datetime.fromtimestamp(at + 3600, UTC).astimezone(zone).utcoffset() == offset:
                at += 3600
            found.append(at)
            offset = after
        at = then
    return found
