import msgspec
import pytest
from tests.support.engine import START_MS, Engine, draft, group
from tests.support.wakes import Wakes

from jobs_core.errors import PayloadTooLarge, SchemaMismatch, ServerError, ServerFull
from jobs_core.wire import BIG, OWN_ID, pack_drafts, parse_header

MINUTE = 60_000_000
STRICT_EPOCH = 1_735_689_600_000_000


@pytest.mark.parametrize(
    ("priority", "ahead_us"),
    [(1, 24 * 60 * MINUTE), (2, 30 * MINUTE), (3, 0), (4, -10 * MINUTE), (5, -120 * MINUTE)],
)
async def test_a_job_waits_where_its_priority_puts_it(engine: Engine, priority: int, ahead_us: int) -> None:
    assert await engine.add("a", priority=priority) == b"1"
    assert await engine.zset("waiting") == {"a": engine.us - ahead_us}


@pytest.mark.parametrize("priority", [1, 2, 3, 4, 5])
async def test_a_strict_queue_has_a_band_for_each_priority(engine: Engine, priority: int) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "1"})
    await engine.add("a", priority=priority)
    assert await engine.zset("waiting") == {"a": priority * 2**50 + engine.us - STRICT_EPOCH}


async def test_declared_offsets_count(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"o2": "1000", "o5": "-5"})
    await engine.add("high", priority=2)
    await engine.add("background", priority=5)
    assert await engine.zset("waiting") == {"high": engine.us - 1_000_000, "background": engine.us + 1 + 5000}


async def test_the_server_stamps_what_it_keeps(engine: Engine) -> None:
    await engine.add("a", "b", flags=OWN_ID, envelope=b"opaque \x00 bytes")
    kept = (await engine.hash("rec"))["b"]
    header = parse_header(kept)
    assert (header.stamp_us, header.due_ms, header.flags, header.name) == (engine.us + 1, 0, OWN_ID, "send@1")
    assert kept[header.size :] == b"opaque \x00 bytes"
    assert await engine.stats() == {"added:send@1": 2}
    assert (await engine.hash("meta"))["schema"] == b"1"


async def test_stamps_grow_though_the_clock_jumps_back(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.advance(-3600)
    await engine.add("c")
    assert await engine.ids("waiting") == ["a", "b", "c"]


@pytest.mark.parametrize("us", [1_790_000_000_000_001, 7_258_118_400_000_003, 2**53 - 2**43 - 1])
async def test_large_times_stay_exact(engine: Engine, us: int) -> None:
    engine.us = us
    await engine.client.call("SET", "test-clock", us)
    await engine.add("a", "b", flags=OWN_ID)
    assert await engine.zset("waiting") == {"a": us, "b": us + 1}
    claim = await engine.claim()
    assert [job.fence for job in claim.jobs] == [us + 2, us + 3]
    assert claim.now_us == us
    assert await engine.settle(group("complete", *claim.jobs, arg=OWN_ID)) == b"11"


@pytest.mark.parametrize(
    ("delay_ms", "run_at", "due"),
    [(1, 0, 1), (90_000, 0, 90_000), (0, 60_000, 60_000), (5, 60_000, 60_000)],
)
async def test_a_later_job_is_delayed(engine: Engine, delay_ms: int, run_at: int, due: int) -> None:
    await engine.add("a", priority=2, delay_ms=delay_ms, run_at_ms=START_MS + run_at if run_at else 0)
    assert await engine.zset("delayed") == {"a": (START_MS + due) * 16 + 2}
    assert parse_header((await engine.hash("rec"))["a"]).due_ms == START_MS + due
    assert await engine.ids("waiting") == []


@pytest.mark.parametrize("run_at_ms", [1, START_MS - 1, START_MS])
async def test_a_time_that_has_passed_is_now(engine: Engine, run_at_ms: int) -> None:
    await engine.add("a", run_at_ms=run_at_ms)
    assert await engine.zset("waiting") == {"a": engine.us}


@pytest.mark.parametrize(("size", "apart"), [(65_536 - 42, False), (65_536 - 41, True), (1_000_000, True)])
async def test_a_large_envelope_lies_apart(engine: Engine, size: int, apart: bool) -> None:  # noqa: FBT001
    envelope = b"\xff" * size
    await engine.add("a", envelope=envelope)
    kept = (await engine.hash("rec"))["a"]
    header = parse_header(kept)
    assert header.flags == (BIG if apart else 0)
    assert (await engine.call("GET", "big:a") if apart else kept[header.size :]) == envelope
    assert [job.id for job in (await engine.claim()).jobs] == ["a"]


@pytest.mark.parametrize("flags", [0, OWN_ID])
async def test_a_call_sent_again_applies_once(engine: Engine, flags: int) -> None:
    jobs = pack_drafts([draft("a", flags=flags), draft("b", flags=flags, delay_ms=60_000)])
    first = await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=jobs)
    before = await engine.dump()
    await engine.advance(1)
    again = await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=jobs)
    assert again == first == b"11"
    assert await engine.dump() == before


