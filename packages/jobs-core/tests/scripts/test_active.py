from tests.support.engine import Engine


async def test_what_runs_is_counted_by_name_over_all_owners(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.add("c", name="read@2")
    await engine.claim(2, owner="w1")
    await engine.claim(1, owner="w2")
    assert await engine.scripts.active(engine.queue) == {"": 0, "send@1": 2, "read@2": 1}


async def test_what_is_beyond_the_bound_is_one_number(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(540)))
    for _ in range(5):
        await engine.claim(128, owner="w1")
    assert await engine.scripts.active(engine.queue) == {"": 28, "send@1": 512}


async def test_large_records_are_not_all_read(engine: Engine) -> None:
    await engine.add(*(f"j{i:02}" for i in range(40)), envelope=b"x" * 60_000)
    await engine.claim(max_bytes=9_999_999)
    assert await engine.scripts.active(engine.queue) == {"": 24, "send@1": 16}


async def test_a_queue_nobody_used_runs_nothing(engine: Engine) -> None:
    assert await engine.scripts.active(engine.queue) == {"": 0}
