# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Calls that a type checker must refuse, each by the rule in its comment; a comment too many is an error."""

from typing import assert_type

from msgspec import Struct

from jobs_core import JobOptions, Queue
from jobs_producer import BulkItem, JobHandle, Producer, SyncJobHandle, SyncProducer


class Send(Struct):
    """A payload."""

    to: str


class Receipt(Struct):
    """A result."""

    sent: bool


MAIL = Queue("mail")
SEND = MAIL.job("send", Send, Receipt)
FILE = Queue("files").job("file", Receipt, str)
COUNT = MAIL.job("count", dict[str, int])


async def payloads(producer: Producer) -> None:
    """Pass what is not of the declared type."""
    await producer.enqueue(SEND, Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, {"to": "ada"})  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, None)  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND)  # pyright: ignore[reportCallIssue]
    await producer.enqueue("send", Send("ada"))  # pyright: ignore[reportArgumentType]
    await producer.enqueue(MAIL, Send("ada"))  # pyright: ignore[reportArgumentType]
    await producer.enqueue(COUNT, {"a": "b"})  # pyright: ignore[reportArgumentType]
    await producer.queue("adhoc").enqueue("x", {1, 2})  # pyright: ignore[reportArgumentType]
    await producer.queue("adhoc").enqueue("x", Send("ada"))  # pyright: ignore[reportArgumentType]
    await producer.enqueue_many(SEND, [Receipt(sent=True)])  # pyright: ignore[reportArgumentType]
    await producer.enqueue_many(SEND, [BulkItem(Receipt(sent=True))])  # pyright: ignore[reportArgumentType]
    await producer.enqueue_many(SEND, Send("ada"))  # pyright: ignore[reportArgumentType]


async def chains(producer: Producer) -> None:
    """Put together what does not fit."""
    chain = SEND.then(FILE)
    SEND.then(COUNT)  # pyright: ignore[reportArgumentType]
    SEND.then(FILE).then(SEND)  # pyright: ignore[reportArgumentType]
    SEND.then(FILE, colour="red")  # pyright: ignore[reportCallIssue]
    await producer.enqueue_chain(chain, Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    await producer.enqueue_chain(SEND, Send("a"))  # pyright: ignore[reportArgumentType]
    await producer.enqueue(chain, Send("a"))  # pyright: ignore[reportArgumentType]
    await producer.enqueue_many(chain, [Receipt(sent=True)])  # pyright: ignore[reportArgumentType]
    assert_type(await (await producer.enqueue_chain(chain, Send("a"))).result(), Receipt)  # pyright: ignore[reportAssertTypeFailure]
    SEND.call(Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    SEND.call(Send("a"), priorty="high")  # pyright: ignore[reportCallIssue]
    chain.call(Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), chain_to=[FILE])  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), on_success=FILE.call(Receipt(sent=True)))  # pyright: ignore[reportArgumentType]


async def options(producer: Producer) -> None:
    """Give wrong options."""
    await producer.enqueue(SEND, Send("a"), priority=1.5)  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), delay="5s")  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), run_at=5)  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), job_id=17)  # pyright: ignore[reportArgumentType]
    await producer.enqueue(
        SEND, Send("a"), tags="x"
    )  # a string is a sequence of strings: refused at run time
    await producer.enqueue(SEND, Send("a"), metadata={"a": [1]})  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), priorty="high")  # pyright: ignore[reportCallIssue]
    await producer.enqueue(SEND, Send("a"), {"priority": 1})  # pyright: ignore[reportCallIssue]
    await producer.enqueue(SEND, Send("a"), unique="x")  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), when_full="drop")  # pyright: ignore[reportArgumentType]
    await producer.enqueue_many(SEND, [], colour="red")  # pyright: ignore[reportCallIssue]
    await producer.enqueue_many(SEND, [], progress="x")  # pyright: ignore[reportArgumentType]
    misspelt: JobOptions = {"atempts": 3}  # pyright: ignore[reportAssignmentType]
    BulkItem(Send("a"), {"atempts": 3})  # pyright: ignore[reportArgumentType]
    await producer.enqueue(SEND, Send("a"), **misspelt)


async def schedules(producer: Producer) -> None:
    """Schedule with payloads and options that do not fit."""
    upsert = producer.schedules.upsert
    await upsert("s", SEND, Receipt(sent=True), every=60)  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), every="60s")  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), cron=5)  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), every=60, overlap="never")  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), every=60, misfire="run_all")  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), every=60, options={"delay": 5})  # pyright: ignore[reportArgumentType]
    await upsert("s", SEND, Send("a"), evry=60)  # pyright: ignore[reportCallIssue]
    await producer.schedules.next("mail", "s", "5")  # pyright: ignore[reportArgumentType]
    MAIL.every(60, SEND, Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    MAIL.cron("@daily", SEND, Send("a"), every=60)  # pyright: ignore[reportCallIssue]


async def results(producer: Producer) -> None:
    """Expect another type of a result."""
    handle = await producer.enqueue(SEND, Send("ada"))
    assert_type(await handle.result(), Send)  # pyright: ignore[reportAssertTypeFailure]
    (await handle.result()).to  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] # noqa: B018
    await handle.result("5s")  # pyright: ignore[reportArgumentType]
    wrong: JobHandle[Send] = handle  # pyright: ignore[reportAssignmentType]
    await wrong.result()
    await producer.resubmit(ValueError())  # pyright: ignore[reportArgumentType]
    producer.handle(SEND, 17)  # pyright: ignore[reportArgumentType]


def producers() -> None:
    """Make producers wrongly, and mix the two kinds."""
    Producer(6379)  # pyright: ignore[reportArgumentType]
    Producer("redis://localhost", "jobs")  # pyright: ignore[reportCallIssue]
    Producer(enqueue_timeout="5s")  # pyright: ignore[reportArgumentType]
    Producer(default_job_options={"delay": 5})  # pyright: ignore[reportArgumentType]
    SyncProducer(default_job_options={"job_id": "x"})  # pyright: ignore[reportArgumentType]
    sync = SyncProducer()
    sync.enqueue(SEND, Receipt(sent=True))  # pyright: ignore[reportArgumentType]
    wrong: SyncJobHandle[Send] = sync.enqueue(SEND, Send("ada"))  # pyright: ignore[reportAssignmentType]
    wrong.result()
    sync.run(lambda producer: producer.connection_info())  # pyright: ignore[reportArgumentType]
    with Producer():  # pyright: ignore[reportGeneralTypeIssues]
        pass
