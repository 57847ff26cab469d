"""What comes before and after a job in a flow, as its worker sees it: the result it was handed, and the jobs it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.errors import OptionError
from jobs_core.flows.successors import Done, followers
from jobs_core.payloads import JsonValue, decode_any
from jobs_core.records import job_name
from jobs_worker.effects import Effect, in_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.options import MetaValue
    from jobs_core.queue import JobType, Queue
    from jobs_core.wire import Draft, Flow

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["Payload", "Previous", "Result", "follow", "previous_of"]


class Previous(msgspec.Struct, frozen=True):
    """The job that this one follows, and its result."""

    queue: str
    name: str
    id: str
    _place: Place
    _data: bytes
    _codec: str | None
    _codecs: Codecs | None = None

    def __repr__(self) -> str:
        """Tell which job it is, and nothing of its result."""
        return f"Previous({self.queue}/{self.name} {self.id})"

    @classmethod
    def of(cls, job: JobType[P, R], result: R, *, job_id: str = "previous") -> Self:
        """For tests: make one of a job and its result. Raises PayloadError."""
        codec = None if job.format == "json" else job.format
        place = Place(job.queue.name, job.wire_name, job_id, "result")
        return cls(job.queue.name, job.name, job_id, place, job.encode_result(result), codec)

    @property
    def value(self) -> JsonValue:
        """The result, whatever its type. Raises CodecError where it cannot be opened."""
        return decode_any(*self._opened())

    def result(self, job: JobType[P, R]) -> R:
        """Return the result as the type that the job declares.

        Raises OptionError where another job came before, PayloadError for a result that does not fit, CodecError.
        """
        if (job.queue.name, job.name) != (self.queue, self.name):
            reason = f"the job before was {self.queue}/{self.name}"
            raise OptionError("job", f"{job.queue.name}/{job.name}", reason)
        return job.decode_result(*self._opened())

    def _opened(self) -> tuple[bytes, str]:
        return (self._codecs or Codecs()).open(self._place, self._data, self._codec)


class Payload(NamedTuple):
    """The payload of a job as it is stored, and whose it is."""

    place: Place
    data: bytes
    codec: str | None


def previous_of(flow: Flow | None, payload: Payload, codecs: Codecs | None) -> Previous | None:
    """Return the job before, None where there is none."""
    if flow is None or flow.before is None:
        return None
    before = flow.before
    name = job_name(before.name)
    if before.data is None:
        return Previous(before.queue, name, before.id, *payload, codecs)
    place = Place(before.queue, before.name, before.id, "result")
    return Previous(before.queue, name, before.id, place, before.data, before.codec, codecs)


class Result(NamedTuple):
    """The result of a job that completed, written in its format."""

    queue: Queue
    job: JobType[object, object] | None
    data: bytes
    form: str


def follow(
    flow: Flow,
    place: Place,
    result: Result,
    codecs: Codecs,
    *,
    metadata: Mapping[str, MetaValue] | None,
    deadline_ms: int,
) -> tuple[Effect, ...]:
    """Return the jobs that follow one, which `place` names, as effects of its completion.

    Raises CodecError, ConfigurationError or PayloadTooLarge.
    """
    queue, job, data, form = result

    def value() -> object:
        return decode_any(data, form) if job is None else job.decode_result(data, form)

    done = Done(
        queue=place.queue,
        name=place.name,
        id=place.job_id,
        data=data,
        form=form,
        metadata=metadata,
        deadline_ms=deadline_ms,
        value=value,
        seals=queue.codec if job is None else job.codec,
    )
    targets: dict[str, list[Draft]] = {}
    for target, draft in followers(flow, done, codecs):
        targets.setdefault(target, []).append(draft)
    return tuple(each for target, drafts in targets.items() for each in in_parts(target, drafts))
