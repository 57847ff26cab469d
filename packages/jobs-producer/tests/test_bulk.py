import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.support.leaping import leap
from tests.support.mail import SEND, Calls, Send
from tests.support.proxy import Proxy
from tests.support.waiting import until

from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    DeclarationError,
    OptionError,
    OutcomeUnknown,
    PayloadError,
)
from jobs_core.queue import Queue
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.wire import decode_envelope, parse_header
from jobs_producer import BulkInterrupted, BulkItem, BulkSummary, ItemOutcome, Producer, SyncProducer

Make = Callable[..., Producer]
# Of the producers that are made here.
PATIENCE = 30
LOAD = Path(__file__).parent / "bulk_load.py"


def sends(number: int) -> Iterator[Send]:
    return (Send(to=f"u{index}") for index in range(number))


async def count(scripts: Scripts, queue: str = "mail") -> int:
    return cast("int", await scripts.client.call("ZCARD", scripts.key(queue) + "waiting"))


async def addressees(scripts: Scripts) -> list[str]:
    """Return whom the waiting jobs are for, in their order."""
    ids = cast("list[bytes]", await scripts.client.call("ZRANGE", scripts.key("mail") + "waiting", 0, -1))
    records = cast("list[bytes]", await scripts.client.call("HMGET", scripts.key("mail") + "rec", *ids))
    envelopes = [decode_envelope(record[parse_header(record).size :]) for record in records]
    return [SEND.decode(envelope.payload).to for envelope in envelopes]


async def test_a_summary_counts_what_became_of_the_items(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SEND, Send(to="a"), job_id="known")
    items: list[Send | BulkItem[Send]] = [
        Send(to="a"),
        BulkItem(Send(to="b"), {"job_id": "new", "priority": 1}),
        BulkItem(Send(to="c"), {"job_id": "known"}),
        Send(to=5),  # pyright: ignore[reportArgumentType]
        BulkItem(Send(to="d"), {"priority": 9}),
        BulkItem(Send(to="e"), {"job_id": "new"}),
    ]
    summary = await producer.enqueue_many(SEND, items, tags=["bulk"], priority="low")
    assert (summary.total, summary.created, summary.known, summary.rejected) == (6, 2, 2, 2)
    assert [(each.index, each.outcome, type(each.error)) for each in summary.errors] == [
        (3, "rejected", PayloadError),
        (4, "rejected", OptionError),
    ]
    record = await producer.status("mail", "new")
    assert (record.priority, record.tags) == ("critical", ("bulk",))
    assert await count(scripts) == 3


async def test_iterating_gives_each_outcome_in_order(producer: Producer) -> None:
    items = [Send(to=5 if index % 10 == 3 else "a") for index in range(2500)]  # pyright: ignore[reportArgumentType]
    outcomes = [outcome async for outcome in producer.enqueue_many(SEND, items)]
    assert [each.index for each in outcomes] == list(range(2500))
    assert [each.outcome for each in outcomes] == [
        "rejected" if index % 10 == 3 else "created" for index in range(2500)
    ]
    assert len({each.id for each in outcomes}) == 2251


async def test_items_keep_their_order(producer: Producer, scripts: Scripts) -> None:
    assert (await producer.enqueue_many(SEND, sends(3000))).created == 3000
    assert await addressees(scripts) == [f"u{index}" for index in range(3000)]


async def test_calls_are_full(producer: Producer, calls: Calls) -> None:
    await producer.enqueue_many(SEND, sends(5000))
    assert len(calls) <= 60
    assert max(map(len, calls)) == 128


@pytest.mark.parametrize("number", [0, 1, 127, 128, 1023, 1024, 1025, 3000])
async def test_progress_grows_to_the_total(producer: Producer, number: int) -> None:
    told: list[tuple[int, int | None]] = []
    summary = await producer.enqueue_many(
        SEND, list(sends(number)), progress=lambda done, total: told.append((done, total))
    )
    assert summary.total == summary.created == number
    counts = [done for done, _ in told]
    assert counts == sorted(set(counts))
    assert (told[-1], {total for _, total in told}) == ((number, number), {number})


