from tests.support.engine import Engine, group

from jobs_core.wire import OWN_ID


async def test_results_go_when_their_time_is_over(engine: Engine) -> None:
    await engine.add("a", "b")
    a, b = (await engine.claim()).jobs
    await engine.settle(group("complete", a, ttl_ms=1000), group("complete", b, ttl_ms=2000))
    await engine.advance(1)
    assert await engine.scripts.trim(engine.queue) == 1
    assert list(await engine.hash("result")) == ["b"]
    await engine.advance(1)
    assert await engine.scripts.trim(engine.queue) == 1
    assert await engine.hash("result") == {}


async def test_kept_jobs_go_when_their_time_is_over(engine: Engine) -> None:
    await engine.add("a", "b", "c")
    a, b, c = (await engine.claim()).jobs
    await engine.settle(
        group("fail", a, keep_count=-1, keep_age_ms=1000),
        group("complete", b, keep_count=-1, keep_age_ms=1000, ttl_ms=5000),
        group("fail", c, keep_count=-1),
    )
    await engine.advance(1)
    assert await engine.scripts.trim(engine.queue) == 2
    assert list(await engine.hash("rec")) == ["c"]


async def test_own_ids_are_forgotten_after_a_day_and_not_before_their_jobs(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    await engine.settle(group("complete", *(await engine.claim()).jobs, arg=OWN_ID))
    await engine.add("b", flags=OWN_ID)
    await engine.advance(86_400)
    await engine.scripts.trim(engine.queue)
    assert list(await engine.zset("tomb")) == ["b"]


async def test_sessions_go_an_hour_after_their_last_use(engine: Engine) -> None:
    await engine.add("a", session="once")
    await engine.add("b", session="often")
    await engine.advance(3000)
    await engine.add("c", session="often")
    await engine.advance(600)
    assert await engine.scripts.trim(engine.queue) == 1
    assert await engine.sessions() == ["often"]
    await engine.advance(3000)
    assert await engine.scripts.trim(engine.queue) == 1
    assert await engine.sessions() == []


async def test_a_session_that_comes_back_later_is_seen_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.advance(7200)
    await engine.scripts.trim(engine.queue)
    await engine.add("b")
    assert await engine.ids("sessions") == ["producer"]
    await engine.advance(7200)
    await engine.scripts.trim(engine.queue)
    assert await engine.sessions() == []


async def test_dead_owners_are_refused_for_ten_minutes(engine: Engine) -> None:
    await engine.claim()
    await engine.scripts.release(engine.queue, owner="w1")
    await engine.advance(599)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("owners") == ["w1"]
    await engine.advance(2)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("owners") == []


async def test_an_owner_that_still_has_jobs_is_not_forgotten(engine: Engine) -> None:
    await engine.add(*(f"j{i}" for i in range(130)))
    await engine.claim(130)
    await engine.scripts.release(engine.queue, owner="w1")
    await engine.advance(10_000)
    await engine.scripts.trim(engine.queue)
    assert await engine.ids("owners") == ["w1"]


async def test_at_most_500_of_each_kind_a_call(engine: Engine) -> None:
    await engine.add(*(f"j{i}" for i in range(600)))
    await engine.settle(group("complete", *(await engine.claim(600)).jobs, ttl_ms=1))
    await engine.advance(1)
    assert [await engine.scripts.trim(engine.queue) for _ in range(3)] == [500, 100, 0]


async def failed(engine: Engine, count: int) -> None:
    ids = [f"j{i:04}" for i in range(count)]
    await engine.add(*ids)
    await engine.settle(group("fail", *(await engine.claim(count)).jobs, keep_count=-1))


async def test_a_smaller_retention_reaches_what_is_kept_already(engine: Engine) -> None:
    await failed(engine, 700)
    assert await engine.scripts.trim(engine.queue) == 0
    await engine.scripts.declare(engine.queue, definition="d", fields={"keep:failed:count": "50"})
    assert [await engine.scripts.trim(engine.queue) for _ in range(3)] == [500, 150, 0]
    assert len(await engine.ids("failed")) == 50


async def test_a_smaller_retention_by_bytes(engine: Engine) -> None:
    await failed(engine, 10)
    size = int((await engine.hash("meta"))["bytes:failed"]) // 10
    fields = {"keep:failed:bytes": str(size * 3 + 1)}
    await engine.scripts.declare(engine.queue, definition="d", fields=fields)
    assert await engine.scripts.trim(engine.queue) == 7
    assert await engine.ids("failed") == ["j0007", "j0008", "j0009"]


async def test_a_queue_that_keeps_none_of_its_own_leaves_those_that_say_otherwise(engine: Engine) -> None:
    await failed(engine, 3)
    await engine.scripts.declare(engine.queue, definition="d", fields={"keep:failed:count": "0"})
    assert await engine.scripts.trim(engine.queue) == 0
