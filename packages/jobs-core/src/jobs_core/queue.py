"""Queues and the typed jobs they hold: what API services and workers share.

    EMAIL = Queue("email", profile=LIGHT, concurrency=5)
    SEND_EMAIL = EMAIL.job("send-email", payload=SendEmail, result=EmailReceipt, attempts=5)

Both are plain values: nothing is registered anywhere, and discovery finds them by walking modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from types import FrameType, MappingProxyType
from typing import (
    Final,
    Generic,
    Literal,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    is_typeddict,
    overload,
)

import msgspec
from msgspec.structs import astuple

from jobs_core.alerts import AlertName, check_alerts
from jobs_core.codecs import NO_CODEC, Codec, Codecs
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import DeclarationError, OptionError
from jobs_core.flow import KeyLimits, RateLimit, key_fields, key_of, limit_fields
from jobs_core.flows.calls import Call, Chain
from jobs_core.names import check_job_name, check_queue_name
from jobs_core.options import (
    DefaultJobOptions,
    JobOptions,
    Keep,
    Merged,
    Retention,
    as_priority,
    as_retention,
    check_options,
    left_to_queue,
)
from jobs_core.payloads import FORMATS, Format, JsonValue, Serializer
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.fires import check_timing, make_definition
from jobs_core.schedules.options import (
    CommonScheduleOptions,
    ScheduleOptions,
    Timing,
    check_schedule_id,
    default_id,
    read_options,
)
from jobs_core.states import Priority, State
from jobs_core.uniqueness import as_rule, check_fields

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

Executor: TypeAlias = Literal["auto", "async", "thread", "process"]
"""Where handlers run. `auto`: `async def` on the worker's loop, `def` in a thread."""

JobLogs: TypeAlias = Literal["debug", "info", "warning", "error", "critical", "off"]
"""From which level on the lines that handlers log are kept with their jobs."""

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

WEIGHT_CLASSES = ("light", "medium", "heavy")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical", "off")
_EXECUTORS = ("auto", "async", "thread", "process")
MAX_CONCURRENCY = 10_000
_MAX_VERSION = 9999
_MAX_DEPTH = 2**53
_HASH_DIGITS = 16
_DYNAMIC_JOBS = 1000
_FINAL = tuple(state for state in State if state.final)
_LIMITS = ("count", "age", "bytes")
_KEPT_BY = {State.COMPLETED: "remove_on_complete", State.FAILED: "remove_on_fail"}


class Profile(msgspec.Struct, frozen=True):
    """A weight class with its defaults; `WORKER_TYPE` selects queues by `name`. Durations are seconds."""

    name: str
    concurrency: int
    lock_duration: float
    stalled_interval: float
    executor: Executor


LIGHT = Profile("light", 50, 30.0, 30.0, "auto")
MEDIUM = Profile("medium", 10, 300.0, 30.0, "auto")
HEAVY = Profile("heavy", 1, 3600.0, 300.0, "process")
_PLAIN = Profile("light", 1, 30.0, 30.0, "auto")

_OFFSETS_MS = {
    Priority.CRITICAL: 86_400_000,
    Priority.HIGH: 1_800_000,
    Priority.NORMAL: 0,
    Priority.LOW: -600_000,
    Priority.BACKGROUND: -7_200_000,
}


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


