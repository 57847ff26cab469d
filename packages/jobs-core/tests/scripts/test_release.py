from tests.support.engine import Engine, group

from jobs_core.wire import Others, parse_state


async def entries(engine: Engine, *ids: str) -> list[tuple[int, int, int]]:
    found = await engine.scripts.lookup(engine.queue, ids=ids)
    return [(each.entry.attempts, each.entry.crashes, each.entry.releases) for each in found]


async def suspects(engine: Engine, *ids: str) -> list[bool]:
    return [each.entry.suspect for each in await engine.scripts.lookup(engine.queue, ids=ids)]


async def test_jobs_of_an_owner_that_stops_wait_again_free(engine: Engine) -> None:
    await engine.add("a", "b")
    before = await engine.zset("waiting")
    await engine.claim()
    given = await engine.scripts.release(engine.queue, owner="w1")
    assert (sorted(given.ids), given.poisoned, given.left) == (["a", "b"], [], 0)
    assert await engine.zset("waiting") == before
    assert await entries(engine, "a", "b") == [(0, 0, 1)] * 2
    assert "stalled:send@1" not in await engine.stats()


async def test_only_the_culprits_are_charged(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1", culprits=["b", "nobody"])
    assert await entries(engine, "a", "b", "c") == [(0, 0, 1), (0, 1, 0), (0, 0, 1)]
    assert (await engine.stats())["stalled:send@1"] == 1


async def test_all_can_be_charged(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    assert await entries(engine, "a", "b") == [(0, 1, 0)] * 2


async def test_whoever_may_have_killed_the_worker_is_a_suspect_until_it_is_charged_or_has_run(
    engine: Engine,
) -> None:
    await engine.add("a", "b", "c")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1", culprits=["c"], others=Others.SUSPECT)
    assert await entries(engine, "a", "b", "c") == [(0, 0, 1), (0, 0, 1), (0, 1, 0)]
    assert await suspects(engine, "a", "b", "c") == [True, True, False]
    assert (await engine.stats())["stalled:send@1"] == 1
    claimed = await engine.claim(owner="w2")
    assert [parse_state(job.state).suspect for job in claimed.jobs] == [True, True, False]
    await engine.settle(group("retry", claimed.jobs[1]), owner="w2")
    await engine.scripts.release(engine.queue, owner="w2", culprits=["a"], others=Others.SUSPECT)
    assert await entries(engine, "a", "b", "c") == [(0, 1, 1), (1, 0, 1), (0, 1, 1)]
    assert await suspects(engine, "a", "b", "c") == [False] * 3


async def test_who_is_not_charged_is_not_failed(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    await engine.claim(owner="w2")
    given = await engine.scripts.release(engine.queue, owner="w2", culprits=["a"])
    assert (given.ids, given.poisoned) == (["b"], ["a"])


async def test_it_may_be_called_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")
    before = await engine.dump()
    given = await engine.scripts.release(engine.queue, owner="w1")
    assert (given.ids, given.left) == ([], 0)
    assert await engine.dump() == before


async def test_spent_attempts_are_kept(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs))
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")
    assert await entries(engine, "a") == [(1, 0, 1)]


async def test_at_most_128_jobs_a_call(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(200)))
    await engine.claim(200)
    assert (await engine.scripts.release(engine.queue, owner="w1")).left == 72
    assert await engine.zset("owners") == {"w1": -1}
    assert (await engine.scripts.release(engine.queue, owner="w1")).left == 0
    assert await engine.zset("owners") == {"w1": -engine.ms}


async def test_an_owner_that_never_claimed_is_dead_from_then_on(engine: Engine) -> None:
    await engine.scripts.release(engine.queue, owner="w9")
    assert await engine.zset("owners") == {"w9": -engine.ms}