async def test_a_call_sent_again_after_its_jobs_ended_does_not_bring_them_back(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("complete", *(await engine.claim()).jobs))
    engine.seqs["producer"] -= 1
    assert await engine.add("a") == b"1"
    assert await engine.state("a") == ""


async def test_a_call_older_than_the_last_one_is_refused(engine: Engine) -> None:
    await engine.add("a")
    await engine.add("b")
    engine.seqs["producer"] = 0
    with pytest.raises(ServerError, match="STALE producer"):
        await engine.add("a")
    assert await engine.ids("waiting") == ["a", "b"]


async def test_an_own_id_is_added_once(engine: Engine) -> None:
    assert await engine.add("a", "a", "b", flags=OWN_ID) == b"101"
    assert await engine.add("a", "c", flags=OWN_ID) == b"01"
    assert await engine.ids("waiting") == ["a", "b", "c"]
    assert (await engine.stats())["added:send@1"] == 3


@pytest.mark.parametrize("state", ["delayed", "active", "failed"])
async def test_an_own_id_is_known_wherever_its_job_is(engine: Engine, state: str) -> None:
    await engine.add("a", flags=OWN_ID, delay_ms=1000 if state == "delayed" else 0)
    if state == "failed":
        await engine.fail("a")
    elif state == "active":
        await engine.claim()
    assert await engine.add("a", flags=OWN_ID) == b"0"
    assert await engine.state("a") == state


async def test_an_own_id_is_remembered_for_a_day_after_its_job(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    await engine.settle(group("complete", *(await engine.claim()).jobs, arg=OWN_ID))
    assert await engine.zset("tomb") == {"a": engine.ms + 86_400_000}
    await engine.advance(86_399)
    assert await engine.add("a", flags=OWN_ID) == b"0"
    await engine.advance(1)
    assert await engine.add("a", flags=OWN_ID) == b"1"


async def test_what_was_told_of_an_earlier_job_ends_with_the_next_of_its_id(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    ttl_ms = 7 * 86_400_000
    await engine.settle(group("complete", *(await engine.claim()).jobs, arg=OWN_ID, ttl_ms=ttl_ms))
    await engine.advance(2 * 86_400)
    assert await engine.add("a", flags=OWN_ID) == b"1"
    assert (await engine.scripts.lookup(engine.queue, ids=["a"]))[0].info == b""
    await engine.fail("a")
    await engine.advance(10 * 86_400)
    await engine.scripts.trim(engine.queue)
    assert await engine.state("a") == "failed"


async def test_too_large_a_job_is_refused_with_all_of_its_call(engine: Engine) -> None:
    jobs = pack_drafts([draft("a"), draft("my id", envelope=b"x" * 1_310_720)])
    with pytest.raises(PayloadTooLarge) as caught:
        await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=jobs)
    assert (caught.value.job, caught.value.queue) == ("my id", engine.queue)
    assert await engine.dump() == {}


async def test_too_many_jobs_are_refused(engine: Engine) -> None:
    jobs = [draft(f"j{i}") for i in range(129)]
    with pytest.raises(ServerError, match="TOO_MANY"):
        await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=pack_drafts(jobs))
    assert await engine.dump() == {}
    reply = await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=pack_drafts(jobs[1:]))
    assert reply == b"1" * 128


