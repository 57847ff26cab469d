import pytest
from tests.support.engine import Engine

from jobs_core.errors import OwnerGone, ServerError


async def beat(engine: Engine, *owners: str, lease_ms: int = 20_000) -> tuple[list[str], list[str]]:
    reply = await engine.scripts.beat(engine.queue, lease_ms=lease_ms, owners=owners)
    return reply.gone, reply.silent


async def test_leases_are_renewed(engine: Engine) -> None:
    await engine.claim(owner="w1")
    await engine.claim(owner="w2")
    await engine.advance(5)
    assert await beat(engine, "w1", "w2") == ([], [])
    assert await engine.zset("owners") == {"w1": 25_000, "w2": 25_000}


async def test_without_owners_it_only_looks(engine: Engine) -> None:
    assert await beat(engine) == ([], [])


async def test_unknown_and_dead_owners_are_gone(engine: Engine) -> None:
    await engine.claim(owner="w1")
    await engine.claim(owner="w2")
    await engine.scripts.release(engine.queue, owner="w2")
    before = (await engine.zset("owners"))["w2"]
    assert await beat(engine, "w1", "w2", "w3") == (["w2", "w3"], [])
    assert (await engine.zset("owners"))["w2"] == before


async def test_an_owner_whose_lease_ran_out_is_silent(engine: Engine) -> None:
    await engine.claim(owner="w1")
    await engine.claim(owner="w2")
    for _ in range(3):
        await engine.advance(5)
        assert await beat(engine, "w2") == ([], [])
    await engine.advance(5)
    assert await beat(engine, "w2") == ([], ["w1"])


async def test_a_late_beat_revives_an_owner_that_nobody_reaped(engine: Engine) -> None:
    await engine.claim(owner="w1")
    for _ in range(5):
        await engine.advance(5)
        await beat(engine)
    assert await beat(engine, "w1") == ([], [])


@pytest.mark.parametrize("jump", [6, 30, 3600, -3600, 10**9])
async def test_a_clock_jump_costs_a_lease_at_most_5_seconds(engine: Engine, jump: int) -> None:
    await engine.claim()
    await engine.advance(jump)
    assert await beat(engine) == ([], [])
    assert int((await engine.hash("meta"))["lease"]) == (5000 if jump > 0 else 0)
    with pytest.raises(ServerError, match="OWNER_ALIVE"):
        await engine.scripts.reap(engine.queue, owner="w1")
    await engine.claim(register=False)


async def test_an_outage_kills_nobody_who_comes_back(engine: Engine) -> None:
    await engine.claim(owner="w1")
    await engine.claim(owner="w2")
    await engine.advance(120)
    assert await beat(engine, "w2") == ([], [])
    await engine.advance(5)
    assert await beat(engine, "w1") == ([], [])


async def test_a_dead_one_is_found_though_the_clock_stands_now_and_then(engine: Engine) -> None:
    await engine.claim(owner="dead")
    seconds = 0.0
    while await beat(engine, "w2") != (["w2"], ["dead"]):
        await engine.advance(1)
        await beat(engine)
        seconds += 1
    assert seconds == 20


@pytest.mark.parametrize("step", [0.001, 0.05, 0.099, 0.1, 0.3])
async def test_frequent_calls_do_not_slow_the_lease_clock(engine: Engine, step: float) -> None:
    await engine.claim(0)
    for _ in range(20):
        await engine.advance(step)
        await engine.claim(0)
    await engine.advance(0.2)
    await beat(engine)
    assert int((await engine.hash("meta"))["lease"]) == round((20 * step + 0.2) * 1000)


async def test_an_owner_that_is_dead_and_not_empty_is_silent_too(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(130)))
    await engine.claim(128)
    await engine.claim(128)
    assert (await engine.scripts.release(engine.queue, owner="w1")).left == 2
    assert await beat(engine) == ([], ["w1"])
    with pytest.raises(OwnerGone):
        await engine.claim()
    assert (await engine.scripts.reap(engine.queue, owner="w1")).left == 0
    assert await beat(engine) == ([], [])


async def test_at_most_16_silent_owners_are_told(engine: Engine) -> None:
    for i in range(20):
        await engine.claim(owner=f"w{i}")
    for _ in range(3):
        await engine.advance(5)
        assert await beat(engine) == ([], [])
    await engine.advance(5)
    assert len((await beat(engine))[1]) == 16


async def test_beats_may_be_sent_again(engine: Engine) -> None:
    await engine.claim()
    await engine.advance(5)
    await beat(engine, "w1")
    before = await engine.dump()
    assert await beat(engine, "w1") == ([], [])
    assert await engine.dump() == before
