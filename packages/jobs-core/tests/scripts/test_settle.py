import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.connection.protocol import Encodable
from jobs_core.errors import ServerError
from jobs_core.scripts import Claimed, Group
from jobs_core.wire import BIG, OWN_ID, AttemptInfo, ErrorInfo, pack_history_entry, parse_history


async def claimed(engine: Engine, *ids: str, **options: int) -> list[Claimed]:
    await engine.add(*ids, **options)  # pyright: ignore[reportArgumentType] - flags, priority
    jobs = (await engine.claim()).jobs
    assert sorted(job.id for job in jobs) == sorted(ids)
    return jobs


@pytest.mark.parametrize(("verb", "total"), [("complete", "completed"), ("fail", "failed")])
async def test_a_job_that_ends_is_gone_without_a_trace(engine: Engine, verb: str, total: str) -> None:
    jobs = await claimed(engine, "a", "b")
    assert await engine.settle(group(verb, *jobs, run_us=5000, wait_us=70)) == b"11"
    assert await engine.stats() == {
        "added:send@1": 2,
        f"{total}:send@1": 2,
        "run_us:send@1": 5000,
        "wait_us:send@1": 70,
    }
    left = await engine.dump()
    assert set(left) - {"out"} == {"idle", "meta", "owners", "stats"}


@pytest.mark.parametrize(("verb", "home"), [("complete", "completed"), ("fail", "failed")])
async def test_a_job_may_be_kept_with_what_is_told_of_it(engine: Engine, verb: str, home: str) -> None:
    jobs = await claimed(engine, "a")
    assert await engine.settle(group(verb, *jobs, info=b"told", keep_count=-1)) == b"1"
    assert await engine.zset(home) == {"a": engine.ms}
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.state, located.info) == (home, b"told")
    assert located.record[36:] == jobs[0].record[36:]


async def test_a_result_outlives_its_job(engine: Engine) -> None:
    jobs = await claimed(engine, "a")
    await engine.settle(group("complete", *jobs, info=b"result", ttl_ms=1000))
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.state, located.record, located.info) == ("finished", b"", b"result")
    assert await engine.zset("result.due") == {"a": engine.ms + 1000}


async def test_a_stale_fence_is_refused_and_changes_nothing(engine: Engine) -> None:
    jobs = await claimed(engine, "a", "b")
    await engine.scripts.release(engine.queue, owner="w1")
    again = (await engine.claim(owner="w2")).jobs
    before = await engine.dump()
    for verb in ("complete", "fail", "retry", "release", "unroutable"):
        assert await engine.settle(group(verb, *jobs, keep_count=-1)) == b"00"
        assert await engine.settle(group(verb, *jobs, keep_count=-1), owner="w2") == b"00"
    assert await engine.dump() == before
    assert await engine.settle(group("complete", *again), owner="w2") == b"11"


async def test_a_stale_one_among_others_is_refused_alone(engine: Engine) -> None:
    a, b, c = await claimed(engine, "a", "b", "c")
    forged = Claimed(b.id, b.record, b.fence + 1, None)
    assert await engine.settle(group("complete", a, forged, c)) == b"101"
    assert await engine.ids("active:w1") == ["b"]
    assert (await engine.stats())["completed:send@1"] == 2


async def test_a_delivery_settles_once(engine: Engine) -> None:
    a, b = await claimed(engine, "a", "b")
    verdict = await engine.settle(
        group("complete", a, a, b), group("fail", a, keep_count=-1), group("retry", b)
    )
    assert verdict == b"10100"
    assert (await engine.stats())["completed:send@1"] == 2


async def test_a_call_sent_again_applies_once(engine: Engine) -> None:
    a, b, c = await claimed(engine, "a", "b", "c")
    groups = (
        group("complete", a, ttl_ms=1000),
        group("retry", b, arg=500, info=b"x"),
        group("fail", c, keep_count=-1),
    )
    assert await engine.settle(*groups) == b"111"
    before = await engine.dump()
    engine.seqs["w1:settle"] -= 1
    await engine.advance(1)
    assert await engine.settle(*groups) == b"111"
    assert await engine.dump() == before


async def test_a_call_older_than_the_last_one_is_refused(engine: Engine) -> None:
    (a,) = await claimed(engine, "a")
    await engine.settle()
    await engine.settle()
    engine.seqs["w1:settle"] = 0
    with pytest.raises(ServerError, match="STALE"):
        await engine.settle(group("complete", a))
    assert await engine.ids("active:w1") == ["a"]


