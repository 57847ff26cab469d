"""Cron expressions on the wall clock of a zone.

Five fields (minute, hour, day of month, month, day of week) or six (seconds first), names of months and days, ranges,
steps, lists, `L` (last day, `5L` last Friday), `LW`, `#` (`MON#2`), and the aliases @yearly, @annually, @monthly,
@weekly, @daily, @midnight, @hourly. Day of month and day of week both given: either matches, as in Vixie cron, unless
one begins with a star.

Daylight saving: a wall-clock time that does not exist fires at the first instant after the gap (several that fall into
one gap fire once); one that exists twice fires at its first occurrence, or at both where the hour field begins with a
star.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from jobs_core.errors import OptionError
from jobs_core.schedules.zones import stretch_at

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from jobs_core.schedules.zones import Stretch

__all__ = ["Cron"]

# A wall clock; the zone is not its business.
_BEGAN = datetime(2000, 1, 1)  # noqa: DTZ001
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAY = 86_400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# The rarest day that an expression can name, a weekday on the 29th of February, comes every 40 years.
_HORIZON_YEARS = 50
_MAX_LENGTH = 256


class Cron:
    """One expression. Days come from the parser's own rules, the time of day from its sets of fields."""

    def __init__(self, expression: str) -> None:
        """Parse. Raises OptionError with the reason."""
        self.expression = expression
        text = expression.strip().lower() if isinstance(expression, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        if not text or len(text) > _MAX_LENGTH:
            raise OptionError("cron", expression, "it must be a cron expression, as '0 9 * * MON-FRI'")
        if text.startswith("@") and text not in _ALIASES:
            raise OptionError("cron", expression, f"the aliases are {', '.join(_ALIASES)}")
        text = _ALIASES.get(text, text)
        # Imported here, since programs that schedule nothing need no parser.
        from cronsim import CronSim, CronSimError  # noqa: PLC0415

        try:
            parsed = CronSim(text, _BEGAN)
        except CronSimError as error:
            wrong = str(error).lower()
            reason = f"{wrong}; give 5 fields (minute hour day month weekday), or 6 with seconds first"
            fields = text.split()
            fields[-2:-1] = ["*"]
            with suppress(CronSimError):
                CronSim(" ".join(fields), _BEGAN)
                # In another month it would be right, as the 30th of February is not.
                reason = f"{wrong} for its month; it would never fire" if "day" in wrong else reason
            raise OptionError("cron", expression, reason) from None
        self._parsed = parsed
        self._months = frozenset(parsed.months)
        self._times = [
            hour * 3600 + minute * 60 + second
            for hour in sorted(parsed.hours)
            for minute in sorted(parsed.minutes)
            for second in sorted(parsed.seconds)
        ]
        self._repeats = parsed.parts[2].startswith("*")
        # The day since 1970 and the stretch that were found last: what fires often asks for the same again and again.
        self._found_day = -1
        self._found_stretch: tuple[ZoneInfo, Stretch] | None = None
        if self._wall_after(0) is None:
            raise OptionError("cron", expression, "it names a day that never comes")

    def explain(self) -> str:
        """Say in words when it fires."""
        return self._parsed.explain()

    def after(self, second: int, zone: ZoneInfo) -> int | None:
        """Return the first fire after an instant, both in Unix seconds; None when there is none within 50 years."""
        at = second + 1
        limit = second + _HORIZON_YEARS * 366 * _DAY
        while at < limit:
            stretch = self._stretch_at(zone, at)
            wall_begin, wall_before = stretch.begin + stretch.offset, stretch.begin + stretch.before
            if at == stretch.begin and wall_before < wall_begin:
                missed = self._wall_after(wall_before)
                if missed is not None and missed < wall_begin:
                    return at
            start = at + stretch.offset
            if not self._repeats:
                # What this stretch tells a second time has fired already.
                start = max(start, wall_before)
            wall = self._wall_after(start)
            if wall is None:
                return None
            if wall < stretch.end + stretch.offset:
                return wall - stretch.offset
            at = stretch.end
        return None

    def _stretch_at(self, zone: ZoneInfo, second: int) -> Stretch:
        if self._found_stretch is not None:
            of, stretch = self._found_stretch
            if of is zone and stretch.begin <= second < stretch.end:
                return stretch
        stretch = stretch_at(zone, second)
        self._found_stretch = zone, stretch
        return stretch

    def _wall_after(self, wall: int) -> int | None:
        """Return the first matching wall-clock time from `wall` on (seconds since 1970 on that clock)."""
        days, time_of_day = divmod(wall, _DAY)
        if days == self._found_day:
            index = bisect_left(self._times, time_of_day)
            if index < len(self._times):
                return days * _DAY + self._times[index]
        day = date.fromordinal(_EPOCH_DAY + days)
        last = day.year + _HORIZON_YEARS
        while day.year <= last:
            if day.month not in self._months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                time_of_day = 0
                continue
            if self._parsed.match_day(day):
                index = bisect_left(self._times, time_of_day)
                if index < len(self._times):
                    self._found_day = found = day.toordinal() - _EPOCH_DAY
                    return found * _DAY + self._times[index]
            day += timedelta(days=1)
            time_of_day = 0
        return None
