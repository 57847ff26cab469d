# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Calls that a type checker must accept, and the types it must infer."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import assert_type

from msgspec import Struct

from jobs_core import (
    Call,
    Chain,
    Debounce,
    JobOptions,
    JsonValue,
    Keep,
    OutcomeUnknown,
    Priority,
    Queue,
    RunAll,
    ScheduleOptions,
    SchedulePage,
    ScheduleRecord,
    State,
    Throttle,
    Unique,
)
from jobs_core.records import JobRecord
from jobs_producer import (
    BulkInterrupted,
    BulkItem,
    BulkSummary,
    ChainHandle,
    ItemOutcome,
    JobHandle,
    Producer,
    QueueHandle,
    ScheduleHandle,
    SyncChainHandle,
    SyncJobHandle,
    SyncProducer,
    SyncQueueHandle,
)


class Send(Struct):
    """A payload."""

    to: str


class Receipt(Struct):
    """A result."""

    sent: bool


MAIL = Queue("mail")
SEND = MAIL.job("send", Send, Receipt)
NOTE = MAIL.job("note", Send)
FILE = MAIL.job("file", Receipt, str)
TELL = MAIL.job("tell", str)
COUNT = MAIL.job("count", dict[str, int], list[int])


async def enqueue(producer: Producer) -> None:
    """Enqueue with every option."""
    handle = await producer.enqueue(SEND, Send("ada"))
    assert_type(handle, JobHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    assert_type(await handle.result(timeout=30), Receipt)
    assert_type(await handle.done(), State | None)
    assert_type(await handle.status(), JobRecord)
    assert_type(handle.created, bool)
    assert_type(await (await producer.enqueue(NOTE, Send("ada"))).result(), None)
    assert_type(await (await producer.enqueue(COUNT, {"a": 1})).result(), list[int])
    assert_type(await producer.handle(SEND, "id").result(), Receipt)
    await producer.enqueue(
        SEND,
        Send("ada"),
        priority=Priority.HIGH,
        delay=timedelta(minutes=1),
        attempts=3,
        backoff=[1, 10],
        timeout=2.5,
        job_id="order-17",
        remove_on_complete=100,
        remove_on_fail=Keep(age=3600),
        result_ttl=60,
        metadata={"user_id": 7, "vip": True, "none": None},
        tags=["a"],
    )
    await producer.enqueue(SEND, Send("ada"), priority="high", run_at=datetime(2030, 1, 1, tzinfo=UTC))
    options: JobOptions = {"priority": 2, "delay": 1.5}
    await producer.enqueue(SEND, Send("ada"), **options)


async def schedules(producer: Producer, sync: SyncProducer) -> None:
    """Schedule with every option."""
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    made = await producer.schedules.upsert("s", SEND, Send("ada"), cron="0 9 * * *", timezone="Europe/Paris")
    assert_type(made, ScheduleHandle)
    assert_type(made.record, ScheduleRecord)
    options: ScheduleOptions = {"every": timedelta(minutes=5), "misfire": RunAll(3)}
    await producer.schedules.upsert(None, COUNT, {"a": 1}, **options)
    await producer.schedules.upsert(
        "s",
        SEND,
        Send("ada"),
        at=[noon],
        start=noon,
        end=noon,
        limit=3,
        jitter=2.5,
        overlap="buffer_one",
        misfire="skip",
        catch_up_window=3600,
        pause_on_failure=True,
        options={"priority": "low", "tags": ["a"], "key": "ada"},
    )
    assert_type(await producer.schedules.trigger(MAIL, "s"), JobHandle[JsonValue])
    assert_type(await producer.schedules.next("mail", "s", 3), tuple[datetime, ...])
    assert_type(await producer.schedules.list("mail"), SchedulePage)
    assert_type(sync.schedules.upsert("s", SEND, Send("ada"), after_completion=60), ScheduleHandle)
    assert_type(sync.schedules.trigger("mail", "s"), SyncJobHandle[JsonValue])
    assert_type(sync.schedules.backfill("mail", "s", noon, noon), int)
    MAIL.cron("@daily", SEND, Send("ada"), jitter=60)
    MAIL.every(timedelta(minutes=5), COUNT, {"a": 1}, schedule_id="count", overlap="skip")


async def queues(producer: Producer) -> None:
    """Use a queue that no code declares."""
    queue = producer.queue("adhoc", concurrency=3, strict=True)
    assert_type(queue, QueueHandle)
    handle = await queue.enqueue("anything", {"a": [1, None, {"b": "c"}]}, priority="low")
    assert_type(handle, JobHandle[JsonValue])
    assert_type(await queue.handle("anything", "id").result(), JsonValue)
    await queue.enqueue("without data")


async def bulk(producer: Producer) -> None:
    """Enqueue many."""

    def sends() -> Iterator[Send | BulkItem[Send]]:
        yield Send("ada")
        yield BulkItem(Send("bob"), {"job_id": "b"})

    async def coming() -> AsyncIterator[Send]:
        yield Send("ada")

    def progress(done: int, total: int | None) -> None:
        print(done, total)  # noqa: T201

    assert_type(await producer.enqueue_many(SEND, sends(), progress=progress, priority="low"), BulkSummary)
    await producer.enqueue_many(SEND, [Send("ada")])
    await producer.enqueue_many(SEND, coming())
    try:
        async for outcome in producer.enqueue_many(SEND, [BulkItem(Send("ada"))]):
            assert_type(outcome, ItemOutcome)
    except BulkInterrupted as error:
        assert_type(error.unfinished, tuple[ItemOutcome, ...])


async def again(producer: Producer, error: OutcomeUnknown) -> None:
    """Send again."""
    assert_type(await producer.resubmit(error), bool)


async def once(producer: Producer) -> None:
    """Say which jobs count as the same, and how long one may wait."""
    unique = Unique(fields=("to",), until="ttl", ttl=60, on_conflict="keep_last")
    handle = await producer.enqueue(SEND, Send("ada"), unique=unique, expires_in=60, when_full="wait")
    assert_type(handle.outcome in {"created", "kept"}, bool)
    await producer.enqueue(SEND, Send("ada"), debounce=Debounce(5, max_wait=60), deadline=datetime.now(UTC))
    await producer.enqueue(SEND, Send("ada"), throttle=Throttle(60, key="x"), unique=None)


async def chains(producer: Producer) -> None:
    """Let jobs follow each other."""
    chain = SEND.then(FILE).then(TELL, attempts=5, priority="low")
    assert_type(chain, Chain[Send, None])
    handle = await producer.enqueue_chain(SEND.then(FILE), Send("ada"), delay=5)
    assert_type(handle, ChainHandle[str])
    assert_type(await handle.result(timeout=5), str)
    assert_type(handle.links[0], JobHandle[object])
    assert_type(producer.chain_handle(chain, handle.id), ChainHandle[None])
    assert_type(await producer.enqueue_many(chain, [Send("ada")]), BulkSummary)
    raw = producer.queue("adhoc").call("anything", {"a": 1})
    assert_type(raw, Call)
    await producer.enqueue(
        SEND, Send("ada"), chain_to=[TELL.call("x"), raw], on_success=[chain.call(Send("b"))]
    )


def sync(producer: SyncProducer) -> None:
    """Do the same without a loop."""
    assert_type(producer.enqueue_chain(SEND.then(FILE), Send("ada")), SyncChainHandle[str])
    assert_type(producer.enqueue_chain(SEND.then(FILE), Send("ada")).result(5), str)
    assert_type(producer.chain_handle(SEND.then(FILE), "id"), SyncChainHandle[str])
    handle = producer.enqueue(SEND, Send("ada"), priority="high")
    assert_type(handle, SyncJobHandle[Receipt])
    assert_type(handle.result(timeout=5), Receipt)
    assert_type(producer.handle(COUNT, "id").result(), list[int])
    assert_type(producer.enqueue_many(SEND, [Send("ada"), BulkItem(Send("bob"))]), BulkSummary)
    assert_type(producer.queue("adhoc"), SyncQueueHandle)
    assert_type(producer.queue("adhoc").enqueue("anything", [1]), SyncJobHandle[JsonValue])
    assert_type(producer.run(lambda inner: inner.is_connected()), bool)
    with SyncProducer.from_env() as made:
        assert_type(made, SyncProducer)
