"""Keyed queues: keys in turn, each within its limits, none in the way of another, and nothing left of idle ones."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from tests.support.engine import START_MS, Engine, draft, group
from tests.support.wakes import Wakes

from jobs_core.wire import Others, pack_drafts


async def commands(engine: Engine, call: Awaitable[object]) -> int:
    """Count the commands that a call costs the server."""
    await engine.client.call("CONFIG", "RESETSTAT")
    await call
    info = cast("bytes", await engine.client.call("INFO", "commandstats")).decode()
    return sum(map(int, re.findall(r"cmdstat_[^:]+:calls=(\d+)", info)))


async def fill(engine: Engine, n: int, *keys: str) -> None:
    """Add n jobs of each key, named after it, one key after the other."""
    for key in keys:
        await engine.add(*(f"{key or '-'}{i:03}" for i in range(n)), key=key)


async def test_keys_take_turns_however_many_jobs_each_has(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await fill(engine, 50, "a")
    await fill(engine, 2, "b", "c", "")
    order = [await engine.take(1) for _ in range(9)]
    assert [ids[0] for ids in order] == [
        *("-000", "a000", "b000", "c000"),
        *("-001", "a001", "b001", "c001"),
        "a002",
    ]


async def test_one_claim_takes_turns_as_many_do(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await fill(engine, 30, "a", "b", "c")
    ids = await engine.take(60)
    assert Counter(each[0] for each in ids) == {"a": 20, "b": 20, "c": 20}
    assert [each[0] for each in ids[:6]] == ["a", "b", "c", "a", "b", "c"]


async def test_a_key_that_comes_later_gets_its_turn_soon(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await fill(engine, 100, "big")
    assert len(await engine.take(10)) == 10
    await fill(engine, 5, "new")
    ids = [(await engine.take(1))[0] for _ in range(6)]
    assert Counter(each[:3] for each in ids) == {"big": 3, "new": 3}


async def test_a_heavier_key_gets_more_turns(engine: Engine) -> None:
    await engine.declare(keyed=1, weights="\nb=3\n")
    await fill(engine, 60, "a", "b")
    ids = [(await engine.take(1))[0] for _ in range(20)] + await engine.take(20)
    assert Counter(each[0] for each in ids) == {"a": 10, "b": 30}


async def test_inside_a_key_priorities_count(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await engine.add("low", key="a", priority=4)
    await engine.add("normal", key="a")
    await engine.add("other", key="b")
    await engine.add("high", key="a", priority=2)
    assert await engine.take() == ["high", "other", "normal", "low"]


async def test_a_key_at_its_limit_does_not_hold_up_the_others(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=2)
    await engine.claim(0)
    await fill(engine, 300, "a")
    await fill(engine, 3, "b")
    claim = await engine.claim(50)
    assert sorted(job.id for job in claim.jobs) == ["a000", "a001", "b000", "b001"]
    assert (claim.again, claim.left) == (False, 299)
    glance = (await engine.scripts.glance([engine.queue]))[engine.queue]
    assert (glance.startable, glance.waiting) == (False, 299)
    await engine.run("b000")
    assert await engine.take(50) == ["b002"]
    assert await engine.hash("kactive") == {"a": b"2", "b": b"2"}


async def test_a_slot_of_a_key_wakes_who_waits_for_it(engine: Engine, wakes: Wakes) -> None:
    await engine.declare(keyed=1, key_active=1)
    await fill(engine, 2, "a")
    await engine.take(1, owner="w1")
    await engine.claim(5, owner="w2")
    await wakes.listen("w2")
    await engine.run("a000")
    assert await wakes.heard() == ["w2"]
    assert await engine.take(5, owner="w2") == ["a001"]


@pytest.mark.parametrize("end", ["reap", "release"])
async def test_slots_of_a_key_are_free_when_its_worker_dies(engine: Engine, end: str) -> None:
    await engine.declare(keyed=1, key_active=2)
    await fill(engine, 4, "a")
    await engine.take(5, owner="w1")
    assert await engine.take(5, owner="w2") == []
    if end == "reap":
        for _ in range(5):
            await engine.advance(5)
            await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w2"])
        await engine.scripts.reap(engine.queue, owner="w1")
    else:
        await engine.scripts.release(engine.queue, owner="w1")
    assert await engine.take(5, owner="w2") == ["a000", "a001"]


async def test_each_key_has_its_own_rate(engine: Engine) -> None:
    await engine.declare(keyed=1, key_rate="10 1000 2")
    await fill(engine, 30, "a", "b")
    claim = await engine.claim(50)
    assert (len(claim.jobs), claim.alarm_ms, claim.again) == (4, 100, False)
    seen = Counter[str]()
    for _ in range(100):
        await engine.advance(0.01)
        seen.update(each[0] for each in await engine.take(50))
    assert seen == {"a": 10, "b": 10}


async def test_costs_count_by_key(engine: Engine) -> None:
    await engine.declare(keyed=1, key_rate="10 1000 10")
    await engine.add("a1", key="a", cost=8)
    await engine.add("a2", key="a", cost=4)
    await engine.add("b1", key="b", cost=4)
    claim = await engine.claim()
    assert ([job.id for job in claim.jobs], claim.alarm_ms) == (["a1", "b1"], 200)
    await engine.advance(0.2)
    assert await engine.take() == ["a2"]


async def test_nothing_is_left_of_idle_keys(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=2, key_rate="10 1000 10")
    for start in range(0, 2000, 500):
        for i in range(start, start + 500):
            await engine.add(f"j{i:04}", key=f"k{i:04}")
    while ids := await engine.take(100):
        await engine.run(*ids)
    await engine.advance(1)
    for _ in range(4):
        await engine.scripts.trim(engine.queue)
    assert {"ring", "kparked", "kactive", "kbucket", "waiting"} & set(await engine.dump()) == set()


async def test_a_claim_costs_the_same_with_100_000_keys(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1)
    await fill(engine, 2, *(f"w{i:02}" for i in range(60)))
    await engine.take(1)
    few = await commands(engine, engine.claim(50, owner="w2"))
    for start in range(0, 100_000, 125):
        names = [f"x{i:06}" for i in range(start, start + 125)]
        await engine.scripts.enqueue(
            engine.queue,
            session="bulk",
            seq=start + 1,
            jobs=pack_drafts([draft(name, key=name) for name in names]),
        )
    many = await commands(engine, engine.claim(50, owner="w3"))
    assert await engine.call("ZCARD", "ring") == 99_959
    assert many <= few * 1.2
    await engine.client.call("FLUSHDB")
    await engine.start()


async def test_a_queue_becomes_keyed_in_bounded_steps(engine: Engine) -> None:
    for start in range(0, 1500, 500):
        for key in "ab":
            await engine.add(*(f"{key}{i:04}" for i in range(start, start + 500)), key=key)
    first = await engine.take(2)
    await engine.declare(keyed=1, key_active=3)
    claim, had = await engine.claim(0, free=0), 0
    while claim.again and had < 20:
        claim = await engine.claim(0, free=0)
        had += 1
    assert 4 <= had < 20
    ids = await engine.take(50)
    # What ran before is not counted by key.
    assert Counter(each[0] for each in ids) == {"a": 3, "b": 3}
    await engine.run(*first)
    assert await engine.hash("kactive") == {"a": b"3", "b": b"3"}
    await engine.run(*ids)
    assert Counter(each[0] for each in await engine.take(50)) == {"a": 3, "b": 3}


@pytest.mark.parametrize("idle", [False, True])
async def test_a_queue_that_is_keyed_no_longer_leaves_no_index(engine: Engine, *, idle: bool) -> None:
    await engine.declare(keyed=1, key_active=1)
    await fill(engine, 2, *(f"k{i:03}" for i in range(200)))
    ids = await engine.take(100)
    await engine.declare()
    claim = await engine.claim(0, free=0)
    for _ in range(9 if idle else 0):
        await engine.scripts.trim(engine.queue)
    while claim.again:
        claim = await engine.claim(0, free=0)
    await engine.run(*ids)
    assert not [each for each in await engine.dump() if each.startswith("k") or each == "ring"]
    assert len(await engine.take(128)) == 128


async def test_an_index_follows_every_way_in_and_out(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=2)
    await engine.claim(0, free=0)
    await engine.add("late", key="a", delay_ms=1000)
    await engine.add("later", key="b", delay_ms=90_000)
    await fill(engine, 3, "a", "b")
    jobs = {job.id: job for job in (await engine.claim(4)).jobs}
    await engine.settle(
        group("retry", jobs["a000"], arg=500),
        group("unroutable", jobs["a001"]),
        group("release", jobs["b000"]),
        group("fail", jobs["b001"], arg=8, keep_count=-1),
    )
    assert await engine.hash("kactive") == {}
    await engine.advance(2)
    await engine.scripts.promote(engine.queue)
    await engine.scripts.promote(engine.queue, ids=["later"])
    await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
    await engine.scripts.retry(engine.queue, ids=["b001"])
    await engine.scripts.remove(engine.queue, ids=["b002", "a002"])
    assert set(await engine.ids("k:a")) == {"a000", "a001", "late"}
    assert set(await engine.ids("k:b")) == {"b000", "b001", "later"}
    await engine.scripts.drain(engine.queue, home="waiting", limit=500)
    assert await engine.ids("ring") == []


async def test_strictly_first_in_first_out_by_key(engine: Engine) -> None:
    await engine.declare(keyed=1, fifo=1)
    await engine.add("a1", key="a", priority=5)
    await engine.add("a2", key="a", priority=1)
    await engine.add("b1", key="b")
    claim = await engine.claim()
    assert [job.id for job in claim.jobs] == ["a1", "b1"]
    assert await engine.settle(group("retry", claim.jobs[0], arg=3000)) == b"1"
    # It keeps its place, and its key waits with it.
    assert await engine.state("a1") == "waiting"
    claim = await engine.claim()
    assert (claim.jobs, claim.alarm_ms) == ([], 3000)
    await engine.advance(3)
    assert await engine.take() == ["a1"]
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    assert set(await engine.take(owner="w2")) == {"a1", "b1"}
    await engine.run("a1", owner="w2")
    assert await engine.take(owner="w2") == ["a2"]


async def retries(engine: Engine, *ids: str) -> None:
    """Let the first of the jobs of a strict key wait for its retry, in 3 s."""
    await engine.declare(keyed=1, fifo=1)
    await engine.add(*ids, key="a")
    claim = await engine.claim()
    assert await engine.settle(group("retry", *claim.jobs, arg=3000)) == b"1"
    await engine.advance(1)
    assert await engine.take() == []


async def test_a_cancelled_job_does_not_hold_back_its_strict_key(engine: Engine) -> None:
    await engine.declare(keyed=1, fifo=1)
    await engine.add("1", "2", key="a")
    claim = await engine.claim()
    assert (await engine.scripts.cancel(engine.queue, ids=["1"])).verdicts == ["requested"]
    await engine.settle(group("retry", *claim.jobs, arg=3000))
    assert await engine.state("1") == "cancelled"
    assert await engine.take() == ["2"]


LEAVES: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "cancel": lambda engine: engine.scripts.cancel(engine.queue, ids=["1"]),
    "remove": lambda engine: engine.scripts.remove(engine.queue, ids=["1"]),
    "reschedule": lambda engine: engine.scripts.reschedule(engine.queue, delay_ms=9000, ids=["1"]),
    "reschedule, now": lambda engine: engine.scripts.reschedule(engine.queue, delay_ms=0, ids=["1"]),
}


@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
async def test_a_strict_key_waits_for_no_retry_that_is_not_to_come(
    engine: Engine, wakes: Wakes, leave: Callable[[Engine], Awaitable[object]]
) -> None:
    await retries(engine, "1", "2")
    await wakes.listen("idle")
    await engine.claim(owner="idle")
    await leave(engine)
    assert await wakes.heard() == ["idle"]
    assert await engine.take() == ["2"]


async def test_a_strict_key_waits_as_long_as_its_handler_said_whoever_leaves(engine: Engine) -> None:
    await engine.declare(keyed=1, fifo=1)
    await engine.add("1", "2", key="a")
    await engine.settle(group("limit", *(await engine.claim()).jobs, arg=3000, info=b"key"))
    await engine.scripts.cancel(engine.queue, ids=["1"])
    assert await engine.take() == []
    await engine.advance(3)
    assert await engine.take() == ["2"]


@pytest.mark.parametrize("options", ["", "expires=90000"])
async def test_in_a_strict_line_a_job_stands_by_its_new_time(engine: Engine, options: str) -> None:
    await engine.declare(keyed=1, fifo=1)
    await engine.add("1", "2", key="a", options=options)
    await engine.add("late", key="a", delay_ms=60_000, options=options)
    await engine.advance(1)
    await engine.scripts.promote(engine.queue, ids=["late"])
    await engine.advance(1)
    await engine.add("3", key="a")
    await engine.scripts.reschedule(engine.queue, delay_ms=1000, ids=["1"])
    await engine.advance(2)
    order = list[str]()
    while taken := await engine.take():
        order += taken
        await engine.run(*taken)
    assert order == ["2", "late", "3", "1"]


async def test_a_handler_can_hold_back_its_key(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await fill(engine, 2, "a", "b")
    claim = await engine.claim(2)
    await engine.settle(group("limit", claim.jobs[0], arg=3000, info=b"key"))
    assert await engine.take() == ["b001"]
    claim = await engine.claim()
    assert (claim.jobs, claim.alarm_ms) == ([], 3000)
    await engine.add("a002", key="a")
    assert await engine.take() == []
    await engine.advance(3)
    assert await engine.take() == ["a000", "a001", "a002"]


async def test_a_paused_key_waits_and_the_others_go_on(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await engine.call("HSET", "cfg", "pause:key:a", "0", "pause:key:b", START_MS + 2000, "pauses", 2)
    await fill(engine, 1, "a", "b", "c")
    claim = await engine.claim()
    assert ([job.id for job in claim.jobs], claim.alarm_ms) == (["c000"], 2000)
    await engine.advance(2)
    assert await engine.take() == ["b000"]
    await engine.call("HDEL", "cfg", "pause:key:a")
    await engine.call("HSET", "cfg", "pauses", 1)
    assert await engine.take() == ["a000"]


async def test_a_name_at_its_limit_does_not_hold_up_its_key(engine: Engine) -> None:
    await engine.declare(keyed=1)
    for i in range(3):
        await engine.add(f"s{i}", key="a", name="slow@1")
    await engine.add("f", key="a", name="fast@1")
    await engine.add("g", key="b", name="slow@1")
    claim = await engine.claim(5, limits="slow@1=1")
    assert sorted(job.id for job in claim.jobs) == ["f", "s0"]


async def test_an_id_without_a_record_is_cleared_away(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await fill(engine, 2, "a")
    await engine.take(0)
    await engine.claim(0)
    await engine.call("HDEL", "rec", "a000")
    assert await engine.take() == ["a001"]
    assert (await engine.stats())["ghosts"] == 1
    await engine.call("HINCRBY", "stats", "removed", 1)


async def test_nothing_of_the_keys_outlives_an_obliterated_queue(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1)
    await engine.claim(0)
    await fill(engine, 3, "a", "b")
    await engine.take(2)
    await engine.scripts.obliterate(engine.queue, force=True)
    await engine.add("a900", key="a")
    assert await engine.take(5, owner="w2") == ["a900"]
    while await engine.scripts.trim(engine.queue):
        pass
    await engine.run("a900", owner="w2")
    assert not [each for each in await engine.dump() if each.startswith("k")]


async def test_a_rate_of_keys_that_is_lifted_holds_none_back_any_more(engine: Engine) -> None:
    await engine.declare(keyed=1, key_rate="1 3600000 1")
    await engine.add("a", "b", "c", key="k")
    assert await engine.take() == ["a"]
    assert not (await engine.scripts.glance([engine.queue]))[engine.queue].startable
    await engine.scripts.limit(engine.queue, limits={"key_rate": "1 1000 1"})
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].startable
    assert (await engine.claim()).alarm_ms == 1000
    await engine.advance(1)
    assert await engine.take() == ["b"]
    await engine.scripts.limit(engine.queue, limits={"key_rate": "0"})
    assert await engine.take() == ["c"]
