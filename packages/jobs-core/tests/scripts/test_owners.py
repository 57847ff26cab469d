from tests.support.engine import Engine

from jobs_core.scripts import Owner


async def test_leases_and_jobs_of_each(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.claim(2, owner="w1")
    await engine.advance(3)
    await engine.claim(2, owner="w2")
    await engine.scripts.release(engine.queue, owner="w2")
    await engine.advance(1)
    found = {each.owner: each for each in await engine.scripts.owners(engine.queue)}
    assert found["w1"] == Owner("w1", 16_000, 2, dead=False)
    assert (found["w2"].active, found["w2"].dead) == (0, True)


async def test_a_lease_that_ran_out_is_below_zero(engine: Engine) -> None:
    await engine.claim()
    for _ in range(5):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=())
    (found,) = await engine.scripts.owners(engine.queue)
    assert (found.lease_ms, found.dead) == (-5000, False)


async def test_a_queue_nobody_used_has_none(engine: Engine) -> None:
    assert await engine.scripts.owners(engine.queue) == []
