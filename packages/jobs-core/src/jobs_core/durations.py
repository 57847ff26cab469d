"""Durations: seconds or `timedelta` in Python, integer milliseconds on the wire."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

from jobs_core.errors import OptionError

__all__ = ["MAX_DURATION_MS", "Duration", "parse_duration", "to_ms"]

Duration: TypeAlias = int | float | timedelta
"""Seconds, or a `timedelta`."""

MAX_DURATION_MS = 3650 * 24 * 3600 * 1000
"""Ten years: scores of due times stay exact, and nobody means more."""

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch
_PARTS = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+").fullmatch
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)").findall
_LONGEST_TEXT = 64


def to_ms(value: Duration, *, name: str) -> int:
    """Return a duration as whole milliseconds; a positive one never becomes 0.

    `name` is the option it belongs to. Raises `OptionError` for what is no duration, or not 0 to ten years.
    """
    if isinstance(value, (int, float)) and value is not True and value is not False:
        seconds = value
    elif isinstance(value, timedelta):
        seconds = value.total_seconds()
    else:
        raise OptionError(name, value, "a duration is a number of seconds or a timedelta")
    # Written so that NaN, for which every comparison is false, is refused as well.
    if not 0 <= seconds <= MAX_DURATION_MS / 1000:
        raise OptionError(name, value, "a duration is 0 s to 10 years")
    milliseconds = round(seconds * 1000)
    return 1 if milliseconds == 0 and seconds > 0 else milliseconds


def parse_duration(text: str, *, name: str = "duration") -> float:
    """Return the seconds that a text such as `24h`, `30s`, `500ms`, `7d`, `1h30m` or `2.5` (seconds) means.

    Raises `OptionError` for anything else.
    """
    compact = text.strip().lower()
    if len(compact) > _LONGEST_TEXT:
        raise OptionError(name, text, _TEXT_RULE)
    if _NUMBER(compact):
        milliseconds = float(compact) * 1000
    elif _PARTS(compact):
        milliseconds = sum(float(number) * _UNITS_MS[unit] for number, unit in _PART(compact))
    else:
        raise OptionError(name, text, _TEXT_RULE)
    if milliseconds > MAX_DURATION_MS:
        raise OptionError(name, text, "a duration is at most 10 years")
    return milliseconds / 1000


_TEXT_RULE = "a duration reads like 500ms, 30s, 15m, 24h, 7d, 1h30m, or is a number of seconds"
