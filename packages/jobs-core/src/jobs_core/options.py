"""The options of a job, the four levels they are set at, and the policy that is frozen on it.

The nearest level wins, option by option: the call, the job type, the queue, the service. Nearly all jobs of a
type share one policy, so the lower three levels are merged and encoded once per job type and service.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias, TypedDict, TypeGuard, cast

import msgspec
from msgspec.structs import replace

from jobs_core.backoff import Backoff, Exponential, as_backoff
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.flow import check_cost, check_key
from jobs_core.flows.calls import Call, as_calls
from jobs_core.flows.dependencies import Awaited, Dependency, as_awaited
from jobs_core.names import check_job_id, check_tag, nearest
from jobs_core.states import Priority
from jobs_core.uniqueness import CHOICES, Debounce, Rule, Throttle, Unique, as_rule, lay_over

__all__ = [
    "Declared",
    "DefaultJobOptions",
    "JobOptions",
    "Keep",
    "Merged",
    "MetaValue",
    "Policy",
    "Resolved",
    "Retention",
    "as_priority",
    "as_retention",
    "check_options",
    "decode_policy",
    "encode_policy",
    "instant_ms",
    "left_to_queue",
    "resolve",
    "within_deadline",
]

MetaValue: TypeAlias = str | int | float | bool | None

MAX_ATTEMPTS = 1000
MAX_METADATA_BYTES = 8 * 1024
MAX_METADATA_KEY = 64
MAX_TAGS = 16
MAX_ERRORS = 32
_ERROR_NAME = re.compile(r"[A-Za-z_][\w.<>]{0,199}")
UNLIMITED = -1
QUEUES = -2
_LARGEST = 2**53


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what has ended is kept: so many jobs, so long (seconds or timedelta), so many bytes."""

    count: int | None = None
    age: Duration | None = None
    bytes: int | None = None


class DefaultJobOptions(TypedDict, total=False):
    """The job options that can be set at any level."""

    priority: Priority | int | str
    attempts: int
    backoff: Backoff | Sequence[Duration]
    timeout: Duration
    retry_on: Sequence[type[BaseException] | str]
    no_retry_on: Sequence[type[BaseException] | str]
    retry_for: Duration
    remove_on_complete: bool | int | Keep
    remove_on_fail: bool | int | Keep
    result_ttl: Duration
    cost: int
    metadata: Mapping[str, MetaValue]
    tags: Sequence[str]
    expires_in: Duration | None
    unique: Unique | None
    debounce: Debounce | None
    throttle: Throttle | None
    when_full: Literal["error", "wait"]


class StepOptions(DefaultJobOptions, total=False):
    """The job options of one job of a flow: those of any level, and those that mean one job alone."""

    delay: Duration
    run_at: datetime
    job_id: str
    deadline: datetime
    key: str


class JobOptions(StepOptions, total=False):
    """The job options of a call: those of a job, what it waits for, and what follows it."""

    after: Sequence[Dependency]
    chain_to: Sequence[Call]
    on_success: Sequence[Call]
    on_failure: Sequence[Call]


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


class Resolved(msgspec.Struct, frozen=True):
    """The options of one job, merged and checked; `policy` is encoded, 0 ms means not delayed.

    `decide` is what the server decides by when it takes the job, "" for most; `expires` and `rule` say of what kind
    that is. `waits`: where the queue is full the call waits for room. `chain_to`, `on_success` and
    `on_failure` are what follows the job, `after` what it waits for.
    """

    policy: bytes
    priority: int
    delay_ms: int = 0
    run_at_ms: int = 0
    job_id: str | None = None
    metadata: dict[str, MetaValue] | None = None
    tags: tuple[str, ...] | None = None
    decide: str = ""
    expires: bool = False
    rule: Rule | None = None
    waits: bool = False
    cost: int = 1
    key: str | None = None
    chain_to: tuple[Call, ...] = ()
    on_success: tuple[Call, ...] = ()
    after: tuple[Awaited, ...] = ()
    on_failure: tuple[Call, ...] = ()

    @property
    def is_bound(self) -> bool:
        """Whether the job is to follow others or be followed, by options of its own."""
        return bool(self.chain_to or self.on_success or self.on_failure or self.after)

    def tagged(self, tags: Sequence[str]) -> Resolved:
        """Return the same with these tags before its own."""
        return replace(self, tags=tuple(dict.fromkeys((*tags, *(self.tags or ())))) or None)


class Merged(msgspec.Struct, frozen=True):
    """The lower three levels of a job type, merged for the service level that `service` is a copy of."""

    service: dict[str, object]
    options: dict[str, object]
    resolved: Resolved


class Declared(Protocol):
    """What `resolve` reads of a job type."""

    @property
    def merged(self) -> dict[int, Merged]:
        """What `resolve` remembers, by the id of the service level."""
        ...

    @property
    def levels(self) -> Sequence[Mapping[str, object]]:
        """The options of queue and job type, the nearest last."""
        ...

    @property
    def kept(self) -> Mapping[str, object]:
        """What the queue says of `remove_on_complete` and `remove_on_fail` where no level does."""
        ...

    @property
    def declares_result(self) -> bool:
        """Whether results are kept unless an option says otherwise."""
        ...


