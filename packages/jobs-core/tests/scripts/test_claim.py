import random
from typing import cast

import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.errors import OwnerGone, SchemaMismatch, ServerError
from jobs_core.scripts import Scripts
from jobs_core.wire import OWN_ID, parse_header, parse_state


async def test_jobs_of_one_priority_go_first_in_first_out(engine: Engine) -> None:
    ids = [f"j{i:03}" for i in range(200)]
    random.Random(1).shuffle(ids)
    for start in range(0, 200, 50):
        await engine.add(*ids[start : start + 50], flags=OWN_ID)
    assert await engine.take(150) + await engine.take(100) == ids


async def test_a_priority_goes_before_what_came_within_its_offset(engine: Engine) -> None:
    await engine.add("background", priority=5)
    await engine.add("normal", priority=3)
    await engine.advance(1700)
    await engine.add("high", priority=2)
    await engine.add("low", priority=4)
    await engine.advance(200)
    await engine.add("high, late", priority=2)
    await engine.add("critical", priority=1)
    order = ["critical", "high", "normal", "high, late", "low", "background"]
    assert await engine.take() == order


async def test_background_yields_for_two_hours_and_no_longer(engine: Engine) -> None:
    await engine.add("background", priority=5)
    await engine.advance(2 * 3600)
    await engine.add("normal")
    assert await engine.take(1) == ["background"]


async def test_strict_priorities_do_not_age(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "1"})
    await engine.add("background", priority=5)
    await engine.advance(30 * 86_400)
    await engine.add("low", priority=4)
    await engine.add("critical", priority=1)
    assert await engine.take() == ["critical", "low", "background"]


async def test_a_delivery_carries_record_fence_and_time(engine: Engine) -> None:
    await engine.add("a", "b", envelope=b"payload")
    await engine.advance(1)
    claim = await engine.claim()
    assert [job.fence for job in claim.jobs] == [engine.us, engine.us + 1]
    assert claim.now_us == engine.us
    assert [job.state for job in claim.jobs] == [None, None]
    header = parse_header(claim.jobs[0].record)
    assert claim.jobs[0].record[header.size :] == b"payload"
    assert await engine.zset("active:w1") == {"a": engine.us, "b": engine.us + 1}
    assert (claim.left, claim.paused, claim.unroutable, claim.alarm_ms) == (0, False, [], None)


