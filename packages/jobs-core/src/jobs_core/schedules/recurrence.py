"""When a schedule fires: by cron, every so often, at given instants, or so long after a run has ended."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from jobs_core.errors import OptionError
from jobs_core.schedules.cron import Cron
from jobs_core.schedules.zones import load_zone

__all__ = [
    "AfterCompletion",
    "At",
    "CronTimes",
    "Every",
    "Recurrence",
    "anchored",
    "explain",
    "fires",
    "next_fire",
    "spread",
]


class CronTimes(msgspec.Struct, frozen=True, tag="cron", tag_field="kind"):
    """By a cron expression on the wall clock of a zone."""

    expression: str
    timezone: str = "UTC"


class Every(msgspec.Struct, frozen=True, tag="every", tag_field="kind"):
    """Every `interval_ms` from an anchor (Unix ms) on, the anchor included; elapsed time, so no zone matters.

    An anchor of 0 stands for when the schedule was made (see `anchored`).
    """

    interval_ms: int
    anchor_ms: int


class At(msgspec.Struct, frozen=True, tag="at", tag_field="kind"):
    """At these instants, Unix ms, in order."""

    instants_ms: tuple[int, ...]


class AfterCompletion(msgspec.Struct, frozen=True, tag="after_completion", tag_field="kind"):
    """First at `first_ms` (Unix ms; 0: when the schedule was made), then so long after each run has ended, however it did."""

    delay_ms: int
    first_ms: int


Recurrence: TypeAlias = CronTimes | Every | At | AfterCompletion


def next_fire(recurrence: Recurrence, after_ms: int) -> int | None:
    """Return the first fire later than an instant (both Unix ms), or None when there is none.

    Raises OptionError for an expression or zone that this process does not know.
    """
    match recurrence:
        case CronTimes(expression, timezone):
            second = _cron(expression).after(after_ms // 1000, load_zone(timezone))
            return None if second is None else second * 1000
        case Every(interval, anchor):
            return max(anchor, anchor + ((after_ms - anchor) // interval + 1) * interval)
        case At(instants):
            return next((each for each in instants if each > after_ms), None)
        case AfterCompletion(_, first):
            return first if first > after_ms else None


def explain(recurrence: Recurrence) -> str:
    """Say in words when it fires; an expression that this process does not know stands for itself."""
    match recurrence:
        case CronTimes(expression, timezone):
            return f"{_in_words(expression)}, {timezone}"
        case Every(interval):
            return f"Every {_span(interval)}"
        case At(instants):
            return f"At {len(instants)} given time{'' if len(instants) == 1 else 's'}"
        case AfterCompletion(delay):
            return f"{_span(delay)} after the run before has ended"


@lru_cache(maxsize=1024)
def _in_words(expression: str) -> str:
    try:
        return _cron(expression).explain()
    except OptionError:
        return expression


def _span(ms: int) -> str:
    parts: list[str] = []
    for size, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts) or "0 s"


def anchored(recurrence: Recurrence, since_ms: int) -> Recurrence:
    """Return a recurrence whose anchor is known: one that has none counts from when the schedule was made."""
    match recurrence:
        case Every(interval, 0):
            return Every(interval, since_ms)
        case AfterCompletion(delay, 0):
            return AfterCompletion(delay, since_ms)
        case _:
            return recurrence


def fires(recurrence: Recurrence, after_ms: int, until_ms: int) -> Iterator[int]:
    """Yield the fires later than one instant and up to another, both Unix ms."""
    if isinstance(recurrence, CronTimes):
        cron, zone = _cron(recurrence.expression), load_zone(recurrence.timezone)
        second = cron.after(after_ms // 1000, zone)
        while second is not None and second * 1000 <= until_ms:
            yield second * 1000
            second = cron.after(second, zone)
        return
    at = next_fire(recurrence, after_ms)
    while at is not None and at <= until_ms:
        yield at
        at = next_fire(recurrence, at)


def spread(schedule_id: str, fire_ms: int, jitter_ms: int) -> int:
    """Return how many ms later than its time a fire is sent, below `jitter_ms`: for one fire always the same."""
    if not jitter_ms:
        return 0
    digest = blake2b(f"{schedule_id}:{fire_ms}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % jitter_ms


@lru_cache(maxsize=4096)
def _cron(expression: str) -> Cron:
    return Cron(expression)
