"""Limits of a queue that an operator sets live: they hold over what code declares, until they are reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from jobs_admin.records import LimitRecord
from jobs_core.errors import OptionError
from jobs_core.flow import KeyLimits, RateLimit, limit_fields

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

__all__ = ["Declared", "LiveLimits", "read_limits", "set_limits"]

Declared: TypeAlias = Literal["declared"]

# By the name that users know, the field of `cfg`.
_FIELDS = {
    "max_active": "max_active",
    "rate_limit": "rate",
    "key_concurrency": "key_active",
    "key_rate": "key_rate",
}


class LiveLimits(TypedDict, total=False):
    """Limits to set: a value, None for no limit, or `declared` to take back what was set."""

    max_active: int | Declared | None
    rate_limit: RateLimit | Declared | None
    key_concurrency: int | Declared | None
    key_rate: RateLimit | Declared | None


async def read_limits(calls: Calls, queue: str) -> list[LimitRecord]:
    """Return every limit of a queue: what code declares, and what is set over it."""
    names = [part for field in _FIELDS.values() for part in (field, f"live:{field}")]
    key = calls.scripts.key(queue) + "cfg"
    found = cast("list[bytes | None]", await calls.read(calls.client.call("HMGET", key, *names)))
    return [
        LimitRecord(name, _parsed(declared), _parsed(live), lifted=live == b"0")
        for name, declared, live in zip(_FIELDS, found[::2], found[1::2], strict=True)
    ]


async def set_limits(calls: Calls, queue: str, limits: LiveLimits) -> bool:
    """Set limits live. Returns whether anything changed. Raises OptionError."""
    fields = {name: _text(name, value) for name, value in cast("Mapping[str, object]", limits).items()}
    asked = {_FIELDS[name]: text for name, text in fields.items()}
    return await calls.change(calls.scripts.limit(queue, limits=asked))


def _text(name: str, value: object) -> str:
    if name not in _FIELDS:
        raise OptionError(name, value, f"the limits are {', '.join(_FIELDS)}")
    if value == "declared":
        return ""
    if value is None:
        return "0"
    match name:
        case "max_active":
            fields = limit_fields(None, cast("int", value), None, keyed=False)
        case "rate_limit":
            fields = limit_fields(cast("RateLimit", value), None, None, keyed=False)
        case "key_concurrency":
            fields = limit_fields(None, None, KeyLimits(concurrency=cast("int", value)), keyed=False)
        case _:
            fields = limit_fields(None, None, KeyLimits(rate=cast("RateLimit", value)), keyed=False)
    return fields[_FIELDS[name]]


def _parsed(text: bytes | None) -> int | RateLimit | None:
    if not text or text == b"0":
        return None
    first, *rest = map(int, text.split())
    return RateLimit(first, rest[0] / 1000, rest[1]) if rest else first
