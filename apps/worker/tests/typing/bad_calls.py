# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Handlers that a type checker must refuse, each by the rule in its comment; a comment too many is an error.

They are only read by a type checker: running them would be refused as well.
"""

from msgspec import Struct

from jobs_core import Queue
from jobs_worker import Chunk, ChunkContext, Fail, JobContext, processor


class Row(Struct):
    """A payload."""

    number: int


class Stored(Struct):
    """A result."""

    id: int


ROWS = Queue("rows")
STORE = ROWS.job("store", Row, Stored)
TOUCH = ROWS.job("touch", Row)
CHUNKS = processor(STORE, chunk=Chunk(size=10))


async def one(payload: Row, ctx: JobContext) -> Stored:
    """Take a single job."""
    return Stored(1)


async def one_of_chunk(payload: Row, ctx: ChunkContext) -> list[Stored]:
    """Take a single payload."""
    return [Stored(1)]


async def others(payloads: list[Stored], ctx: ChunkContext) -> list[Stored]:
    """Take payloads of another type."""
    return payloads


async def with_context_of_one(payloads: list[Row], ctx: JobContext) -> list[Stored]:
    """Take the context of a single job."""
    return [Stored(1)]


async def one_result(payloads: list[Row], ctx: ChunkContext) -> Stored:
    """Return one result for all."""
    return Stored(1)


async def results_of_others(payloads: list[Row], ctx: ChunkContext) -> list[str | Fail]:
    """Return results of another type."""
    return ["one"]


async def classes(payloads: list[Row], ctx: ChunkContext) -> list[type[Fail]]:
    """Return a class where an instance is due."""
    return [Fail]


def in_thread(payloads: list[Row], ctx: ChunkContext) -> list[int]:
    """Return results of another type from a thread."""
    return [1]


async def good(payloads: list[Row], ctx: ChunkContext) -> list[Stored]:
    """Fit."""
    return [Stored(1)]


def wrong() -> None:
    """Decorate what does not fit."""
    CHUNKS(one)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(one_of_chunk)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(others)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(with_context_of_one)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(one_result)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(results_of_others)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(classes)  # pyright: ignore[reportCallIssue, reportArgumentType]
    CHUNKS(in_thread)  # pyright: ignore[reportCallIssue, reportArgumentType]
    processor(STORE)(good)  # pyright: ignore[reportCallIssue, reportArgumentType]
    processor(TOUCH, chunk=Chunk())(good)  # pyright: ignore[reportCallIssue, reportArgumentType]
    processor(ROWS, chunk=Chunk())  # pyright: ignore[reportCallIssue, reportArgumentType]
    processor(STORE, chunk=100)  # pyright: ignore[reportCallIssue, reportArgumentType]
    Chunk(size="many")  # pyright: ignore[reportArgumentType]
    Chunk(colour="red")  # pyright: ignore[reportCallIssue]