class DeclaredSchedule(msgspec.Struct, frozen=True):
    """A schedule as code declares it: workers of its queue write it when they start.

    `definition` is what it comes to for the service level of a worker. `source` is where it was declared, as `path:line`;
    `requires` names environment variables without which it is not written.
    """

    id: str
    job: JobType[object, object]
    payload: object
    timing: Timing
    source: str
    requires: tuple[str, ...] = ()

    def unset(self, env: Mapping[str, str]) -> list[str]:
        """Return the variables that it needs and that are unset or empty; with one of these no worker writes it."""
        return [name for name in self.requires if not env.get(name, "").strip()]

    def definition(
        self, service: DefaultJobOptions | None = None, codecs: Codecs | None = None
    ) -> ScheduleDefinition:
        """Return what is kept of it. Raises CodecError or ConfigurationError where keys are missing."""
        return make_definition(
            self.id,
            self.job,
            self.payload,
            self.timing,
            service=service,
            codecs=codecs,
            from_code=True,
        )


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

    def __init__(
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
        defaults = profile or _PLAIN
        self.name = check_queue_name(name)
        self.profile = _checked_profile(profile)
        self.concurrency = _whole(
            "concurrency", defaults.concurrency if concurrency is None else concurrency, 1, MAX_CONCURRENCY
        )
        self.lock_duration_ms = _positive_ms(
            "lock_duration", defaults.lock_duration if lock_duration is None else lock_duration
        )
        self.stalled_interval_ms = _positive_ms(
            "stalled_interval", defaults.stalled_interval if stalled_interval is None else stalled_interval
        )
        self.max_stalled = _whole("max_stalled", max_stalled, 0, 1000)
        self.timeout_ms = 0 if timeout is None else to_ms(timeout, name="timeout")
        self.executor = _checked_executor(executor or defaults.executor)
        self.strict = _flag("strict", strict)
        self.keyed = key is not None or key_limits is not None
        self.key_fields = key_fields(key)
        self.limits = MappingProxyType(limit_fields(rate_limit, max_active, key_limits, keyed=self.keyed))
        self.dead_letter = _flag("dead_letter", dead_letter)
        self.max_depth = None if max_depth is None else _whole("max_depth", max_depth, 1, _MAX_DEPTH)
        self.offsets_ms = _offsets(priority_offsets or {})
        self.retention = _retention(retention or {})
        self.default_job_options = cast("DefaultJobOptions", check_options(default_job_options or {}))
        self.format = _checked_format(format)
        self.codec = _checked_codec(codec)
        self.job_logs = _checked_level(job_logs)
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
        return (self.profile or _PLAIN).name

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


class JobType(Generic[P, R]):
    """A job as code declares it, with the types of its payload and result. Made by `Queue.job`.

    `result_type` is None where none is declared; `options` are those given at the declaration. `seals` tells whether
    `codec` does anything.
    """

    queue: Final[Queue]
    name: Final[str]
    version: Final[int]
    wire_name: Final[str]
    payload_type: Final[type[P]]
    result_type: Final[type[R] | None]
    options: Final[DefaultJobOptions]
    format: Final[Format]
    kept: Final[Mapping[str, object]]
    codec: Final[Codec]
    seals: Final[bool]
    levels: Final[tuple[Mapping[str, object], ...]]
    merged: Final[dict[int, Merged]]
    source: Final[str]

    def __init__(
        self,
        queue: Queue,
        name: str,
        payload: object,
        result: object = None,
        *,
        version: int = 1,
        form: Format | None = None,
        codec: Codec | None = None,
        options: DefaultJobOptions | None = None,
        source: str = "",
    ) -> None:
        """Declare a job. Raises `DeclarationError` or `OptionError` as `Queue.job` does."""
        self.queue = queue
        self.name = check_job_name(name)
        self.version = _whole("version", version, 1, _MAX_VERSION)
        self.wire_name = f"{name}@{version}"
        self.format = queue.format if form is None else _checked_format(form)
        self.codec = queue.codec if codec is None else _checked_codec(codec)
        self.seals = not self.codec.does_nothing
        self.payload_type = cast("type[P]", payload)
        self.result_type = cast("type[R] | None", result)
        self.options = cast("DefaultJobOptions", check_options(options or {}))
        self.source = source
        timeout: dict[str, object] = {"timeout": queue.timeout_ms / 1000} if queue.timeout_ms else {}
        self.levels = tuple(
            cast("Mapping[str, object]", level)
            for level in (timeout, queue.default_job_options, self.options)
            if level
        )
        self.kept = {
            option: left_to_queue(queue.retention[state])
            for state, option in _KEPT_BY.items()
            if state in queue.retention
        }
        for level in self.levels:
            check_fields(as_rule(level), _fields_of(payload))
        self.merged = {}
        self._payload: Serializer[P] = self._serializer(payload, "payload")
        self._result: Serializer[R] = self._serializer(JsonValue if result is None else result, "result")

    @property
    def declares_result(self) -> bool:
        """Tell whether a result type is declared: then results are kept unless an option says otherwise."""
        return self.result_type is not None

    @property
    def declaration(self) -> dict[str, object]:
        """Return all that the declaration says, by the name of the option."""
        return {
            "name": self.wire_name,
            "payload": self.payload_type,
            "result": self.result_type,
            "format": self.format,
            "codec": self.codec,
            **self.options,
        }

    def call(self, payload: P, **options: Unpack[JobOptions]) -> Call:
        """Return this job with a payload and options, for `chain_to` and `on_success` of another one.

        They are checked by the call that enqueues that one.
        """
        return Call(cast("JobType[object, object]", self), payload, options)

    def then(self, job: JobType[R, S], **options: Unpack[JobOptions]) -> Chain[P, S]:
        """Return a chain: when this job completed, `job` runs with its result as the payload.

        `options` are those of `job`. Raises ChainMismatch where the types do not fit.
        """
        return Chain[P, R](self, (), self).then(job, **options)

    def key_of(self, payload: P, given: str | None = None) -> str:
        """Return the key of a job: the one that the call gives, else what the queue takes from the payload; "" for none.

        Raises `OptionError` for a given key where the queue has none.
        """
        if given is None:
            return key_of(self.queue.key_fields, payload) if self.queue.key_fields else ""
        if not self.queue.keyed:
            reason = f"queue {self.queue.name!r} has no keys; declare it with key= or key_limits="
            raise OptionError("key", given, reason)
        return given

    def encode(self, payload: P) -> bytes:
        """Return a payload as bytes of its format.

        Raises `PayloadError` with the JSON path where it does not fit its type, `PayloadTooLarge` over 1 MiB; of a job with
        a codec what is made of these bytes is judged (`check_size`).
        """
        return self._payload.encode(payload, capped=not self.seals)

    def decode(self, data: bytes, form: str | None = None) -> P:
        """Return the payload that bytes hold; `form` is their format, by default the declared one.

        Raises `PayloadError`.
        """
        return self._payload.decode(data, form)

    def encode_result(self, result: R) -> bytes:
        """Return a result as bytes of its format; without a declared type anything that JSON carries.

        Raises as `encode`.
        """
        return self._result.encode(result, capped=not self.seals)

    def decode_result(self, data: bytes, form: str | None = None) -> R:
        """Return the result that bytes hold; `form` is their format. Raises `PayloadError`."""
        return self._result.decode(data, form)

    def check_size(self, size: int, what: str) -> None:
        """Refuse stored bytes over the cap, and warn once of many. Raises `PayloadTooLarge`."""
        (self._result if what == "result" else self._payload).check_size(size)

    def _serializer(self, declared: type[T] | object, what: str) -> Serializer[T]:
        try:
            return Serializer(declared, queue=self.queue.name, job=self.name, what=what, form=self.format)
        # Annotations are resolved here for the first time: a name that is missing shows as NameError.
        except (TypeError, ValueError, NameError, AttributeError) as error:
            raise DeclarationError(
                self.source,
                f"the {what} type of job {self.name!r} in queue {self.queue.name!r} cannot be used: {error}",
            ) from error

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, JobType) and self.queue == other.queue and self.declaration == other.declaration
        )

    def __hash__(self) -> int:
        return hash((self.queue.name, self.wire_name))

    def __repr__(self) -> str:
        return f"JobType({self.queue.name}/{self.wire_name})"


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return in words what two declarations say differently, or an empty string."""
    return ", ".join(
        f"{option} {_said(one, option)} there and {_said(other, option)} here"
        for option in sorted(one.keys() | other.keys())
        if one.get(option) != other.get(option)
    )


def _said(declaration: Mapping[str, object], option: str) -> str:
    return repr(declaration[option]) if option in declaration else "not given"


def _fields_of(payload: object) -> Collection[str] | None:
    """Return the fields that payloads of a type have, None where the type does not say."""
    fields = getattr(payload, "__struct_fields__", None) or getattr(payload, "__dataclass_fields__", None)
    if fields is None and is_typeddict(payload):
        fields = getattr(payload, "__annotations__", None)
    return cast("Collection[str] | None", fields)


def _same_function(one: Callable[..., object], other: Callable[..., object]) -> bool:
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _where(frame: FrameType | None) -> tuple[str, str]:
    """Return module and `path:line` of the code that called the function whose frame this is."""
    caller = frame.f_back if frame else None
    if caller is None:
        return "", "unknown"
    return str(caller.f_globals.get("__name__", "")), f"{caller.f_code.co_filename}:{caller.f_lineno}"


def _checked_profile(profile: Profile | None) -> Profile | None:
    if profile is not None and profile.name not in WEIGHT_CLASSES:
        raise OptionError(
            "profile", profile.name, "its name must be light, medium or heavy: workers go by it"
        )
    return profile


def _checked_format(form: Format) -> Format:
    if form not in FORMATS:
        raise OptionError("format", form, f"it must be {' or '.join(FORMATS)}")
    return form


def _checked_level(level: JobLogs) -> JobLogs:
    if level not in LOG_LEVELS:
        raise OptionError("job_logs", level, f"it must be one of {', '.join(LOG_LEVELS)}")
    return level


def _checked_codec(codec: Codec) -> Codec:
    if not isinstance(codec, Codec):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("codec", codec, "it must be a Codec")
    return codec


def _checked_executor(executor: Executor) -> Executor:
    if executor not in _EXECUTORS:
        raise OptionError("executor", executor, f"it must be one of {', '.join(_EXECUTORS)}")
    return executor


def _whole(option: str, value: int, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, f"it must be a whole number from {least} to {most}")
    return value


def _flag(option: str, value: bool) -> bool:  # noqa: FBT001 - the value that is checked
    if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError(option, value, "it must be True or False")
    return value


def _positive_ms(option: str, value: Duration) -> int:
    milliseconds = to_ms(value, name=option)
    if milliseconds == 0:
        raise OptionError(option, value, "it must be longer than 0")
    return milliseconds


def _offsets(given: Mapping[Priority, Duration]) -> tuple[int, int, int, int, int]:
    """Lay the given offsets over the default ones; a more urgent priority may never count as later."""
    by_number = {int(priority): offset for priority, offset in _OFFSETS_MS.items()}
    for priority, offset in given.items():
        by_number[as_priority(priority)] = _signed_ms(offset)
    first, second, third, fourth, fifth = (by_number[number] for number in range(1, 6))
    if not first >= second >= third >= fourth >= fifth:
        raise OptionError(
            "priority_offsets", dict(given), "each priority needs at least the offset of the next one"
        )
    return first, second, third, fourth, fifth


def _retention(given: Mapping[State, Keep | int]) -> Mapping[State, Retention]:
    """Return what is kept by final state."""
    checked: dict[State, Retention] = {}
    for state, value in given.items():
        if state not in _FINAL:
            finals = ", ".join(_FINAL)
            raise OptionError("retention", state, f"only jobs that ended are kept; the states are {finals}")
        if isinstance(value, bool):
            raise OptionError(
                f"retention.{state}", value, "it must be Keep(count=, age=, bytes=) or how many"
            )
        checked[State(state)] = as_retention(f"retention.{state}", value)
    return MappingProxyType(checked)


def _signed_ms(offset: Duration) -> int:
    seconds = offset.total_seconds() if isinstance(offset, timedelta) else offset
    milliseconds = to_ms(abs(seconds), name="priority_offsets")
    return -milliseconds if seconds < 0 else milliseconds
