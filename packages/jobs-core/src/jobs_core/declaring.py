"""Checks of what a queue is declared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, TypeAlias

from jobs_core.codecs import Codec
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.names import nearest
from jobs_core.options import Keep, Retention, as_priority, as_retention
from jobs_core.payloads import FORMATS, Format
from jobs_core.profiles import EXECUTORS, WEIGHT_CLASSES, Executor, Profile
from jobs_core.states import Priority, State

JobLogs: TypeAlias = Literal["debug", "info", "warning", "error", "critical", "off"]
"""From which level on the lines that handlers log are kept with their jobs."""

LOG_LEVELS = ("debug", "info", "warning", "error", "critical", "off")
_FINAL = tuple(state for state in State if state.final)
_OFFSETS_MS = {
    Priority.CRITICAL: 86_400_000,
    Priority.HIGH: 1_800_000,
    Priority.NORMAL: 0,
    Priority.LOW: -600_000,
    Priority.BACKGROUND: -7_200_000,
}


def unknown_option(option: str, value: object, known: Iterable[str]) -> OptionError:
    """Return the error for an option that queues do not have."""
    if option == "partitions":
        return OptionError(
            option,
            value,
            "a queue lives on one node of a cluster and is not parted over several; declare several queues instead",
        )
    near = nearest(option, known)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return OptionError(option, value, f"there is no such queue option{hint}")


def checked_profile(profile: Profile | None) -> Profile | None:
    """Return a profile that workers know. Raises OptionError."""
    if profile is None:
        return None
    if not isinstance(profile, Profile):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("profile", profile, "it must be LIGHT, MEDIUM or HEAVY of jobs_core")
    if profile.name not in WEIGHT_CLASSES:
        raise OptionError(
            "profile", profile.name, "its name must be light, medium or heavy: workers go by it"
        )
    return profile


def checked_executor(executor: Executor) -> Executor:
    """Return an executor that there is. Raises OptionError."""
    if executor not in EXECUTORS:
        raise OptionError("executor", executor, f"it must be one of {', '.join(EXECUTORS)}")
    return executor


def checked_format(form: Format) -> Format:
    """Return a format that there is. Raises OptionError."""
    if form not in FORMATS:
        raise OptionError("format", form, f"it must be {' or '.join(FORMATS)}")
    return form


def checked_codec(codec: Codec) -> Codec:
    """Return a codec. Raises OptionError."""
    if not isinstance(codec, Codec):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("codec", codec, "it must be a Codec")
    return codec


def checked_level(level: JobLogs) -> JobLogs:
    """Return a level of logs that there is. Raises OptionError."""
    if level not in LOG_LEVELS:
        raise OptionError("job_logs", level, f"it must be one of {', '.join(LOG_LEVELS)}")
    return level


def checked_whole(option: str, value: int, least: int, most: int) -> int:
    """Return a whole number within bounds. Raises OptionError."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, f"it must be a whole number from {least} to {most}")
    return value


def checked_flag(option: str, value: bool) -> bool:  # noqa: FBT001 - the value that is checked
    """Return a truth value. Raises OptionError."""
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, "it must be True or False")
    return value


def checked_ms(option: str, value: Duration) -> int:
    """Return a duration above 0 in ms. Raises OptionError."""
    milliseconds = to_ms(value, name=option)
    if milliseconds == 0:
        raise OptionError(option, value, "it must be longer than 0")
    return milliseconds


def checked_offsets(given: Mapping[Priority, Duration]) -> tuple[int, int, int, int, int]:
    """Lay the given offsets over the default ones; a more urgent priority may never count as later."""
    by_number = {int(priority): offset for priority, offset in _OFFSETS_MS.items()}
    for priority, offset in given.items():
        by_number[as_priority(priority)] = _signed_ms(offset)
    first, second, third, fourth, fifth = (by_number[number] for number in range(1, 6))
    if not first >= second >= third >= fourth >= fifth:
        raise OptionError(
            "priority_offsets", dict(given), "each priority needs at least the offset of the next one"
        )
    return first, second, third, fourth, fifth


def _signed_ms(offset: Duration) -> int:
    seconds = offset.total_seconds() if isinstance(offset, timedelta) else offset
    milliseconds = to_ms(abs(seconds), name="priority_offsets")
    return -milliseconds if seconds < 0 else milliseconds


def checked_retention(given: Mapping[State, Keep | int]) -> Mapping[State, Retention]:
    """Return what is kept by final state."""
    checked: dict[State, Retention] = {}
    for state, value in given.items():
        if state not in _FINAL:
            finals = ", ".join(_FINAL)
            raise OptionError("retention", state, f"only jobs that ended are kept; the states are {finals}")
        if isinstance(value, bool):
            raise OptionError(
                f"retention.{state}", value, "it must be Keep(count=, age=, bytes=) or how many"
            )
        checked[State(state)] = as_retention(f"retention.{state}", value)
    return MappingProxyType(checked)
