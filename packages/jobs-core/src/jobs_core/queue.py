"""Queues and the typed jobs they hold: what API services and workers share.

    EMAIL = Queue("email", profile=LIGHT, concurrency=5)
    SEND_EMAIL = EMAIL.job("send-email", payload=SendEmail, result=EmailReceipt, attempts=5)

Both are plain values: nothing is registered anywhere, and discovery finds them by walking modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from types import FrameType, MappingProxyType
from typing import Final, Literal, Self, TypedDict, TypeVar, Unpack, cast, overload

import msgspec
from msgspec.structs import astuple

from jobs_core.alerts import AlertName, check_alerts
from jobs_core.codecs import NO_CODEC, Codec
from jobs_core.declaring import (
    LOG_LEVELS,
    JobLogs,
    checked_codec,
    checked_executor,
    checked_flag,
    checked_format,
    checked_level,
    checked_ms,
    checked_offsets,
    checked_profile,
    checked_retention,
    checked_whole,
    unknown_option,
)
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import DeclarationError
from jobs_core.flow import KeyLimits, RateLimit, key_fields, limit_fields
from jobs_core.job_type import JobType, check_job
from jobs_core.names import check_queue_name
from jobs_core.options import DefaultJobOptions, Keep, Retention, check_options
from jobs_core.payloads import Format, JsonValue
from jobs_core.profiles import HEAVY, LIGHT, MEDIUM, PLAIN, WEIGHT_CLASSES, Executor, Profile
from jobs_core.schedules.declared import DeclaredSchedule
from jobs_core.schedules.fires import check_timing
from jobs_core.schedules.options import (
    CommonScheduleOptions,
    ScheduleOptions,
    check_schedule_id,
    default_id,
    read_options,
)
from jobs_core.states import Priority, State

__all__ = [
    "HEAVY",
    "LIGHT",
    "LOG_LEVELS",
    "MEDIUM",
    "WEIGHT_CLASSES",
    "DeclaredSchedule",
    "Executor",
    "JobLogs",
    "JobType",
    "Profile",
    "Queue",
    "QueueOptions",
]

P = TypeVar("P")
R = TypeVar("R")

MAX_CONCURRENCY = 10_000
_MAX_DEPTH = 2**53
_HASH_DIGITS = 16
_DYNAMIC_JOBS = 1000
_LIMITS = ("count", "age", "bytes")


class QueueOptions(TypedDict, total=False):
    """The options of a queue, as `Queue` takes them after its name."""

    profile: Profile | None
    concurrency: int | None
    lock_duration: Duration | None
    stalled_interval: Duration | None
    max_stalled: int
    timeout: Duration | None
    executor: Executor | None
    strict: bool
    rate_limit: RateLimit | None
    max_active: int | None
    key: str | Sequence[str] | Literal[True] | None
    key_limits: KeyLimits | None
    dead_letter: bool
    priority_offsets: Mapping[Priority, Duration] | None
    max_depth: int | None
    retention: Mapping[State, Keep | int] | None
    default_job_options: DefaultJobOptions | None
    format: Format
    codec: Codec
    job_logs: JobLogs
    alerts: Mapping[AlertName, Duration | None] | None


class Upcast(msgspec.Struct, frozen=True):
    """A step from one version of a job's payload to a later one, as `upcast` declares it."""

    before: JobType[object, object]
    after: JobType[object, object]
    convert: Callable[[object], object]
    source: str