async def test_the_total_of_an_iterator_is_not_known(producer: Producer) -> None:
    told: list[tuple[int, int | None]] = []
    await producer.enqueue_many(SEND, sends(200), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (200, None)


async def test_items_may_come_asynchronously(producer: Producer) -> None:
    async def items() -> AsyncIterator[Send | BulkItem[Send]]:
        for index in range(300):
            await asyncio.sleep(0)
            yield BulkItem(Send(to="a"), {"job_id": f"id-{index}"}) if index % 2 else Send(to="a")

    summary = await producer.enqueue_many(SEND, items())
    assert summary == BulkSummary(total=300, created=300, known=0, rejected=0, errors=())


async def test_only_the_first_hundred_rejections_are_kept(producer: Producer) -> None:
    items = [Send(to=5)] * 250  # pyright: ignore[reportArgumentType]
    summary = await producer.enqueue_many(SEND, items)
    assert (summary.rejected, len(summary.errors)) == (250, 100)


async def test_rejected_items_leave_other_tasks_their_turn(producer: Producer) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await producer.enqueue_many(SEND, (Send(to=5) for _ in range(5000)))  # pyright: ignore[reportArgumentType]
    task.cancel()
    assert turns >= 10


async def test_what_is_wrong_with_the_whole_call_raises_at_once(
    producer: Producer, calls: Calls, make: Make
) -> None:
    with pytest.raises(OptionError, match="one id cannot name many jobs"):
        producer.enqueue_many(SEND, sends(3), job_id="x")
    with pytest.raises(OptionError, match="priority"):
        producer.enqueue_many(SEND, sends(3), priority=9)
    producer.enqueue_many(SEND, sends(3))
    with pytest.raises(DeclarationError):
        producer.enqueue_many(Queue("mail", concurrency=7).job("send", Send), sends(3))
    with pytest.raises(ConfigurationError, match="not connected"):
        make().enqueue_many(SEND, sends(3))
    assert calls == []


async def test_an_error_of_the_items_is_raised_as_it_is(producer: Producer, scripts: Scripts) -> None:
    def broken() -> Iterator[Send]:
        yield from sends(10)
        raise LookupError("the end of the file is missing")

    with pytest.raises(LookupError):
        await producer.enqueue_many(SEND, broken())

    async def all_there() -> bool:
        return await count(scripts) == 10

    await until(all_there)


async def test_leaving_the_loop_early_sends_what_was_taken(producer: Producer, scripts: Scripts) -> None:
    bulk = aiter(producer.enqueue_many(SEND, sends(5000)))
    assert (await anext(bulk)).outcome == "created"
    await producer.close()
    assert await count(scripts) == 1024


async def test_a_server_that_goes_away_interrupts(make: Make, prefix: str) -> None:
    with EmbeddedServer() as server:
        producer = make(server.url)
        await producer.connect()

        def items() -> Iterator[Send]:
            for index, item in enumerate(sends(10_000)):
                if index == 3000:
                    server.kill()
                    producer._link.timeout = 0.5
                    leap(PATIENCE)
                yield item

        outcomes: list[ItemOutcome] = []

        async def iterate() -> None:
            async for outcome in producer.enqueue_many(SEND, items()):
                outcomes.append(outcome)  # noqa: PERF401 - a list of them all would be lost with the error

        with pytest.raises(BulkInterrupted) as caught:
            await iterate()
        error = caught.value
        assert error.done == len(outcomes)
        assert 1900 <= error.done <= 4100
        assert [each.index for each in outcomes] == list(range(error.done))
        assert error.unfinished == tuple(each for each in outcomes if each.outcome in ("unsent", "unknown"))
        assert error.cause is error.unfinished[0].error
        for each in error.unfinished:
            kind = ConnectionFailed if each.outcome == "unsent" else OutcomeUnknown
            assert isinstance(each.error, kind)
        assert f"go on with item {error.done}" in str(error)


async def test_an_interrupted_bulk_is_completed_without_loss_or_repeat(
    make: Make, scripts: Scripts, proxy: Proxy
) -> None:
    producer = make(proxy.url)
    await producer.connect()

    def items() -> Iterator[Send]:
        for index, item in enumerate(sends(6000)):
            if index == 2500:
                proxy.drop_replies = True
            yield item

    async def add_all() -> None:
        await producer.enqueue_many(SEND, items())

    adding = asyncio.create_task(add_all())
    await proxy.reply_dropped()
    # What it takes from here on has little time.
    producer._link.timeout = 0.5
    leap(PATIENCE)
    with pytest.raises(BulkInterrupted) as caught:
        await adding
    proxy.drop_replies = False
    proxy.reset()
    producer._link.timeout = PATIENCE
    error = caught.value
    assert any(each.outcome == "unknown" for each in error.unfinished)
    every = list(sends(6000))
    unknown = [each.error for each in error.unfinished if isinstance(each.error, OutcomeUnknown)]
    assert all(await asyncio.gather(*(producer.resubmit(each) for each in unknown)))
    unsent = [each.index for each in error.unfinished if each.outcome == "unsent"]
    await asyncio.gather(*(producer.enqueue(SEND, every[index]) for index in unsent))
    await producer.enqueue_many(SEND, every[error.done :])
    assert sorted(await addressees(scripts)) == sorted(each.to for each in every)


def test_items_are_read_in_the_thread_that_called(sync: SyncProducer) -> None:
    with sync:
        threads: set[int] = set()
        told: list[tuple[int, int | None]] = []

        def items() -> Iterator[Send]:
            for item in sends(3000):
                threads.add(threading.get_ident())
                yield item

        def progress(done: int, total: int | None) -> None:
            threads.add(threading.get_ident())
            told.append((done, total))

        assert sync.enqueue_many(SEND, items(), progress=progress).created == 3000
        assert threads == {threading.get_ident()}
        counts = [done for done, _ in told]
        assert counts == sorted(set(counts))
        assert told[-1] == (3000, None)
        assert sync.enqueue_many(SEND, list(sends(5)), progress=progress).total == 5
        assert told[-1] == (5, 5)


def test_items_may_enqueue_themselves(sync: SyncProducer) -> None:
    def items() -> Iterator[Send]:
        for item in sends(200):
            sync.enqueue(SEND, item)
            yield item

    with sync:
        assert sync.enqueue_many(SEND, items()).created == 200


@pytest.mark.parametrize("where", ["items", "progress"])
def test_an_error_in_the_callers_thread_ends_a_bulk(sync: SyncProducer, where: str) -> None:
    def items() -> Iterator[Send]:
        yield from sends(2000)
        if where == "items":
            raise LookupError
        yield from sends(2000)

    def progress(_done: int, _total: int | None) -> None:
        if where == "progress":
            raise LookupError

    with sync:
        with pytest.raises(LookupError):
            sync.enqueue_many(SEND, items(), progress=progress)
        assert sync.enqueue(SEND, Send(to="next")).created


def load(url: str, number: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(LOAD), url, str(number)], capture_output=True, text=True, check=True, timeout=600
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_many_items_take_no_more_memory_than_few(redis_url: str) -> None:
    found = load(redis_url, 12_000)
    assert found["created"] == 12_000
    assert found["grown_mb"] < 4


@pytest.mark.chaos
@pytest.mark.parametrize("number", [200_000, 1_000_000])
def test_a_million_items_take_no_more_memory_than_few(redis_url: str, number: int) -> None:
    found = load(redis_url, number)
    assert found["created"] == number
    assert found["grown_mb"] < 4
