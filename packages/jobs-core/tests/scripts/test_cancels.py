from tests.support.engine import Engine, group


async def test_deliveries_that_are_to_stop_are_named_by_their_fences(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    a, b = (await engine.claim(2)).jobs
    await engine.scripts.cancel(engine.queue, ids=["a", "b", "c"])
    await engine.settle(group("complete", b))
    before = await engine.dump()
    assert await engine.scripts.cancels(engine.queue, ids=["a", "b", "c", "x"]) == [a.fence, None, None, None]
    assert await engine.scripts.cancels(engine.queue, ids=[]) == []
    assert await engine.dump() == before


async def test_a_glance_counts_them(engine: Engine) -> None:
    await engine.add("a")
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].cancels == 0
    await engine.claim()
    await engine.scripts.cancel(engine.queue, ids=["a"])
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].cancels == 1
