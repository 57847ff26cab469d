"""A job of a queue, with the types of its payload and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, Unpack, cast

from jobs_core.codecs import Codec
from jobs_core.declaring import checked_codec, checked_format, checked_whole
from jobs_core.errors import DeclarationError, OptionError
from jobs_core.flow import key_of
from jobs_core.flows.calls import Call, Chain
from jobs_core.names import check_job_name
from jobs_core.option_values import no_job
from jobs_core.options import DefaultJobOptions, JobOptions, Merged, check_options, left_to_queue
from jobs_core.payload_fields import wrong_key_field
from jobs_core.payloads import Format, JsonValue, Serializer
from jobs_core.states import State
from jobs_core.uniqueness import as_rule, check_fields

if TYPE_CHECKING:
    from jobs_core.queue import Queue

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

_MAX_VERSION = 9999
_KEPT_BY = {State.COMPLETED: "remove_on_complete", State.FAILED: "remove_on_fail"}


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
        self.version = checked_whole("version", version, 1, _MAX_VERSION)
        self.wire_name = f"{name}@{version}"
        self.format = queue.format if form is None else checked_format(form)
        self.codec = queue.codec if codec is None else checked_codec(codec)
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
        self.merged = {}
        self._payload: Serializer[P] = self._serializer(payload, "payload")
        self._result: Serializer[R] = self._serializer(JsonValue if result is None else result, "result")
        for level in self.levels:
            check_fields(as_rule(level), payload)
        self._check_key()

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

    def _check_key(self) -> None:
        keys = self.queue.key_fields
        wrong = wrong_key_field(keys, self.payload_type) if keys else None
        if wrong is not None:
            raise DeclarationError(
                self.source,
                f"queue {self.queue.name!r} takes the keys of its jobs from key={_said(keys)}, but job "
                f"{self.wire_name!r} would have none: {wrong}. Name a field that is there; or declare it, with None as "
                "its default where a job may have no key; or give the queue key=True, and each call its key",
            )

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


def check_job(given: object, option: str = "job") -> None:
    """Refuse what is no declared job. Raises `OptionError`."""
    if not isinstance(given, JobType):
        raise no_job(given, option)


def _said(keys: Sequence[str]) -> str:
    return repr(keys[0] if len(keys) == 1 else list(keys))
