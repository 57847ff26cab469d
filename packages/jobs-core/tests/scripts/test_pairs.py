"""What two features do to each other, and what is left when a call fails midway or its reply is lost."""

import pytest
from tests.support.engine import Engine, draft, group

from jobs_core.dead_letters import replay_arguments
from jobs_core.errors import JobsError
from jobs_core.scripts import Claimed
from jobs_core.wire import KEYED, OWN_ID, UNIQUE, Others


async def log(engine: Engine, job: Claimed) -> None:
    items = [job.id, job.fence, 1, 0, b"line"]
    await engine.scripts.log(engine.queue, owner="w1", max_lines=9, max_bytes=99, items=items)


@pytest.mark.parametrize("conflict", ["keep_last", "replace", "debounce", "extend"])
async def test_a_delayed_job_that_was_promoted_stays_ready_when_it_is_written_anew(
    engine: Engine, conflict: str
) -> None:
    await engine.add("a", unique="dkey", options="conflict=debounce", delay_ms=60_000)
    await engine.scripts.promote(engine.queue, ids=["a"])
    await engine.add("b", unique="dkey", options=f"conflict={conflict}", envelope=b"newer")
    assert await engine.take() == ["a"]


async def test_a_promoted_job_that_was_parked_is_ready_when_it_is_written_anew(engine: Engine) -> None:
    await engine.add("a", unique="dkey", options="conflict=skip", delay_ms=60_000)
    await engine.scripts.promote(engine.queue, ids=["a"])
    await engine.settle(group("unroutable", *(await engine.claim()).jobs))
    await engine.add("b", unique="dkey", options="conflict=keep_last", envelope=b"newer")
    assert await engine.take() == ["a"]


async def test_an_obliterated_queue_keeps_no_logs(engine: Engine) -> None:
    await engine.add("own", flags=OWN_ID)
    await engine.add("told")
    jobs = (await engine.claim()).jobs
    for job in jobs:
        await log(engine, job)
    await engine.settle(
        *(group("complete", job, arg=OWN_ID * (job.id == "own"), ttl_ms=9000) for job in jobs)
    )
    await engine.scripts.obliterate(engine.queue, force=False)
    await engine.add("own", flags=OWN_ID)
    jobs = (await engine.claim()).jobs
    await log(engine, jobs[0])
    while await engine.scripts.trim(engine.queue):
        pass
    assert set(await engine.hash("logs")) == {"own"}
    assert {each for each in await engine.dump() if each.startswith("log:")} == {"log:own"}


@pytest.mark.parametrize("delay_ms", [0, 60_000])
async def test_an_id_that_comes_back_after_an_obliteration_under_another_key_runs_once(
    engine: Engine, delay_ms: int
) -> None:
    await engine.declare(keyed=1)
    await engine.claim(0)
    await engine.add("x", flags=OWN_ID, key="a")
    await engine.scripts.obliterate(engine.queue, force=False)
    await engine.add("y", key="a")
    await engine.add("x", flags=OWN_ID, key="b", delay_ms=delay_ms)
    taken = [each for _ in range(4) for each in await engine.take(9)]
    assert sorted(taken) == (["x", "y"] if not delay_ms else ["y"])


async def test_an_obliterated_queue_is_keyed_again(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1)
    await engine.claim(0)
    for key in "abc":
        await engine.add(f"{key}1", f"{key}2", key=key)
    await engine.take(2)
    await engine.scripts.obliterate(engine.queue, force=True)
    for key in "abc":
        await engine.add(f"{key}3", f"{key}4", key=key)
    for _ in range(3):
        await engine.claim(0, owner="w2")
    assert sorted(await engine.take(9, owner="w2")) == ["a3", "b3", "c3"]


async def test_a_claim_of_nothing_whose_reply_is_lost_is_not_given_what_another_took(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim(0)
    other = await engine.scripts.claim(
        engine.queue, session="w1:other", seq=1, owner="w1", register=True, want=1, free=1
    )
    assert [job.id for job in other.jobs] == ["a"]
    engine.seqs["w1:claim"] -= 1
    assert (await engine.claim(0)).jobs == []


async def test_a_letter_that_is_parked_is_counted_out_when_its_job_is_replayed(engine: Engine) -> None:
    await engine.add("letter")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs))
    await engine.scripts.apply(
        engine.queue, source="s", epoch="1", entry=5, mark=5, effects=["clear", 1, "letter"]
    )
    assert await engine.hash("unroutable.names") == {}


