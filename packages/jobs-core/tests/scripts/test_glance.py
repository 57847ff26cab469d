from tests.support.engine import Engine, group

from jobs_core.scripts import Glance


async def test_a_queue_nobody_used_is_empty(engine: Engine) -> None:
    empty = Glance(
        waiting=0,
        delayed=0,
        unroutable=0,
        next_due_ms=None,
        paused=False,
        idle=0,
        lease_ends_ms=None,
        startable=False,
    )
    assert await engine.scripts.glance([engine.queue, "other"]) == {engine.queue: empty, "other": empty}
    assert await engine.scripts.glance([]) == {}


async def test_what_there_is_of_each(engine: Engine) -> None:
    await engine.add("a", "b")
    jobs = (await engine.claim(1)).jobs
    await engine.settle(group("unroutable", *jobs))
    await engine.add("c", delay_ms=5000)
    await engine.claim(0, free=1, owner="w2")
    await engine.scripts.pause(engine.queue)
    await engine.advance(2)
    assert (await engine.scripts.glance([engine.queue]))[engine.queue] == Glance(
        waiting=1,
        delayed=1,
        unroutable=1,
        next_due_ms=3000,
        paused=True,
        idle=1,
        lease_ends_ms=18_000,
        startable=False,
    )


async def test_what_is_due_is_due_now(engine: Engine) -> None:
    await engine.add("a", delay_ms=1000)
    await engine.advance(5)
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].next_due_ms == 0


async def test_a_lease_ends_by_time_that_was_observed(engine: Engine) -> None:
    await engine.claim()
    await engine.advance(60)
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].lease_ends_ms == 15_000


async def test_an_owner_that_was_not_drained_asks_for_attention_at_once(engine: Engine) -> None:
    await engine.add(*(f"j{i}" for i in range(130)))
    await engine.claim(130)
    await engine.scripts.release(engine.queue, owner="w1")
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].lease_ends_ms == 0


async def test_the_dead_do_not_count(engine: Engine) -> None:
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")
    glance = (await engine.scripts.glance([engine.queue]))[engine.queue]
    assert (glance.lease_ends_ms, glance.idle) == (None, 0)
