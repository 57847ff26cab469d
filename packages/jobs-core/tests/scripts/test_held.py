"""What an owner holds, page by page."""

from tests.support.engine import Engine


async def test_deliveries_of_an_owner_are_named_oldest_first(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(602)))
    claimed = [job for _ in range(6) for job in (await engine.claim()).jobs]
    await engine.claim(2, owner="w2")
    first = await engine.scripts.held(engine.queue, owner="w1")
    assert first == {job.fence: job.id for job in claimed[:500]}
    rest = await engine.scripts.held(engine.queue, owner="w1", after=max(first))
    assert rest == {job.fence: job.id for job in claimed[500:]}
    assert await engine.scripts.held(engine.queue, owner="w1", after=max(rest)) == {}
    assert [*(await engine.scripts.held(engine.queue, owner="w2")).values()] == ["j600", "j601"]
    assert await engine.scripts.held(engine.queue, owner="nobody") == {}