async def test_verdicts_come_in_the_order_given(engine: Engine) -> None:
    jobs = await claimed(engine, *"abcdefgh")
    stale = [Claimed(job.id, job.record, 1, None) for job in jobs]
    verdict = await engine.settle(
        group("complete", jobs[0], stale[1]), group("fail"), group("release", stale[2], jobs[3], jobs[4])
    )
    assert verdict == b"10011"


@pytest.mark.parametrize("verb", ["promote", "", "COMPLETE"])
async def test_an_unknown_verb_is_refused_with_all_of_its_call(engine: Engine, verb: str) -> None:
    a, b = await claimed(engine, "a", "b")
    before = await engine.dump()
    with pytest.raises(ServerError, match="BAD_VERB"):
        await engine.settle(group("complete", a), group(verb, b))
    assert await engine.dump() == before


async def test_a_retry_waits_until_it_is_due(engine: Engine) -> None:
    jobs = await claimed(engine, "a", priority=2)
    failure = AttemptInfo(1, engine.ms, 5, "w1", ErrorInfo("ValueError", "no"))
    assert await engine.settle(group("retry", *jobs, arg=1500, info=pack_history_entry(failure))) == b"1"
    assert await engine.zset("delayed") == {"a": (engine.ms + 1500) * 16 + 2}
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.entry.attempts, located.entry.ready_ms) == (1, engine.ms + 1500)
    assert parse_history(located.history) == [failure]
    assert (await engine.stats())["retried:send@1"] == 1
    await engine.advance(1.5)
    await engine.scripts.promote(engine.queue)
    assert await engine.zset("waiting") == {"a": (engine.ms - 30 * 60_000) * 1000}


async def test_a_retry_without_delay_goes_behind_what_waits(engine: Engine) -> None:
    jobs = await claimed(engine, "a")
    await engine.add("b")
    await engine.advance(0.001)
    await engine.settle(group("retry", *jobs))
    assert await engine.take() == ["b", "a"]


async def test_history_is_capped_and_the_oldest_attempts_go(engine: Engine) -> None:
    await engine.add("a")
    for attempt in (1, 2, 3):
        failure = AttemptInfo(attempt, engine.ms, 5, "w1", ErrorInfo("ValueError", "e" * 25_000))
        entry = pack_history_entry(failure)
        await engine.settle(group("retry", *(await engine.claim()).jobs, info=entry))
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert [each.attempt for each in parse_history(located.history)] == [2, 3]
    assert located.entry.attempts == 3
    # One that is too large for itself is left out.
    await engine.settle(group("retry", *(await engine.claim()).jobs, info=b"\0" * 65_537))
    assert (await engine.scripts.lookup(engine.queue, ids=["a"]))[0].history == located.history


async def test_what_no_history_is_makes_room(engine: Engine) -> None:
    await engine.add("a")
    for entry in (b"\0\0\1\0" + b"x" * 65_000, b"y" * 600):
        await engine.settle(group("retry", *(await engine.claim()).jobs, info=entry))
    assert len((await engine.scripts.lookup(engine.queue, ids=["a"]))[0].history) <= 65_536


async def test_a_released_job_gets_back_the_score_it_had(engine: Engine) -> None:
    await engine.add("a", priority=2)
    await engine.add("b", priority=5)
    await engine.add("c", delay_ms=3)
    await engine.advance(0.003)
    await engine.scripts.promote(engine.queue)
    before = await engine.zset("waiting")
    jobs = (await engine.claim()).jobs
    await engine.advance(60)
    assert await engine.settle(group("release", *jobs)) == b"111"
    assert await engine.zset("waiting") == before
    entries = [found.entry for found in await engine.scripts.lookup(engine.queue, ids=["a", "b", "c"])]
    assert [(entry.attempts, entry.crashes, entry.releases) for entry in entries] == [(0, 0, 1)] * 3


async def test_a_released_retry_gets_back_the_score_it_had(engine: Engine) -> None:
    jobs = await claimed(engine, "a", priority=4)
    await engine.settle(group("retry", *jobs, arg=250))
    await engine.advance(0.25)
    await engine.scripts.promote(engine.queue)
    before = await engine.zset("waiting")
    await engine.settle(group("release", *(await engine.claim()).jobs))
    assert await engine.zset("waiting") == before