async def test_a_pause_for_good_that_is_given_an_end_ends(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await engine.claim(0)
    await engine.add("a", key="k")
    await engine.scripts.pause(engine.queue, what="key:k")
    assert await engine.take() == []
    await engine.scripts.pause(engine.queue, what="key:k", for_ms=1000)
    assert await engine.take() == []
    await engine.advance(1)
    assert await engine.take() == ["a"]


@pytest.mark.parametrize("what", ["job:send", "key:k"])
async def test_a_pause_that_ended_by_itself_is_over(engine: Engine, what: str) -> None:
    assert await engine.scripts.pause(engine.queue, what=what, for_ms=1000) is True
    assert await engine.scripts.pause(engine.queue, what=what, for_ms=1000) is False
    await engine.advance(1)
    assert await engine.scripts.resume(engine.queue, what=what) is False
    assert await engine.scripts.pause(engine.queue, what=what, for_ms=1000) is True
    await engine.advance(1)
    assert await engine.scripts.pause(engine.queue, what=what, for_ms=1000) is True
    assert (await engine.tally()).pauses == 1
    await engine.advance(1)
    await engine.scripts.trim(engine.queue)
    cfg = await engine.hash("cfg")
    assert not [field for field in cfg if field.startswith(("pause:", "why:"))]
    assert cfg["pauses"] == b"0"


async def test_a_resumed_key_that_a_handler_held_back_stays_so(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await engine.claim(0)
    await engine.add("a", "b", key="k")
    (job,) = (await engine.claim(1)).jobs
    await engine.settle(group("limit", job, arg=5000, info=b"key"))
    await engine.scripts.pause(engine.queue, what="key:k")
    await engine.scripts.resume(engine.queue, what="key:k")
    assert await engine.take() == []
    await engine.advance(5)
    assert sorted(await engine.take()) == ["a", "b"]


async def test_a_replay_that_is_refused_changes_nothing(engine: Engine) -> None:
    await engine.add("a")
    await engine.fail("a")
    before = await engine.dump()
    bad = draft("b")
    jobs = [
        *replay_arguments("a"),
        *replay_arguments("b", failed_ms=1, job=(b"\x01\x00\x00\x09", bad.name.decode(), bad.body)),
    ]
    with pytest.raises(JobsError, match="BAD_RECORD"):
        await engine.scripts.replay(engine.queue, jobs=jobs)
    assert await engine.dump() == before


async def test_slots_are_free_of_what_was_settled_before_a_call_failed(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1, max_active=2)
    await engine.claim(0)
    await engine.add("a1", "a2", key="a")
    await engine.add("b1", "b2", key="b")
    one, two = (await engine.claim()).jobs
    await engine.call("SET", "failed", "of another type")
    with pytest.raises(JobsError, match="WRONGTYPE"):
        await engine.settle(group("complete", one), group("fail", two, keep_count=-1))
    await engine.call("DEL", "failed")
    assert await engine.take() == [f"{one.id[0]}2"]
    await engine.settle(group("fail", two, keep_count=-1))


async def test_slots_that_were_counted_wrong_are_counted_anew(engine: Engine) -> None:
    await engine.declare(max_active=1)
    await engine.add("a")
    await engine.take()
    await engine.run("a")
    flow = (await engine.hash("meta"))["flow"].split()
    await engine.call("HSET", "meta", "flow", b" ".join([b"7", *flow[1:]]))
    await engine.add("b")
    assert await engine.take() == []
    await engine.scripts.trim(engine.queue)
    assert await engine.take() == ["b"]


async def test_a_job_that_is_replayed_with_another_key_waits_below_that(engine: Engine) -> None:
    await engine.declare(keyed=1)
    await engine.claim(0)
    await engine.add("a", key="old")
    await engine.settle(group("fail", *(await engine.claim()).jobs, arg=KEYED, keep_count=-1))
    new = draft("a", key="new")
    job = (new.lead, new.name.decode(), new.body)
    await engine.scripts.replay(engine.queue, jobs=replay_arguments("a", edited=True, job=job))
    assert await engine.ids("k:new") == ["a"]
    assert await engine.take() == ["a"]


async def test_a_job_that_comes_back_from_its_letter_holds_its_unique_key(engine: Engine) -> None:
    await engine.add("a", unique="dkey", options="conflict=skip")
    await engine.settle(group("fail", *(await engine.claim()).jobs, arg=UNIQUE))
    new = draft("a", unique="dkey")
    job = (new.lead, new.name.decode(), new.body)
    assert await engine.scripts.replay(engine.queue, jobs=replay_arguments("a", failed_ms=engine.ms, job=job))
    assert await engine.add("b", unique="dkey", options="conflict=skip") == b"s\na"


async def test_poison_of_a_keyed_job_frees_its_slot_and_its_unique_key(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1, max_active=1, max_stalled=0)
    await engine.claim(0)
    await engine.add("a", key="k", unique="dkey", options="conflict=skip")
    assert await engine.take() == ["a"]
    await engine.add("b", key="k", unique="dkey", options="conflict=keep_last")
    await engine.add("c", key="k")
    assert await engine.state("b") == "blocked"
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    assert await engine.state("a") == "failed"
    assert sorted(await engine.take(owner="w2") + ["c"]) == ["b", "c"]


async def test_expiry_and_removal_of_the_last_job_of_a_key_at_its_limit_leave_nothing(engine: Engine) -> None:
    await engine.declare(keyed=1, key_active=1)
    await engine.claim(0)
    await engine.add("a", key="k")
    assert await engine.take() == ["a"]
    await engine.add("b", key="k", options="expires=1000")
    await engine.add("c", key="k")
    assert await engine.take() == []
    assert await engine.ids("kparked") == ["k"]
    await engine.scripts.cancel(engine.queue, ids=["c"])
    await engine.advance(1)
    await engine.scripts.promote(engine.queue)
    assert await engine.ids("kparked") == []
    await engine.run("a")
    assert not await engine.hash("kactive")


async def test_a_job_that_is_replayed_with_another_payload_takes_its_unique_key_again(engine: Engine) -> None:
    await engine.add("a", unique="dkey", options="conflict=skip")
    await engine.settle(group("fail", *(await engine.claim()).jobs, arg=UNIQUE, keep_count=-1))
    new = draft("a", unique="dkey", envelope=b"x" * 70_000)
    job = (new.lead, new.name.decode(), new.body)
    await engine.scripts.replay(engine.queue, jobs=replay_arguments("a", edited=True, job=job))
    assert await engine.add("b", unique="dkey", options="conflict=skip") == b"s\na"
    assert await engine.call("STRLEN", "big:a") == 70_000
