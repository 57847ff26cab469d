"""Effects on their way: relayed by whoever wrote them or by others, applied once, never lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.effects import Effected, effect
from tests.support.engine import NAME, Engine, draft, group
from tests.support.invariants import broken

from jobs_core.backoff import Fixed
from jobs_core.connection import Client, client_for, parse_address
from jobs_core.dead_letters import letter_id, payload_of, remake, replay_arguments, unread
from jobs_core.flows.book import FlowBook
from jobs_core.options import Policy, Retention, encode_policy
from jobs_core.outbox import STALE_MS, Relay, arguments, encode_jobs, written
from jobs_core.queues.dead_letter import DEAD_LETTER, DeadLetter
from jobs_core.scripts import Effects, Entry, Group, Settled
from jobs_core.wire import (
    OWN_ID,
    AttemptInfo,
    Envelope,
    ErrorInfo,
    FinishInfo,
    Others,
    decode_envelope,
    encode_envelope,
    encode_finish,
    pack_history_entry,
    parse_header,
)

STACK = """Traceback (most recent call last):
  File "/opt/site-packages/jobs_worker/runner.py", line 1, in run
  File "/srv/shop/mail.py", line 42, in send
  File "/opt/site-packages/smtp/client.py", line 9, in connect
OSError: no route"""
POLICY = encode_policy(Policy(3, Fixed(0), 0, Retention(0), Retention(), 0))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield client
    await client.close()


@pytest.fixture
async def engine(client: Client, prefix: str) -> AsyncIterator[Engine]:
    engine = await Engine(client, prefix).start()
    yield engine
    for each in (engine, beside(engine, "other"), beside(engine, "dead-letter")):
        assert await broken(each) == []


def beside(engine: Engine, queue: str) -> Engine:
    """Return another queue of the same server and time."""
    other = Engine(engine.client, engine.scripts.prefix, queue)
    other.us = engine.us
    return other


def jobs(*ids: str) -> bytes:
    return encode_jobs([draft(each, flags=OWN_ID) for each in ids])


async def end_dead(engine: Engine, job_id: str = "a", *, kept: bool = True, flags: int = 0) -> int:
    """Fail a job for good in its second attempt, and return when."""
    envelope = encode_envelope(
        Envelope(POLICY, b'{"to":"ada"}', {"user": 7}, ("new",), {"traceparent": "00-abc-def-01"})
    )
    await engine.add(job_id, flags=flags, envelope=envelope, priority=2)
    (job,) = (await engine.claim(1)).jobs
    first = AttemptInfo(1, engine.ms, 5000, "w1", ErrorInfo("ValueError", "first", ""), 3000)
    await engine.settle(group("retry", job, info=pack_history_entry(first)))
    (job,) = (await engine.claim(1)).jobs
    error = ErrorInfo("OSError", "no route", STACK)
    info = encode_finish(
        FinishInfo("failed", NAME, 2, engine.ms, 0, engine.ms, 0, 7000, 2, 2, 0, "w1", None, error)
    )
    await engine.settle(group("fail", job, arg=flags, info=info, keep_count=-1 if kept else 0))
    return engine.ms


async def read_letter(engine: Engine, own: str) -> DeadLetter:
    letters = beside(engine, "dead-letter")
    (located,) = await engine.scripts.lookup(letters.queue, ids=[own])
    assert located.state == "waiting"
    return DEAD_LETTER.decode(decode_envelope(located.record[parse_header(located.record).size :]).payload)


async def test_jobs_reach_their_queue(engine: Engine) -> None:
    posted = await Effected(engine).end("a", jobs("x", "y"))
    relay = Relay(engine.scripts)
    assert await relay.relay(engine.queue, ids=[posted]) == 1
    assert await relay.relay(engine.queue) == 0
    assert await beside(engine, "other").take() == ["x", "y"]


async def test_what_its_writer_left_behind_is_relayed_by_another(engine: Engine) -> None:
    effected = Effected(engine)
    # Applied, and its writer died before it could say so.
    await Relay(engine.scripts).relay(engine.queue, ids=[await effected.end("a", jobs("x"))])
    await effected.end("b", jobs("y"))
    relay = Relay(engine.scripts, hold=0)
    assert await relay.relay(engine.queue, age_ms=STALE_MS) == 0
    await engine.advance(6.1)
    assert await relay.relay(engine.queue, age_ms=STALE_MS) == 1
    await relay.confirm()
    assert (await engine.scripts.outbox(engine.queue)).entries == []
    other = beside(engine, "other")
    assert await other.take() == ["x", "y"]
    assert (await other.stats())["added:send@1"] == 2


async def settled(engine: Engine, *contents: tuple[str, bytes, int]) -> tuple[list[Effects | Group], Settled]:
    """End as many jobs as there are effects, each with one of them (target, content, how many jobs it counts)."""
    ids = [f"j{at}-{engine.us}" for at in range(len(contents))]
    await engine.add(*ids)
    claimed = (await engine.claim(len(ids))).jobs
    groups: list[Effects | Group] = [
        effect("jobs", target, (job, content), jobs=count)
        for job, (target, content, count) in zip(claimed, contents, strict=True)
    ]
    groups.append(group("complete", *claimed))
    return groups, await engine.settled(*groups)


async def test_whoever_wrote_entries_knows_them(engine: Engine) -> None:
    groups, done = await settled(engine, ("other", b"a", 100), ("other", b"b", 100))
    entries, left = written(groups, [*done.posted, 7])
    page = await engine.scripts.outbox(engine.queue, ids=done.posted)
    assert (entries, left, done.epoch) == (page.entries, [7], page.epoch)


async def test_entries_are_split_as_the_script_does(engine: Engine) -> None:
    await engine.add("a")
    (job,) = (await engine.claim()).jobs
    groups = [
        effect("jobs", "other", *[(job, b"x" * 200_000)] * 5),
        effect("jobs", "third", *[(job, b"y")] * 4, jobs=50),
        group("complete", job),
    ]
    done = await engine.settled(*groups)
    entries, left = written(groups, done.posted)
    # A page has no room for all of them.
    pages = [await engine.scripts.outbox(engine.queue, ids=[each]) for each in done.posted]
    assert (entries, left) == ([entry for page in pages for entry in page.entries], [])
    assert [len(entry.effects) for entry in entries] == [2, 2, 1, 2, 2]


async def test_what_is_carried_is_applied_once_and_acknowledged_later(engine: Engine) -> None:
    relay = Relay(engine.scripts, hold=0)
    other = beside(engine, "other")
    for number in range(3):
        groups, done = await settled(
            engine, ("other", jobs(f"x{number}"), 1), ("other", jobs(f"y{number}"), 1)
        )
        entries, _ = written(groups, done.posted)
        await asyncio.gather(*(relay.carry(engine.queue, done.epoch, [entry]) for entry in entries))
        # It is there, and whoever looks meanwhile applies it no second time.
        assert await other.state(f"x{number}") == "waiting"
        assert await Relay(engine.scripts).relay(engine.queue) == 0
        await relay.confirm()
        assert (await engine.scripts.outbox(engine.queue)).entries == []
        # What was acknowledged is not remembered for longer than until the next mark.
        assert len(await other.zset(f"in:{engine.queue}:{done.epoch}")) <= 4
    assert sorted(await other.take()) == ["x0", "x1", "x2", "y0", "y1", "y2"]


async def test_what_a_server_lost_after_it_had_answered_is_relayed_again(engine: Engine) -> None:
    relay, other = Relay(engine.scripts, hold=0), beside(engine, "other")
    first = await Effected(engine).end("a", jobs("x"))
    await relay.relay(engine.queue, ids=[first])
    await relay.confirm()
    before = await other.dumped()
    await Effected(engine).end("b", jobs("y"))
    # This one comes in parts, for it is followed by more jobs than a call may add.
    await Effected(engine).end("c", jobs(*(f"z{i}" for i in range(300))))
    assert await relay.relay(engine.queue) == 2
    await other.restore(before)
    assert await other.state("y") == await other.state("z299") == ""
    await relay.confirm()
    assert (await other.stats())["added:send@1"] == 302
    await relay.confirm()
    assert (await engine.scripts.outbox(engine.queue)).entries == []


async def test_what_was_applied_is_held_for_some_seconds(engine: Engine) -> None:
    await Effected(engine).end("a", jobs("x"))
    relay = Relay(engine.scripts)
    await relay.relay(engine.queue)
    await relay.confirm()
    assert len((await engine.scripts.outbox(engine.queue)).entries) == 1


async def test_what_lies_behind_much_that_is_held_is_relayed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_core.outbox._PAGES", 1)
    for number in range(130):
        await Effected(engine).end(f"a{number}", jobs(f"x{number}"))
    relay = Relay(engine.scripts)
    assert [await relay.relay(engine.queue) for _ in range(3)] == [128, 2, 0]


async def test_a_caller_does_not_wait_for_what_earlier_ones_sent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(relay: Relay) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Relay, "confirm", never)
    monkeypatch.setattr("jobs_core.flows.book._CONFIRM_WITHIN", 0.01)
    posted = await Effected(engine).end("a", jobs("x"))
    async with asyncio.timeout(40):
        await FlowBook(engine.scripts).relay(engine.queue, [posted])
    assert await beside(engine, "other").take() == ["x"]


def test_jobs_that_are_alike_are_added_as_one_group() -> None:
    plain = [encode_jobs([draft(each)]) for each in ("a", "b", "c")]
    mixed = encode_jobs([draft("d"), draft("e", priority=1)])
    entry = Entry(1, "other", [("jobs", each) for each in (plain[0], mixed, *plain[1:])])
    ((kind, size, *packed),) = arguments("mail", entry)
    assert (kind, size, len(packed)) == ("jobs", len(packed), len(packed))
    assert [packed[at] for at in (0, 8, 16)] == [1, 1, 3]
    assert packed[22::2] == ["a", "b", "c"]


async def test_two_may_relay_the_same(engine: Engine) -> None:
    effected = Effected(engine)
    for i in range(20):
        await effected.end(f"a{i}", jobs(f"x{i:02}"))
    await asyncio.gather(*(Relay(engine.scripts).relay(engine.queue) for _ in range(4)))
    other = beside(engine, "other")
    assert await other.take() == [f"x{i:02}" for i in range(20)]
    assert (await other.stats())["added:send@1"] == 20


async def test_full_memory_keeps_them_in_the_outbox(engine: Engine) -> None:
    posted = await Effected(engine).end("a", jobs("x"))
    relay = Relay(engine.scripts)
    await relay.relay(engine.queue, ids=[posted + 1])
    await engine.client.call("CONFIG", "SET", "maxmemory", 1)
    try:
        assert await relay.relay(engine.queue, ids=[posted]) == 0
    finally:
        await engine.client.call("CONFIG", "SET", "maxmemory", 0)
    assert await relay.relay(engine.queue) == 1
    assert await beside(engine, "other").take() == ["x"]


async def test_what_a_target_refuses_stays_and_holds_up_nothing(engine: Engine) -> None:
    effected = Effected(engine)
    await effected.end("a", jobs("x"), kind="unheard-of")
    await effected.end("b", jobs("y"))
    relay = Relay(engine.scripts, hold=0)
    assert await relay.relay(engine.queue) == 1
    assert await relay.relay(engine.queue) == 0
    await relay.confirm()
    assert await beside(engine, "other").take() == ["y"]
    assert len((await engine.scripts.outbox(engine.queue)).entries) == 1


async def test_a_dead_letter_tells_it_all(engine: Engine) -> None:
    failed_ms = await end_dead(engine)
    assert await Relay(engine.scripts).relay(engine.queue) == 1
    letter = await read_letter(engine, letter_id("mail", "a", failed_ms))
    assert (letter.queue, letter.id, letter.name, letter.priority) == ("mail", "a", NAME, 2)
    assert payload_of(letter) == b'{"to":"ada"}'
    assert letter.reason == "OSError: no route"
    assert letter.group == "OSError in shop/mail.py:send"
    assert [(each.attempt, each.error, each.run_ms) for each in letter.attempts] == [
        (1, "first", 5.0),
        (2, "no route", 7.0),
    ]
    assert (letter.metadata, letter.tags, letter.trace_id) == ({"user": 7}, ("new",), "abc")
    counted = await beside(engine, "dead-letter").hash("letters")
    assert counted == {"mail": b"1", f"mail\n{NAME}\nOSError in shop/mail.py:send": b"1"}


async def test_none_is_sent_where_letters_are_off(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"dead_letter": "0"})
    await end_dead(engine)
    letters = beside(engine, "dead-letter")
    await end_dead(letters, "b")
    for each in (engine, letters):
        assert (await each.scripts.outbox(each.queue)).entries == []


async def test_poison_is_a_dead_letter_too(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    envelope = encode_envelope(Envelope(POLICY, b"x" * 70_000))
    await engine.add("a", envelope=envelope)
    await engine.claim(1)
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    await Relay(engine.scripts).relay(engine.queue)
    letters = beside(engine, "dead-letter")
    own = letter_id("mail", "a", engine.ms)
    large = cast("bytes", await letters.call("GET", f"big:{own}"))
    letter = DEAD_LETTER.decode(decode_envelope(large).payload)
    assert letter.reason == "poison: the worker died 1 times while it ran this job"
    # What is no JSON is kept as it is.
    assert payload_of(letter) == b"x" * 70_000


async def test_what_cannot_be_sent_on_whole_is_sent_in_part(engine: Engine) -> None:
    await engine.add("a", envelope=encode_envelope(Envelope(POLICY, b"\xff" * 1_048_576)))
    (job,) = (await engine.claim(1)).jobs
    await engine.settle(group("fail", job, arg=2, info=b"poison 1 1", keep_count=-1))
    await Relay(engine.scripts).relay(engine.queue)
    letter = await read_letter(engine, letter_id("mail", "a", engine.ms))
    assert (letter.payload_left_out, payload_of(letter)) == (True, None)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("flags", [0, OWN_ID])
async def test_a_replay_by_letter_brings_the_job_back_once(engine: Engine, kept: bool, flags: int) -> None:  # noqa: FBT001
    failed_ms = await end_dead(engine, kept=kept, flags=flags)
    before = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0].record
    relay = Relay(engine.scripts)
    await relay.relay(engine.queue)
    own = letter_id("mail", "a", failed_ms)
    letter = await read_letter(engine, own)
    payload = payload_of(letter)
    assert payload is not None
    head, envelope = unread(letter)
    made = remake(head, letter.name, replace(envelope, payload=payload))
    replay = replay_arguments("a", failed_ms=failed_ms, job=made)
    await engine.advance(1)
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["1"]
    await relay.relay(engine.queue)
    assert await beside(engine, "dead-letter").state(own) == ""
    assert await engine.scripts.replay(engine.queue, jobs=replay) == ["replayed"]
    (job,) = (await engine.claim()).jobs
    header = parse_header(job.record)
    assert (header.priority, header.flags, header.name) == (2, flags, NAME)
    if kept:
        assert job.record == before
    assert decode_envelope(job.record[header.size :]).payload == payload
    await engine.settle(group("complete", job, arg=flags))


async def test_a_letter_that_comes_after_its_replay_is_refused(engine: Engine) -> None:
    failed_ms = await end_dead(engine)
    await engine.advance(1)
    assert await engine.scripts.retry(engine.queue, ids=["a"]) == ["1"]
    first, second = (await engine.scripts.outbox(engine.queue)).entries
    relay = Relay(engine.scripts)
    await relay.relay(engine.queue, ids=[second.id])
    await relay.relay(engine.queue, ids=[first.id])
    assert await beside(engine, "dead-letter").state(letter_id("mail", "a", failed_ms)) == ""


async def test_effects_and_letters_share_no_call(engine: Engine) -> None:
    await engine.add("a", "b", envelope=encode_envelope(Envelope(POLICY, b"1")))
    a, b = (await engine.claim()).jobs
    done = await engine.settled(
        effect("jobs", "other", (a, jobs("x"))), group("complete", a), group("fail", b, info=b"poison 1 1")
    )
    assert (done.verdict, len(done.posted)) == (b"11", 2)
    assert await Relay(engine.scripts).relay(engine.queue, ids=done.posted) == 2
    assert await beside(engine, "other").take() == ["x"]


def test_ids_of_letters_stay_short() -> None:
    assert letter_id("mail", "a", 5) == "mail:a:5"
    assert len(letter_id("q" * 64, "i" * 128, 5)) == 128
    assert msgspec.json.encode(letter_id("q" * 64, "i" * 128, 5)) != letter_id("q" * 64, "i" * 128, 6)
