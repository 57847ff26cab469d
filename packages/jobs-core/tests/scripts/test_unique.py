"""Unique keys: who holds one, what a new job with it comes to, and when it is let go of (F61 to F65)."""

from collections.abc import Awaitable, Callable

import pytest
from tests.support.engine import Engine, draft, group

from jobs_core.wire import BIG, OWN_ID, UNIQUE, Others, pack_drafts, parse_header

DONE, START, TTL = "dkey", "skey", "tkey"


async def add(
    engine: Engine, job_id: str, conflict: str = "skip", *, mode: str = DONE, **more: object
) -> str:
    """Enqueue a job with a unique key; tells the verdict, and who survives it."""
    options = ",".join(
        [
            f"conflict={conflict}",
            *(f"{name}={more.pop(name)}" for name in ("ttl", "max_wait", "expires") if name in more),
        ]
    )
    reply = await engine.add(job_id, unique=mode, options=options, **more)  # type: ignore[arg-type]
    return reply.decode().replace("\n", " ")


async def payload(engine: Engine, job_id: str) -> bytes:
    record = (await engine.hash("rec"))[job_id]
    return record[parse_header(record).size :]


async def finish(engine: Engine, verb: str = "complete", *, keep_count: int = 0) -> None:
    jobs = (await engine.claim()).jobs
    await engine.settle(group(verb, *jobs, arg=UNIQUE | OWN_ID, keep_count=keep_count))


async def test_a_second_job_is_skipped_while_the_first_is_there(engine: Engine) -> None:
    assert await add(engine, "a") == "1"
    assert await add(engine, "b") == "s a"
    claim = await engine.claim()
    assert await add(engine, "c") == "s a"
    await engine.settle(group("retry", *claim.jobs, arg=1000, info=b"h"))
    assert await add(engine, "d") == "s a"
    await engine.advance(1)
    await finish(engine)
    assert await add(engine, "e") == "1"
    assert await engine.hash("uniq") == {"key": b"e"}


async def test_until_start_lets_go_at_the_claim(engine: Engine) -> None:
    assert await add(engine, "a", mode=START) == "1"
    assert await add(engine, "b", mode=START) == "s a"
    claim = await engine.claim()
    assert await add(engine, "c", mode=START) == "1"
    # Its own retry is no conflict, and does not take from the other what that holds by now.
    await engine.settle(group("retry", *claim.jobs, arg=0, info=b"h"))
    assert await engine.take() == ["a", "c"]


async def test_until_ttl_outlives_the_job(engine: Engine) -> None:
    assert await add(engine, "a", mode=TTL, ttl=60_000) == "1"
    await finish(engine)
    assert await add(engine, "b", mode=TTL, ttl=60_000) == "s a"
    await engine.advance(60)
    assert await add(engine, "c", mode=TTL, ttl=60_000) == "1"
    await engine.advance(61)
    await engine.scripts.trim(engine.queue)
    assert await engine.hash("uniq") == {}


async def test_a_ttl_bounds_a_key_held_until_done(engine: Engine) -> None:
    assert await add(engine, "a", ttl=60_000) == "1"
    await engine.advance(60)
    assert await add(engine, "b", ttl=60_000) == "1"
    # The first lets go of nothing any more: it holds nothing.
    await engine.settle(group("complete", *(await engine.claim(1)).jobs, arg=UNIQUE))
    assert await engine.hash("uniq") == {"key": b"b"}


async def release(engine: Engine) -> None:
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")


async def poison(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)


async def expire(engine: Engine) -> None:
    await engine.advance(60)
    await engine.scripts.trim(engine.queue)


ENDS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "complete": finish,
    "complete and keep": lambda e: finish(e, keep_count=-1),
    "fail": lambda e: finish(e, "fail"),
    "fail and keep": lambda e: finish(e, "fail", keep_count=-1),
    "poison": poison,
    "expire": expire,
    "remove": lambda e: e.scripts.remove(e.queue, ids=["a"]),
    "drain": lambda e: e.scripts.drain(e.queue, home="waiting", limit=9),
}


@pytest.mark.parametrize("mode", [START, DONE])
@pytest.mark.parametrize("end", ENDS)
async def test_no_end_leaks_a_key(engine: Engine, end: str, mode: str) -> None:
    await add(engine, "a", mode=mode, expires=60_000)
    await ENDS[end](engine)
    assert await engine.hash("uniq") == {}
    assert await add(engine, "b", mode=mode) == "1"


