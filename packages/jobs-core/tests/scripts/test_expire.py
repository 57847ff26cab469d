"""A job with `expires_in` never starts late: whoever meets it first ends it as `expired`."""

import pytest
from tests.support.engine import Engine, group

from jobs_core.wire import EXPIRES, OWN_ID, end_note, parse_header

MINUTE = "expires=60000"


async def test_it_runs_while_there_is_time(engine: Engine) -> None:
    await engine.add("a", options=MINUTE)
    header = parse_header((await engine.hash("rec"))["a"])
    assert (header.flags, header.expires_ms) == (EXPIRES, engine.ms + 60_000)
    assert await engine.zset("expiring") == {"a": engine.ms + 60_000}
    await engine.advance(59.999)
    assert await engine.take() == ["a"]
    assert await engine.zset("expiring") == {}


@pytest.mark.parametrize("paused", [False, True])
async def test_a_claim_ends_what_is_too_late(engine: Engine, *, paused: bool) -> None:
    await engine.add("late", "later", options=MINUTE)
    await engine.add("fresh")
    if paused:
        await engine.scripts.pause(engine.queue)
    await engine.advance(60)
    assert await engine.take() == ([] if paused else ["fresh"])
    assert await engine.ids("expired") == ["late", "later"]
    assert await engine.stats() == {"added:send@1": 3, "expired:send@1": 2}
    assert end_note((await engine.hash("result"))["late"]) == ("expired", (engine.ms,))


async def test_time_counts_from_when_it_is_due(engine: Engine) -> None:
    await engine.add("a", options=MINUTE, delay_ms=90_000)
    await engine.advance(149)
    assert await engine.take() == ["a"]


@pytest.mark.parametrize("door", ["claim", "promote", "trim"])
@pytest.mark.parametrize("home", ["waiting", "delayed", "unroutable"])
async def test_every_sweep_meets_it_wherever_it_waits(engine: Engine, door: str, home: str) -> None:
    await engine.add("a", options=MINUTE, delay_ms=1000 if home == "delayed" else 0)
    if home == "unroutable":
        # A park follows a claim, which ends the expiry: such a job has been met by a worker in time.
        await engine.settle(group("unroutable", *(await engine.claim()).jobs))
        assert await engine.zset("expiring") == {}
        return
    await engine.advance(61)
    if door == "claim":
        assert await engine.take() == []
    elif door == "promote":
        await engine.scripts.promote(engine.queue)
    else:
        await engine.scripts.trim(engine.queue)
    assert await engine.state("a") == "expired"


async def test_one_that_started_in_time_is_retried_later(engine: Engine) -> None:
    await engine.add("a", options=MINUTE)
    claim = await engine.claim()
    await engine.settle(group("retry", *claim.jobs, arg=3_600_000, info=b"h"))
    await engine.advance(3600)
    assert await engine.take() == ["a"]
    await engine.scripts.release(engine.queue, owner="w1")
    assert await engine.take(owner="w2") == ["a"]


async def test_a_sweep_is_bounded_and_the_rest_is_passed_over(engine: Engine) -> None:
    late = [f"late{i:03}" for i in range(300)]
    await engine.add(*late, options=MINUTE)
    await engine.advance(60)
    await engine.add("fresh")
    assert await engine.take(400) == ["fresh"]
    assert len(await engine.ids("expired")) == 64
    for _ in range(4):
        assert await engine.take() == []
    assert len(await engine.ids("expired")) == 300


async def test_an_idle_worker_is_told_when_the_next_one_expires(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue)
    await engine.add("a", options=MINUTE)
    assert (await engine.claim()).alarm_ms == 60_000


async def test_removal_leaves_nothing_behind(engine: Engine) -> None:
    await engine.add("a", "b", "c", options=MINUTE, flags=OWN_ID)
    await engine.add("d", options=MINUTE, delay_ms=5000)
    await engine.scripts.remove(engine.queue, ids=["a"])
    await engine.scripts.drain(engine.queue, home="waiting", limit=1)
    await engine.scripts.drain(engine.queue, home="delayed", limit=1)
    assert await engine.ids("expiring") == ["c"]


async def test_large_jobs_and_own_ids_expire_too(engine: Engine) -> None:
    await engine.add("a", options=MINUTE, flags=OWN_ID, envelope=b"x" * 70_000)
    await engine.advance(60)
    await engine.claim()
    assert await engine.state("a") == "expired"
    assert await engine.add("a", flags=OWN_ID) == b"0"


async def test_who_awaits_it_hears_of_it(engine: Engine) -> None:
    await engine.add("a", options=MINUTE)
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await engine.advance(60)
    await engine.claim()
    assert await engine.hash("waiters") == {}
