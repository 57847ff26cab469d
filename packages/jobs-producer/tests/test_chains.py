"""Chains as they are built and enqueued: what does not fit is refused before anything is sent."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from jobs_core import (
    ChainFailed,
    ChainMismatch,
    JobFailed,
    JsonValue,
    OptionError,
    PayloadError,
    PayloadTooLarge,
    Queue,
    ResultNotKept,
    ResultTimeout,
    Unique,
)
from jobs_core.connection import client_for, parse_address
from jobs_core.flows.successors import MAX_LINKS
from jobs_producer import Producer, SyncProducer

if TYPE_CHECKING:
    from jobs_core import JobOptions, JobType


class Rows(msgspec.Struct):
    numbers: list[int]


class Table(Rows):
    title: str = ""


QUEUE = Queue("chained")
EXTRACT = QUEUE.job("extract", payload=int, result=Rows)
ADD = QUEUE.job("add", payload=Rows, result=int)
STORE = QUEUE.job("store", payload=int)
ONCE = QUEUE.job("once", payload=int, unique=Unique())


def then(job: JobType[int, Rows], other: object) -> object:
    """Build a chain in spite of the type checker."""
    return job.then(cast("JobType[Rows, object]", other))


def test_a_chain_says_what_it_is() -> None:
    chain = EXTRACT.then(ADD).then(STORE)
    assert repr(chain) == "Chain(chained/extract@1 -> chained/add@1 -> chained/store@1)"
    assert len(chain) == 3


def test_links_that_do_not_fit_are_refused_when_they_are_joined() -> None:
    with pytest.raises(
        ChainMismatch, match="chained/extract returns Rows, and chained/store takes int"
    ) as refused:
        then(EXTRACT, STORE)
    assert (refused.value.result, refused.value.payload) == ("Rows", "int")
    with pytest.raises(ChainMismatch, match="chained/store returns nothing"):
        then(cast("JobType[int, Rows]", STORE), ADD)
    with pytest.raises(ChainMismatch, match="then"):
        then(cast("JobType[int, Rows]", EXTRACT.then(ADD)), ADD)


@pytest.mark.parametrize(
    "payload",
    [Rows, object, JsonValue, Rows | None, int | Rows | str],
    ids=["same", "object", "any", "none", "union"],
)
def test_what_takes_more_fits_too(payload: type[object]) -> None:
    assert then(EXTRACT, Queue("wide").job("wide", payload))


def test_a_subclass_fits_and_a_flag_is_no_number() -> None:
    table = Queue("tables").job("table", payload=int, result=Table)
    assert then(cast("JobType[int, Rows]", table), ADD)
    flag = Queue("flags").job("flag", payload=int, result=bool)
    with pytest.raises(ChainMismatch):
        then(cast("JobType[int, Rows]", flag), STORE)


async def nothing_sent(producer: Producer, redis_url: str, prefix: str) -> None:
    """Check that the queue holds no job."""
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    assert await client.call("EXISTS", f"{prefix}:{{chained}}:rec") == 0
    await client.close()


WRONG: list[tuple[JobOptions, type[Exception], str]] = [
    (cast("JobOptions", {"chain_to": [STORE]}), OptionError, r"chain_to\[0\].*JOB.call"),
    (cast("JobOptions", {"on_success": STORE.call(1)}), OptionError, "on_success.*a list"),
    (cast("JobOptions", {"chain_to": [STORE.call(1), "x"]}), OptionError, r"chain_to\[1\]"),
    ({"chain_to": [STORE.call(cast("int", "one"))]}, PayloadError, "expected"),
    ({"on_success": [STORE.call(1, chain_to=[STORE.call(cast("int", "one"))])]}, PayloadError, "expected"),
    ({"chain_to": [STORE.call(1, attempts=0)]}, OptionError, "attempts"),
    ({"chain_to": [STORE.call(1, key="k")]}, OptionError, "has no keys"),
    ({"chain_to": [ONCE.call(1)]}, OptionError, "unique=None"),
    ({"on_success": [STORE.call(1)] * (MAX_LINKS + 1)}, OptionError, "at most 1,000"),
    ({"on_success": [EXTRACT.then(ADD).then(STORE, unique=Unique()).call(1)]}, OptionError, "unique=None"),
]


@pytest.mark.parametrize(("options", "error", "said"), WRONG)
async def test_what_cannot_follow_is_refused_before_anything_is_sent(
    redis_url: str, prefix: str, options: JobOptions, error: type[Exception], said: str
) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        with pytest.raises(error, match=said):
            await producer.enqueue(STORE, 1, **options)
        await nothing_sent(producer, redis_url, prefix)


async def test_too_much_is_refused(redis_url: str, prefix: str) -> None:
    text = Queue("texts").job("text", payload=str)
    nested = text.call("x")
    for _ in range(60):
        nested = text.call("x", on_success=[nested])
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        with pytest.raises(PayloadTooLarge, match="plan of what follows"):
            await producer.enqueue(STORE, 1, chain_to=[text.call("x" * 400_000)] * 3)
        with pytest.raises(PayloadTooLarge, match="what follows it"):
            await producer.enqueue(text, "x" * 1_000_000, on_success=[text.call("x" * 400_000)])
        with pytest.raises(OptionError, match="nested"):
            await producer.enqueue(STORE, 1, on_success=[nested])
        await nothing_sent(producer, redis_url, prefix)
        chain = EXTRACT.then(ADD)
        for _ in range(MAX_LINKS - 1):
            chain = chain.then(QUEUE.job("same", payload=int, result=int))
        handle = await producer.enqueue_chain(chain, 1)
        assert len(handle.links) == MAX_LINKS + 1
        with pytest.raises(OptionError, match="at most"):
            await producer.enqueue_chain(chain.then(STORE), 1)


async def test_a_unique_job_may_follow_alone(redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        await producer.enqueue(STORE, 1, on_success=[ONCE.call(1)], chain_to=[ONCE.call(1, unique=None)])


async def test_a_chain_whose_last_link_keeps_no_result_is_not_waited_for(redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        handle = await producer.enqueue_chain(EXTRACT.then(ADD).then(STORE), 1)
        with pytest.raises(ResultNotKept):
            await handle.result(5)
        other = await producer.enqueue_chain(EXTRACT.then(ADD), 1)
        with pytest.raises(ResultTimeout, match=r"within 0\.05 s"):
            await other.result(0.05)


def test_programs_without_a_loop_enqueue_chains(redis_url: str, prefix: str) -> None:
    with SyncProducer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        handle = producer.enqueue_chain(EXTRACT.then(ADD), 1, chain_to=[producer.queue("raw").call("a", [1])])
        assert handle.created
        assert [link.name for link in handle.links] == ["extract", "add"]
        record = handle.links[0].status()
        assert record.flow is not None
        assert [(ref.queue, ref.name) for ref in record.flow.next] == [("chained", "add"), ("raw", "a")]
        with pytest.raises(ResultTimeout):
            handle.result(0.05)


def test_the_error_of_a_chain_travels_between_processes() -> None:
    error = ChainFailed("add", JobFailed("chained", "id", "it broke"), position=2, length=3)
    again = cast("ChainFailed", pickle.loads(pickle.dumps(error)))
    assert (again.position, again.length, str(again)) == (2, 3, str(error))
    assert isinstance(again.failure, JobFailed)


async def test_followers_of_a_schedule_are_kept_with_it(redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        await producer.schedules.upsert(
            "nightly", EXTRACT, 1, every=3600, options={"chain_to": [STORE.call(2)]}
        )
        record = await (await producer.schedules.trigger(QUEUE, "nightly")).status()
        assert record.flow is not None
        assert (record.flow.position, record.flow.length) == (1, 2)
        with pytest.raises(OptionError, match="attempts"):
            await producer.schedules.upsert(
                "nightly", EXTRACT, 1, every=3600, options={"chain_to": [STORE.call(2, attempts=0)]}
            )