async def test_an_unroutable_job_is_parked_free(engine: Engine) -> None:
    jobs = await claimed(engine, "a", "b")
    assert await engine.settle(group("unroutable", *jobs)) == b"11"
    assert await engine.zset("unroutable") == {"a": engine.ms, "b": engine.ms}
    assert await engine.hash("unroutable.names") == {"send@1": b"2"}
    assert await engine.hash("state") == {}


@pytest.mark.parametrize("flags", [OWN_ID, BIG])
async def test_what_flags_mark_is_cleared_away(engine: Engine, flags: int) -> None:
    if flags == BIG:
        await engine.add("a", envelope=b"x" * 70_000)
    else:
        await engine.add("a", flags=flags)
    await engine.settle(group("complete", *(await engine.claim()).jobs, arg=flags))
    assert await engine.call("EXISTS", "big:a") == 0
    assert list(await engine.zset("tomb")) == (["a"] if flags == OWN_ID else [])


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, ["e"]), (3, ["c", "d", "e"]), (-1, list("abcde"))])
async def test_retention_by_count(engine: Engine, keep: int, kept: list[str]) -> None:
    for job_id in "abcde":
        await engine.advance(1)
        await engine.settle(group("complete", *await claimed(engine, job_id), keep_count=keep))
    assert await engine.ids("completed") == kept
    assert sorted(await engine.hash("result")) == kept


async def test_retention_by_count_drops_at_most_twice_what_is_added(engine: Engine) -> None:
    for start in range(0, 100, 50):
        ids = [f"j{i:03}" for i in range(start, start + 50)]
        await engine.settle(group("fail", *await claimed(engine, *ids), keep_count=-1))
    await engine.settle(group("fail", *await claimed(engine, "x", "y"), keep_count=10))
    assert len(await engine.ids("failed")) == 98


async def test_retention_by_bytes(engine: Engine) -> None:
    for job_id in "abcde":
        await engine.advance(1)
        await engine.add(job_id, envelope=b"x" * 1000)
        await engine.settle(group("fail", *(await engine.claim()).jobs, keep_count=-1, keep_bytes=2500))
    assert await engine.ids("failed") == ["d", "e"]


async def test_retention_by_bytes_counts_large_envelopes(engine: Engine) -> None:
    for job_id in "abc":
        await engine.advance(1)
        await engine.add(job_id, envelope=b"x" * 100_000)
        jobs = (await engine.claim()).jobs
        await engine.settle(group("fail", *jobs, arg=BIG, keep_count=-1, keep_bytes=250_000))
    assert await engine.ids("failed") == ["b", "c"]


async def test_retention_by_bytes_counts_results_histories_and_logs(engine: Engine) -> None:
    for job_id in "abc":
        await engine.advance(1)
        jobs = await claimed(engine, job_id)
        await engine.settle(group("complete", *jobs, info=b"r" * 1000, keep_count=-1, keep_bytes=2500))
    assert await engine.ids("completed") == ["b", "c"]
    for job_id in "def":
        await engine.advance(1)
        failure = pack_history_entry(AttemptInfo(1, 1, 1, "w", ErrorInfo("E", "", "s" * 1000)))
        await engine.settle(group("retry", *await claimed(engine, job_id), info=failure))
        (job,) = (await engine.claim()).jobs
        line = [job.id, job.fence, 1, 0, b"l" * 1000]
        await engine.scripts.log(engine.queue, owner="w1", max_lines=9, max_bytes=5000, items=line)
        await engine.settle(group("fail", job, info=b"r" * 500, keep_count=-1, keep_bytes=6000))
    assert await engine.ids("failed") == ["e", "f"]
    assert await engine.scripts.retry(engine.queue, ids=["e"]) == ["1"]
    await engine.scripts.clean(engine.queue, home="failed", age_ms=0, limit=500)
    await engine.scripts.clean(engine.queue, home="completed", age_ms=0, limit=500)
    meta = await engine.hash("meta")
    assert (meta["bytes:completed"], meta["bytes:failed"]) == (b"0", b"0")


async def test_both_limits_drop_no_more_than_they_must(engine: Engine) -> None:
    for job_id in "abcd":
        await engine.advance(1)
        await engine.add(job_id, envelope=b"x" * 1000)
        jobs = (await engine.claim()).jobs
        await engine.settle(group("fail", *jobs, keep_count=3, keep_bytes=3200))
    assert await engine.ids("failed") == ["b", "c", "d"]


