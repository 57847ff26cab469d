"""Values of job options, checked one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, TypeGuard, cast

import msgspec

from jobs_core.errors import OptionError
from jobs_core.names import check_tag
from jobs_core.states import Priority

MetaValue: TypeAlias = str | int | float | bool | None

MAX_METADATA_BYTES = 8 * 1024
MAX_METADATA_KEY = 64
MAX_TAGS = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PRIORITIES = {priority.name.lower(): priority.value for priority in Priority}
_encode_json = msgspec.json.Encoder().encode


def no_job(given: object, option: str = "job") -> OptionError:
    """Return the error for what stands where a declared job has to: its name, its queue, its payload."""
    reason = (
        "it must be a job that Queue.job(…) returned; what no code declares is enqueued by "
        "producer.queue(name).enqueue(job_name, payload)"
    )
    return OptionError(option, given, reason)


def as_priority(value: object) -> int:
    """Return the number of a priority given as such, as its number, or as its name in any case."""
    if isinstance(value, str):
        number = _PRIORITIES.get(value.lower())
        if number is not None:
            return number
    elif isinstance(value, int) and value is not True and 1 <= value <= 5:
        return int(value)
    raise OptionError("priority", value, f"it must be {', '.join(_PRIORITIES)}, or 1 to 5")


def instant_ms(option: str, value: object) -> int:
    """Return an instant as Unix ms. Raises `OptionError` for what is none, also a naive date-time."""
    if not isinstance(value, datetime):
        raise OptionError(option, value, "it must be a datetime with a time zone")
    if value.utcoffset() is None:
        raise OptionError(option, value, "it has no time zone, so it means another instant on each machine")
    # 0 says "not given"; what lies in the past runs at once anyway.
    return max(1, (value - _EPOCH) // _MILLISECOND)


def as_metadata(value: object) -> dict[str, MetaValue]:
    """Return a copy of metadata. Raises `OptionError`."""
    if not isinstance(value, (dict, Mapping)):
        raise OptionError("metadata", value, "it must be a mapping")
    metadata = {**cast("Mapping[str, MetaValue]", value)}
    for key, entry in metadata.items():
        _check_entry(key, entry)
    try:
        size = len(_encode_json(metadata))
    except UnicodeEncodeError as error:
        raise OptionError("metadata", metadata, "it holds characters that UTF-8 cannot carry") from error
    if size > MAX_METADATA_BYTES:
        reason = f"it has {size:,} bytes, at most {MAX_METADATA_BYTES:,} are allowed"
        raise OptionError("metadata", metadata, reason)
    return metadata


def _check_entry(key: object, entry: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= MAX_METADATA_KEY:
        raise OptionError("metadata", key, f"a key must be 1 to {MAX_METADATA_KEY} characters")
    if entry is None or isinstance(entry, str):
        return
    if not isinstance(entry, (int, float)):
        raise OptionError(f"metadata[{key!r}]", entry, "a value must be a string, number, bool or None")
    if not (math.isfinite(entry) if isinstance(entry, float) else -(2**63) <= entry < 2**63):
        raise OptionError(f"metadata[{key!r}]", entry, "it must be finite, and fit into 64 bits if whole")


def as_tags(value: object) -> tuple[str, ...]:
    """Return tags, each once. Raises `OptionError`."""
    # The plain types first: asking the abstract ones costs a third of a microsecond.
    if not isinstance(value, (list, tuple)) and (isinstance(value, str) or not isinstance(value, Sequence)):
        raise OptionError("tags", value, "it must be a list of strings")
    tags = tuple(cast("Sequence[str]", value))
    if len(tags) > MAX_TAGS:
        raise OptionError("tags", tags, f"there may be at most {MAX_TAGS}")
    return tuple(dict.fromkeys(map(check_tag, tags)))


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)