@pytest.mark.parametrize("end", ["remove", "drain", "expire"])
async def test_a_job_that_never_ran_holds_no_key_for_a_time(engine: Engine, end: str) -> None:
    await add(engine, "a", mode=TTL, ttl=3_600_000, expires=60_000)
    await ENDS[end](engine)
    assert await add(engine, "b", mode=TTL, ttl=3_600_000) == "1"


async def test_a_pointer_to_nothing_is_taken_over(damaged: Engine) -> None:
    await damaged.call("HSET", "uniq", "key", "gone")
    assert await add(damaged, "a") == "1"
    await damaged.call("HSET", "uniq", "key", "other")
    await damaged.add("other")
    assert await add(damaged, "b") == "1"


async def test_the_error_names_who_is_there(engine: Engine) -> None:
    await add(engine, "a")
    assert await add(engine, "b", "error") == "x a"
    assert await engine.ids("waiting") == ["a"]


@pytest.mark.parametrize("delay_ms", [0, 5000])
async def test_replace_puts_the_newest_in_its_place(engine: Engine, delay_ms: int) -> None:
    await add(engine, "a", delay_ms=5000, envelope=b"old", flags=OWN_ID)
    assert await add(engine, "b", "replace", delay_ms=delay_ms, priority=1, envelope=b"new") == "r a"
    assert await payload(engine, "a") == b"new"
    header = parse_header((await engine.hash("rec"))["a"])
    assert (header.priority, header.flags & OWN_ID) == (1, OWN_ID)
    assert await engine.state("a") == ("delayed" if delay_ms else "waiting")
    await engine.advance(5)
    assert await engine.take() == ["a"]
    assert (await engine.stats())["added:send@1"] == 1


async def test_a_replaced_job_keeps_its_turn(engine: Engine) -> None:
    await add(engine, "a")
    await engine.add("b")
    await engine.advance(1)
    assert await add(engine, "c", "replace") == "r a"
    assert await engine.take() == ["a", "b"]


async def test_replace_delays_one_that_waited(engine: Engine) -> None:
    await add(engine, "a")
    assert await add(engine, "b", "replace", delay_ms=5000) == "r a"
    assert await engine.take() == []
    await engine.advance(5)
    assert await engine.take() == ["a"]


async def test_a_replaced_job_has_fresh_budgets(engine: Engine) -> None:
    await add(engine, "a")
    await engine.settle(group("retry", *(await engine.claim()).jobs, arg=5000, info=b"history"))
    assert await add(engine, "b", "replace", envelope=b"new") == "r a"
    (job,) = (await engine.claim()).jobs
    assert job.state is None or not any(job.state)
    assert await engine.hash("history") == {}


async def test_large_and_small_envelopes_replace_each_other(engine: Engine) -> None:
    await add(engine, "a")
    await add(engine, "b", "replace", envelope=b"x" * 70_000)
    assert parse_header((await engine.hash("rec"))["a"]).flags & BIG
    assert await engine.call("STRLEN", "big:a") == 70_000
    await add(engine, "c", "replace", envelope=b"small", delay_ms=5)
    assert await engine.call("EXISTS", "big:a") == 0


@pytest.mark.parametrize("conflict", ["replace", "keep_last"])
async def test_one_waits_behind_the_one_that_runs(engine: Engine, conflict: str) -> None:
    await add(engine, "a", conflict)
    held = (await engine.claim()).jobs
    assert await add(engine, "b", conflict, envelope=b"second") == "k b"
    assert await add(engine, "c", conflict, envelope=b"third") == "k b"
    assert await engine.state("b") == "blocked"
    assert await engine.take() == []
    await engine.settle(group("retry", *held, arg=1000, info=b"h"))
    assert await engine.take() == []
    await engine.advance(1)
    await finish(engine, "fail")
    assert await engine.hash("uniq") == {"key": b"b"}
    assert await engine.take() == ["b"]
    assert await payload(engine, "b") == b"third"
    assert (await engine.stats())["added:send@1"] == 2


