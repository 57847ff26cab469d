"""What a user of unique jobs, debounce, throttle, expiry and full queues sees."""

import asyncio

import pytest
from msgspec import Struct
from tests.support.engine import CLOCK, START_MS
from tests.support.leaping import leap
from tests.support.mail import MAIL, SEND, Receipt, Send, Settler
from tests.support.waiting import until

from jobs_core import (
    Debounce,
    DuplicateJob,
    JobExpired,
    OptionError,
    Queue,
    QueueFull,
    Throttle,
    Unique,
)
from jobs_core.scripts import Scripts
from jobs_core.states import State
from jobs_producer import BulkItem, Producer, SyncProducer


class Sync(Struct, frozen=True):
    user_id: int
    kind: str = "all"


BY_USER = Unique(fields=("user_id",))
ACCOUNTS = Queue("accounts")
SYNC = ACCOUNTS.job("sync", payload=Sync, result=Receipt, unique=BY_USER)


async def test_the_second_job_is_the_first(producer: Producer) -> None:
    first = await producer.enqueue(SYNC, Sync(7))
    second = await producer.enqueue(SYNC, Sync(7, kind="mail"))
    other = await producer.enqueue(SYNC, Sync(8))
    assert (first.outcome, second.outcome, other.outcome) == ("created", "skipped", "created")
    assert (second.id, second.created) == (first.id, False)
    assert (await second.status()).payload == {"user_id": 7, "kind": "all"}


async def test_who_is_skipped_awaits_the_first(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SYNC, Sync(7))
    second = await producer.enqueue(SYNC, Sync(7))
    waiting = asyncio.create_task(second.result(timeout=40))
    await Settler(scripts, "accounts").complete()
    assert await waiting == Receipt(sent=True)
    assert (await producer.enqueue(SYNC, Sync(7))).created


async def test_the_newest_payload_wins(producer: Producer, scripts: Scripts) -> None:
    replace = Unique(fields="user_id", on_conflict="replace")
    first = await producer.enqueue(SYNC, Sync(7), unique=replace)
    second = await producer.enqueue(SYNC, Sync(7, kind="mail"), unique=replace, priority="high")
    assert (second.id, second.outcome) == (first.id, "replaced")
    record = await first.status()
    assert (record.payload, record.priority) == ({"user_id": 7, "kind": "mail"}, "high")
    settler = Settler(scripts, "accounts")
    held = await settler.claim()
    third = await producer.enqueue(SYNC, Sync(7, kind="new"), unique=replace)
    fourth = await producer.enqueue(SYNC, Sync(7, kind="newest"), unique=replace)
    assert (third.outcome, fourth.outcome, fourth.id) == ("kept", "kept", third.id)
    assert (await third.status()).state == State.BLOCKED
    assert await settler.claim() == []
    await settler.end(held)
    assert (await third.status()).state == State.WAITING
    assert (await third.status()).payload == {"user_id": 7, "kind": "newest"}


async def test_a_conflict_may_be_an_error(producer: Producer) -> None:
    first = await producer.enqueue(SYNC, Sync(7))
    with pytest.raises(DuplicateJob, match="same unique key") as caught:
        await producer.enqueue(SYNC, Sync(7), unique=Unique(fields=["user_id"], on_conflict="error"))
    assert (caught.value.job_id, caught.value.queue) == (first.id, "accounts")


async def test_a_call_can_do_without(producer: Producer) -> None:
    await producer.enqueue(SYNC, Sync(7))
    assert (await producer.enqueue(SYNC, Sync(7), unique=None)).created


async def test_the_whole_payload_is_a_key_too(producer: Producer) -> None:
    first = await producer.enqueue(SEND, Send(to="ada"), unique=Unique())
    assert (await producer.enqueue(SEND, Send(to="ada"), unique=Unique())).id == first.id
    assert (await producer.enqueue(SEND, Send(to="bob"), unique=Unique())).created
    queue = producer.queue("adhoc")
    one = await queue.enqueue("j", {"a": 1, "b": 2}, unique=Unique())
    assert (await queue.enqueue("j", {"b": 2, "a": 1}, unique=Unique())).id == one.id


async def test_debounce_sends_the_last_of_a_burst(producer: Producer, scripts: Scripts) -> None:
    burst = Debounce(60, max_wait=600, key="index")
    handles = [await producer.enqueue(SEND, Send(to=str(i)), debounce=burst) for i in range(5)]
    assert [handle.outcome for handle in handles] == ["created", *["replaced"] * 4]
    assert len({handle.id for handle in handles}) == 1
    record = await handles[0].status()
    assert (record.state, record.payload) == (State.DELAYED, {"to": "4", "body": "", "weight": None})
    await scripts.promote("mail", ids=[handles[0].id])
    await Settler(scripts).claim()
    assert (await producer.enqueue(SEND, Send(to="5"), debounce=burst)).created


