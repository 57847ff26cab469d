import asyncio
import inspect
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec
import pytest
from tests.support.freezing import frozen
from tests.support.mail import MAIL, NOTE, SEND, Calls, Receipt, Send, Settler

from jobs_core.errors import (
    ConnectionFailed,
    DeclarationError,
    JobNotFound,
    OptionError,
    PayloadError,
    PayloadTooLarge,
    ServerFull,
)
from jobs_core.flows.calls import Call, Chain
from jobs_core.options import DefaultJobOptions, JobOptions
from jobs_core.payloads import MAX_BYTES
from jobs_core.queue import JobType, Queue
from jobs_core.registry import list_queues
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.states import Priority, State
from jobs_producer import Flow, JobHandle, Producer, Workflow, child, step

HOSTILE = [
    "a\x00b",
    "{x}",
    "' OR 1=1 --",
    "\r\n+OK\r\n",
    "é\u202e漢🎈",
    "${jndi:ldap://x}",
    "<script>",
    "\\",
    " ",
]


def receipts(number: int, prefix: str = "u") -> list[Send]:
    return [Send(to=f"{prefix}{index}") for index in range(number)]


async def waiting(scripts: Scripts, queue: str = "mail") -> list[str]:
    found = await scripts.client.call("ZRANGE", scripts.key(queue) + "waiting", 0, -1)
    return [each.decode() for each in cast("list[bytes]", found)]


async def test_a_handle_names_the_job(producer: Producer, scripts: Scripts) -> None:
    handle = await producer.enqueue(SEND, Send(to="ada"))
    assert isinstance(handle, JobHandle)
    assert (handle.queue, handle.name, handle.created) == ("mail", "send", True)
    assert await waiting(scripts) == [handle.id]
    record = await handle.status()
    assert (record.id, record.state, record.name) == (handle.id, State.WAITING, "send")
    assert record.payload == {"to": "ada", "body": "", "weight": None}
    assert await producer.status("mail", handle.id) == record
    assert repr(handle) == f"JobHandle(mail/send {handle.id})"


async def test_an_own_id_is_taken_once(producer: Producer, scripts: Scripts) -> None:
    first = await producer.enqueue(SEND, Send(to="ada"), job_id="order-17")
    second = await producer.enqueue(SEND, Send(to="bob"), job_id="order-17")
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id == "order-17"
    assert await waiting(scripts) == ["order-17"]
    assert (await second.status()).payload == {"to": "ada", "body": "", "weight": None}


async def test_an_own_id_is_taken_once_in_one_call(producer: Producer, calls: Calls) -> None:
    handles = await asyncio.gather(
        *(producer.enqueue(SEND, Send(to=name), job_id="one") for name in ("a", "b", "c"))
    )
    assert [handle.created for handle in handles] == [True, False, False]
    assert calls == [["one", "one", "one"]]


@pytest.mark.parametrize("job_type", [SEND, NOTE], ids=["its result is kept", "nothing is kept"])
async def test_an_own_id_is_known_after_its_job_is_gone(
    producer: Producer, scripts: Scripts, settler: Settler, job_type: JobType[Send, object]
) -> None:
    await producer.enqueue(job_type, Send(to="ada"), job_id="order-17")
    assert await settler.complete() == ["order-17"]
    again = await producer.enqueue(job_type, Send(to="ada"), job_id="order-17")
    assert not again.created
    assert await waiting(scripts) == []
    till = cast("float", await scripts.client.call("ZSCORE", scripts.key("mail") + "tomb", "order-17"))
    assert 0.99 < (till / 1000 - datetime.now(UTC).timestamp()) / 86400 < 1.01


async def test_an_own_id_is_free_again_when_its_day_is_over(
    producer: Producer, scripts: Scripts, settler: Settler
) -> None:
    await producer.enqueue(NOTE, Send(to="ada"), job_id="order-17")
    await settler.complete()
    await scripts.client.call("ZADD", scripts.key("mail") + "tomb", 1000, "order-17")
    assert (await producer.enqueue(NOTE, Send(to="ada"), job_id="order-17")).created


@pytest.mark.parametrize(
    ("priority", "told"),
    [(Priority.CRITICAL, "critical"), (2, "high"), ("Low", "low"), ("BACKGROUND", "background")],
)
async def test_priorities_are_given_in_any_form(
    producer: Producer, priority: Priority | int | str, told: str
) -> None:
    handle = await producer.enqueue(SEND, Send(to="ada"), priority=priority)
    assert (await handle.status()).priority == told


