import pytest
from tests.support.engine import Engine


async def walked(engine: Engine, key: str, *only: str) -> list[str]:
    members: list[str] = []
    cursor, steps = "0", 0
    while cursor != "0" or not steps:
        cursor, some = await engine.scripts.walk(engine.queue, key=key, cursor=cursor, count=10, only=only)
        members += some
        steps += 1
    return sorted(set(members))


@pytest.mark.parametrize("key", ["rec", "waiting"])
async def test_every_member_is_named(engine: Engine, key: str) -> None:
    ids = sorted(str(i) for i in range(700))
    for at in range(0, 700, 100):
        await engine.add(*ids[at : at + 100])
    assert await walked(engine, key) == ids
    _, some = await engine.scripts.walk(engine.queue, key=key, count=10)
    assert len(some) < 100


async def test_the_larger_the_values_the_fewer_are_read_at_once(engine: Engine) -> None:
    for i in range(600):
        await engine.add(str(i), envelope=b"x" * (30_000 if i % 2 else 10))
    cursor, sizes = "0", list[int]()
    while cursor != "0" or not sizes:
        cursor, some = await engine.scripts.walk(engine.queue, key="rec", cursor=cursor, count=500)
        sizes.append(len(some))
    assert sum(sizes) >= 600
    assert max(sizes) < 80


async def test_strays_are_ids_without_a_record(damaged: Engine) -> None:
    await damaged.add("1", "2")
    await damaged.call("ZADD", "waiting", 1, "ghost")
    assert await walked(damaged, "waiting", "strays") == ["ghost"]
    assert await walked(damaged, "waiting") == ["1", "2", "ghost"]


@pytest.mark.parametrize("key", ["rec", "cfg"])
async def test_nothing_to_walk_is_the_end(damaged: Engine, key: str) -> None:
    assert await damaged.scripts.walk(damaged.queue, key=key) == ("0", [])
    await damaged.call("SET", key, "of another type")
    assert await damaged.scripts.walk(damaged.queue, key=key) == ("0", [])
