"""What can be said of a schedule besides its job: when it fires, and what becomes of fires that are late or overlap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast, get_args

import msgspec

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.flows.calls import Call
from jobs_core.names import nearest
from jobs_core.options import DefaultJobOptions, instant_ms
from jobs_core.schedules.cron import Cron
from jobs_core.schedules.definition import CATCH_UP_MS, Misfire, Overlap
from jobs_core.schedules.recurrence import AfterCompletion, At, CronTimes, Every, Recurrence
from jobs_core.schedules.zones import load_zone

if TYPE_CHECKING:
    from jobs_core.queue import JobType

__all__ = [
    "CommonScheduleOptions",
    "MisfirePolicy",
    "RunAll",
    "ScheduleOptions",
    "ScheduledJobOptions",
    "Timing",
    "check_schedule_id",
    "default_id",
    "read_options",
]

_ID_LENGTH = 100
_SHORTEST_MS = 100
_MOST_INSTANTS = 1000
_MOST_MADE_UP = 10_000
_OPTIONS = (
    "cron",
    "every",
    "at",
    "after_completion",
    "timezone",
    "start",
    "end",
    "limit",
    "jitter",
    "overlap",
    "misfire",
    "catch_up_window",
    "pause_on_failure",
    "options",
)
_KINDS = ("cron", "every", "at", "after_completion")


class RunAll(msgspec.Struct, frozen=True):
    """Make up for every missed fire, the latest `max` of them."""

    max: int


MisfirePolicy: TypeAlias = Literal["run_once", "skip"] | RunAll
"""What is done for fires that were missed: the latest one is sent, none, or all (`RunAll`)."""


class ScheduledJobOptions(DefaultJobOptions, total=False):
    """The job options that a schedule's jobs can have: all but those that mean one job alone."""

    key: str
    chain_to: Sequence[Call]
    on_success: Sequence[Call]


class CommonScheduleOptions(TypedDict, total=False):
    """The options of a schedule besides when it fires."""

    timezone: str
    start: datetime
    end: datetime
    limit: int
    jitter: Duration
    overlap: Overlap
    misfire: MisfirePolicy
    catch_up_window: Duration
    pause_on_failure: bool
    options: ScheduledJobOptions