async def test_a_delayed_job_says_when_it_runs(producer: Producer) -> None:
    now = datetime.now(UTC)
    delayed = await (await producer.enqueue(SEND, Send(to="a"), delay=60)).status()
    at = datetime(2100, 1, 1, 12, tzinfo=UTC)
    planned = await (await producer.enqueue(SEND, Send(to="a"), run_at=at)).status()
    past = await (await producer.enqueue(SEND, Send(to="a"), run_at=now - timedelta(days=1))).status()
    soon = await (await producer.enqueue(SEND, Send(to="a"), delay=timedelta(milliseconds=0))).status()
    assert [each.state for each in (delayed, planned, past, soon)] == [
        State.DELAYED,
        State.DELAYED,
        State.WAITING,
        State.WAITING,
    ]
    assert delayed.run_at is not None
    assert abs(delayed.run_at - now - timedelta(seconds=60)) < timedelta(seconds=50)
    assert planned.run_at == at


async def test_metadata_and_tags_travel(producer: Producer) -> None:
    handle = await producer.enqueue(
        SEND,
        Send(to="a"),
        metadata={"user_id": 7, "vip": True, "ratio": 0.5, "none": None},
        tags=["x", "y", "x"],
    )
    record = await handle.status()
    assert record.metadata == {"user_id": 7, "vip": True, "ratio": 0.5, "none": None}
    assert record.tags == ("x", "y")


async def test_hostile_text_comes_back_as_it_went(producer: Producer, scripts: Scripts) -> None:
    metadata = {text: text for text in HOSTILE}
    handle = await producer.enqueue(SEND, Send(to="".join(HOSTILE), body="\x00" * 9), metadata=metadata)
    record = await handle.status()
    assert record.metadata == metadata
    assert record.payload == {"to": "".join(HOSTILE), "body": "\x00" * 9, "weight": None}
    printable = [text for text in HOSTILE if text.isprintable()]
    assert len(printable) >= 5
    tagged = await producer.enqueue(SEND, Send(to="a"), tags=printable)
    assert list((await tagged.status()).tags) == printable
    for text in printable:
        owned = await producer.enqueue(SEND, Send(to="a"), job_id=text)
        assert (owned.id, owned.created, (await owned.status()).id) == (text, True, text)
    assert len(await waiting(scripts)) == 2 + len(printable)


@pytest.mark.parametrize("level", [0, 1, 2, 3], ids=["service", "queue", "job", "call"])
async def test_the_nearest_of_the_four_levels_wins(redis_url: str, prefix: str, level: int) -> None:
    none: DefaultJobOptions = {}
    levels: list[DefaultJobOptions] = [
        {"attempts": number, "priority": number, "tags": [str(number)], "metadata": {"at": number}}
        for number in (1, 2, 3, 4)
    ]
    service, queue, job, call = (each if number <= level else none for number, each in enumerate(levels))
    job_type = Queue("mail", default_job_options=queue).job("send", Send, **job)
    async with Producer(redis_url, prefix=prefix, default_job_options=service) as producer:
        record = await (await producer.enqueue(job_type, Send(to="a"), **call)).status()
    number = level + 1
    assert (record.attempts, record.priority) == (number, Priority(number).name.lower())
    assert (record.tags, record.metadata) == ((str(number),), {"at": number})


