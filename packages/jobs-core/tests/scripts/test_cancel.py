from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.keys import wake_channel
from jobs_core.scripts import Claimed, Group, Located
from jobs_core.told import Batch, pack_batches, parse_events, parse_rows
from jobs_core.wire import (
    BIG,
    OWN_ID,
    ErrorInfo,
    FinishInfo,
    Others,
    encode_finish,
    end_note,
    parse_history,
    parse_state,
)

Bring = Callable[[Engine], Awaitable[object]]


async def cancel(engine: Engine, *ids: str) -> list[str]:
    return (await engine.scripts.cancel(engine.queue, ids=ids)).verdicts


async def located(engine: Engine, job_id: str) -> Located:
    return (await engine.scripts.lookup(engine.queue, ids=[job_id]))[0]


async def running(engine: Engine, *ids: str, flags: int = 0) -> list[Claimed]:
    await engine.add(*ids, flags=flags)
    return (await engine.claim(len(ids))).jobs


async def waiting(engine: Engine) -> None:
    await engine.add("a")


async def delayed(engine: Engine) -> None:
    await engine.add("a", delay_ms=1000)


async def retried(engine: Engine) -> None:
    await engine.settle(group("retry", *await running(engine, "a"), arg=500, info=b"history"))


async def parked(engine: Engine) -> None:
    await engine.settle(group("unroutable", *await running(engine, "a")))


async def active(engine: Engine) -> None:
    await running(engine, "a")


async def completed(engine: Engine) -> None:
    await engine.settle(group("complete", *await running(engine, "a"), keep_count=-1))


async def failed(engine: Engine) -> None:
    await engine.settle(group("fail", *await running(engine, "a"), keep_count=-1))


async def cancelled(engine: Engine) -> None:
    await engine.add("a")
    await cancel(engine, "a")


async def told(engine: Engine) -> None:
    await engine.settle(group("complete", *await running(engine, "a"), ttl_ms=1000))


async def gone(engine: Engine) -> None:
    await engine.settle(group("complete", *await running(engine, "a")))


async def gone_own(engine: Engine) -> None:
    await engine.settle(group("complete", *await running(engine, "a", flags=OWN_ID), arg=OWN_ID))


async def nothing(engine: Engine) -> None:
    await engine.add("b")


@pytest.mark.parametrize(
    ("bring", "verdict", "state"),
    [
        (waiting, "cancelled", "cancelled"),
        (delayed, "cancelled", "cancelled"),
        (retried, "cancelled", "cancelled"),
        (parked, "cancelled", "cancelled"),
        (active, "requested", "active"),
        (completed, "already_finished", "completed"),
        (failed, "already_finished", "failed"),
        (cancelled, "already_finished", "cancelled"),
        (told, "already_finished", "finished"),
        (gone, "not_found", ""),
        (gone_own, "already_finished", ""),
        (nothing, "not_found", ""),
    ],
)
async def test_cancel_of_a_job_in_every_state(engine: Engine, bring: Bring, verdict: str, state: str) -> None:
    await bring(engine)
    assert await cancel(engine, "a") == [verdict]
    assert await engine.state("a") == state


async def test_what_is_told_of_a_cancelled_job(engine: Engine) -> None:
    await retried(engine)
    await engine.advance(0.1)
    await cancel(engine, "a")
    found = await located(engine, "a")
    assert end_note(found.info) == ("cancelled", (engine.ms,))
    assert found.entry.attempts == 1
    assert found.history == b"history"
    assert (await engine.stats())["cancelled:send@1"] == 1


async def test_parked_jobs_are_no_longer_counted(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs))
    await cancel(engine, "a")
    assert await engine.hash("unroutable.names") == {"send@1": b"1"}


async def test_a_large_job_with_its_own_id(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID, envelope=b"x" * 70_000)
    assert await cancel(engine, "a") == ["cancelled"]
    assert int((await located(engine, "a")).record[1]) == OWN_ID | BIG


async def test_a_queue_that_nobody_used_is_not_made(engine: Engine) -> None:
    assert await cancel(engine, "a", "b") == ["not_found", "not_found"]
    assert await engine.client.call("KEYS", engine.scripts.key(engine.queue) + "*") == []


async def test_ids_named_twice_and_none(engine: Engine) -> None:
    await engine.add("a")
    assert await cancel(engine, "a", "x", "a") == ["cancelled", "not_found", "cancelled"]
    assert await cancel(engine) == []
    assert (await engine.stats())["cancelled:send@1"] == 1


