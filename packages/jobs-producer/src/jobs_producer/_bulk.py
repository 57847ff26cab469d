"""Adding very many jobs: an outcome for each, in order, and only those on their way are in memory."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Sized,
)
from contextlib import aclosing
from types import UnionType
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

import msgspec

from jobs_core.errors import (
    CodecError,
    DuplicateJob,
    JobsError,
    OptionError,
    OutcomeUnknown,
    PayloadError,
    PayloadTooLarge,
    QueueFull,
)
from jobs_core.options import JobOptions

if TYPE_CHECKING:
    from jobs_core.telemetry import Sending
    from jobs_producer._lane import Item
    from jobs_producer._submission import Outcome

P = TypeVar("P")
Progress = Callable[[int, int | None], None]
_WINDOW = 1024
_STEP = 128
_KEPT_ERRORS = 100
_REJECTIONS = (PayloadError, PayloadTooLarge, CodecError, OptionError)
_UNFINISHED = ("unsent", "unknown")
_NOT_SENT = frozenset({*_UNFINISHED, "rejected"})


class BulkItem(msgspec.Struct, Generic[P], frozen=True):
    """A payload with options of its own; they win over those of the whole call."""

    payload: P
    options: JobOptions = {}


class ItemOutcome(msgspec.Struct, frozen=True):
    """What became of one item.

    `created`, `known` (its own id was taken), `rejected` (it does not fit, and was not sent); where a job with its
    unique key is there, `skipped`, `replaced`, `extended` or `kept`, then `id` is that of the job which stands for
    it, or `duplicate` (an error); `full` (the queue took no more); and where the server went away `unsent` (nothing
    was applied) or `unknown` (it may have been). `error` says why.
    """

    index: int
    outcome: Outcome | Literal["rejected", "duplicate", "full", "unsent", "unknown"]
    id: str = ""
    error: JobsError | None = None


class BulkSummary(msgspec.Struct, frozen=True):
    """What became of all items; `errors` holds the first 100 that were rejected, duplicates, or met a full queue."""

    total: int
    created: int
    known: int
    rejected: int
    errors: tuple[ItemOutcome, ...]
    skipped: int = 0
    replaced: int = 0
    extended: int = 0
    kept: int = 0
    duplicate: int = 0
    full: int = 0


class BulkInterrupted(JobsError):
    """The server went away in the middle.

    `done` items were taken, and all of them but the `unfinished` ones are on the server or were rejected;
    `cause` is what became of the first unfinished one.
    """

    code = "bulk_interrupted"

    def __init__(self, queue: str, done: int, unfinished: tuple[ItemOutcome, ...], cause: JobsError) -> None:
        """Say how far it came."""
        self.queue = queue
        self.done = done
        self.unfinished = unfinished
        self.cause = cause
        super().__init__(
            f"Enqueueing into {queue!r} stopped after {done:,} items, {len(unfinished):,} unfinished. "
            f"{cause} Enqueue those that are unsent again, pass the errors of those that are unknown to "
            f"producer.resubmit, and go on with item {done}; or send all again if they have ids of their own."
        )


class Bulk(Generic[P]):
    """Await it for a summary, or iterate over it for the outcome of each item, in order."""

    def __init__(
        self,
        queue: str,
        items: Iterable[P | BulkItem[P]] | AsyncIterable[P | BulkItem[P]],
        submit: Callable[[P, JobOptions], Awaitable[Item]],
        options: JobOptions,
        progress: Progress | None,
        *,
        sending: Sending | None = None,
    ) -> None:
        """Made by the producer; nothing happens before it is awaited or iterated over. Raises OptionError for no iterable."""
        check_items(items, Iterable | AsyncIterable)
        self._queue = queue
        self._items = items
        self._submit = submit
        self._options = options
        self._progress = progress
        self._sending = sending
        self._told = -1

    def __await__(self) -> Generator[object, None, BulkSummary]:
        """Add all items and count what became of them. Raises BulkInterrupted."""
        return self._summary().__await__()

    async def _summary(self) -> BulkSummary:
        counts: Counter[str] = Counter()
        errors: list[ItemOutcome] = []
        async for outcome in self:
            counts[outcome.outcome] += 1
            if outcome.error is not None and len(errors) < _KEPT_ERRORS:
                errors.append(outcome)
        return BulkSummary(
            total=counts.total(),
            created=counts["created"],
            known=counts["known"],
            rejected=counts["rejected"],
            errors=tuple(errors),
            skipped=counts["skipped"],
            replaced=counts["replaced"],
            extended=counts["extended"],
            kept=counts["kept"],
            duplicate=counts["duplicate"],
            full=counts["full"],
        )

    def __aiter__(self) -> AsyncIterator[ItemOutcome]:
        """Add the items, at most 1,024 on their way at a time. Raises BulkInterrupted after the last one."""
        return self._add() if self._sending is None else self._traced(self._add(), self._sending)

    async def _traced(
        self, added: AsyncGenerator[ItemOutcome, None], sending: Sending
    ) -> AsyncGenerator[ItemOutcome, None]:
        """Pass outcomes on, and end the span with how many were sent."""
        sent = 0
        try:
            async with aclosing(added):
                async for outcome in added:
                    sent += outcome.outcome not in _NOT_SENT
                    yield outcome
        except GeneratorExit:
            sending.sent_many(sent)
            raise
        except BaseException as error:
            sending.failed(error, sent)
            raise
        sending.sent_many(sent)

    async def _add(self) -> AsyncGenerator[ItemOutcome, None]:
        total = len(self._items) if isinstance(self._items, Sized) else None
        under_way: deque[Item | JobsError] = deque()
        unfinished: list[ItemOutcome] = []
        done = 0
        more = True
        async with aclosing(_each(self._items)) as items:
            while more or under_way:
                while more and len(under_way) < _WINDOW:
                    try:
                        taken = await self._take(await anext(items))
                    except StopAsyncIteration:
                        more = False
                        break
                    under_way.append(taken)
                    more = not isinstance(taken, JobsError) or isinstance(taken, _REJECTIONS)
                for _ in range(min(_STEP, len(under_way))):
                    outcome = await _outcome(under_way.popleft(), done)
                    done += 1
                    if outcome.outcome in _UNFINISHED:
                        unfinished.append(outcome)
                        more = False
                    yield outcome
                if not unfinished:
                    self._tell(done, total)
                # Where all are rejected nothing else waits, and other tasks have their turn here.
                await asyncio.sleep(0)
        if unfinished:
            cause = cast("JobsError", unfinished[0].error)
            raise BulkInterrupted(self._queue, done, tuple(unfinished), cause) from cause
        self._tell(done, total)

    async def _take(self, item: P | BulkItem[P]) -> Item | JobsError:
        if isinstance(item, BulkItem):
            own = cast("BulkItem[P]", item)
            payload, options = own.payload, cast("JobOptions", {**self._options, **own.options})
        else:
            payload, options = item, self._options
        try:
            return await self._submit(payload, options)
        except JobsError as error:
            return error

    def _tell(self, done: int, total: int | None) -> None:
        if self._progress is not None and done != self._told:
            self._told = done
            self._progress(done, total)


def check_items(items: object, kinds: type | UnionType) -> None:
    """Refuse what cannot be gone through, such as one payload in place of many. Raises OptionError."""
    if not isinstance(items, kinds):
        raise OptionError("items", items, "it must be an iterable of payloads")


async def _outcome(taken: Item | JobsError, index: int) -> ItemOutcome:
    if isinstance(taken, JobsError):
        rejected = isinstance(taken, _REJECTIONS)
        return ItemOutcome(index, "rejected" if rejected else "unsent", error=taken)
    try:
        outcome = await taken.future
    except OutcomeUnknown as error:
        return ItemOutcome(index, "unknown", id=taken.id, error=error)
    except QueueFull as error:
        return ItemOutcome(index, "full", error=error)
    except DuplicateJob as error:
        return ItemOutcome(index, "duplicate", id=error.job_id, error=error)
    except JobsError as error:
        return ItemOutcome(index, "unsent", id=taken.id, error=error)
    return ItemOutcome(index, outcome, id=taken.id)


async def _each(items: Iterable[P] | AsyncIterable[P]) -> AsyncGenerator[P, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