async def test_fences_grow_though_the_clock_jumps_back(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    first = (await engine.claim(2)).jobs
    await engine.advance(-7200)
    (second,) = (await engine.claim(2, owner="w2")).jobs
    assert first[0].fence < first[1].fence < second.fence


async def test_the_budgets_a_job_has_spent_come_with_it(engine: Engine) -> None:
    await engine.add("fresh", "tried")
    await engine.settle(group("retry", (await engine.claim()).jobs[1]), group("release"))
    await engine.scripts.release(engine.queue, owner="w1")
    claim = await engine.claim(owner="w2")
    spent = {job.id: parse_state(job.state) for job in claim.jobs}
    assert (spent["fresh"].attempts, spent["fresh"].releases) == (0, 1)
    assert (spent["tried"].attempts, spent["tried"].releases) == (1, 0)


@pytest.mark.parametrize(("want", "left"), [(0, 5), (1, 4), (4, 1), (5, 0), (6, 0)])
async def test_no_more_than_wanted(engine: Engine, want: int, left: int) -> None:
    await engine.add(*"abcde")
    claim = await engine.claim(want)
    assert ([job.id for job in claim.jobs], claim.left) == (list("abcde"[:want]), left)


@pytest.mark.parametrize(("limit", "taken"), [(1, 1), (1999, 1), (2200, 2), (4999, 4), (100_000, 20)])
async def test_no_more_bytes_than_allowed_but_always_one(engine: Engine, limit: int, taken: int) -> None:
    await engine.add(*(f"j{i:02}" for i in range(20)), envelope=b"x" * 1000)
    claim = await engine.claim(20, max_bytes=limit)
    assert (len(claim.jobs), claim.left) == (taken, 20 - taken)
    assert await engine.ids("waiting") == [f"j{i:02}" for i in range(taken, 20)]


async def test_large_records_are_read_a_few_at_a_time(engine: Engine) -> None:
    await engine.add(*(f"j{i:02}" for i in range(60)), envelope=b"x" * 40_000)
    await engine.client.call("CONFIG", "RESETSTAT")
    claim = await engine.claim(60, max_bytes=512 * 1024)
    assert len(claim.jobs) == 13
    info = await engine.client.call("INFO", "commandstats")
    assert isinstance(info, bytes)
    assert b"cmdstat_hmget:calls=3," in info


async def test_small_and_large_records_mixed_all_come(engine: Engine) -> None:
    sizes = [10, 60_000, 20, 30_000] * 20
    for i, size in enumerate(sizes):
        await engine.add(f"j{i:02}", envelope=b"x" * size)
    seen: list[str] = []
    while taken := await engine.take(128):
        seen += taken
    assert seen == [f"j{i:02}" for i in range(80)]


async def test_a_job_at_its_own_limit_does_not_hold_up_the_others(engine: Engine) -> None:
    await engine.add(*(f"s{i:02}" for i in range(40)), name="slow@1")
    await engine.add("f1", "f2", name="fast@2")
    claim = await engine.claim(5, limits="slow@1=2,other@1=0")
    assert [job.id for job in claim.jobs] == ["s00", "s01", "f1", "f2"]
    assert claim.left == 38
    assert [job.id for job in (await engine.claim(2, limits="slow@1=0")).jobs] == []
    assert [job.id for job in (await engine.claim(2, limits="fast@2=0")).jobs] == ["s02", "s03"]


async def test_how_far_a_claim_looks_past_a_limit_is_bounded(engine: Engine) -> None:
    for start in range(0, 1400, 700):
        await engine.add(*(f"s{i:04}" for i in range(start, start + 700)), name="slow@1")
    await engine.add("f1", name="fast@1")
    claim = await engine.claim(5, limits="slow@1=0")
    assert (claim.jobs, claim.left) == ([], 1401)
    # The next ones go on where it stopped, also where what they passed is gone by then.
    assert await engine.take(3) == ["s0000", "s0001", "s0002"]
    claim = await engine.claim(5, limits="slow@1=0", after=claim.cursor)
    assert (claim.jobs, claim.left) == ([], 1398)
    claim = await engine.claim(5, limits="slow@1=0", after=claim.cursor)
    assert ([job.id for job in claim.jobs], claim.left, claim.cursor) == (["f1"], 1397, "")


async def test_a_claim_goes_on_within_an_instant(engine: Engine) -> None:
    ids = [f"s{i:04}" for i in range(900)]
    # Those that come due at once wait with one score.
    await engine.add(*ids, name="slow@1", delay_ms=1)
    await engine.advance(0.001)
    for _ in range(8):
        await engine.claim(0, free=0)
    await engine.advance(1)
    await engine.add("f1", name="fast@1")
    waiting = await engine.zset("waiting")
    assert (len(waiting), len(set(waiting.values()))) == (901, 2)
    claim = await engine.claim(1, limits="slow@1=0")
    stopped = claim.cursor.split()[1]
    assert (claim.jobs, "s0500" < stopped < "s0600") == ([], True)
    await engine.scripts.remove(engine.queue, ids=[stopped])
    claim = await engine.claim(1, limits="slow@1=0", after=claim.cursor)
    assert [job.id for job in claim.jobs] == ["f1"]


async def test_how_many_bytes_a_claim_looks_past_is_bounded(engine: Engine) -> None:
    for start in range(0, 90, 10):
        ids = [f"s{i:02}" for i in range(start, start + 10)]
        await engine.add(*ids, name="slow@1", envelope=b"x" * 60_000)
    await engine.add("f1", name="fast@1")
    claim = await engine.claim(5, limits="slow@1=0")
    looks = 1
    while claim.cursor:
        claim = await engine.claim(5, limits="slow@1=0", after=claim.cursor)
        looks += 1
    assert ([job.id for job in claim.jobs], looks) == (["f1"], 4)


async def test_claim_that_is_full_of_bytes_did_not_see_the_end(engine: Engine) -> None:
    await engine.add("a", "b", "c", envelope=b"x" * 1000)
    claim = await engine.claim(5, max_bytes=2500, limits="slow@1=0")
    assert ([job.id for job in claim.jobs], claim.cursor) == (["a", "b"], "0")
    claim = await engine.claim(5, limits="slow@1=0", after=claim.cursor)
    assert ([job.id for job in claim.jobs], claim.cursor) == (["c"], "")


async def test_a_paused_queue_gives_nothing(engine: Engine) -> None:
    await engine.add("a")
    await engine.scripts.pause(engine.queue)
    claim = await engine.claim()
    assert (claim.jobs, claim.paused, claim.left) == ([], True, 1)
    assert await engine.ids("idle") == ["w1"]


async def test_due_jobs_are_promoted_first_and_keep_their_place(engine: Engine) -> None:
    await engine.add("late", delay_ms=5000, priority=2)
    await engine.add("early", delay_ms=1000)
    await engine.advance(10)
    await engine.add("now")
    assert await engine.take() == ["late", "early", "now"]


async def test_one_claim_promotes_at_most_128(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(200)), delay_ms=1)
    await engine.advance(1)
    claim = await engine.claim(10)
    assert (len(claim.jobs), claim.left) == (10, 118)
    assert len(await engine.ids("delayed")) == 72