async def test_one_that_waits_behind_may_be_delayed(engine: Engine) -> None:
    await add(engine, "a")
    held = (await engine.claim()).jobs
    assert await add(engine, "b", "replace", delay_ms=5000) == "k b"
    await engine.settle(group("complete", *held, arg=UNIQUE))
    assert await engine.state("b") == "delayed"
    await engine.advance(5)
    assert await engine.take() == ["b"]


async def test_one_that_waits_behind_can_go_away(engine: Engine) -> None:
    await add(engine, "a")
    held = (await engine.claim()).jobs
    await add(engine, "b", "replace", flags=OWN_ID)
    await engine.scripts.remove(engine.queue, ids=["b"])
    assert await add(engine, "c", "replace", expires=1000) == "k c"
    await engine.advance(1)
    await engine.scripts.trim(engine.queue)
    assert await engine.state("c") == "expired"
    await engine.settle(group("complete", *held, arg=UNIQUE))
    assert await engine.hash("uniq") == {}


@pytest.mark.parametrize("door", ["remove", "cancel"])
async def test_both_can_go_away_at_once(engine: Engine, door: str) -> None:
    await add(engine, "a")
    held = (await engine.claim()).jobs
    await add(engine, "b", "replace")
    await engine.settle(group("retry", *held, arg=1000, info=b"h"))
    await getattr(engine.scripts, door)(engine.queue, ids=["a", "b"])
    assert await engine.hash("uniq") == {}
    assert await engine.take() == []


async def test_a_repeat_of_a_call_changes_nothing_more(engine: Engine) -> None:
    await add(engine, "a")
    held = (await engine.claim()).jobs
    assert await add(engine, "b", "replace") == "k b"
    await engine.settle(group("complete", *held, arg=UNIQUE))
    engine.seqs["producer"] -= 1
    assert await add(engine, "b", "replace") == "k b"
    assert await engine.ids("waiting") == ["b"]


async def test_the_next_one_is_let_in_though_the_key_is_held_for_a_time(engine: Engine) -> None:
    await add(engine, "a", mode=TTL, ttl=60_000)
    held = (await engine.claim()).jobs
    assert await add(engine, "b", "keep_last", mode=TTL, ttl=60_000) == "k b"
    await engine.advance(61)
    await engine.scripts.trim(engine.queue)
    assert await add(engine, "c", "keep_last", mode=TTL, ttl=60_000) == "k b"
    await engine.settle(group("complete", *held, arg=UNIQUE))
    assert await engine.take() == ["b"]


async def test_keep_last_keeps_turn_priority_and_time(engine: Engine) -> None:
    await add(engine, "a", "keep_last", delay_ms=5000, envelope=b"old", priority=2)
    assert await add(engine, "b", "keep_last", priority=5, envelope=b"new") == "r a"
    assert await engine.state("a") == "delayed"
    await engine.advance(5)
    await engine.scripts.promote(engine.queue)
    before = await engine.zset("waiting")
    assert await add(engine, "c", "keep_last", envelope=b"newest") == "r a"
    assert await engine.zset("waiting") == before
    assert await payload(engine, "a") == b"newest"


async def test_extend_lengthens_the_time_and_postpones(engine: Engine) -> None:
    await add(engine, "a", mode=TTL, ttl=60_000, delay_ms=5000, expires=1000)
    await engine.advance(3)
    assert await add(engine, "b", "extend", mode=TTL, ttl=60_000, delay_ms=5000) == "e a"
    assert await engine.zset("uniq.due") == {"key": engine.ms + 60_000}
    assert await engine.zset("delayed") == {"a": (engine.ms + 5000) * 16 + 3}
    assert await engine.zset("expiring") == {"a": engine.ms + 6000}
    await engine.advance(5)
    await finish(engine)
    assert await add(engine, "c", "extend", mode=TTL, ttl=60_000) == "e a"
    assert await engine.zset("uniq.due") == {"key": engine.ms + 60_000}


async def test_debounce_postpones_up_to_a_limit(engine: Engine) -> None:
    start = engine.ms
    assert await add(engine, "a", "debounce", mode=START, max_wait=8000, delay_ms=5000) == "1"
    for i in range(4):
        await engine.advance(2)
        said = await add(
            engine, "b", "debounce", mode=START, max_wait=8000, delay_ms=5000, envelope=str(i).encode()
        )
        assert said == "r a"
        due = min(engine.ms + 5000, start + 8000)
        expected = {"a": due * 16 + 3} if due > engine.ms else {}
        assert await engine.zset("delayed") == expected
    assert await engine.take() == ["a"]
    assert await payload(engine, "a") == b"3"
    assert await add(engine, "c", "debounce", mode=START, max_wait=8000, delay_ms=5000) == "1"


