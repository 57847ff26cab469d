# pyright: strict
"""Handlers that a type checker must accept."""

from collections.abc import Sequence
from typing import assert_type

from msgspec import Struct

from jobs_core import Queue
from jobs_worker import Chunk, ChunkContext, Discard, Fail, JobContext, Retry, processor


class Row(Struct):
    """A payload."""

    number: int


class Stored(Struct):
    """A result."""

    id: int


ROWS = Queue("rows", key=True)
STORE = ROWS.job("store", Row, Stored)
TOUCH = ROWS.job("touch", Row)


@processor(STORE)
async def store_one(payload: Row, ctx: JobContext) -> Stored:
    """Take a single job."""
    return Stored(payload.number)


@processor(STORE, chunk=Chunk(size=50, wait=1, by_key=True), concurrency=2)
async def store(payloads: list[Row], ctx: ChunkContext) -> list[Stored]:
    """Return a result for each."""
    assert_type(ctx.jobs, tuple[JobContext, ...])
    return [Stored(payload.number) for payload in payloads]


@processor(STORE, chunk=Chunk())
async def store_some(payloads: list[Row], ctx: ChunkContext) -> list[Stored | Fail | Retry]:
    """Return a result or an outcome for each."""
    return [Stored(1), Fail("no good"), Retry(after=5)]


@processor(STORE, chunk=Chunk())
def store_in_thread(payloads: list[Row], ctx: ChunkContext) -> list[Stored | Exception]:
    """Return whatever happened to each."""
    return [Stored(1), ValueError("no good")]


@processor(TOUCH, chunk=Chunk())
async def touch(payloads: Sequence[Row], ctx: ChunkContext) -> list[Discard | None]:
    """Return nothing but outcomes."""
    return [None, Discard()]


async def called() -> None:
    """Call a handler as it is."""
    assert_type(
        await store([Row(1)], ChunkContext.for_test(JobContext.for_test())), Sequence[Stored | Exception]
    )
