from tests.support.engine import Engine, group
from tests.support.wakes import Wakes


async def park(engine: Engine, *ids: str, name: str, priority: int = 3) -> None:
    await engine.add(*ids, name=name, priority=priority)
    await engine.settle(group("unroutable", *(await engine.claim(len(ids))).jobs, name=name))
    assert await engine.ids("waiting") == []


async def test_known_names_go_back_where_they_were(engine: Engine) -> None:
    await engine.add("probe", name="new@2", priority=2)
    before = await engine.zset("waiting")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs, name="new@2"))
    await park(engine, "b", name="other@1")
    await engine.advance(60)
    assert await engine.scripts.reroute(engine.queue, offset=0, names=["new@2"]) == (1, 2)
    assert await engine.zset("waiting") == before
    assert await engine.hash("unroutable.names") == {"other@1": b"1"}


async def test_a_retry_goes_back_where_it_was(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs, arg=1000))
    await engine.advance(1)
    await engine.scripts.promote(engine.queue)
    before = await engine.zset("waiting")
    await engine.settle(group("unroutable", *(await engine.claim()).jobs))
    await engine.advance(60)
    await engine.scripts.reroute(engine.queue, offset=0, names=["send@1"])
    assert await engine.zset("waiting") == before


async def test_a_star_knows_every_name(engine: Engine) -> None:
    await park(engine, "a", name="x@1")
    await park(engine, "b", "c", name="y@1")
    assert await engine.scripts.reroute(engine.queue, offset=0, names=["*"]) == (3, 3)
    assert await engine.hash("unroutable.names") == {}


async def test_an_offset_passes_over_what_stays(engine: Engine) -> None:
    await park(engine, *(f"x{i:03}" for i in range(300)), name="x@1")
    await engine.advance(1)
    await park(engine, "y", name="y@1")
    assert await engine.scripts.reroute(engine.queue, offset=0, names=["y@1"]) == (0, 256)
    assert await engine.scripts.reroute(engine.queue, offset=256, names=["y@1"]) == (1, 45)
    assert await engine.scripts.reroute(engine.queue, offset=300, names=["y@1"]) == (0, 0)


async def test_it_may_be_called_again(engine: Engine) -> None:
    await park(engine, "a", name="x@1")
    await engine.scripts.reroute(engine.queue, offset=0, names=["x@1"])
    before = await engine.dump()
    assert await engine.scripts.reroute(engine.queue, offset=0, names=["x@1"]) == (0, 0)
    assert await engine.dump() == before


async def test_it_wakes(engine: Engine, wakes: Wakes) -> None:
    await park(engine, "a", name="x@1")
    await wakes.listen("w2")
    await engine.claim(owner="w2")
    await engine.scripts.reroute(engine.queue, offset=0, names=["x@1"])
    assert await wakes.heard() == ["w2"]