async def test_too_much_at_once_is_refused(engine: Engine) -> None:
    jobs = [draft(f"j{i}", envelope=b"x" * 700_000) for i in range(2)]
    with pytest.raises(PayloadTooLarge) as caught:
        await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=pack_drafts(jobs))
    assert caught.value.job == "j1"
    assert await engine.dump() == {}
    assert await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=pack_drafts(jobs[1:])) == b"1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"alike": (b"\x01\x00\x00\x09", b"send@1", 0, 0, "")},
        {"alike": (b"", b"send@1", 0, 0, "")},
        {"alike": (b"\x01\x00\x00\x03", b"another@1", 0, 0, "")},
        {"body": b""},
        {"body": b"\x06\x00\xff\xff" + b"\x00" * 12 + b"send@1"},
    ],
)
async def test_a_record_that_cannot_be_read_leaves_nothing(engine: Engine, wrong: dict[str, object]) -> None:
    damaged = msgspec.structs.replace(draft("c"), **wrong)
    jobs = pack_drafts([draft("a"), draft("b", delay_ms=5000), damaged])
    with pytest.raises(ServerError):
        await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=jobs)
    assert await engine.dump() == {}


async def test_data_of_another_version_is_refused(damaged: Engine) -> None:
    await damaged.call("HSET", "meta", "schema", "2")
    with pytest.raises(SchemaMismatch) as caught:
        await damaged.add("a")
    assert caught.value.found == "2"
    assert await damaged.hash("rec") == {}


async def test_a_full_memory_refuses_jobs_and_lets_them_finish(engine: Engine) -> None:
    await engine.add("a")
    claim = await engine.claim(1)
    await engine.client.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(ServerFull):
            await engine.add("b")
        assert await engine.settle(group("complete", *claim.jobs)) == b"1"
    finally:
        await engine.client.call("CONFIG", "SET", "maxmemory", "0")
    assert await engine.hash("rec") == {}


async def test_as_many_owners_are_woken_as_the_jobs_need(engine: Engine, wakes: Wakes) -> None:
    for owner in ("w1", "w2", "w3"):
        await wakes.listen(owner)
        await engine.advance(1)
        await engine.claim(2, owner=owner)
    await engine.add("a")
    assert await wakes.heard() == ["w3"]
    await engine.add("b", "c", "d")
    assert await wakes.heard() == ["w2", "w1"]
    assert await engine.ids("idle") == []


async def test_dead_owners_are_passed_over(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.claim(1, owner="w1")
    for i in range(7):
        await engine.advance(1)
        await engine.claim(1, owner=f"dead{i}")
    await engine.add("a")
    assert await wakes.heard() == ["w1"]
    assert await engine.ids("idle") == []


async def test_the_search_for_a_living_owner_is_bounded(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.claim(1, owner="w1")
    for i in range(8):
        await engine.advance(1)
        await engine.claim(1, owner=f"dead{i}")
    await engine.add("a")
    assert await wakes.heard() == []
    assert await engine.ids("idle") == ["w1"]


async def test_at_most_16_owners_are_woken_by_one_call(engine: Engine, wakes: Wakes) -> None:
    for i in range(18):
        await wakes.listen(f"w{i}")
        await engine.claim(1, owner=f"w{i}")
    await engine.add(*(f"j{i}" for i in range(100)))
    assert len(await wakes.heard()) == 16


async def test_nobody_is_woken_for_a_paused_queue(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.claim(1)
    await engine.scripts.pause(engine.queue)
    await engine.add("a")
    assert await wakes.heard() == []
    assert await engine.ids("idle") == ["w1"]


async def test_an_earlier_due_time_wakes_one_to_set_its_alarm(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.claim(1)
    await engine.add("a", delay_ms=60_000)
    assert await wakes.heard() == ["w1"]
    assert (await engine.claim(1)).alarm_ms == 60_000
    await engine.add("later", delay_ms=60_001)
    assert await wakes.heard() == []
    await engine.add("earlier", delay_ms=59_999)
    assert await wakes.heard() == ["w1"]
