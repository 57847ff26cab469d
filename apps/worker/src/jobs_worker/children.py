"""What a handler sees of the jobs that its own waited for: children of a parent, dependencies of a step, members of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.errors import JobsError, OptionError, ResultNotKept
from jobs_core.flows.ends import read_ended
from jobs_core.flows.modes import STATES, Sign
from jobs_core.payloads import JsonValue, decode_any
from jobs_core.records import job_name
from jobs_core.scripts.flows import FlowJobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobs_core.queue import JobType

P = TypeVar("P")
R = TypeVar("R")

Pages: TypeAlias = Callable[[int], Awaitable[FlowJobs]]

__all__ = ["ChildOutcome", "Children", "Pages", "Results", "Waited"]


class Waited(msgspec.Struct, array_like=True):
    """What a worker read of the jobs that one waited for, as a process is told it: `told` of the first ones, in order.

    Of each it is whether it has ended, and what the flow keeps of its end. `total` is how many there are, `labels` name them. The
    first `before` of them are of a flow whose callback this job is: its own children come behind.
    """

    total: int
    told: list[tuple[bool, bytes]]
    labels: tuple[str, ...] = ()
    before: int = 0

    @property
    def whole(self) -> bool:
        """Whether `told` is all of them."""
        return len(self.told) >= self.total


class ChildOutcome(msgspec.Struct, frozen=True):
    """How one of them ended. `state` is completed, failed, cancelled, expired, removed, skipped or missing; "" while it has not.

    `queue`, `id` and `name` are empty where it completed without a result: nothing is kept of it then. `dropped` says that it did not
    complete, and that by its policy `remove` this job does without it: it is none of the `failures`.
    """

    number: int
    state: str
    queue: str = ""
    id: str = ""
    name: str = ""
    error: str | None = None
    dropped: bool = False
    _data: bytes | None = None
    _codec: str | None = None
    _wire_name: str = ""

    def __repr__(self) -> str:
        """Tell which job it is and how it ended, and nothing of its result."""
        return f"ChildOutcome({self.number}, {self.state!r}, {self.queue}/{self.name} {self.id})"

    def opened(self, codecs: Codecs | None) -> tuple[bytes, str]:
        """Return the result as bytes, and their format. Raises ResultNotKept or CodecError."""
        if self._data is None:
            raise ResultNotKept(self.queue, self.id)
        if self._codec is None:
            return self._data, "json"
        place = Place(self.queue, self._wire_name, self.id, "result")
        return (codecs or Codecs()).open(place, self._data, self._codec)


class Children:
    """The jobs that this one waited for, in the order in which they were given."""

    def __init__(self, waited: Waited | None, codecs: Codecs | None, pages: Pages | None = None) -> None:
        """Made by the context; `pages` reads on where there are too many to be held."""
        self._waited = waited or Waited(0, [])
        self._codecs = codecs
        self._pages = pages
        self._outcomes = [_outcome(i, *each) for i, each in enumerate(self._waited.told)]

    def __len__(self) -> int:
        return self._waited.total

    @property
    def own(self) -> int:
        """For how many of them this job waited itself, and no flow."""
        return self._waited.total - self._waited.before

    def __iter__(self) -> Iterator[ChildOutcome]:
        """Go through how they ended. Raises JobsError where there are too many to be held: see `stream`."""
        return iter(self._all())

    @property
    def failures(self) -> list[ChildOutcome]:
        """Those that ended otherwise than by completing, but for those that this job does without (policy `remove`)."""
        return [each for each in self._all() if each.state not in {"completed", ""} and not each.dropped]

    def results(self, job: JobType[P, R]) -> list[R]:
        """Return the results of those jobs of this name that completed, in order; those without one are left out.

        Raises PayloadError or CodecError.
        """
        return [
            job.decode_result(*each.opened(self._codecs))
            for each in self._all()
            if each.state == "completed" and each.name == job.name
        ]

    def result(self, outcome: ChildOutcome, job: JobType[P, R]) -> R:
        """Return the result of one of them. Raises ResultNotKept, PayloadError or CodecError."""
        return job.decode_result(*outcome.opened(self._codecs))

    async def stream(self) -> AsyncIterator[ChildOutcome]:
        """Go through how they ended, however many they are, in constant memory. Only for handlers on the worker's loop."""
        for each in self._outcomes:
            yield each
        at: int | None = len(self._outcomes)
        if self._waited.whole:
            return
        if self._pages is None:
            raise _TooMany(self._waited.total)
        while at is not None:
            page = await self._pages(at)
            for number, job in enumerate(page.jobs, at):
                yield _outcome(number, job.ended, job.told)
            at = page.next
            await asyncio.sleep(0)

    def _all(self) -> list[ChildOutcome]:
        if not self._waited.whole:
            raise _TooMany(self._waited.total)
        return self._outcomes


class _TooMany(JobsError):
    """There are more children than can be held at once."""

    code = "too_many_children"

    def __init__(self, total: int) -> None:
        self.total = total
        super().__init__(
            f"This job waited for {total:,} others, more than are held at once. Go through them by "
            f"`async for outcome in ctx.children.stream()`, in a handler that is async and runs on the worker's loop."
        )


class Results(Mapping[str, JsonValue]):
    """The results of the jobs that this one waited for: by the name of a workflow's step, else by id."""

    def __init__(self, children: Children, waited: Waited | None, codecs: Codecs | None) -> None:
        """Made by the context."""
        self._codecs = codecs
        labels = waited.labels if waited is not None else ()
        self._by_key: dict[str, ChildOutcome] = {}
        for i, each in enumerate(children) if waited is not None and waited.whole else ():
            key = labels[i] if i < len(labels) and labels[i] else each.id
            if each.state == "completed" and each.id and key:
                self._by_key[key] = each

    def __getitem__(self, key: str) -> JsonValue:
        return decode_any(*self._by_key[key].opened(self._codecs))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: str, job: JobType[P, R]) -> R:
        """Return the result of one of them as the type that its job declares.

        Raises OptionError where there is none of this name, PayloadError where it does not fit, CodecError.
        """
        found = self._by_key.get(key)
        if found is None:
            known = ", ".join(self._by_key) or "none"
            raise OptionError(
                "key", key, f"this job waited for no job of that name with a result; there is {known}"
            )
        return job.decode_result(*found.opened(self._codecs))


def _outcome(number: int, ended: bool, told: bytes) -> ChildOutcome:  # noqa: FBT001 - a field of what was told
    if not told:
        return ChildOutcome(number, STATES[Sign.COMPLETED] if ended else "")
    sign, end = read_ended(told)
    error = None
    if sign is not Sign.COMPLETED:
        error = f"{end.error_type}: {end.error}" if end.error_type else end.error
    where = (end.queue, end.id, job_name(end.name))
    return ChildOutcome(number, STATES[sign], *where, error, end.dropped, end.result, end.codec, end.name)