async def test_jobs_of_one_call_meet_each_other(engine: Engine) -> None:
    jobs = pack_drafts(
        [
            *(draft(each, unique=DONE, options="conflict=skip") for each in ("a", "b")),
            draft("c", unique=DONE, options="conflict=replace", envelope=b"new"),
            draft("d", unique="dother", options="conflict=skip", delay_ms=5),
            draft("e", unique="dother", options="conflict=extend", delay_ms=10),
            draft("plain"),
        ]
    )
    reply = await engine.scripts.enqueue(engine.queue, session="s", seq=1, jobs=jobs)
    assert reply == b"1sr1e1\na\na\nd"
    assert await payload(engine, "a") == b"new"
    assert await engine.zset("delayed") == {"d": (engine.ms + 10) * 16 + 3}


async def test_an_own_id_stays_idempotent(engine: Engine) -> None:
    await add(engine, "mine", "replace", flags=OWN_ID, envelope=b"first")
    assert await add(engine, "mine", "replace", flags=OWN_ID, envelope=b"second") == "0"
    assert await payload(engine, "mine") == b"first"
    # A job that is not added does not use its id up.
    assert await add(engine, "other", flags=OWN_ID) == "s mine"
    await finish(engine)
    assert await add(engine, "other", flags=OWN_ID) == "1"


async def test_a_job_retried_by_hand_takes_its_key_again_if_it_is_free(engine: Engine) -> None:
    await add(engine, "a")
    await finish(engine, "fail", keep_count=-1)
    await engine.scripts.retry(engine.queue, ids=["a"])
    assert await add(engine, "b") == "s a"
    await finish(engine, "fail", keep_count=-1)
    assert await add(engine, "c") == "1"
    await engine.scripts.retry(engine.queue, ids=["a"])
    await engine.settle(group("complete", *(await engine.claim()).jobs, arg=UNIQUE))
    assert await engine.hash("uniq") == {}


async def test_a_parked_job_is_replaced_and_tried_again(engine: Engine) -> None:
    await add(engine, "a", name="send@9")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs, name="send@9"))
    assert await add(engine, "b", "replace") == "r a"
    assert await engine.hash("unroutable.names") == {}
    assert await engine.take() == ["a"]


async def test_a_full_queue_takes_no_more(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_depth": "3"})
    assert await engine.add("a", "b", delay_ms=5) == b"11"
    assert await engine.add("c", "d") == b"1f"
    assert await add(engine, "e", flags=OWN_ID) == "f"
    assert await engine.hash("uniq") == {}
    await engine.take()
    assert await add(engine, "e", flags=OWN_ID) == "1"
    # What adds none is not refused, and what waits behind counts.
    assert await add(engine, "f") == "s e"
    assert await add(engine, "g", "replace", delay_ms=9) == "r e"
    await engine.advance(1)
    await engine.take()
    assert await add(engine, "h", "replace") == "k h"
    assert await engine.add("i", "j", "k") == b"11f"


async def test_a_call_that_is_full_leaves_no_trace_of_who_waits_behind(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_depth": "1"})
    await add(engine, "a")
    held = (await engine.claim()).jobs
    await engine.add("filler")
    assert await add(engine, "b", "replace") == "f"
    await engine.settle(group("complete", *held, arg=UNIQUE))
    assert await engine.hash("uniq") == {}


@pytest.mark.parametrize("verb", ["release", "unroutable", "retry"])
async def test_a_newer_payload_does_not_let_a_job_expire_that_has_started(engine: Engine, verb: str) -> None:
    await engine.add("a", unique="dkey", options="conflict=keep_last,expires=1000")
    await engine.settle(group(verb, *(await engine.claim()).jobs, arg=500 if verb == "retry" else 0))
    assert await engine.add("b", unique="dkey", options="conflict=keep_last") == b"r\na"
    await engine.advance(2)
    await engine.scripts.trim(engine.queue)
    assert await engine.state("a") != "expired"
    assert await engine.zset("expiring") == {}
