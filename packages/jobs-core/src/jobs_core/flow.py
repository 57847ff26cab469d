"""How much of a queue may start: rates, and limits by key (tenant, API token, account)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import cast

import msgspec

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError

__all__ = ["KeyLimits", "RateLimit", "check_cost", "check_key", "key_fields", "key_of", "limit_fields"]

MAX_KEY_BYTES = 255
MAX_COST = 255
_MOST = 1_000_000
_MAX_WEIGHT = 100
_MAX_WEIGHTS = 256
_SHOWN_BYTES = 200


class RateLimit(msgspec.Struct, frozen=True):
    """At most `max` starts in `per` (seconds or timedelta) on average, over all workers; `burst` at once (None: `max`).

    A token bucket: over any time t at most burst + max·t/per jobs start, whatever was missed while nothing waited. With
    a burst of 1 starts are spaced evenly, and what a wake-up takes is lost.
    """

    max: int
    per: Duration = 1
    burst: int | None = None


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of each key of a queue: how many of its jobs run at once, and how many start.

    `fifo`: one at a time, in the order in which they came, retries included. `weights` gives single keys more turns than
    one, in each round of all keys.
    """

    concurrency: int | None = None
    rate: RateLimit | None = None
    fifo: bool = False
    weights: Mapping[str, int] | None = None


def limit_fields(
    rate_limit: RateLimit | None, max_active: int | None, key_limits: KeyLimits | None, *, keyed: bool
) -> dict[str, str]:
    """Return limits as the server takes them, empty where there are none. Raises `OptionError`."""
    fields: dict[str, str] = {}
    if rate_limit is not None:
        fields["rate"] = _rate("rate_limit", rate_limit)
    if max_active is not None:
        fields["max_active"] = str(_whole("max_active", max_active, _MOST))
    if keyed:
        fields["keyed"] = "1"
    if key_limits is not None:
        fields |= _by_key(key_limits)
    return {"gated": "1", **fields} if fields else {}


def check_cost(cost: object) -> int:
    """Return the tokens that a job takes. Raises `OptionError`."""
    return _whole("cost", cost, MAX_COST)


def check_key(key: object) -> str:
    """Return a key that a caller gave. Raises `OptionError`."""
    if not isinstance(key, str) or not key.isprintable() or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise OptionError("key", key, f"a key is 1 to {MAX_KEY_BYTES} bytes of printable text")
    return key


def key_fields(key: object) -> tuple[str, ...]:
    """Return the payload fields that a queue takes its keys from; none where only calls give them."""
    if key is None or key is True:
        return ()
    fields = (key,) if isinstance(key, str) else key
    if not isinstance(fields, Sequence) or not fields:
        raise OptionError("key", key, "it must be the name of a payload field, a list of them, or True")
    for field in cast("Sequence[object]", fields):
        if not isinstance(field, str) or not field:
            raise OptionError("key", key, "it must be the name of a payload field, a list of them, or True")
    return tuple(cast("Sequence[str]", fields))


def key_of(fields: Sequence[str], payload: object) -> str:
    """Return the key of a payload: the values of the fields, "" where one is missing or None.

    What does not fit into a key is shortened, and stays as different as it was.
    """
    values: list[str] = []
    for field in fields:
        value = (
            cast("Mapping[str, object]", payload).get(field)
            if isinstance(payload, Mapping)
            else getattr(payload, field, None)
        )
        if value is None:
            return ""
        values.append(str(value))
    text = values[0] if len(values) == 1 else ":".join(value.replace(":", "::") for value in values)
    data = text.encode(errors="replace")
    if text.isprintable() and len(data) <= MAX_KEY_BYTES:
        return text
    shown = "".join(each for each in text if each.isprintable()).encode(errors="replace")[:_SHOWN_BYTES]
    return f"{shown.decode(errors='ignore')}~{sha256(data).hexdigest()[:32]}"


def _by_key(limits: KeyLimits) -> dict[str, str]:
    fields: dict[str, str] = {}
    if limits.concurrency is not None:
        fields["key_active"] = str(_whole("key_limits.concurrency", limits.concurrency, _MOST - 1))
    if limits.rate is not None:
        fields["key_rate"] = _rate("key_limits.rate", limits.rate)
    if limits.fifo:
        if limits.concurrency not in {None, 1}:
            reason = "strictly first in, first out means one at a time"
            raise OptionError("key_limits.concurrency", limits.concurrency, reason)
        fields["fifo"] = "1"
    if limits.weights:
        if len(limits.weights) > _MAX_WEIGHTS:
            raise OptionError(
                "key_limits.weights", len(limits.weights), f"there may be at most {_MAX_WEIGHTS}"
            )
        lines = (
            f"{check_key(key)}={_whole(f'key_limits.weights[{key!r}]', weight, _MAX_WEIGHT)}\n"
            for key, weight in limits.weights.items()
        )
        fields["weights"] = "\n" + "".join(lines)
    return fields


def _rate(option: str, limit: object) -> str:
    if not isinstance(limit, RateLimit):
        raise OptionError(option, limit, "it must be RateLimit(max, per, burst=…)")
    most = _whole(f"{option}.max", limit.max, _MOST)
    per_ms = to_ms(limit.per, name=f"{option}.per")
    if not per_ms:
        raise OptionError(f"{option}.per", limit.per, "it must be longer than 0")
    burst = most if limit.burst is None else _whole(f"{option}.burst", limit.burst, _MOST)
    return f"{most} {per_ms} {burst}"


def _whole(option: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise OptionError(option, value, f"it must be a whole number from 1 to {most:,}")
    return value