class Queue:
    """A queue as code declares it; immutable, and equal to any other declared alike.

    `offsets_ms` says per priority (CRITICAL first) how much earlier a job counts than it came; `timeout_ms` 0
    means none; `source` is where it was declared, as `path:line`, and `module` the module that did.
    """

    name: Final[str]
    profile: Final[Profile | None]
    concurrency: Final[int]
    lock_duration_ms: Final[int]
    stalled_interval_ms: Final[int]
    max_stalled: Final[int]
    timeout_ms: Final[int]
    executor: Final[Executor]
    strict: Final[bool]
    limits: Final[Mapping[str, str]]
    keyed: Final[bool]
    key_fields: Final[tuple[str, ...]]
    dead_letter: Final[bool]
    max_depth: Final[int | None]
    offsets_ms: Final[tuple[int, int, int, int, int]]
    retention: Final[Mapping[State, Retention]]
    default_job_options: Final[DefaultJobOptions]
    format: Final[Format]
    codec: Final[Codec]
    job_logs: Final[JobLogs]
    alerts: Final[Mapping[AlertName, float | None]]
    source: Final[str]
    module: Final[str]

    def __new__(cls, *_: object, **options: object) -> Self:
        """Refuse options that queues do not have. Raises `OptionError`."""
        known = QueueOptions.__annotations__
        for option in options.keys() - known.keys() - {"name"}:
            raise unknown_option(option, options[option], known)
        return super().__new__(cls)

    def __init__(  # pyright: ignore[reportInconsistentConstructor] - __new__ only looks
        self,
        name: str,
        *,
        profile: Profile | None = None,
        concurrency: int | None = None,
        lock_duration: Duration | None = None,
        stalled_interval: Duration | None = None,
        max_stalled: int = 3,
        timeout: Duration | None = None,
        executor: Executor | None = None,
        strict: bool = False,
        rate_limit: RateLimit | None = None,
        max_active: int | None = None,
        key: str | Sequence[str] | Literal[True] | None = None,
        key_limits: KeyLimits | None = None,
        dead_letter: bool = True,
        priority_offsets: Mapping[Priority, Duration] | None = None,
        max_depth: int | None = None,
        retention: Mapping[State, Keep | int] | None = None,
        default_job_options: DefaultJobOptions | None = None,
        format: Format = "json",  # noqa: A002 - the word of the declaration
        codec: Codec = NO_CODEC,
        job_logs: JobLogs = "info",
        alerts: Mapping[AlertName, Duration | None] | None = None,
    ) -> None:
        """Declare a queue; what is not given comes from the profile. Raises `OptionError`.

        `lock_duration` is how long a worker child may be silent before its jobs count as stalled,
        `max_stalled` how often a job's worker may die under it, `timeout` the default timeout of its jobs,
        `format` how payloads and results are written, `retention` what is kept of jobs that ended in a state.
        What fails for good is sent to `dead-letter` unless `dead_letter` is False.
        `codec` is what is done to payloads and results on the way to the server, `job_logs` from which level on the
        lines that handlers log are kept with their jobs. `alerts` are thresholds of its own, None for no alert.
        """
        defaults = profile or PLAIN
        self.name = check_queue_name(name)
        self.profile = checked_profile(profile)
        self.concurrency = checked_whole(
            "concurrency", defaults.concurrency if concurrency is None else concurrency, 1, MAX_CONCURRENCY
        )
        self.lock_duration_ms = checked_ms(
            "lock_duration", defaults.lock_duration if lock_duration is None else lock_duration
        )
        self.stalled_interval_ms = checked_ms(
            "stalled_interval", defaults.stalled_interval if stalled_interval is None else stalled_interval
        )
        self.max_stalled = checked_whole("max_stalled", max_stalled, 0, 1000)
        self.timeout_ms = 0 if timeout is None else to_ms(timeout, name="timeout")
        self.executor = checked_executor(executor or defaults.executor)
        self.strict = checked_flag("strict", strict)
        self.keyed = key is not None or key_limits is not None
        self.key_fields = key_fields(key)
        self.limits = MappingProxyType(limit_fields(rate_limit, max_active, key_limits, keyed=self.keyed))
        self.dead_letter = checked_flag("dead_letter", dead_letter)
        self.max_depth = None if max_depth is None else checked_whole("max_depth", max_depth, 1, _MAX_DEPTH)
        self.offsets_ms = checked_offsets(priority_offsets or {})
        self.retention = checked_retention(retention or {})
        self.default_job_options = cast("DefaultJobOptions", check_options(default_job_options or {}))
        self.format = checked_format(format)
        self.codec = checked_codec(codec)
        self.job_logs = checked_level(job_logs)
        self.alerts = check_alerts(alerts or {})
        self.module, self.source = _where(inspect.currentframe())
        self._versions: dict[str, JobType[object, object]] = {}
        self._latest: dict[str, JobType[object, object]] = {}
        self._dynamic: dict[str, JobType[JsonValue, JsonValue]] = {}
        self._upcasts: dict[str, Upcast] = {}
        self._schedules: dict[str, DeclaredSchedule] = {}
        self._sealed = True

    @property
    def weight(self) -> str:
        """Return the weight class: `light`, `medium` or `heavy`."""
        return (self.profile or PLAIN).name

    @property
    def jobs(self) -> Mapping[str, JobType[object, object]]:
        """Return the declared jobs by name, of each name the highest version."""
        return MappingProxyType(self._latest)

    @property
    def versions(self) -> Mapping[str, JobType[object, object]]:
        """Return the declared jobs, all versions, by `name@version`."""
        return MappingProxyType(self._versions)

    @overload
    def job(
        self,
        name: str,
        payload: type[P],
        *,
        version: int = 1,
        format: Format | None = None,
        codec: Codec | None = None,
        **options: Unpack[DefaultJobOptions],
    ) -> JobType[P, None]: ...
    @overload
    def job(
        self,
        name: str,
        payload: type[P],
        result: type[R],
        *,
        version: int = 1,
        format: Format | None = None,
        codec: Codec | None = None,
        **options: Unpack[DefaultJobOptions],
    ) -> JobType[P, R]: ...
    def job(
        self,
        name: str,
        payload: type[P],
        result: type[R] | None = None,
        *,
        version: int = 1,
        format: Format | None = None,  # noqa: A002 - the word of the declaration
        codec: Codec | None = None,
        **options: Unpack[DefaultJobOptions],
    ) -> JobType[P, R] | JobType[P, None]:
        """Declare a job of this queue and return it; declaring it alike again returns the same one.

        `format` is how payload and result are written, `codec` what is done to them, by default as the queue says.

        Raises `DeclarationError` for a type that JSON cannot carry and for a second, different declaration of
        the name and version, `OptionError` for a wrong option.
        """
        _, source = _where(inspect.currentframe())
        made: JobType[P, R] = JobType(
            self,
            name,
            payload,
            result,
            version=version,
            form=format,
            codec=codec,
            options=options,
            source=source,
        )
        known = self._versions.get(made.wire_name)
        if known is not None:
            different = differences(known.declaration, made.declaration)
            if different:
                raise DeclarationError(
                    source,
                    f"job {made.wire_name!r} of queue {self.name!r} is already declared in {known.source}, "
                    f"with {different}. Give one of them another name or version",
                )
            return cast("JobType[P, R]", known)
        declared = cast("JobType[object, object]", made)
        self._versions[made.wire_name] = declared
        if name not in self._latest or self._latest[name].version < version:
            self._latest[name] = declared
        return made

    def cron(
        self,
        expression: str,
        job_type: JobType[P, R],
        payload: P,
        *,
        schedule_id: str | None = None,
        requires: Sequence[str] = (),
        **options: Unpack[CommonScheduleOptions],
    ) -> DeclaredSchedule:
        """Declare that a job of this queue is sent by a cron expression; see `schedule`."""
        return self._declared(schedule_id, job_type, payload, requires, {"cron": expression, **options})

    def every(
        self,
        interval: Duration,
        job_type: JobType[P, R],
        payload: P,
        *,
        schedule_id: str | None = None,
        requires: Sequence[str] = (),
        **options: Unpack[CommonScheduleOptions],
    ) -> DeclaredSchedule:
        """Declare that a job of this queue is sent every so many seconds; see `schedule`."""
        return self._declared(schedule_id, job_type, payload, requires, {"every": interval, **options})

    def schedule(
        self,
        job_type: JobType[P, R],
        payload: P,
        *,
        schedule_id: str | None = None,
        requires: Sequence[str] = (),
        **options: Unpack[ScheduleOptions],
    ) -> DeclaredSchedule:
        """Declare a schedule of this queue, with the options of `producer.schedules.upsert`.

        Workers of the queue write it when they start; one that is there and says the same stays as it is. `requires` names
        environment variables: a worker that lacks one does not write it. Raises
        DeclarationError for a job of another queue and for a second, different schedule of the id, OptionError or
        PayloadError for what cannot be meant.
        """
        return self._declared(schedule_id, job_type, payload, requires, options)

    @property
    def schedules(self) -> Mapping[str, DeclaredSchedule]:
        """Return the declared schedules by id."""
        return MappingProxyType(self._schedules)

    def _declared(
        self,
        schedule_id: str | None,
        job_type: JobType[P, R],
        payload: P,
        requires: Sequence[str],
        options: ScheduleOptions,
    ) -> DeclaredSchedule:
        frame = inspect.currentframe()
        _, source = _where(frame.f_back if frame else None)
        check_job(job_type)
        if job_type.queue != self:
            raise DeclarationError(
                source,
                f"job {job_type.name!r} belongs to queue {job_type.queue.name!r}, not to {self.name!r}; "
                "declare its schedule there",
            )
        known_job = cast("JobType[object, object]", job_type)
        timing = read_options(options)
        chosen = check_schedule_id(
            default_id(known_job, timing.recurrence) if schedule_id is None else schedule_id
        )
        made = DeclaredSchedule(chosen, known_job, payload, timing, source, tuple(requires))
        # Whatever does not fit is seen here, where it stands, and not by a worker.
        check_timing(known_job, timing)
        job_type.encode(payload)
        known = self._schedules.setdefault(chosen, made)
        if known is not made and (known.job, known.payload, known.timing) != (known_job, payload, timing):
            raise DeclarationError(
                source,
                f"schedule {chosen!r} of queue {self.name!r} is already declared in {known.source}, differently. "
                "Give one of them another id",
            )
        return known

    @property
    def upcasts(self) -> Mapping[str, Upcast]:
        """Return the declared steps between versions of payloads, by the `name@version` they start from."""
        return MappingProxyType(self._upcasts)

    def add_upcast(self, step: Upcast) -> None:
        """Take a step that `upcast` checked. Raises `DeclarationError` where another starts there already."""
        start = step.before.wire_name
        known = self._upcasts.setdefault(start, step)
        if known is not step and _same_function(known.convert, step.convert):
            # Its module is run a second time, as `python -m` does.
            self._upcasts[start] = step
        elif known is not step:
            raise DeclarationError(
                step.source,
                f"{self.name}/{start} already has an upcaster, in {known.source}; keep one of them",
            )

    def dynamic_job(self, name: str) -> JobType[JsonValue, JsonValue]:
        """Return a job that no code declares: payload and result are any JSON.

        Its result is kept only with a `result_ttl`. It is not added to `jobs`. Raises `OptionError` for a
        wrong name.
        """
        known = self._dynamic.get(name)
        if known is None:
            known = JobType[JsonValue, JsonValue](self, name, JsonValue, None, source=self.source)
            # A bound, since callers may make names up without end; the next call just makes it again.
            if len(self._dynamic) < _DYNAMIC_JOBS:
                self._dynamic[name] = known
        return known

    def definition(self) -> dict[str, str]:
        """Return what the server must know of the queue, as the fields of its `cfg` hash."""
        offsets = {f"o{number}": str(offset) for number, offset in enumerate(self.offsets_ms, 1)}
        keep = {
            f"keep:{state}:{limit}": str(value)
            for state, kept in self.retention.items()
            for limit, value in zip(_LIMITS, astuple(kept), strict=True)
        }
        return {
            "max_stalled": str(self.max_stalled),
            "strict": "1" if self.strict else "0",
            **self.limits,
            "dead_letter": "1" if self.dead_letter else "0",
            **({} if self.max_depth is None else {"max_depth": str(self.max_depth)}),
            **offsets,
            **keep,
        }

    # None of these is a cached_property: up to Python 3.11 that holds a lock while it computes, and a process
    # that another thread forks meanwhile would wait for it for ever.
    @property
    def definition_hash(self) -> str:
        """Return 16 hex digits that change with `definition()`."""
        return sha256(msgspec.json.encode(sorted(self.definition().items()))).hexdigest()[:_HASH_DIGITS]

    @property
    def declaration(self) -> dict[str, object]:
        """Return all that the declaration says, jobs left out, by the name of the option."""
        return {
            "name": self.name,
            "profile": self.weight,
            "concurrency": self.concurrency,
            "lock_duration_ms": self.lock_duration_ms,
            "stalled_interval_ms": self.stalled_interval_ms,
            "max_stalled": self.max_stalled,
            "timeout_ms": self.timeout_ms,
            "executor": self.executor,
            "strict": self.strict,
            "key": self.key_fields,
            **{f"limits.{limit}": value for limit, value in self.limits.items()},
            "dead_letter": self.dead_letter,
            "max_depth": self.max_depth,
            "offsets_ms": self.offsets_ms,
            "format": self.format,
            "codec": self.codec,
            "job_logs": self.job_logs,
            **{f"alerts.{name}": threshold for name, threshold in self.alerts.items()},
            **{f"retention.{state}": kept for state, kept in self.retention.items()},
            **{f"default_job_options.{option}": value for option, value in self.default_job_options.items()},
        }

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Queue) and self.declaration == other.declaration)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, profile={self.weight}, concurrency={self.concurrency})"

    def __setattr__(self, name: str, value: object) -> None:
        if "_sealed" in self.__dict__:
            raise AttributeError(
                f"a queue cannot be changed after its declaration (queue {self.name!r}, {name})"
            )
        super().__setattr__(name, value)


def _where(frame: FrameType | None) -> tuple[str, str]:
    """Return module and `path:line` of the code that called the function whose frame this is."""
    caller = frame.f_back if frame else None
    if caller is None:
        return "", "unknown"
    return str(caller.f_globals.get("__name__", "")), f"{caller.f_code.co_filename}:{caller.f_lineno}"


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return in words what two declarations say differently, or an empty string."""
    return ", ".join(
        f"{option} {_said(one, option)} there and {_said(other, option)} here"
        for option in sorted(one.keys() | other.keys())
        if one.get(option) != other.get(option)
    )


def _said(declaration: Mapping[str, object], option: str) -> str:
    return repr(declaration[option]) if option in declaration else "not given"


def _same_function(one: Callable[..., object], other: Callable[..., object]) -> bool:
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
