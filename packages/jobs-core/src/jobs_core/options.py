"""The options of a job, the four levels they are set at, and the policy that is frozen on it.

The nearest level wins, option by option: the call, the job type, the queue, the service. Nearly all jobs of a
type share one policy, so the lower three levels are merged and encoded once per job type and service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, cast

import msgspec
from msgspec.structs import replace

from jobs_core.backoff import Backoff, Exponential
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.flow import check_cost, check_key
from jobs_core.flows.calls import Call, as_calls
from jobs_core.flows.dependencies import Awaited, Dependency, as_awaited
from jobs_core.names import check_job_id, nearest
from jobs_core.option_values import MetaValue, as_metadata, as_priority, as_tags, instant_ms, no_job
from jobs_core.policies import (
    Keep,
    Policy,
    Retention,
    as_retention,
    decode_policy,
    encode_policy,
    left_to_queue,
    make_policy,
    within_deadline,
)
from jobs_core.states import Priority
from jobs_core.uniqueness import CHOICES, Debounce, Rule, Throttle, Unique, as_rule, lay_over

if TYPE_CHECKING:
    from datetime import datetime

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


def resolve(
    job_type: Declared,
    call: JobOptions | None = None,
    service: DefaultJobOptions | None = None,
) -> Resolved:
    """Merge the options of a call over those of the job type, the queue and the service.

    Raises `OptionError` for an unknown option, for a value that is not allowed, and for what is no declared job.
    """
    try:
        merged = job_type.merged.get(id(service))
    except AttributeError:
        # Cheaper than a look at each of very many jobs.
        raise no_job(job_type) from None
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
    make_policy({**_DEFAULTS, **checked})
    _fate({**_DEFAULTS, **checked})
    as_priority(checked.get("priority", Priority.NORMAL))
    check_cost(checked.get("cost", 1))
    if "metadata" in checked:
        checked["metadata"] = as_metadata(checked["metadata"])
    if "tags" in checked:
        checked["tags"] = as_tags(checked["tags"])
    return checked


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
        policy=encode_policy(make_policy(options)),
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
        changes["policy"] = encode_policy(make_policy({**merged.options, **call}))
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


def _delay_ms(value: object) -> int:
    return to_ms(cast("Duration", value), name="delay")


def _run_at_ms(value: object) -> int:
    return instant_ms("run_at", value)


# The options that are not part of the policy: the field of `Resolved` and what checks the value.
_OF_ONE_JOB: dict[str, tuple[str, Callable[[object], object]]] = {
    "priority": ("priority", as_priority),
    "cost": ("cost", check_cost),
    "key": ("key", check_key),
    "delay": ("delay_ms", _delay_ms),
    "run_at": ("run_at_ms", _run_at_ms),
    "job_id": ("job_id", lambda value: check_job_id(cast("str", value))),
    "metadata": ("metadata", as_metadata),
    "tags": ("tags", as_tags),
    "chain_to": ("chain_to", lambda value: as_calls("chain_to", value)),
    "on_success": ("on_success", lambda value: as_calls("on_success", value)),
    "on_failure": ("on_failure", lambda value: as_calls("on_failure", value)),
    "after": ("after", lambda value: as_awaited("after", value)),
}


def _unknown(option: str, value: object) -> OptionError:
    known = _DEFAULTS.keys() | _ONLY_AT_CALL
    near = nearest(str(option), known) or [each for each in known if each.endswith(f"_{option}")]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return OptionError(str(option), value, f"there is no such job option{hint}")
