"""Queues by name, and what the server is told of queues."""

from typing import cast

import pytest
from tests.support.mail import MAIL, SEND, Send

from jobs_core.errors import DeclarationError, OptionError
from jobs_core.queue import HEAVY, Queue
from jobs_core.registry import QueueEntry, announce_queue, forget_queue, list_queues
from jobs_core.scripts import Scripts
from jobs_producer import Producer, _lane


async def config(scripts: Scripts, queue: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", await scripts.client.call("HGETALL", scripts.key(queue) + "cfg"))


async def test_a_name_is_one_queue(producer: Producer) -> None:
    queue = producer.queue("adhoc", strict=True, concurrency=5)
    assert producer.queue("adhoc") is queue
    assert producer.queue("adhoc", concurrency=5, strict=True) is queue
    # Said in other words it is the same.
    assert producer.queue("adhoc", concurrency=5, strict=True, max_stalled=3) is queue
    with pytest.raises(DeclarationError, match="concurrency 5 there and 6 here"):
        producer.queue("adhoc", strict=True, concurrency=6)


@pytest.mark.parametrize("name", ["", "a b", "{x}", "é", "x" * 65, "a:b"])
async def test_a_wrong_name_is_refused(producer: Producer, name: str) -> None:
    with pytest.raises(OptionError):
        producer.queue(name)
    with pytest.raises(OptionError):
        await producer.queue("adhoc").enqueue(name)
    with pytest.raises(OptionError):
        producer.queue("adhoc", max_stalled=-1)


async def test_a_queue_without_options_declares_nothing(producer: Producer, scripts: Scripts) -> None:
    await producer.queue("adhoc").enqueue("x")
    assert await config(scripts, "adhoc") == {}
    assert await list_queues(scripts.client, scripts.prefix) == [QueueEntry(queue="adhoc")]


async def test_a_queue_may_get_its_options_later(producer: Producer, scripts: Scripts) -> None:
    queue = producer.queue("adhoc")
    await queue.enqueue("x")
    assert producer.queue("adhoc", strict=True) is queue
    await queue.enqueue("x")
    assert (await config(scripts, "adhoc"))[b"strict"] == b"1"


async def test_a_name_does_not_hide_the_declaration(producer: Producer, scripts: Scripts) -> None:
    queue = producer.queue("mail")
    await queue.enqueue("x")
    assert await config(scripts, "mail") == {}
    await producer.enqueue(SEND, Send(to="a"))
    assert (await config(scripts, "mail"))[b"max_stalled"] == b"3"
    (entry,) = await list_queues(scripts.client, scripts.prefix)
    assert (entry.concurrency, entry.jobs) == (MAIL.concurrency, tuple(sorted(MAIL.versions)))
    await queue.enqueue("x")
    with pytest.raises(DeclarationError):
        await producer.enqueue(Queue("mail", profile=HEAVY).job("send", Send), Send(to="a"))


async def test_who_knows_nothing_of_a_queue_leaves_its_entry(producer: Producer, scripts: Scripts) -> None:
    entry = QueueEntry(queue="adhoc", profile="heavy", jobs=("x@1",), concurrency=2)
    await announce_queue(scripts.client, scripts.prefix, entry)
    await producer.queue("adhoc").enqueue("x")
    assert await list_queues(scripts.client, scripts.prefix) == [entry]


async def test_who_goes_on_lists_a_queue_again_that_was_forgotten(
    producer: Producer, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.enqueue(SEND, Send(to="a"))
    entries = await list_queues(scripts.client, scripts.prefix)
    # As `obliterate` does where nobody serves the queue.
    await forget_queue(scripts.client, scripts.prefix, "mail")
    await producer.enqueue(SEND, Send(to="b"))
    assert await list_queues(scripts.client, scripts.prefix) == []
    monkeypatch.setattr(_lane, "_LIST_EVERY", 0.0)
    await producer.enqueue(SEND, Send(to="c"))
    assert await list_queues(scripts.client, scripts.prefix) == entries


async def test_names_without_end_take_no_memory_without_end(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_producer._submitter._RECORD_HEADS", 10)
    queue = producer.queue("adhoc")
    for number in range(25):
        await queue.enqueue(f"job-{number}")
        assert len(producer._submitter._heads) <= 10
