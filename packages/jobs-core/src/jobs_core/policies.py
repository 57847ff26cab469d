"""The policy that is frozen on a job when it is enqueued: attempts, times, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

import msgspec
from msgspec.structs import replace

from jobs_core.backoff import Backoff, as_backoff
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.option_values import instant_ms, is_whole

MAX_ATTEMPTS = 1000
MAX_ERRORS = 32
UNLIMITED = -1
QUEUES = -2
_LARGEST = 2**53
_ERROR_NAME = re.compile(r"[A-Za-z_][\w.<>]{0,199}")


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what has ended is kept: so many jobs, so long (seconds or timedelta), so many bytes."""

    count: int | None = None
    age: Duration | None = None
    bytes: int | None = None


class Retention(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of finished jobs: -1 is no limit, a count of 0 removes them at once, -2 leaves it to the queue."""

    count: int = UNLIMITED
    age_ms: int = UNLIMITED
    bytes: int = UNLIMITED


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """What is decided when a job is enqueued and frozen on it. 0 ms means no timeout, no kept result, no budget of time, no deadline.

    `deadline_ms` is an instant (Unix ms) after which no attempt starts or goes on.

    A new field is added at the end, with a default: jobs that were enqueued before it are decoded too.
    """

    attempts: int
    backoff: Backoff
    timeout_ms: int
    keep_completed: Retention
    keep_failed: Retention
    result_ttl_ms: int
    retry_on: tuple[str, ...] = ()
    no_retry_on: tuple[str, ...] = ()
    retry_for_ms: int = 0
    deadline_ms: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Policy).decode
_REMOVED = Retention(count=0)
_KEPT = Retention()
_AS_QUEUE = Retention(count=QUEUES)


def encode_policy(policy: Policy) -> bytes:
    """Return the policy as msgpack."""
    return _encode(policy)


@lru_cache(maxsize=1024)
def decode_policy(data: bytes) -> Policy:
    """Return the policy that `encode_policy` wrote. Raises `ValueError` for anything else."""
    return _decode(data)


@lru_cache(maxsize=1024)
def within_deadline(policy: bytes, deadline_ms: int) -> bytes:
    """Return the encoded policy of a job that follows one which has a deadline: the earlier one holds."""
    own = decode_policy(policy)
    earlier = min(own.deadline_ms or deadline_ms, deadline_ms)
    return encode_policy(replace(own, deadline_ms=earlier))


def make_policy(options: Mapping[str, object]) -> Policy:
    """Return the policy that options come to, all of which are given. Raises `OptionError`."""
    attempts = options["attempts"]
    if not is_whole(attempts) or not 1 <= attempts <= MAX_ATTEMPTS:
        raise OptionError("attempts", attempts, f"it must be 1 to {MAX_ATTEMPTS}; the first run counts")
    return Policy(
        attempts=attempts,
        backoff=as_backoff(cast("Backoff", options["backoff"])),
        timeout_ms=to_ms(cast("Duration", options["timeout"]), name="timeout"),
        keep_completed=as_retention("remove_on_complete", options["remove_on_complete"]),
        keep_failed=as_retention("remove_on_fail", options["remove_on_fail"]),
        result_ttl_ms=to_ms(cast("Duration", options["result_ttl"]), name="result_ttl"),
        retry_on=error_names("retry_on", options["retry_on"]),
        no_retry_on=error_names("no_retry_on", options["no_retry_on"]),
        retry_for_ms=to_ms(cast("Duration", options["retry_for"]), name="retry_for"),
        deadline_ms=instant_ms("deadline", options["deadline"]) if "deadline" in options else 0,
    )


def error_names(option: str, value: object) -> tuple[str, ...]:
    """Return exception classes as `module.Class`, and names as they are given. Raises `OptionError`."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionError(option, value, "it must be a list of exception classes or their names")
    given = cast("Sequence[object]", value)
    if len(given) > MAX_ERRORS:
        raise OptionError(option, given, f"there may be at most {MAX_ERRORS}")
    return tuple(dict.fromkeys(_error_name(option, each) for each in given))


def _error_name(option: str, value: object) -> str:
    if isinstance(value, type) and issubclass(value, BaseException):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, str) and _ERROR_NAME.fullmatch(value):
        return value
    raise OptionError(
        option,
        repr(cast("object", value)),
        "it must list exception classes, or names such as ValueError or shop.errors.Declined",
    )


def left_to_queue(kept: Retention) -> Retention:
    """Return what a job says that leaves it to its queue, which keeps so much."""
    return kept if kept == _REMOVED else _AS_QUEUE


def as_retention(option: str, value: object) -> Retention:
    """Return what is kept: true (nothing), false (all), how many, or `Keep`. Raises `OptionError`."""
    if value is True:
        return _REMOVED
    if value is False:
        return _KEPT
    if isinstance(value, Retention):
        return value
    if isinstance(value, Keep):
        kept = Retention(
            count=UNLIMITED if value.count is None else _amount(f"{option}.count", value.count),
            age_ms=UNLIMITED if value.age is None else to_ms(value.age, name=f"{option}.age"),
            bytes=UNLIMITED if value.bytes is None else _amount(f"{option}.bytes", value.bytes),
        )
        return _REMOVED if 0 in (kept.count, kept.age_ms, kept.bytes) else kept
    if isinstance(value, int):
        return Retention(count=_amount(option, value))
    raise OptionError(
        option, value, "it must be true, false, how many to keep, or Keep(count=, age=, bytes=)"
    )


def _amount(option: str, value: object) -> int:
    if not is_whole(value) or not 0 <= value <= _LARGEST:
        raise OptionError(option, value, "it must be a whole number, 0 or more")
    return value