async def test_throttle_lets_the_first_one_through(producer: Producer, settler: Settler) -> None:
    rare = Throttle(3600, key="alert")
    assert (await producer.enqueue(SEND, Send(to="0"), throttle=rare)).created
    await settler.complete()
    assert (await producer.enqueue(SEND, Send(to="1"), throttle=rare)).outcome == "skipped"


async def test_many_at_once_tell_what_became_of_each(producer: Producer) -> None:
    items = [
        Sync(1),
        Sync(1),
        BulkItem(Sync(1), {"unique": Unique(fields="user_id", on_conflict="error")}),
        Sync(2),
    ]
    outcomes = [each async for each in producer.enqueue_many(SYNC, items)]
    assert [each.outcome for each in outcomes] == ["created", "skipped", "duplicate", "created"]
    assert {each.id for each in outcomes[:3]} == {outcomes[0].id}
    summary = await producer.enqueue_many(SYNC, [Sync(1), Sync(3)])
    assert (summary.total, summary.created, summary.skipped) == (2, 1, 1)


async def test_a_job_that_did_not_start_in_time_expires(
    redis_url: str, prefix: str, scripts: Scripts
) -> None:
    await scripts.client.call("SET", "test-clock", START_MS * 1000)
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=30) as producer:
        held = Scripts(producer._client, prefix, clock=CLOCK)
        producer._scripts = producer._link.scripts = producer._inbox._scripts = held
        job = await producer.enqueue(SEND, Send(to="ada"), expires_in=60)
        waiting = asyncio.create_task(job.result(timeout=40))
        await asyncio.sleep(0)
        await scripts.client.call("SET", "test-clock", (START_MS + 60_000) * 1000)
        await held.trim("mail")
        with pytest.raises(JobExpired):
            await waiting
        with pytest.raises(JobExpired):
            await job.result()
        record = await job.status()
        assert (record.state, record.attempts_made) == (State.EXPIRED, 0)
        assert record.finished_at is not None


FULL = Queue("full", max_depth=2)
FILL = FULL.job("fill", payload=Send)


async def test_a_full_queue_is_an_error(producer: Producer) -> None:
    for to in "ab":
        await producer.enqueue(FILL, Send(to=to))
    with pytest.raises(QueueFull, match="max_depth"):
        await producer.enqueue(FILL, Send(to="c"))
    outcomes = [each async for each in producer.enqueue_many(FILL, [Send(to="d")])]
    assert [each.outcome for each in outcomes] == ["full"]
    assert isinstance(outcomes[0].error, QueueFull)


async def test_a_call_may_wait_for_room(producer: Producer, scripts: Scripts) -> None:
    settler = Settler(scripts, "full")
    calls = [asyncio.create_task(producer.enqueue(FILL, Send(to=str(i)), when_full="wait")) for i in range(6)]
    done = 0
    while done < 6:
        done += len(await settler.complete(result=None))
    assert all(handle.created for handle in await asyncio.gather(*calls))


async def test_waiting_for_room_ends_with_the_timeout(redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=200) as producer:
        for to in "ab":
            await producer.enqueue(FILL, Send(to=to))
        waiting = asyncio.create_task(producer.enqueue(FILL, Send(to="c"), when_full="wait"))
        await until(lambda: producer._submitter.lanes["full"]._barred)
        # What is left is kept for the last call.
        leap(190)
        with pytest.raises(QueueFull):
            await waiting


async def test_who_would_come_too_late_for_room_does_not_wait(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for to in "ab":
        await producer.enqueue(FILL, Send(to=to))
    # The next try is 15 s away.
    monkeypatch.setattr("jobs_producer._lane._FULL", 10.0)
    monkeypatch.setattr("jobs_producer._lane.random.random", lambda: 1.0)
    producer._link.timeout = 14
    with pytest.raises(QueueFull):
        await producer.enqueue(FILL, Send(to="c"), when_full="wait")


def test_threads_are_told_the_same(sync: SyncProducer) -> None:
    with sync:
        first = sync.enqueue(SYNC, Sync(7))
        second = sync.enqueue(SYNC, Sync(7))
        assert (first.outcome, second.outcome, second.id) == ("created", "skipped", first.id)


async def test_a_missing_field_is_told_before_anything_is_sent(producer: Producer) -> None:
    with pytest.raises(OptionError, match="no such field"):
        await producer.enqueue(SEND, Send(to="ada"), unique=Unique(fields="user"))
    with pytest.raises(OptionError, match="only the fields to, body, weight"):
        MAIL.job("broken", payload=Send, unique=Unique(fields="user"))