def encode_policy(policy: Policy) -> bytes:
    """Return the policy as msgpack."""
    return _encoder.encode(policy)


@lru_cache(maxsize=1024)
def decode_policy(data: bytes) -> Policy:
    """Return the policy that `encode_policy` wrote. Raises `ValueError` for anything else."""
    return _policy_decoder.decode(data)


@lru_cache(maxsize=1024)
def within_deadline(policy: bytes, deadline_ms: int) -> bytes:
    """Return the encoded policy of a job that follows one which has a deadline: the earlier one holds."""
    own = decode_policy(policy)
    earlier = min(own.deadline_ms or deadline_ms, deadline_ms)
    return encode_policy(replace(own, deadline_ms=earlier))


def resolve(
    job_type: Declared,
    call: JobOptions | None = None,
    service: DefaultJobOptions | None = None,
) -> Resolved:
    """Merge the options of a call over those of the job type, the queue and the service.

    Raises `OptionError` for an unknown option and for a value that is not allowed.
    """
    merged = job_type.merged.get(id(service))
    # The id alone could belong to another object by now, or the mapping could have been changed.
    if merged is None or (service is not None and merged.service != service):
        merged = _merge(job_type, service)
    return _apply(merged, call) if call else merged.resolved


def check_options(options: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of options that may stand at any level, or raise `OptionError`."""
    for option in _ONLY_AT_CALL & options.keys():
        raise OptionError(option, options[option], "it means one job, so it can only be set at the call")
    for option in options.keys() - _DEFAULTS.keys():
        raise _unknown(option, options[option])
    checked = dict(options)
    _policy({**_DEFAULTS, **checked})
    _fate({**_DEFAULTS, **checked})
    as_priority(checked.get("priority", Priority.NORMAL))
    check_cost(checked.get("cost", 1))
    if "metadata" in checked:
        checked["metadata"] = _metadata(checked["metadata"])
    if "tags" in checked:
        checked["tags"] = _tags(checked["tags"])
    return checked


def as_priority(value: object) -> int:
    """Return the number of a priority given as such, as its number, or as its name in any case."""
    if isinstance(value, str):
        number = _PRIORITIES.get(value.lower())
        if number is not None:
            return number
    elif isinstance(value, int) and value is not True and 1 <= value <= 5:
        return int(value)
    raise OptionError("priority", value, f"it must be {', '.join(_PRIORITIES)}, or 1 to 5")


_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_policy_decoder = msgspec.msgpack.Decoder(Policy)
_PRIORITIES = {priority.name.lower(): priority.value for priority in Priority}
_ONLY_AT_CALL = frozenset(
    {"delay", "run_at", "job_id", "deadline", "key", "after", "chain_to", "on_success", "on_failure"}
)
_DEFAULTS: dict[str, object] = {
    "priority": Priority.NORMAL,
    "attempts": 3,
    "backoff": Exponential(1),
    "timeout": 0,
    "retry_on": (),
    "no_retry_on": (),
    "retry_for": 0,
    "remove_on_complete": True,
    "remove_on_fail": False,
    "result_ttl": 0,
    "cost": 1,
    "metadata": None,
    "tags": None,
    "expires_in": None,
    "unique": None,
    "debounce": None,
    "throttle": None,
    "when_full": "error",
}
_FATE = frozenset({"expires_in", "when_full", *CHOICES})
_RESULT_TTL_S = 3600
_SERVICE_LEVELS = 16


def _merge(job_type: Declared, service: DefaultJobOptions | None) -> Merged:
    """Merge the lower levels and remember them; a process has one service level, tests have a few."""
    # A deep copy, since a change inside the metadata has to show as well.
    level: dict[str, object] = deepcopy({**(service or {})})
    options = {**_DEFAULTS, **job_type.kept}
    if job_type.declares_result:
        options["result_ttl"] = _RESULT_TTL_S
    lay_over(options, check_options(level))
    for nearer in job_type.levels:
        lay_over(options, nearer)
    resolved = Resolved(
        policy=_encoder.encode(_policy(options)),
        priority=as_priority(options["priority"]),
        cost=check_cost(options["cost"]),
        metadata=cast("dict[str, MetaValue] | None", options["metadata"]),
        tags=cast("tuple[str, ...] | None", options["tags"]),
        **_fate(options),
    )
    merged = Merged(service=level, options=options, resolved=resolved)
    if len(job_type.merged) >= _SERVICE_LEVELS:
        job_type.merged.clear()
    job_type.merged[id(service)] = merged
    return merged


def _apply(merged: Merged, call: JobOptions) -> Resolved:
    """Lay the options of a call over the merged levels; only a policy that differs is encoded anew."""
    changes: dict[str, object] = {}
    other_policy = other_fate = False
    for option, value in cast("Mapping[str, object]", call).items():
        own = _OF_ONE_JOB.get(option)
        if own is not None:
            changes[own[0]] = own[1](value)
        elif option in _FATE:
            other_fate = True
        elif option in _DEFAULTS or option == "deadline":
            other_policy = True
        else:
            raise _unknown(option, value)
    if other_policy:
        changes["policy"] = _encoder.encode(_policy({**merged.options, **call}))
    if other_fate:
        options = dict(merged.options)
        lay_over(options, cast("Mapping[str, object]", call))
        changes = {**_fate(options), **changes}
    if "run_at" in call and "delay" in call:
        raise OptionError("run_at", call["run_at"], "it cannot be combined with delay; give one of them")
    resolved = replace(merged.resolved, **changes)
    if resolved.rule is not None and resolved.rule.delay_ms and ("run_at" in call or "delay" in call):
        raise OptionError("delay", call.get("delay", call.get("run_at")), "debounce has a delay of its own")
    return resolved


def _policy(options: Mapping[str, object]) -> Policy:
    attempts = options["attempts"]
    if not _is_int(attempts) or not 1 <= attempts <= MAX_ATTEMPTS:
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


class _Fate(TypedDict):
    decide: str
    expires: bool
    rule: Rule | None
    waits: bool
    delay_ms: int


def _fate(options: Mapping[str, object]) -> _Fate:
    """Return what the server decides by when it takes a job: expiry and uniqueness, and what a full queue means."""
    rule, decide = as_rule(options), ""
    expires_in, when_full = options["expires_in"], options["when_full"]
    if when_full not in {"error", "wait"}:
        raise OptionError("when_full", when_full, "it must be error or wait")
    if expires_in is not None:
        expires_ms = to_ms(cast("Duration", expires_in), name="expires_in")
        if not expires_ms:
            raise OptionError("expires_in", expires_in, "it must be longer than 0")
        decide = f"expires={expires_ms}"
    if rule is not None:
        decide = f"{decide},{rule.decide}" if decide else rule.decide
    return {
        "decide": decide,
        "expires": expires_in is not None,
        "rule": rule,
        "waits": when_full == "wait",
        "delay_ms": rule.delay_ms if rule is not None else 0,
    }


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


_REMOVED = Retention(count=0)
_KEPT = Retention()
_AS_QUEUE = Retention(count=QUEUES)


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
    if not _is_int(value) or not 0 <= value <= _LARGEST:
        raise OptionError(option, value, "it must be a whole number, 0 or more")
    return value


def _delay_ms(value: object) -> int:
    return to_ms(cast("Duration", value), name="delay")


def _run_at_ms(value: object) -> int:
    return instant_ms("run_at", value)


def instant_ms(option: str, value: object) -> int:
    """Return an instant as Unix ms. Raises `OptionError` for what is none, also a naive date-time."""
    if not isinstance(value, datetime):
        raise OptionError(option, value, "it must be a datetime with a time zone")
    if value.utcoffset() is None:
        raise OptionError(option, value, "it has no time zone, so it means another instant on each machine")
    # 0 says "not given"; what lies in the past runs at once anyway.
    return max(1, (value - _EPOCH) // _MILLISECOND)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _metadata(value: object) -> dict[str, MetaValue]:
    if not isinstance(value, (dict, Mapping)):
        raise OptionError("metadata", value, "it must be a mapping")
    metadata = {**cast("Mapping[str, MetaValue]", value)}
    for key, entry in metadata.items():
        _check_entry(key, entry)
    try:
        size = len(_json_encoder.encode(metadata))
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


def _tags(value: object) -> tuple[str, ...]:
    # The plain types first: asking the abstract ones costs a third of a microsecond.
    if not isinstance(value, (list, tuple)) and (isinstance(value, str) or not isinstance(value, Sequence)):
        raise OptionError("tags", value, "it must be a list of strings")
    tags = tuple(cast("Sequence[str]", value))
    if len(tags) > MAX_TAGS:
        raise OptionError("tags", tags, f"there may be at most {MAX_TAGS}")
    return tuple(dict.fromkeys(map(check_tag, tags)))


# The options that are not part of the policy: the field of `Resolved` and what checks the value.
_OF_ONE_JOB: dict[str, tuple[str, Callable[[object], object]]] = {
    "priority": ("priority", as_priority),
    "cost": ("cost", check_cost),
    "key": ("key", check_key),
    "delay": ("delay_ms", _delay_ms),
    "run_at": ("run_at_ms", _run_at_ms),
    "job_id": ("job_id", lambda value: check_job_id(cast("str", value))),
    "metadata": ("metadata", _metadata),
    "tags": ("tags", _tags),
    "chain_to": ("chain_to", lambda value: as_calls("chain_to", value)),
    "on_success": ("on_success", lambda value: as_calls("on_success", value)),
    "on_failure": ("on_failure", lambda value: as_calls("on_failure", value)),
    "after": ("after", lambda value: as_awaited("after", value)),
}


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _unknown(option: str, value: object) -> OptionError:
    near = nearest(str(option), _DEFAULTS.keys() | _ONLY_AT_CALL)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return OptionError(str(option), value, f"there is no such job option{hint}")
