"""How long a failed job waits before it runs again.

Each kind has `delay_ms(attempt, random)`: the wait before retry number `attempt` (1 is the first retry) in
milliseconds, never over `max`. A `jitter` of j draws the wait evenly from [w * (1 - j), w], so that jobs
which failed together do not come back together.

They travel with each job, hence the short array form with a number as tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

import msgspec
from msgspec.structs import force_setattr

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError

__all__ = ["Backoff", "Custom", "Delays", "Exponential", "Fixed", "Linear", "as_backoff"]

_HOUR: Duration = 3600
_MAX_DELAYS = 1000
# 2^40 seconds is far over the longest allowed wait, and a larger exponent would overflow a float.
_MAX_EXPONENT = 40
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class _Curve(msgspec.Struct, frozen=True, array_like=True):
    """What grows from a base; a class of its own since only the base may be given by position."""

    base: Duration = 1


class Exponential(_Curve, frozen=True, array_like=True, kw_only=True, tag=1):
    """Wait base, 2 base, 4 base, … up to `max` (seconds or timedelta)."""

    max: Duration = _HOUR
    jitter: float = 0

    def __post_init__(self) -> None:
        """Refuse wrong values with `OptionError`."""
        _normalise(self, "base", "max")

    def delay_ms(self, attempt: int, random: Callable[[], float]) -> int:
        """Return the wait before retry number `attempt` in milliseconds; `random` gives 0 <= x < 1."""
        wait = _seconds(self.base) * 2.0 ** min(attempt - 1, _MAX_EXPONENT)
        return _drawn(min(wait, _seconds(self.max)), self.jitter, random)


class Linear(_Curve, frozen=True, array_like=True, kw_only=True, tag=2):
    """Wait base, 2 base, 3 base, … up to `max` (seconds or timedelta)."""

    max: Duration = _HOUR
    jitter: float = 0

    def __post_init__(self) -> None:
        """Refuse wrong values with `OptionError`."""
        _normalise(self, "base", "max")

    def delay_ms(self, attempt: int, random: Callable[[], float]) -> int:
        """Return the wait before retry number `attempt` in milliseconds; `random` gives 0 <= x < 1."""
        return _drawn(min(_seconds(self.base) * attempt, _seconds(self.max)), self.jitter, random)


class Fixed(_Curve, frozen=True, array_like=True, kw_only=True, tag=3):
    """Wait base (seconds or timedelta) before each retry."""

    jitter: float = 0

    def __post_init__(self) -> None:
        """Refuse wrong values with `OptionError`."""
        _normalise(self, "base")

    def delay_ms(self, attempt: int, random: Callable[[], float]) -> int:  # noqa: ARG002 - all kinds are called alike
        """Return the wait before retry number `attempt` in milliseconds; `random` gives 0 <= x < 1."""
        return _drawn(_seconds(self.base), self.jitter, random)


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    """What is given by position to `Delays`."""

    delays: Sequence[Duration]


class Delays(_Listed, frozen=True, array_like=True, kw_only=True, tag=4):
    """Wait the listed times (seconds or timedelta), the last of them for all further retries."""

    jitter: float = 0

    def __post_init__(self) -> None:
        """Refuse wrong values with `OptionError`."""
        if isinstance(self.delays, str) or not 1 <= len(self.delays) <= _MAX_DELAYS:
            raise OptionError("backoff", self.delays, f"it must list 1 to {_MAX_DELAYS} durations")
        force_setattr(self, "delays", tuple(_plain(delay, "delays") for delay in self.delays))
        _check_jitter(self.jitter)

    def delay_ms(self, attempt: int, random: Callable[[], float]) -> int:
        """Return the wait before retry number `attempt` in milliseconds; `random` gives 0 <= x < 1."""
        return _drawn(_seconds(self.delays[min(attempt, len(self.delays)) - 1]), self.jitter, random)


class _Named(msgspec.Struct, frozen=True, array_like=True):
    """What is given by position to `Custom`."""

    name: str


class Custom(_Named, frozen=True, array_like=True, kw_only=True, tag=5):
    """Wait as a function of the worker says: the one that is decorated with `@backoff(name)`."""

    def __post_init__(self) -> None:
        """Refuse a name that is none with `OptionError`."""
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("backoff.name", self.name, "it must be 1 to 64 of A-Z a-z 0-9 . _ -")


Curve: TypeAlias = Exponential | Linear | Fixed | Delays
Backoff: TypeAlias = Curve | Custom


def as_backoff(value: Backoff | Sequence[Duration]) -> Backoff:
    """Return a backoff as it is and a list of durations as `Delays`. Raises `OptionError` for others."""
    if isinstance(value, (Exponential, Linear, Fixed, Delays, Custom)):
        return value
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        return Delays(value)
    raise OptionError(
        "backoff", value, "it must be Exponential, Linear, Fixed, Delays, Custom or a list of durations"
    )


def _normalise(backoff: Curve, *fields: str) -> None:
    """Turn durations into plain numbers of seconds, so that equal backoffs compare and encode alike."""
    for field in fields:
        force_setattr(backoff, field, _plain(getattr(backoff, field), field))
    _check_jitter(backoff.jitter)


def _plain(value: Duration, field: str) -> int | float:
    milliseconds = to_ms(value, name=f"backoff.{field}")
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _seconds(value: Duration) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _check_jitter(jitter: float) -> None:
    number = isinstance(jitter, (int, float)) and not isinstance(jitter, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not number or not 0 <= jitter <= 1:
        raise OptionError("backoff.jitter", jitter, "it must be 0 to 1")


def _drawn(wait: float, jitter: float, random: Callable[[], float]) -> int:
    if jitter:
        wait *= 1 - jitter * random()
    return round(wait * 1000)