async def test_retention_by_age(engine: Engine) -> None:
    for job_id in "ab":
        await engine.settle(
            group("complete", *await claimed(engine, job_id), keep_count=-1, keep_age_ms=5000)
        )
        await engine.advance(3)
    assert await engine.scripts.trim(engine.queue) == 1
    assert await engine.ids("completed") == ["b"]


async def test_the_queue_decides_what_a_job_leaves_to_it(engine: Engine) -> None:
    kept = {"keep:completed:count": "2", "keep:completed:age": "5000"}
    await engine.scripts.declare(engine.queue, definition="d", fields=kept)
    for job_id in "abc":
        await engine.advance(1)
        await engine.settle(group("complete", *await claimed(engine, job_id), keep_count=-2))
    assert await engine.ids("completed") == ["b", "c"]
    await engine.advance(4)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("completed") == ["c"]


async def test_a_queue_that_says_nothing_keeps_what_failed(engine: Engine) -> None:
    await engine.settle(group("fail", *await claimed(engine, "a"), keep_count=-2))
    await engine.advance(86_400 * 30)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("failed") == ["a"]


async def test_kept_jobs_lose_their_progress_and_keep_their_history(engine: Engine) -> None:
    (job,) = await claimed(engine, "a")
    await engine.settle(group("retry", job, info=b"first"))
    (job,) = (await engine.claim()).jobs
    await engine.scripts.progress(engine.queue, owner="w1", items=["a", job.fence, b"50%"])
    await engine.settle(group("fail", job, keep_count=-1))
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert (located.progress, located.history, located.entry.attempts) == (b"", b"first", 1)


async def test_who_awaits_is_told(engine: Engine, wakes: Wakes) -> None:
    jobs = await claimed(engine, "a", "b")
    for inbox in ("i1", "i2"):
        await wakes.listen_inbox(inbox)
        await engine.scripts.await_(engine.queue, inbox=inbox, job_id="a")
    await engine.settle(group("complete", jobs[0]), group("fail", jobs[1]))
    assert sorted(await wakes.heard()) == ["i1: completed a", "i2: completed a"]
    assert await engine.hash("waiters") == {}


async def test_a_retry_tells_nobody(engine: Engine, wakes: Wakes) -> None:
    jobs = await claimed(engine, "a")
    await wakes.listen_inbox("i")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await engine.settle(group("retry", *jobs, arg=1000))
    assert await wakes.heard() == []


async def test_the_earliest_retry_of_a_call_wakes_one_to_set_its_alarm(engine: Engine, wakes: Wakes) -> None:
    jobs = await claimed(engine, "a", "b", "c")
    await engine.add("d", delay_ms=5000)
    await wakes.listen("w2")
    assert (await engine.claim(1, owner="w2")).alarm_ms == 5000
    items: list[Encodable] = []
    for job, delay in zip(jobs, (9000, 1000, 7000), strict=True):
        items += (job.id, job.fence, delay, b"")
    await engine.settle(Group(verb="retry", name="send@1", items=items))
    assert await wakes.heard() == ["w2"]
    assert (await engine.claim(1, owner="w2")).alarm_ms == 1000


async def test_a_released_job_wakes_an_idle_owner(engine: Engine, wakes: Wakes) -> None:
    jobs = await claimed(engine, "a")
    await wakes.listen("w2")
    await engine.claim(1, owner="w2")
    await engine.settle(group("release", *jobs))
    assert await wakes.heard() == ["w2"]


async def test_a_job_whose_record_is_gone_holds_up_nobody(damaged: Engine) -> None:
    await damaged.add("a", "b", "c")
    jobs = (await damaged.claim()).jobs
    await damaged.call("HDEL", "rec", "a", "b")
    assert await damaged.settle(group("retry", jobs[0], jobs[2]), group("complete", jobs[1])) == b"111"
    assert await damaged.ids("active:w1") == []
    assert await damaged.ids("waiting") == ["c"]


async def test_large_batches_settle(engine: Engine) -> None:
    ids = [f"j{i:04}" for i in range(500)]
    await engine.add(*ids, flags=OWN_ID)
    jobs = (await engine.claim(500)).jobs
    assert await engine.settle(group("fail", *jobs, arg=OWN_ID, keep_count=0, ttl_ms=100)) == b"1" * 500
    assert await engine.hash("rec") == {}