async def test_concurrent_calls_share_round_trips(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    await scripts.client.call("CONFIG", "RESETSTAT")
    handles = await asyncio.gather(*(producer.enqueue(SEND, each) for each in receipts(1000)))
    stats = cast("bytes", await scripts.client.call("INFO", "commandstats")).decode()
    found = re.search(r"cmdstat_evalsha:calls=(\d+)", stats)
    assert found is not None
    assert 8 <= int(found[1]) <= 12
    assert len({handle.id for handle in handles}) == 1000


async def test_a_call_holds_at_most_128_jobs(producer: Producer, calls: Calls) -> None:
    await asyncio.gather(*(producer.enqueue(SEND, each) for each in receipts(1000)))
    assert max(map(len, calls)) == 128
    assert sum(map(len, calls)) == 1000


async def test_a_call_holds_at_most_512_kib(producer: Producer, calls: Calls) -> None:
    sizes = [50_000] * 30 + [700_000, 10, 700_000] + [10] * 5
    handles = await asyncio.gather(*(producer.enqueue(SEND, Send("a", "x" * size)) for size in sizes))
    assert all(size <= 512 * 1024 or len(ids) == 1 for ids, size in zip(calls, calls.sizes, strict=True))
    assert max(map(len, calls)) == 10
    assert [job_id for ids in calls for job_id in ids] == [handle.id for handle in handles]
    large = cast("dict[str, str]", (await handles[30].status()).payload)
    assert len(large["body"]) == 700_000


async def test_jobs_of_one_caller_keep_their_order(producer: Producer, scripts: Scripts) -> None:
    async def one_by_one(name: str) -> list[str]:
        return [(await producer.enqueue(SEND, each)).id for each in receipts(60, name)]

    async def at_once() -> list[str]:
        handles = await asyncio.gather(*(producer.enqueue(SEND, each) for each in receipts(500)))
        return [handle.id for handle in handles]

    callers = await asyncio.gather(*(one_by_one(name) for name in "abcdefgh"), at_once())
    order = {job_id: place for place, job_id in enumerate(await waiting(scripts))}
    for ids in callers:
        places = [order[job_id] for job_id in ids]
        assert places == sorted(places)


async def test_a_single_call_takes_one_round_trip(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    await scripts.client.call("CONFIG", "RESETSTAT")
    await producer.enqueue(SEND, Send(to="a"))
    stats = cast("bytes", await scripts.client.call("INFO", "commandstats")).decode()
    assert "cmdstat_evalsha:calls=1," in stats
    assert "cmdstat_script|load" not in stats


WRONG_OPTIONS: list[JobOptions] = [
    {"priority": 9},
    {"priority": "urgent"},
    {"delay": -1},
    {"delay": math.nan},
    {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001 - naive on purpose
    {"run_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1},
    {"attempts": 0},
    {"job_id": ""},
    {"job_id": "a\nb"},
    {"job_id": "\ud800"},
    {"job_id": "x" * 129},
    {"tags": ["\x00"]},
    {"metadata": {"a": math.inf}},
    {"metadata": {"a": "\ud800"}},
    {"colour": "red"},  # pyright: ignore[reportAssignmentType]
]


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
async def test_a_wrong_option_raises_before_anything_is_sent(
    producer: Producer, calls: Calls, options: JobOptions
) -> None:
    with pytest.raises(OptionError):
        await producer.enqueue(SEND, Send(to="a"), **options)
    assert calls == []


@pytest.mark.parametrize(
    "given", ["send", Send(to="ada"), MAIL, None], ids=["a name", "a payload", "a queue", "nothing"]
)
async def test_what_is_no_job_is_refused_wherever_one_is_taken(producer: Producer, given: object) -> None:
    job = cast("JobType[Send, Receipt]", given)
    chain = cast("Chain[Send, Receipt]", SEND)
    payload = Send(to="ada")
    doors: dict[str, Callable[[], object]] = {
        "enqueue": lambda: producer.enqueue(job, payload),
        "enqueue, with options": lambda: producer.enqueue(job, payload, chain_to=[NOTE.call(payload)]),
        "enqueue_chain": lambda: producer.enqueue_chain(chain, payload),
        "chain_handle": lambda: producer.chain_handle(chain, "x"),
        "enqueue_many": lambda: producer.enqueue_many(job, [payload]),
        "handle": lambda: producer.handle(job, "x"),
        "schedules.upsert": lambda: producer.schedules.upsert("x", job, payload, every=60),
        "map_reduce": lambda: producer.flows.map_reduce(SEND, [payload], job, payload),
        "cron": lambda: Queue("mail").cron("@daily", job, payload),
        "step": lambda: step(job, payload),
        "Workflow.add": lambda: Workflow("w").add("a", job, payload),
        "Flow": lambda: Flow(job, payload),
        "child": lambda: child(cast("Call", given)),
    }
    taken: list[str] = []
    for door, call in doors.items():
        try:
            made = call()
            if inspect.isawaitable(made):
                await made
        except OptionError:
            continue
        taken.append(door)
    assert taken == []


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (Send(to=5), "$.to"),  # pyright: ignore[reportArgumentType]
        (Send(to="a", weight=math.nan), "$.weight"),
        (Send(to="a", weight=-math.inf), "$.weight"),
        (Send(to="\ud800"), "$"),
        ({"to": "a"}, "$"),
        (None, "$"),
    ],
    ids=["type", "nan", "infinity", "surrogate", "dict", "none"],
)
async def test_a_wrong_payload_raises_before_anything_is_sent(
    producer: Producer, calls: Calls, payload: Send, path: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        await producer.enqueue(SEND, payload)
    assert (caught.value.queue, caught.value.job, caught.value.path) == ("mail", "send", path)
    assert calls == []


async def test_a_payload_over_the_cap_is_refused_and_one_at_the_cap_is_taken(
    producer: Producer, calls: Calls
) -> None:
    overhead = len(msgspec.json.encode(Send(to="")))
    with pytest.raises(PayloadTooLarge) as caught:
        await producer.enqueue(SEND, Send(to="x" * (MAX_BYTES - overhead + 1)))
    assert (caught.value.size, caught.value.limit) == (MAX_BYTES + 1, MAX_BYTES)
    assert calls == []
    handle = await producer.enqueue(SEND, Send(to="x" * (MAX_BYTES - overhead)), tags=["t" * 64] * 16)
    assert (await handle.status()).state == State.WAITING


async def test_a_failure_reaches_every_caller_of_the_call_as_its_own(
    producer: Producer, scripts: Scripts
) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    await scripts.client.call("CONFIG", "SET", "maxmemory", "1")
    try:
        errors = await asyncio.gather(
            *(producer.enqueue(SEND, each) for each in receipts(3)), return_exceptions=True
        )
    finally:
        await scripts.client.call("CONFIG", "SET", "maxmemory", "0")
    assert [type(error) for error in errors] == [ServerFull] * 3
    assert len(set(map(id, errors))) == 3
    assert (await producer.enqueue(SEND, Send(to="next"))).created


async def test_a_cancelled_caller_shifts_no_answers(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    tasks = [
        asyncio.create_task(producer.enqueue(SEND, each, job_id=f"id-{index // 2}"))
        for index, each in enumerate(receipts(400))
    ]
    await asyncio.sleep(0)
    # Some are unsent, some on their way.
    for task in tasks[::5]:
        task.cancel()
    await asyncio.sleep(0)
    for task in tasks[3::5]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    created: dict[str, int] = {}
    for index, handle in enumerate(done):
        if isinstance(handle, JobHandle):
            assert handle.id == f"id-{index // 2}"
            created[handle.id] = created.get(handle.id, 0) + handle.created
        else:
            assert isinstance(handle, asyncio.CancelledError)
    assert max(created.values()) == 1
    assert set(created) <= set(await waiting(scripts))


async def test_a_timeout_of_the_callers_is_a_timeout(producer: Producer, scripts: Scripts) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    await scripts.client.call("CLIENT", "PAUSE", 60_000, "WRITE")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await producer.enqueue(SEND, Send(to="a"))
    await scripts.client.call("CLIENT", "UNPAUSE")
    assert (await producer.enqueue(SEND, Send(to="b"))).created


async def test_the_declaration_is_written_before_the_first_job(producer: Producer, scripts: Scripts) -> None:
    queue = Queue("offsets", strict=True, max_stalled=7, concurrency=3)
    job = queue.job("send", Send)
    await asyncio.gather(*(producer.enqueue(job, each) for each in receipts(100)))
    config = cast("dict[bytes, bytes]", await scripts.client.call("HGETALL", scripts.key("offsets") + "cfg"))
    assert (config[b"strict"], config[b"max_stalled"]) == (b"1", b"7")
    (entry,) = await list_queues(scripts.client, scripts.prefix)
    assert (entry.queue, entry.profile, entry.jobs, entry.concurrency) == ("offsets", "light", ("send@1",), 3)


async def test_a_queue_declared_twice_differently_is_an_error(producer: Producer) -> None:
    await producer.enqueue(SEND, Send(to="a"))
    other = Queue("mail", concurrency=7).job("send", Send)
    with pytest.raises(DeclarationError, match="concurrency 50 there and 7 here"):
        await producer.enqueue(other, Send(to="a"))
    alike = Queue("mail", profile=MAIL.profile).job("other", Send)
    assert (await producer.enqueue(alike, Send(to="a"))).created


async def test_status_of_what_is_not_there(producer: Producer) -> None:
    with pytest.raises(JobNotFound):
        await producer.status("mail", "nobody")
    with pytest.raises(OptionError):
        await producer.status("ma}il", "nobody")
    with pytest.raises(OptionError):
        await producer.status("mail", "")
    with pytest.raises(OptionError):
        producer.handle(SEND, "a\nb")


async def test_reads_of_a_silent_server_end(producer: Producer, server: EmbeddedServer) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    producer._link.timeout = 0.2
    with frozen(server):
        for read in (handle.status(), producer.status("mail", handle.id)):
            with pytest.raises(ConnectionFailed, match="no reply in time"):
                await read