async def test_a_call_sent_again_tells_what_it_took(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    await engine.settle(group("retry", *(await engine.claim(1)).jobs))
    claim = await engine.claim(2)
    before = await engine.dump()
    engine.seqs["w1:claim"] -= 1
    await engine.advance(3)
    again = await engine.claim(2)
    assert again.jobs == claim.jobs
    assert again.jobs[0].state is not None or again.jobs[1].state is not None
    assert again.left == 1
    assert await engine.dump() == before


async def test_a_call_sent_again_leaves_out_what_was_settled(engine: Engine) -> None:
    await engine.add("a", "b")
    claim = await engine.claim()
    await engine.settle(group("complete", claim.jobs[0]))
    engine.seqs["w1:claim"] -= 1
    assert [job.id for job in (await engine.claim()).jobs] == ["b"]


async def test_an_empty_call_sent_again_stays_empty(engine: Engine) -> None:
    assert (await engine.claim()).jobs == []
    await engine.add("a")
    engine.seqs["w1:claim"] -= 1
    assert (await engine.claim()).jobs == []
    assert await engine.take() == ["a"]


async def test_a_call_sent_again_still_holds_the_alarm(engine: Engine) -> None:
    await engine.add("a", delay_ms=9000)
    assert (await engine.claim()).alarm_ms == 9000
    engine.seqs["w1:claim"] -= 1
    await engine.advance(2)
    assert (await engine.claim()).alarm_ms == 7000


async def test_a_call_older_than_the_last_one_is_refused(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await engine.claim()
    engine.seqs["w1:claim"] = 0
    with pytest.raises(ServerError, match="STALE"):
        await engine.claim()


async def test_the_first_claim_enters_the_owner_with_a_lease(engine: Engine) -> None:
    await engine.claim()
    assert await engine.zset("owners") == {"w1": 20_000}
    await engine.advance(3)
    await engine.claim(owner="w2")
    assert await engine.zset("owners") == {"w1": 20_000, "w2": 23_000}


async def test_a_claim_does_not_renew_the_lease(engine: Engine) -> None:
    await engine.claim()
    await engine.advance(3)
    await engine.claim()
    assert await engine.zset("owners") == {"w1": 20_000}


async def test_an_owner_that_was_not_entered_is_refused(engine: Engine) -> None:
    await engine.add("a")
    with pytest.raises(OwnerGone) as caught:
        await engine.claim(register=False)
    assert (caught.value.owner, caught.value.queue) == ("w1", engine.queue)
    assert await engine.ids("waiting") == ["a"]


@pytest.mark.parametrize("register", [True, False])
async def test_a_dead_owner_is_refused_whatever_it_says(engine: Engine, register: bool) -> None:  # noqa: FBT001
    await engine.add("a")
    await engine.claim(0)
    await engine.scripts.release(engine.queue, owner="w1")
    with pytest.raises(OwnerGone):
        await engine.claim(register=register)
    assert await engine.ids("waiting") == ["a"]


async def test_a_dead_owner_is_refused_also_when_it_sends_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")
    engine.seqs["w1:claim"] -= 1
    with pytest.raises(OwnerGone):
        await engine.claim()


async def test_an_owner_with_free_slots_is_idle(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim(5, free=5)
    assert await engine.zset("idle") == {"w1": engine.ms * 1024 + 4}
    await engine.add("b")
    await engine.claim(1, free=1)
    assert await engine.zset("idle") == {}


async def test_free_slots_beyond_1023_count_as_1023(engine: Engine) -> None:
    await engine.claim(100, free=5000)
    assert await engine.zset("idle") == {"w1": engine.ms * 1024 + 1023}


async def test_a_claim_that_leaves_work_wakes_one_more(engine: Engine, wakes: Wakes) -> None:
    for owner in ("w1", "w2"):
        await wakes.listen(owner)
        await engine.claim(1, owner=owner)
    await engine.scripts.pause(engine.queue)
    await engine.add("a", "b", "c")
    await engine.call("HDEL", "cfg", "paused")
    await engine.claim(2, owner="busy")
    assert await wakes.heard() == ["w2"]
    assert await engine.take(1, owner="w2") == ["c"]
    assert await wakes.heard() == []


async def test_a_claim_takes_what_it_promotes_without_waking_others(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w2")
    await engine.claim(1, owner="w2")
    await engine.add("a", "b", delay_ms=1000)
    await engine.claim(1, owner="w2")
    await wakes.heard()
    await engine.advance(1)
    assert await engine.take(2, owner="w1") == ["a", "b"]
    assert await wakes.heard() == []


async def test_what_a_claim_promotes_and_leaves_wakes_others(engine: Engine, wakes: Wakes) -> None:
    for owner in ("w1", "w2"):
        await wakes.listen(owner)
        await engine.claim(1, owner=owner)
    await engine.call("ZREM", "idle", "w2")
    await engine.add("a", "b", "c", delay_ms=1000)
    await engine.claim(1, owner="w1")
    await wakes.heard()
    await engine.advance(1)
    assert await engine.take(1, owner="w2") == ["a"]
    assert await wakes.heard() == ["w1"]


async def test_one_idle_owner_holds_the_alarm(engine: Engine) -> None:
    await engine.add("a", delay_ms=60_000)
    assert (await engine.claim(1, owner="w1")).alarm_ms == 60_000
    assert (await engine.claim(1, owner="w2")).alarm_ms is None
    await engine.advance(10)
    assert (await engine.claim(1, owner="w1")).alarm_ms == 50_000


async def test_the_alarm_goes_to_another_once_its_time_is_over(engine: Engine) -> None:
    await engine.add("a", "b", delay_ms=1000)
    await engine.claim(1, owner="w1")
    await engine.add("c", delay_ms=5000)
    await engine.advance(2)
    assert (await engine.claim(9, owner="w2")).alarm_ms == 3000


async def test_the_alarm_of_a_dead_owner_is_free(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a", delay_ms=60_000)
    await wakes.listen("w2")
    await engine.claim(1, owner="w1")
    assert (await engine.claim(1, owner="w2")).alarm_ms is None
    await engine.scripts.release(engine.queue, owner="w1")
    assert await wakes.heard() == ["w2"]
    assert (await engine.claim(1, owner="w2")).alarm_ms == 60_000


async def test_a_busy_owner_gets_no_alarm(engine: Engine) -> None:
    await engine.add("a", delay_ms=60_000)
    await engine.add("b")
    assert (await engine.claim(1)).alarm_ms is None


async def test_parked_names_are_told(engine: Engine) -> None:
    await engine.add("a", name="new@2")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs, name="new@2"))
    assert (await engine.claim()).unroutable == ["new@2"]


async def test_at_most_128_parked_names_are_told(engine: Engine) -> None:
    for i in range(130):
        await engine.add(f"j{i}", name=f"n{i}@1")
        await engine.settle(group("unroutable", *(await engine.claim()).jobs, name=f"n{i}@1"))
    assert len(set((await engine.claim()).unroutable)) == 128


async def test_an_id_without_a_record_is_cleared_away(damaged: Engine) -> None:
    await damaged.add("a", "b")
    await damaged.call("HDEL", "rec", "a")
    assert await damaged.take() == ["b"]
    assert (await damaged.stats())["ghosts"] == 1
    assert await damaged.ids("waiting") == []


async def test_data_of_another_version_is_refused(damaged: Engine) -> None:
    await damaged.call("HSET", "meta", "schema", "9")
    with pytest.raises(SchemaMismatch):
        await damaged.claim()


async def test_the_server_tells_the_time_where_no_test_does(engine: Engine) -> None:
    real = Scripts(engine.client, engine.scripts.prefix)
    before = cast("list[bytes]", await engine.client.call("TIME"))
    claim = await real.claim(engine.queue, session="s", seq=1, owner="real", register=True, want=1, free=1)
    after = cast("list[bytes]", await engine.client.call("TIME"))
    assert _us(before) <= claim.now_us <= _us(after)


def _us(time: list[bytes]) -> int:
    return int(time[0]) * 1_000_000 + int(time[1])