class ScheduleOptions(CommonScheduleOptions, total=False):
    """The options of a schedule. One of `cron`, `every`, `at` and `after_completion` says when it fires."""

    cron: str
    every: Duration
    at: Sequence[datetime]
    after_completion: Duration


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a schedule, checked, as its definition has them; `options` are those of its jobs."""

    recurrence: Recurrence
    options: ScheduledJobOptions
    start_ms: int | None
    end_ms: int | None
    limit: int | None
    jitter_ms: int
    overlap: Overlap
    misfire: Misfire
    misfire_max: int
    catch_up_ms: int
    pause_on_failure: bool


def read_options(given: ScheduleOptions) -> Timing:
    """Check the options of a schedule. Raises `OptionError` with the reason."""
    for option, value in cast("dict[str, object]", given).items():
        if option not in _OPTIONS:
            near = nearest(option, _OPTIONS)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise OptionError(option, value, f"there is no such option of a schedule{hint}")
    start, end = _instant("start", given.get("start")), _instant("end", given.get("end"))
    if start is not None and end is not None and end < start:
        raise OptionError("end", given.get("end"), "it must not be earlier than start")
    misfire, most = _misfire(given.get("misfire", "run_once"))
    overlap = given.get("overlap", "allow")
    if overlap not in get_args(Overlap):
        raise OptionError("overlap", overlap, f"it must be {', '.join(get_args(Overlap))}")
    limit = given.get("limit")
    window = given.get("catch_up_window")
    return Timing(
        recurrence=_recurrence(given, start),
        options=given.get("options", ScheduledJobOptions()),
        start_ms=start,
        end_ms=end,
        limit=None if limit is None else _whole("limit", limit, 2**32 - 1),
        jitter_ms=to_ms(given.get("jitter", 0), name="jitter"),
        overlap=overlap,
        misfire=misfire,
        misfire_max=most,
        catch_up_ms=CATCH_UP_MS if window is None else to_ms(window, name="catch_up_window"),
        pause_on_failure=_flag("pause_on_failure", given.get("pause_on_failure", False)),
    )


def check_schedule_id(schedule_id: str) -> str:
    """Return the id of a schedule (1 to 100 printable characters). Raises `OptionError`."""
    if (
        not isinstance(schedule_id, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        or not 0 < len(schedule_id) <= _ID_LENGTH
        or not schedule_id.isprintable()
    ):
        raise OptionError("schedule_id", schedule_id, f"it must be 1 to {_ID_LENGTH} printable characters")
    return schedule_id


def default_id(job_type: JobType[object, object], recurrence: Recurrence) -> str:
    """Return the id of a schedule that was given none, queue:job:spec: the same at every start of an application."""
    match recurrence:
        case CronTimes(expression, "UTC"):
            spec = expression
        case CronTimes(expression, timezone):
            spec = f"{expression} {timezone}"
        case Every(interval, _):
            spec = f"every {interval}ms"
        case At(instants):
            spec = sha256(msgspec.json.encode(instants)).hexdigest()[:16]
        case AfterCompletion(delay, _):
            spec = f"after {delay}ms"
    found = f"{job_type.queue.name}:{job_type.name}:{spec}"
    if len(found) <= _ID_LENGTH:
        return found
    return f"{found[: _ID_LENGTH - 17]}:{sha256(found.encode()).hexdigest()[:16]}"


def _recurrence(given: ScheduleOptions, start_ms: int | None) -> Recurrence:
    kinds = [kind for kind in _KINDS if given.get(kind) is not None]
    if len(kinds) != 1:
        raise OptionError(
            kinds[1] if kinds else "cron",
            given.get(kinds[1]) if kinds else None,
            f"give one of {', '.join(_KINDS)}: when the schedule fires",
        )
    if given.get("timezone", "UTC") != "UTC" and kinds[0] != "cron":
        reason = f"only cron goes by a wall clock; {kinds[0]} means the same everywhere"
        raise OptionError("timezone", given.get("timezone"), reason)
    match kinds[0]:
        case "cron":
            timezone = given.get("timezone", "UTC")
            load_zone(timezone)
            return CronTimes(Cron(given.get("cron", "")).expression, timezone)
        case "every":
            return Every(_interval("every", given.get("every", 0)), start_ms or 0)
        case "at":
            return At(_instants(given.get("at", ())))
        case _:
            return AfterCompletion(
                _interval("after_completion", given.get("after_completion", 0)), start_ms or 0
            )


def _instant(option: str, value: datetime | None) -> int | None:
    return None if value is None else instant_ms(option, value)


def _interval(option: str, value: Duration) -> int:
    milliseconds = to_ms(value, name=option)
    if milliseconds < _SHORTEST_MS:
        raise OptionError(option, value, f"it must be at least {_SHORTEST_MS / 1000:g} s")
    return milliseconds


def _instants(given: Sequence[datetime]) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("at", given, "it must be a list of date-times with a time zone")
    if not 0 < len(given) <= _MOST_INSTANTS:
        raise OptionError("at", f"{len(given)} instants", f"it must name 1 to {_MOST_INSTANTS}")
    return tuple(sorted({instant_ms("at", each) for each in given}))


def _misfire(value: object) -> tuple[Misfire, int]:
    if isinstance(value, RunAll):
        return "run_all", _whole("misfire.max", value.max, _MOST_MADE_UP)
    if value in {"run_once", "skip"}:
        return cast("Misfire", value), 0
    raise OptionError("misfire", value, "it must be run_once, skip or RunAll(how many at most)")


def _whole(option: str, value: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, f"it must be a whole number from 1 to {most}")
    return value


def _flag(option: str, value: bool) -> bool:  # noqa: FBT001 - the value that is checked
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, "it must be True or False")
    return value
