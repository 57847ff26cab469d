"""Ranges of days on the wall clock of a zone, as reports have them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, TypeAlias

import msgspec

from jobs_core.schedules.zones import load_zone

__all__ = ["Days", "Last", "days_before"]

Last: TypeAlias = Literal["day", "week", "month"]
_DAY = timedelta(days=1)


class Days(msgspec.Struct, frozen=True):
    """Whole days of a zone (its IANA name), `first` and `last` included."""

    first: date
    last: date
    timezone: str = "UTC"

    @property
    def start(self) -> datetime:
        """When the first day begins there, UTC."""
        return _midnight(self.first, self.timezone)

    @property
    def end(self) -> datetime:
        """When the day after the last one begins there, UTC: the first instant that is not meant."""
        return _midnight(self.last + _DAY, self.timezone)


def days_before(instant: datetime, last: Last, timezone: str) -> Days:
    """Return the last day, week (Monday to Sunday) or month that was over in a zone at an instant. Raises OptionError."""
    today = instant.astimezone(load_zone(timezone)).date()
    match last:
        case "day":
            after, first = today, today - _DAY
        case "week":
            after = today - today.weekday() * _DAY
            first = after - 7 * _DAY
        case "month":
            after = today.replace(day=1)
            first = (after - _DAY).replace(day=1)
    return Days(first, after - _DAY, timezone)


def _midnight(day: date, timezone: str) -> datetime:
    # Where clocks skip midnight this is the first instant after it, and where they show it twice the first of both.
    return datetime.combine(day, time(), load_zone(timezone)).astimezone(UTC)