async def test_who_awaits_a_job_hears_that_it_was_cancelled(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a")
    await wakes.listen_inbox("i")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await cancel(engine, "a")
    assert await wakes.heard() == ["i: cancelled a"]


async def test_the_owner_of_a_running_job_is_told_which_delivery(engine: Engine) -> None:
    (job,) = await running(engine, "a")
    heard: list[bytes] = []
    engine.client.subscribe(wake_channel(engine.key, "w1"), heard.append)
    assert await cancel(engine, "a") == ["requested"]
    # Servers differ in whether the message or the answer comes first.
    await engine.client.call("PING")
    assert heard == [f"cancel a {job.fence}".encode()]
    assert await engine.scripts.cancels(engine.queue, ids=["a", "b"]) == [job.fence, None]
    assert parse_state((await engine.hash("state"))["a"]).cancel == 1


@pytest.mark.parametrize("verb", ["fail", "retry", "snooze", "limit", "release", "unroutable"])
@pytest.mark.parametrize("arg", [0, 500])
async def test_a_job_that_is_to_stop_is_not_put_back(engine: Engine, verb: str, arg: int) -> None:
    jobs = await running(engine, "a", "b")
    await cancel(engine, "a")
    assert await engine.settle(group(verb, *jobs, arg=arg, keep_count=-1)) == b"c1"
    assert await engine.state("a") == "cancelled"
    assert await engine.state("b") in {"failed", "waiting", "delayed", "unroutable"}
    stats = await engine.stats()
    assert stats["cancelled:send@1"] == 1
    assert sum(stats.get(f"{each}:send@1", 0) for each in ("failed", "retried", "snoozed", "limited")) == (
        verb not in {"release", "unroutable"}
    )


@pytest.mark.parametrize(("verb", "state"), [("complete", "completed"), ("cancel", "cancelled")])
async def test_a_job_that_ended_meanwhile_ended_so(engine: Engine, verb: str, state: str) -> None:
    jobs = await running(engine, "a")
    await cancel(engine, "a")
    assert await engine.settle(group(verb, *jobs, keep_count=-1, info=b"\x90")) == b"1"
    assert await engine.state("a") == state
    assert await engine.hash("cancels") == {}


async def test_a_dead_workers_job_that_was_to_stop_is_cancelled(engine: Engine) -> None:
    await running(engine, "a", "b")
    await cancel(engine, "a")
    given = await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    assert (given.ids, given.poisoned) == (["b"], [])
    assert await engine.state("a") == "cancelled"
    assert (await located(engine, "a")).entry.crashes == 1


async def test_a_reaped_job_that_was_to_stop_is_cancelled(engine: Engine) -> None:
    await running(engine, "a")
    await cancel(engine, "a")
    for _ in range(5):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=1, owners=[])
    assert (await engine.scripts.reap(engine.queue, owner="w1")).ids == []
    assert await engine.state("a") == "cancelled"


async def test_a_later_job_of_the_same_id_is_not_concerned(engine: Engine) -> None:
    jobs = await running(engine, "a")
    await cancel(engine, "a")
    await engine.settle(group("complete", *jobs))
    (again,) = await running(engine, "a")
    assert again.state is None
    assert await engine.scripts.cancels(engine.queue, ids=["a"]) == [None]


async def test_a_cancel_that_crosses_a_final_failure_counts(engine: Engine) -> None:
    jobs = await running(engine, "a", "b")
    await cancel(engine, "a")
    ended = Batch("failed", "send@1", [each.id for each in jobs], [1, 1], [1, 1], [2, 2], [3, 3], [4, 4])
    tell = Group("tell", "", [2, pack_batches("w", [ended]), 1, ""])
    groups = [group("fail", *jobs, keep_count=-1, info=failure()), tell]
    verdict = await engine.settle(*groups)
    assert verdict == b"c1"
    found = await located(engine, "a")
    assert (found.state, found.entry.attempts) == ("cancelled", 1)
    assert [(each.attempt, each.error.message) for each in parse_history(found.history)] == [(1, "no")]
    assert await engine.state("b") == "failed"
    # No dead letter, one row and one event of each.
    (entry,) = (await engine.scripts.outbox(engine.queue)).entries
    assert len(entry.effects) == 1
    assert await told_rows(engine) == {("a", "cancelled"), ("b", "failed")}
    assert await told_events(engine) == {("a", "cancelled"), ("b", "failed")}
    # The same call sent again gets the same answer.
    engine.seqs["w1:settle"] -= 1
    assert await engine.settle(*groups) == verdict


def failure() -> bytes:
    info = FinishInfo("failed", "send@1", 3, 1, 0, 2, 3, 4, 1, 1, 0, "w", error=ErrorInfo("ValueError", "no"))
    return encode_finish(info)


async def told_rows(engine: Engine) -> set[tuple[str, str]]:
    entries = cast("list[list[list[bytes]]]", await engine.call("XRANGE", "rows", "-", "+"))
    return {(row.id, row.outcome) for _, fields in entries for row, _ in parse_rows(fields)}


async def told_events(engine: Engine) -> set[tuple[str, str]]:
    entries = cast("list[tuple[bytes, list[bytes]]]", await engine.call("XRANGE", "events", "-", "+"))
    told = [each.told for entry, fields in entries for each in parse_events(entry, fields)[1]]
    return {(each.id, each.kind) for each in told if each.kind not in {"added", "active"}}


async def test_cancelled_again_changes_nothing(engine: Engine) -> None:
    await running(engine, "a")
    await engine.add("b")
    await cancel(engine, "a", "b")
    before = await engine.dump()
    assert await cancel(engine, "a", "b") == ["requested", "already_finished"]
    assert await engine.dump() == before


async def test_a_settled_cancellation_leaves_what_the_worker_tells(engine: Engine) -> None:
    jobs = await running(engine, "a")
    await engine.settle(group("cancel", *jobs, keep_count=-2, info=b"\x91told"))
    found = await located(engine, "a")
    assert (found.state, found.info) == ("cancelled", b"\x91told")
    assert (await engine.stats())["cancelled:send@1"] == 1


@pytest.mark.parametrize(("verb", "total"), [("snooze", "snoozed"), ("limit", "limited")])
async def test_a_snooze_is_no_attempt_and_keeps_budgets_and_priority(
    engine: Engine, verb: str, total: str
) -> None:
    await engine.add("a", priority=1)
    await engine.settle(group("retry", *(await engine.claim()).jobs, info=b"x"))
    await engine.settle(group(verb, *(await engine.claim()).jobs, arg=700))
    assert await engine.zset("delayed") == {"a": (engine.ms + 700) * 16 + 1}
    entry = parse_state((await engine.hash("state"))["a"])
    assert (entry.attempts, entry.crashes, entry.releases, entry.ready_ms) == (1, 0, 1, engine.ms + 700)
    assert (await engine.stats())[f"{total}:send@1"] == 1
    await engine.advance(0.7)
    assert await engine.take() == ["a"]
