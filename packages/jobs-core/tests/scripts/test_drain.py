import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.errors import ServerError
from jobs_core.wire import OWN_ID


@pytest.mark.parametrize(("home", "delay_ms"), [("waiting", 0), ("delayed", 1000)])
async def test_jobs_go_and_active_ones_stay(engine: Engine, home: str, delay_ms: int) -> None:
    await engine.add("busy")
    await engine.claim(1)
    await engine.add("a", "b", "c", flags=OWN_ID, delay_ms=delay_ms)
    drain = engine.scripts.drain
    assert await drain(engine.queue, home=home, limit=2) == (2, 1)
    assert await drain(engine.queue, home=home, limit=500) == (1, 0)
    assert await drain(engine.queue, home=home, limit=500) == (0, 0)
    assert list(await engine.hash("rec")) == ["busy"]
    assert (await engine.stats())["removed"] == 3


async def test_nothing_of_them_is_left(engine: Engine) -> None:
    await engine.add("a")
    await engine.settle(group("retry", *(await engine.claim()).jobs))
    await engine.add("b", envelope=b"x" * 70_000)
    assert await engine.scripts.drain(engine.queue, home="waiting", limit=9) == (2, 0)
    assert set(await engine.dump()) == {"meta", "owners", "stats"}


@pytest.mark.parametrize("limit", [0, -1])
async def test_no_limit_is_no_job(engine: Engine, limit: int) -> None:
    await engine.add("a", "b")
    assert await engine.scripts.drain(engine.queue, home="waiting", limit=limit) == (0, 2)


async def test_at_most_500_a_call(engine: Engine) -> None:
    await engine.add(*(f"j{i}" for i in range(600)))
    assert await engine.scripts.drain(engine.queue, home="waiting", limit=1000) == (500, 100)


async def test_who_awaits_is_told(engine: Engine, wakes: Wakes) -> None:
    await engine.add("a")
    await wakes.listen_inbox("i")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await engine.scripts.drain(engine.queue, home="waiting", limit=1)
    assert await wakes.heard() == ["i: removed a"]


@pytest.mark.parametrize("home", ["failed", "active:w1", ""])
async def test_other_homes_are_refused(engine: Engine, home: str) -> None:
    with pytest.raises(ServerError, match="BAD_HOME"):
        await engine.scripts.drain(engine.queue, home=home, limit=1)
