"""Limits of a queue that an operator sets live: they hold over what code declares, until they are reset."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from jobs_admin.records import Finding, LimitRecord, RateRecord
from jobs_core.errors import OptionError
from jobs_core.flow import KeyLimits, limit_fields

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_core.flow import RateLimit

__all__ = ["Declared", "LiveLimits", "held_back", "read_limits", "set_limits"]

Declared: TypeAlias = Literal["declared"]

_INDEXED = 2
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


async def held_back(calls: Calls, queue: str, key: str = "") -> list[Finding]:
    """Say which limits hold back the waiting jobs of a queue, or one with a key."""
    prefix, call = calls.scripts.key(queue), calls.client.call
    flow = cast("bytes | None", await calls.read(call("HGET", prefix + "meta", "flow")))
    if flow is None:
        return []
    now = await calls.server_ms()
    active, full, held, _, limited, index, *_ = map(float, flow.split())
    found: list[Finding] = []
    if limited > now:
        text = f"a handler met a limit and holds back {queue} for {_seconds(limited - now)}"
        found.append(Finding("held_back", "info", text))
    if full:
        text = f"{active:.0f} jobs of {queue} run, as many as may at once over all workers"
        found.append(Finding("max_active", "info", text, "Raise max_active, or set it live (Admin.limit)."))
    if held > now:
        text = f"the rate limit of {queue} lets the next job start in {_seconds(held - now)}"
        found.append(Finding("rate_limit", "info", text, "Raise rate_limit, or set it live (Admin.limit)."))
    if index == _INDEXED:
        found += await _by_key(calls, queue, key, now)
    return found


async def _by_key(calls: Calls, queue: str, key: str, now: int) -> list[Finding]:
    prefix, call = calls.scripts.key(queue), calls.client.call
    if key:
        at = cast("float | bytes | None", await calls.read(call("ZSCORE", prefix + "kparked", key)))
        if at is None or float(at) <= now:
            return []
        if float(at) != inf:
            return [Finding("key_limit", "info", f"key {key} is held back for {_seconds(float(at) - now)}")]
        running = int(cast("bytes | None", await calls.read(call("HGET", prefix + "kactive", key))) or 0)
        text = f"key {key} is paused, or has as many jobs that run ({running}) as it may"
        return [Finding("key_limit", "info", text)]
    turns = cast("int", await calls.read(call("ZCARD", prefix + "ring")))
    parked = cast("int", await calls.read(call("ZCARD", prefix + "kparked")))
    if turns or not parked:
        return []
    return [
        Finding("key_limit", "info", f"all {parked} keys with waiting jobs of {queue} are at their limits")
    ]


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s"


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


def _parsed(text: bytes | None) -> int | RateRecord | None:
    if not text or text == b"0":
        return None
    first, *rest = map(int, text.split())
    return RateRecord(first, *rest) if rest else first
