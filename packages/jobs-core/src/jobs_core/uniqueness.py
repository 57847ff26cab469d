"""Unique jobs: which jobs count as the same, how long, and what a new one comes to while another is there.

    enqueue(SYNC, payload, unique=Unique(fields=("user_id",), on_conflict="replace"))
    enqueue(INDEX, payload, debounce=Debounce(5, max_wait=60, fields=("document_id",)))
    enqueue(ALERT, payload, throttle=Throttle(300, key="disk-full"))

Jobs of one queue and name are the same where their key is: a text of the caller's, the values of fields of the
payload, or without either the whole payload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Literal, TypeAlias, cast

import msgspec

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.payload_fields import payload_fields

__all__ = [
    "CHOICES",
    "Debounce",
    "OnConflict",
    "Rule",
    "Throttle",
    "Unique",
    "Until",
    "as_rule",
    "check_fields",
    "lay_over",
]

Until: TypeAlias = Literal["start", "done", "ttl"]
"""How long a key is held: until the job starts, until it is done (also over retries), or for `ttl`."""

OnConflict: TypeAlias = Literal["skip", "replace", "extend", "keep_last", "error"]
"""What a new job comes to while another one holds its key."""

CHOICES = ("unique", "debounce", "throttle")
_UNTIL: Mapping[str, bytes] = {"start": b"s", "done": b"d", "ttl": b"t"}
_CONFLICTS = ("skip", "replace", "extend", "keep_last", "error")
_KEY_LENGTH = 256
_SPELLED_OUT = 200


class Unique(msgspec.Struct, frozen=True, kw_only=True):
    """One job at a time of all that have the same key.

    `until` says how long the key is held, with `ttl` at most so long. `on_conflict`: `skip` adds nothing; `replace`
    gives a job that does not run the payload, priority and time of the new one, and has one job wait behind a job
    that runs, the newest; `keep_last` does so with the payload alone; `extend` lengthens the ttl and postpones a
    delayed job; `error` raises DuplicateJob.
    """

    key: str | None = None
    fields: str | Sequence[str] = ()
    until: Until = "done"
    ttl: Duration | None = None
    on_conflict: OnConflict = "skip"


class Debounce(msgspec.Struct, frozen=True):
    """The job runs once it was not enqueued again for `delay`, with the newest payload.

    Every call postpones it, though never beyond `max_wait` after the first. What is due, and waits for a worker, is
    postponed no more.
    """

    delay: Duration
    max_wait: Duration | None = None
    key: str | None = None
    fields: str | Sequence[str] = ()


class Throttle(msgspec.Struct, frozen=True):
    """One job in every `ttl`: the first one wins, the others are skipped."""

    ttl: Duration
    key: str | None = None
    fields: str | Sequence[str] = ()


class Rule(msgspec.Struct, frozen=True):
    """One of them, checked: `decide` is what the server decides by, as `k=v,…`, `delay_ms` that of a debounce."""

    mode: bytes
    decide: str
    key: str | None
    fields: tuple[str, ...]
    option: str
    delay_ms: int = 0

    @property
    def stands_alone(self) -> bool:
        """Whether it leaves a job that is there as it is."""
        return "conflict=skip" in self.decide or "conflict=error" in self.decide

    def value(self, name: str, payload: object) -> bytes:
        """Return the unique key of a job, as its record carries it. Raises `OptionError` for a missing field."""
        if self.key is not None:
            return self.mode + f"{name}:{self.key}".encode()
        if not self.fields:
            data = msgspec.json.encode(payload, order="deterministic")
            return self.mode + f"{name}(*):{sha256(data).hexdigest()}".encode()
        values = [self._of(payload, field) for field in self.fields]
        text = msgspec.json.encode(values, order="deterministic")
        if len(text) > _SPELLED_OUT:
            text = b"sha256:" + sha256(text).hexdigest().encode()
        return self.mode + f"{name}({','.join(self.fields)}):".encode() + text

    def _of(self, payload: object, field: str) -> object:
        try:
            if isinstance(payload, Mapping):
                return cast("Mapping[str, object]", payload)[field]
            return cast("object", getattr(payload, field))
        except (KeyError, AttributeError):
            raise OptionError(f"{self.option}.fields", field, "the payload has no such field") from None


def as_rule(options: Mapping[str, object]) -> Rule | None:
    """Return what `unique`, `debounce` or `throttle` of these options says; None where none does.

    Raises `OptionError` for a wrong value, and where there are two.
    """
    given = [choice for choice in CHOICES if options.get(choice) is not None]
    if not given:
        return None
    if len(given) > 1:
        reason = f"it cannot be combined with {given[0]}: each of them says what becomes of a second job"
        raise OptionError(given[1], options[given[1]], reason)
    option, value = given[0], options[given[0]]
    if option == "unique" and isinstance(value, Unique):
        return _unique(value)
    if option == "debounce" and isinstance(value, Debounce):
        return _debounce(value)
    if option == "throttle" and isinstance(value, Throttle):
        ttl_ms = _positive("throttle.ttl", value.ttl)
        return Rule(b"t", f"conflict=skip,ttl={ttl_ms}", *_key(option, value), option)
    raise OptionError(option, value, f"it must be {option.capitalize()}(…)")


def lay_over(options: dict[str, object], nearer: Mapping[str, object]) -> None:
    """Lay a nearer level over farther ones: of unique, debounce and throttle it replaces all by its own."""
    if any(choice in nearer for choice in CHOICES):
        for choice in CHOICES:
            options[choice] = None
    options.update(nearer)


def check_fields(rule: Rule | None, payload: object) -> None:
    """Raise `OptionError` for a field that payloads of a type do not have."""
    known = payload_fields(payload) if rule is not None and rule.fields else None
    if rule is None or known is None:
        return
    for field in rule.fields:
        if field not in known:
            there = f"only the fields {', '.join(known)}" if known else "no fields"
            raise OptionError(f"{rule.option}.fields", field, f"the payload has {there}")


def _unique(given: Unique) -> Rule:
    mode = _UNTIL.get(given.until)
    if mode is None:
        raise OptionError("unique.until", given.until, f"it must be {', '.join(_UNTIL)}")
    if given.on_conflict not in _CONFLICTS:
        raise OptionError("unique.on_conflict", given.on_conflict, f"it must be {', '.join(_CONFLICTS)}")
    if given.ttl is None and given.until == "ttl":
        raise OptionError("unique.ttl", None, "until='ttl' needs one: how long the key is held")
    decide = f"conflict={given.on_conflict}"
    if given.ttl is not None:
        decide += f",ttl={_positive('unique.ttl', given.ttl)}"
    return Rule(mode, decide, *_key("unique", given), "unique")


def _debounce(given: Debounce) -> Rule:
    delay_ms = _positive("debounce.delay", given.delay)
    decide = "conflict=debounce"
    if given.max_wait is not None:
        max_wait_ms = to_ms(given.max_wait, name="debounce.max_wait")
        if max_wait_ms < delay_ms:
            raise OptionError("debounce.max_wait", given.max_wait, "it must not be shorter than the delay")
        decide += f",max_wait={max_wait_ms}"
    return Rule(b"s", decide, *_key("debounce", given), "debounce", delay_ms)


def _key(option: str, given: Unique | Debounce | Throttle) -> tuple[str | None, tuple[str, ...]]:
    key, fields = given.key, given.fields
    names = (fields,) if isinstance(fields, str) else tuple(cast("Iterable[object]", fields))
    if key is not None and names:
        raise OptionError(f"{option}.key", key, "it cannot be combined with fields; give one of them")
    if key is not None and (
        not isinstance(key, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        or not 0 < len(key) <= _KEY_LENGTH
        or not key.isprintable()
    ):
        raise OptionError(f"{option}.key", key, f"it must be 1 to {_KEY_LENGTH} printable characters")
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise OptionError(f"{option}.fields", fields, "it must be names of fields of the payload")
    return key, cast("tuple[str, ...]", names)


def _positive(option: str, value: Duration) -> int:
    milliseconds = to_ms(value, name=option)
    if not milliseconds:
        raise OptionError(option, value, "it must be longer than 0")
    return milliseconds
