"""The limits of a queue: tokens, slots over all workers, paused names, what handlers hold back."""

import random

import pytest
from tests.support.engine import START_MS, Engine, group
from tests.support.wakes import Wakes

from jobs_core.wire import Others


async def taken(engine: Engine, seconds: float, step: float = 0.01, owner: str = "w1") -> int:
    """Claim again and again for so long, and count what was had."""
    n, until = 0, engine.ms + round(seconds * 1000)
    while engine.ms < until:
        await engine.advance(step)
        n += len(await engine.take(100, owner=owner))
    return n


async def test_a_rate_is_exact_after_its_burst(engine: Engine) -> None:
    await engine.declare(rate="7 1000 7")
    for start in range(0, 100, 50):
        await engine.add(*(f"j{i:03}" for i in range(start, start + 50)))
    assert len(await engine.take(100)) == 7
    assert await taken(engine, 10) == 70


async def test_after_long_idleness_there_is_one_burst_and_no_more(engine: Engine) -> None:
    await engine.declare(rate="10 1000 25")
    await engine.add(*(f"j{i:03}" for i in range(100)))
    assert len(await engine.take()) == 25
    await engine.advance(86_400)
    assert len(await engine.take()) == 25
    assert await engine.take() == []


async def test_the_claim_says_when_the_next_token_is_there(engine: Engine) -> None:
    await engine.declare(rate="3 1000 1")
    await engine.add("a", "b", "c")
    claim = await engine.claim()
    assert ([job.id for job in claim.jobs], claim.alarm_ms, claim.again, claim.left) == (["a"], 334, False, 2)
    await engine.advance(0.333)
    assert (await engine.claim()).jobs == []
    await engine.advance(0.001)
    assert await engine.take() == ["b"]
    glance = (await engine.scripts.glance([engine.queue]))[engine.queue]
    assert (glance.startable, glance.next_due_ms) == (False, 334)


async def test_costs_count_and_nothing_overtakes_who_waits_for_tokens(engine: Engine) -> None:
    await engine.declare(rate="10 1000 10")
    await engine.add("a", cost=4)
    await engine.add("b", cost=8)
    await engine.add("c", cost=1)
    claim = await engine.claim()
    assert ([job.id for job in claim.jobs], claim.alarm_ms) == (["a"], 200)
    await engine.advance(0.2)
    assert await engine.take() == ["b"]
    assert (await engine.claim()).alarm_ms == 100


async def test_a_cost_over_the_burst_takes_the_full_bucket(engine: Engine) -> None:
    await engine.declare(rate="10 1000 5")
    await engine.add("a")
    await engine.add("b", cost=200)
    await engine.add("c")
    assert await engine.take() == ["a"]
    await engine.advance(0.1)
    assert await engine.take() == ["b"]
    assert (await engine.claim()).alarm_ms == 100


async def test_a_clock_that_jumps_back_costs_no_more_than_an_empty_bucket(engine: Engine) -> None:
    await engine.declare(rate="10 1000 10")
    await engine.add(*(f"j{i:03}" for i in range(30)))
    assert len(await engine.take()) == 10
    await engine.advance(-3600)
    claim = await engine.claim()
    assert (claim.jobs, claim.alarm_ms) == ([], 100)
    await engine.advance(0.1)
    assert len(await engine.take()) == 1


async def test_64_workers_share_one_rate(engine: Engine) -> None:
    await engine.declare(rate="500 1000 50")
    for start in range(0, 3000, 500):
        await engine.add(*(f"j{i:04}" for i in range(start, start + 500)))
    rng, n = random.Random(4), 0
    for _ in range(400):
        await engine.advance(0.01)
        for _ in range(2):
            n += len(await engine.take(20, owner=f"w{rng.randrange(64)}"))
    assert abs(n - 50 - 2000) <= 20


async def test_who_has_no_slot_leaves_the_alarm_to_another(engine: Engine, wakes: Wakes) -> None:
    await engine.declare(rate="1 1000 1")
    await engine.add("a", "b")
    await engine.claim(0, free=1, owner="idle")
    await wakes.listen("idle")
    assert await engine.take(1, owner="full") == ["a"]
    assert "idle" in await wakes.heard()
    claim = await engine.claim(1, owner="idle")
    assert (claim.jobs, claim.alarm_ms) == ([], 1000)


async def test_no_more_run_at_once_than_all_workers_may(engine: Engine) -> None:
    await engine.declare(max_active=3)
    await engine.add(*"abcde")
    assert await engine.take(2, owner="w1") == ["a", "b"]
    claim = await engine.claim(5, owner="w2")
    assert ([job.id for job in claim.jobs], claim.again, claim.left) == (["c"], False, 2)
    assert not (await engine.scripts.glance([engine.queue]))[engine.queue].startable
    await engine.run("a")
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].startable
    assert await engine.take(5, owner="w2") == ["d"]


