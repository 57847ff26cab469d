"""Job options as JSON writes them: in `JOBS_DEFAULT_OPTIONS`, in files, on the command line and over HTTP.

As in Python, with durations also as text (`"30s"`), `run_at` as RFC 3339, a backoff as
`{"type": "exponential", "base": 1, "max": 3600, "jitter": 0.2}` (`linear`, `fixed`),
`{"type": "custom", "name": "bank"}` or a list of durations,
and what to keep as `{"count": 100, "age": "24h", "bytes": 1000000}`. `unique` is an object of the arguments of
`Unique`, or a key alone; `debounce` and `throttle` are objects of theirs. `chain_to` and `on_success` are lists of
`{"queue": …, "job": …, "payload": …, "options": …}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from jobs_core.backoff import Backoff, Custom, Delays, Exponential, Fixed, Linear
from jobs_core.durations import Duration, parse_duration
from jobs_core.errors import OptionError
from jobs_core.flows.calls import Call
from jobs_core.options import JobOptions, Keep
from jobs_core.uniqueness import Debounce, OnConflict, Throttle, Unique, Until

if TYPE_CHECKING:
    from jobs_core.queue import JobType

__all__ = ["FindJob", "parse_options"]

_DURATIONS = frozenset({"delay", "retry_for", "timeout", "result_ttl", "expires_in"})
_FOLLOWERS = frozenset({"chain_to", "on_success"})
_INSTANTS = frozenset({"run_at", "deadline"})
_KEEPS = frozenset({"remove_on_complete", "remove_on_fail"})
_encode = msgspec.json.Encoder().encode
_KINDS = {"exponential": Exponential, "linear": Linear, "fixed": Fixed}


FindJob: TypeAlias = Callable[[str, str], "JobType[object, object]"]
"""Returns a declared job by queue and name."""


def parse_options(data: object, find_job: FindJob | None = None) -> JobOptions:
    """Return the options that decoded JSON means; names and values are checked where they are used.

    `find_job` returns the jobs that are to follow; without it none can. Raises `OptionError` for a form that means nothing, PayloadError
    for the payload of a follower, and what `find_job` raises.
    """
    if not isinstance(data, Mapping):
        raise OptionError("options", data, "job options are an object")
    parsed: dict[str, object] = {}
    for option, value in cast("Mapping[str, object]", data).items():
        if option in _DURATIONS:
            parsed[option] = _duration(option, value)
        elif option in _KEEPS:
            parsed[option] = _keep(option, value)
        elif option == "backoff":
            parsed[option] = _backoff(value)
        elif option in _UNIQUE:
            parsed[option] = _UNIQUE[option](value)
        elif option in _FOLLOWERS:
            parsed[option] = _calls(option, value, find_job)
        elif option in _INSTANTS:
            parsed[option] = _instant(option, value)
        else:
            parsed[option] = value
    return cast("JobOptions", parsed)


def _calls(option: str, value: object, find_job: FindJob | None) -> list[Call]:
    if find_job is None:
        raise OptionError(option, value, "what follows a job is said where that job is enqueued")
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise OptionError(option, value, "it must be a list of objects with queue, job, payload and options")
    calls: list[Call] = []
    for at, one in enumerate(cast("Sequence[object]", value)):
        place = f"{option}[{at}]"
        if not isinstance(one, Mapping):
            raise OptionError(place, one, "it must be an object with queue, job, payload and options")
        fields = _only(place, cast("Mapping[str, object]", one), {"queue", "job", "payload", "options"})
        names = fields.get("queue"), fields.get("job")
        if not all(isinstance(name, str) for name in names):
            raise OptionError(place, cast("object", one), "it must name its queue and its job")
        job = find_job(*cast("tuple[str, str]", names))
        payload = job.decode(_encode(fields.get("payload", {})), "json")
        calls.append(Call(job, payload, parse_options(fields.get("options", {}), find_job)))
    return calls


def _duration(option: str, value: object) -> Duration:
    return parse_duration(value, name=option) if isinstance(value, str) else cast("Duration", value)


def _keep(option: str, value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    limits = _only(option, cast("Mapping[str, object]", value), {"count", "age", "bytes"})
    age = limits.get("age")
    return Keep(
        count=cast("int | None", limits.get("count")),
        age=None if age is None else _duration(f"{option}.age", age),
        bytes=cast("int | None", limits.get("bytes")),
    )


def _unique(value: object) -> object:
    if isinstance(value, str):
        return Unique(key=value)
    given = _arguments("unique", value, {"key", "fields", "until", "ttl", "on_conflict"})
    return given and Unique(
        key=cast("str | None", given.get("key")),
        fields=cast("Sequence[str]", given.get("fields", ())),
        until=cast("Until", given.get("until", "done")),
        ttl=cast("Duration | None", given.get("ttl")),
        on_conflict=cast("OnConflict", given.get("on_conflict", "skip")),
    )


def _debounce(value: object) -> object:
    given = _arguments("debounce", value, {"delay", "max_wait", "key", "fields"})
    return given and Debounce(
        cast("Duration", given.get("delay")),
        cast("Duration | None", given.get("max_wait")),
        cast("str | None", given.get("key")),
        cast("Sequence[str]", given.get("fields", ())),
    )


def _throttle(value: object) -> object:
    given = _arguments("throttle", value, {"ttl", "key", "fields"})
    return given and Throttle(
        cast("Duration", given.get("ttl")),
        cast("str | None", given.get("key")),
        cast("Sequence[str]", given.get("fields", ())),
    )


_UNIQUE = {"unique": _unique, "debounce": _debounce, "throttle": _throttle}


def _arguments(option: str, value: object, known: set[str]) -> Mapping[str, object] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionError(option, value, f"it must be an object with {', '.join(sorted(known))}")
    fields = _only(option, cast("Mapping[str, object]", value), known)
    return {
        name: _duration(f"{option}.{name}", one) if name in {"ttl", "delay", "max_wait"} else one
        for name, one in fields.items()
    }


def _backoff(value: object) -> Backoff:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Delays([_duration("backoff", one) for one in cast("Sequence[object]", value)])
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        raise OptionError("backoff", value, 'it must be an object with a "type", or a list of durations')
    fields = cast("Mapping[str, object]", value)
    if fields.get("type") == "custom":
        return Custom(cast("str", _only("backoff", fields, {"type", "name"}).get("name", "")))
    fields = _only("backoff", fields, {"type", "base", "max", "jitter"})
    kind = _KINDS.get(str(fields.get("type")))
    if kind is None:
        raise OptionError("backoff.type", fields.get("type"), f"it must be {', '.join([*_KINDS, 'custom'])}")
    if kind is Fixed and "max" in fields:
        raise OptionError("backoff.max", fields["max"], "a fixed backoff has none")
    arguments = {
        field: _duration(f"backoff.{field}", one) if field != "jitter" else cast("float", one)
        for field, one in fields.items()
        if field != "type"
    }
    return cast("Backoff", kind(**arguments))  # pyright: ignore[reportArgumentType] - checked when it is made


def _instant(option: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise OptionError(option, value, "it must read like 2027-01-31T09:00:00+01:00") from None


def _only(option: str, fields: Mapping[str, object], known: set[str]) -> Mapping[str, object]:
    for field in fields:
        if field not in known:
            raise OptionError(f"{option}.{field}", fields[field], f"there is only {', '.join(sorted(known))}")
    return fields
