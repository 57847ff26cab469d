"""What follows a job: other jobs with payloads of their own, or a chain whose links each take the result of the one before.

await producer.enqueue(ORDER, order, chain_to=[INVOICE.call(invoice), SHIP.call(parcel, priority="high")])
await producer.enqueue(ORDER, order, on_success=[NOTIFY.call(told), INDEX.call(entry)])
await producer.enqueue(EXTRACT.then(TRANSFORM).then(LOAD, attempts=5), source)
"""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Union, Unpack, cast, get_args, get_origin

import msgspec

from jobs_core.errors import ChainMismatch, OptionError
from jobs_core.payloads import JsonValue

if TYPE_CHECKING:
    from jobs_core.options import JobOptions
    from jobs_core.queue import JobType

__all__ = ["Call", "Chain", "Step", "as_calls", "check_chain"]

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")


class Step(msgspec.Struct, frozen=True):
    """A link of a chain behind the first: its payload is the result of the one before."""

    job: JobType[object, object]
    options: JobOptions


class Call(msgspec.Struct, frozen=True):
    """A job that is to follow another, with its payload and options. Made by `JobType.call` and `Chain.call`."""

    job: JobType[object, object]
    payload: object
    options: JobOptions
    steps: tuple[Step, ...] = ()


class Chain(Generic[P, R]):
    """Jobs of which each takes the result of the one before; the first takes a P, the last returns an R.

    Immutable. Made by `JobType.then`.
    """

    first: Final[JobType[P, object]]
    steps: Final[tuple[Step, ...]]
    last: Final[JobType[object, R]]

    def __init__(self, first: object, steps: tuple[Step, ...], last: object) -> None:
        """Made by `JobType.then`."""
        self.first = cast("JobType[P, object]", first)
        self.steps = steps
        self.last = cast("JobType[object, R]", last)

    def then(self, job: JobType[R, S], **options: Unpack[JobOptions]) -> Chain[P, S]:
        """Return a longer chain: when the last link completed, `job` runs with its result as the payload.

        `options` are those of `job`. Raises ChainMismatch where the types do not fit.
        """
        _check_fit(cast("JobType[object, object]", self.last), cast("JobType[object, object]", job))
        step = Step(cast("JobType[object, object]", job), options)
        return Chain(self.first, (*self.steps, step), job)

    def call(self, payload: P, **options: Unpack[JobOptions]) -> Call:
        """Return the chain with a payload, for `chain_to` and `on_success` of a job; `options` are those of the first link."""
        return Call(cast("JobType[object, object]", self.first), payload, options, self.steps)

    def __len__(self) -> int:
        return 1 + len(self.steps)

    def __repr__(self) -> str:
        jobs = (self.first, *(step.job for step in self.steps))
        return f"Chain({' -> '.join(f'{job.queue.name}/{job.wire_name}' for job in jobs)})"


def as_calls(option: str, value: object) -> tuple[Call, ...]:
    """Return the jobs that an option lists. Raises OptionError."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise OptionError(option, value, "it must be a list of JOB.call(payload)")
    calls = tuple(cast("Sequence[object]", value))
    for index, call in enumerate(calls):
        if not isinstance(call, Call):
            raise OptionError(
                f"{option}[{index}]", call, "it must be made by JOB.call(payload) or chain.call(payload)"
            )
    return cast("tuple[Call, ...]", calls)


def check_chain(given: object) -> None:
    """Refuse what is no chain. Raises `OptionError`."""
    if not isinstance(given, Chain):
        raise OptionError("chain", given, "it must be a chain: JOB.then(OTHER_JOB)")


def _check_fit(job: JobType[object, object], follower: JobType[object, object]) -> None:
    """Refuse a job whose payload cannot be what another one returns."""
    if _is_anything(job.payload_type) and job.result_type is None:
        # No code declares it, so nothing is known of what it returns.
        return
    if not _fits(job.result_type, follower.payload_type):
        raise ChainMismatch(
            f"{job.queue.name}/{job.name}",
            _named(job.result_type),
            f"{follower.queue.name}/{follower.name}",
            _named(follower.payload_type),
        )


def _fits(result: object, payload: object) -> bool:
    if result == payload or _is_anything(payload):
        return True
    if get_origin(payload) in {Union, UnionType}:
        return any(_fits(result, member) for member in get_args(payload))
    if result is None:
        return payload is type(None)
    # True is no number in JSON.
    classes = isinstance(result, type) and isinstance(payload, type) and result is not bool
    return classes and issubclass(cast("type", result), cast("type", payload))


def _is_anything(declared: object) -> bool:
    return declared == JsonValue or declared is object or declared is Any


def _named(declared: object) -> str:
    if declared is None:
        return "nothing"
    return declared.__qualname__ if isinstance(declared, type) else str(declared)
