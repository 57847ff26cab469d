import pytest
from tests.support.engine import Engine, group

from jobs_core.errors import ServerError
from jobs_core.wire import BIG, OWN_ID


async def keep(engine: Engine, *ids: str, verb: str = "fail", flags: int = 0, size: int = 10) -> None:
    await engine.add(*ids, envelope=b"x" * size, flags=flags & OWN_ID)
    jobs = (await engine.claim(len(ids))).jobs
    await engine.settle(group(verb, *jobs, arg=flags, keep_count=-1))


async def test_old_jobs_go_the_oldest_first(engine: Engine) -> None:
    for job_id in "abcde":
        await keep(engine, job_id)
        await engine.advance(10)
    clean = engine.scripts.clean
    assert await clean(engine.queue, home="failed", age_ms=20_000, limit=2) == 2
    assert await engine.ids("failed") == ["c", "d", "e"]
    assert await clean(engine.queue, home="failed", age_ms=20_000, limit=500) == 2
    assert await clean(engine.queue, home="failed", age_ms=20_000, limit=500) == 0
    assert await engine.hash("rec") != {}


async def test_nothing_of_them_is_left(engine: Engine) -> None:
    await keep(engine, "a", flags=OWN_ID | BIG, size=70_000)
    await keep(engine, "b", verb="complete")
    assert await engine.scripts.clean(engine.queue, home="failed", age_ms=0, limit=500) == 1
    assert await engine.scripts.clean(engine.queue, home="completed", age_ms=0, limit=500) == 1
    assert set(await engine.dump()) == {"meta", "out", "owners", "stats", "tomb"}


@pytest.mark.parametrize("limit", [0, -1, -500])
async def test_no_limit_is_no_job(engine: Engine, limit: int) -> None:
    await keep(engine, "a")
    assert await engine.scripts.clean(engine.queue, home="failed", age_ms=0, limit=limit) == 0


async def test_at_most_500_a_call(engine: Engine) -> None:
    await keep(engine, *(f"j{i:03}" for i in range(600)), flags=OWN_ID)
    assert await engine.scripts.clean(engine.queue, home="failed", age_ms=0, limit=10_000) == 500


@pytest.mark.parametrize("home", ["waiting", "active:w1", "rec", ""])
async def test_other_homes_are_refused(engine: Engine, home: str) -> None:
    with pytest.raises(ServerError, match="BAD_HOME"):
        await engine.scripts.clean(engine.queue, home=home, age_ms=0, limit=1)
