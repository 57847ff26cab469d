"""Read job options from a query string: `?priority=high&delay=5`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import cast

from starlette.datastructures import QueryParams

from jobs_core.durations import parse_duration
from jobs_core.errors import OptionError
from jobs_core.options import JobOptions


def _priority(_name: str, text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _duration(name: str, text: str) -> float:
    return parse_duration(text, name=name)


def _number(_name: str, text: str) -> int:
    return int(text)


def _moment(_name: str, text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(_name: str, text: str) -> str:
    return text


def _tags(_name: str, text: str) -> tuple[str, ...]:
    return tuple(tag for tag in text.split(",") if tag)


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "priority": _priority,
    "delay": _duration,
    "run_at": _moment,
    "attempts": _number,
    "timeout": _duration,
    "job_id": _text,
    "tags": _tags,
}


def read_options(query: QueryParams) -> JobOptions:
    """Return the options of a call. Whether a value is in range is the producer's to judge.

    Raises OptionError for an option that this service does not offer, that comes twice or cannot be read.
    """
    options: dict[str, object] = {}
    for name, text in query.multi_items():
        reader = _READERS.get(name)
        if reader is None:
            raise OptionError(name, text, f"there is no such option here; there are {', '.join(_READERS)}")
        if name in options:
            raise OptionError(name, text, "it is given twice")
        try:
            options[name] = reader(name, text)
        except ValueError as error:
            raise OptionError(name, text, str(error)) from error
    return cast("JobOptions", options)
