import pytest
from tests.support.engine import Engine
from tests.support.wakes import Wakes

from jobs_core.errors import ServerError
from jobs_core.wire import OWN_ID, Others, poison_counts


async def let_lease_end(engine: Engine) -> None:
    for _ in range(4):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=())


async def test_a_living_owner_is_not_reaped(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    with pytest.raises(ServerError, match="OWNER_ALIVE w1"):
        await engine.scripts.reap(engine.queue, owner="w1")
    assert await engine.ids("active:w1") == ["a"]


async def test_jobs_of_a_dead_owner_wait_again_where_they_were_and_are_charged(engine: Engine) -> None:
    await engine.add("a", priority=2)
    await engine.add("b", priority=5)
    before = await engine.zset("waiting")
    await engine.claim()
    await let_lease_end(engine)
    given = await engine.scripts.reap(engine.queue, owner="w1")
    assert (sorted(given.ids), given.poisoned, given.left) == (["a", "b"], [], 0)
    assert await engine.zset("waiting") == before
    entries = [found.entry for found in await engine.scripts.lookup(engine.queue, ids=["a", "b"])]
    assert [(entry.attempts, entry.crashes, entry.releases) for entry in entries] == [(0, 1, 0)] * 2
    assert (await engine.stats())["stalled:send@1"] == 2
    assert await engine.zset("owners") == {"w1": -engine.ms}


async def test_a_lease_that_ran_out_counts_as_lost_and_one_given_up_does_not(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.claim(1, owner="w1")
    await engine.claim(1, owner="w2")
    await engine.scripts.release(engine.queue, owner="w2", others=Others.CHARGED)
    assert "lost:send@1" not in await engine.stats()
    await let_lease_end(engine)
    await engine.scripts.reap(engine.queue, owner="w1")
    stats = await engine.stats()
    assert (stats["lost:send@1"], stats["stalled:send@1"]) == (1, 2)


async def test_it_may_be_called_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await let_lease_end(engine)
    await engine.scripts.reap(engine.queue, owner="w1")
    before = await engine.dump()
    given = await engine.scripts.reap(engine.queue, owner="w1")
    assert (given.ids, given.poisoned, given.left) == ([], [], 0)
    assert await engine.dump() == before


async def test_at_most_32_jobs_a_call(engine: Engine) -> None:
    await engine.add(*(f"j{i:03}" for i in range(300)))
    for _ in range(3):
        await engine.claim(128)
    await let_lease_end(engine)
    left = [(await engine.scripts.reap(engine.queue, owner="w1")).left for _ in range(10)]
    assert left == [*range(268, 0, -32), 0]
    assert len(await engine.ids("waiting")) == 300


async def test_dead_letters_and_records_of_at_most_256_kib_a_call(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    ids = [f"j{i:02}" for i in range(10)]
    await engine.add(*ids, envelope=b"x" * 200_000)
    await engine.claim(max_bytes=9_999_999)
    await let_lease_end(engine)
    left, poisoned = 1, list[int]()
    while left:
        given = await engine.scripts.reap(engine.queue, owner="w1")
        left = given.left
        poisoned.append(len(given.poisoned))
    assert poisoned == [2, 2, 2, 2, 2]


async def test_jobs_with_large_records_go_back_in_steps(engine: Engine) -> None:
    await engine.add(*(f"j{i:02}" for i in range(20)), envelope=b"x" * 60_000)
    await engine.claim(max_bytes=9_999_999)
    left = [(await engine.scripts.release(engine.queue, owner="w1")).left for _ in range(4)]
    assert left == [15, 10, 5, 0]
    assert len(await engine.ids("waiting")) == 20


@pytest.mark.parametrize(("max_stalled", "lives"), [(None, 3), (0, 0), (1, 1), (5, 5)])
async def test_a_job_over_its_crash_budget_is_poison(
    engine: Engine, max_stalled: int | None, lives: int
) -> None:
    if max_stalled is not None:
        await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": str(max_stalled)})
    await engine.add("a", flags=OWN_ID)
    for crash in range(lives + 1):
        await engine.claim(owner=f"w{crash}")
        await let_lease_end(engine)
        given = await engine.scripts.reap(engine.queue, owner=f"w{crash}")
        assert (given.ids, given.poisoned) == ((["a"], []) if crash < lives else ([], ["a"]))
    located = (await engine.scripts.lookup(engine.queue, ids=["a"]))[0]
    assert located.state == "failed"
    assert poison_counts(located.info) == (lives + 1, 0)
    assert located.entry.crashes == lives + 1
    assert (await engine.stats())["failed:send@1"] == 1


async def test_who_awaits_a_poisoned_job_is_told(engine: Engine, wakes: Wakes) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "0"})
    await engine.add("a")
    await wakes.listen_inbox("i")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await engine.claim()
    await let_lease_end(engine)
    await engine.scripts.reap(engine.queue, owner="w1")
    assert await wakes.heard() == ["i: failed a"]


async def test_idle_owners_are_woken_for_what_is_given_back(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a")
    await engine.claim()
    await let_lease_end(engine)
    await wakes.listen("w2")
    await engine.claim(owner="w2")
    await engine.scripts.reap(engine.queue, owner="w1")
    assert await wakes.heard() == ["w2"]


async def test_a_dead_owner_is_no_longer_idle(engine: Engine) -> None:
    await engine.claim()
    await let_lease_end(engine)
    await engine.scripts.reap(engine.queue, owner="w1")
    assert await engine.ids("idle") == []


async def test_an_id_without_a_record_is_cleared_away(damaged: Engine) -> None:
    await damaged.add("a", "b")
    await damaged.claim()
    await damaged.call("HDEL", "rec", "a")
    await let_lease_end(damaged)
    assert (await damaged.scripts.reap(damaged.queue, owner="w1")).ids == ["b"]
    assert await damaged.ids("active:w1") == []