async def test_a_slot_that_comes_free_wakes_who_waits_for_it(engine: Engine, wakes: Wakes) -> None:
    await engine.declare(max_active=1)
    await engine.add("a", "b")
    await engine.take(1, owner="w1")
    await engine.claim(5, owner="w2")
    await wakes.listen("w2")
    await engine.run("a")
    assert "w2" in await wakes.heard()
    assert await engine.take(5, owner="w2") == ["b"]


@pytest.mark.parametrize("end", ["reap", "release"])
async def test_slots_of_the_dead_are_free(engine: Engine, end: str) -> None:
    await engine.declare(max_active=2)
    await engine.add(*"abcd")
    await engine.take(2, owner="w1")
    assert await engine.take(2, owner="w2") == []
    if end == "reap":
        for _ in range(5):
            await engine.advance(5)
            await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w2"])
        await engine.scripts.reap(engine.queue, owner="w1")
    else:
        await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    assert len(await engine.take(4, owner="w2")) == 2


async def test_slots_count_what_ran_before_there_was_a_limit(engine: Engine) -> None:
    await engine.add(*"abcdef")
    await engine.take(2, owner="w1")
    await engine.take(1, owner="w2")
    await engine.declare(max_active=4)
    assert await engine.take(9, owner="w3") == ["d"]
    await engine.run("a", "b")
    assert await engine.take(9, owner="w3") == ["e", "f"]


async def test_paused_names_are_passed_over_however_many_wait(engine: Engine) -> None:
    for start in range(0, 2000, 500):
        await engine.add(*(f"s{i:04}" for i in range(start, start + 500)), name="slow@1")
    await engine.add("f", name="fast@2")
    await engine.call("HSET", "cfg", "pause:job:slow", "0", "pauses", 1)
    claim, looks = await engine.claim(5), 1
    while not claim.jobs:
        assert claim.again
        claim = await engine.claim(5)
        looks += 1
    assert ([job.id for job in claim.jobs], looks) == (["f"], 4)
    claim = await engine.claim(5)
    while claim.again:
        claim = await engine.claim(5)
    assert claim.jobs == []


async def test_a_paused_name_comes_back_by_itself(engine: Engine) -> None:
    await engine.add("a", name="slow@1")
    await engine.call("HSET", "cfg", "pause:job:slow", START_MS + 5000, "pauses", 1)
    claim = await engine.claim()
    assert (claim.jobs, claim.alarm_ms) == ([], 5000)
    await engine.advance(5)
    assert await engine.take() == ["a"]


async def test_a_pause_with_an_end_is_over_then(engine: Engine) -> None:
    await engine.add("a")
    await engine.scripts.pause(engine.queue)
    await engine.call("HSET", "cfg", "paused_until", START_MS + 3000)
    claim = await engine.claim()
    assert (claim.jobs, claim.paused, claim.alarm_ms) == ([], True, 3000)
    await engine.advance(3)
    assert not (await engine.scripts.glance([engine.queue]))[engine.queue].paused
    assert await engine.take() == ["a"]


async def test_a_job_that_met_a_limit_spends_no_attempt_and_waits_alone(engine: Engine) -> None:
    await engine.add("a", "b")
    claim = await engine.claim()
    assert await engine.settle(group("limit", claim.jobs[0], arg=2000, info=b"job")) == b"1"
    assert await engine.state("a") == "delayed"
    entry = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0].entry
    assert (entry.attempts, entry.releases) == (0, 1)
    assert (await engine.stats())["limited:send@1"] == 1
    await engine.run("b")
    claim = await engine.claim()
    assert (claim.jobs, claim.alarm_ms) == ([], 2000)
    await engine.advance(2)
    assert await engine.take() == ["a"]


async def test_a_handler_can_hold_back_the_whole_queue(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    claim = await engine.claim(1)
    await engine.settle(group("limit", *claim.jobs, arg=3000, info=b"queue"))
    claim = await engine.claim()
    assert (claim.jobs, claim.left, claim.alarm_ms, claim.again) == ([], 3, 3000, False)
    await engine.advance(3)
    assert await engine.take() == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["", "job:send"])
async def test_a_pause_with_an_end_sets_the_alarm_for_it(engine: Engine, wakes: Wakes, what: str) -> None:
    await engine.claim(5)
    await wakes.listen("w1")
    await engine.scripts.pause(engine.queue, what=what, for_ms=2000)
    assert await wakes.heard() == ["w1"]
    await engine.add("a")
    claim = await engine.claim(5)
    assert (claim.jobs, claim.alarm_ms) == ([], 2000)
    await engine.advance(2)
    assert await engine.take(5) == ["a"]
