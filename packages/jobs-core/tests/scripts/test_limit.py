import pytest
from tests.support.engine import Engine
from tests.support.wakes import Wakes

from jobs_core.errors import ServerError


async def test_a_live_limit_holds_over_the_declared_one_until_reset(engine: Engine) -> None:
    await engine.declare(max_active=1)
    await engine.add(*"abcdef")
    assert await engine.scripts.limit(engine.queue, limits={"max_active": "2"})
    assert await engine.take() == ["a", "b"]
    await engine.declare(max_active=5)
    assert await engine.take() == []
    assert await engine.scripts.limit(engine.queue, limits={"max_active": "0"})
    assert await engine.take(1) == ["c"]
    assert await engine.scripts.limit(engine.queue, limits={"max_active": ""})
    assert await engine.take() == ["d", "e"]
    assert not await engine.scripts.limit(engine.queue, limits={"max_active": ""})


async def test_a_rate_that_is_raised_holds_from_the_next_claim_on(engine: Engine) -> None:
    await engine.declare(rate="1 3600000 1")
    await engine.add(*"abc")
    assert await engine.take() == ["a"]
    await engine.scripts.limit(engine.queue, limits={"rate": "1 1000 1"})
    assert (await engine.claim()).alarm_ms == 1000
    await engine.advance(1)
    assert await engine.take() == ["b"]


async def test_a_queue_without_limits_gets_one_live(engine: Engine, wakes: Wakes) -> None:
    await engine.add(*"abc")
    await engine.scripts.limit(engine.queue, limits={"rate": "1 1000 1"})
    assert await engine.take() == ["a"]
    await wakes.listen("w1")
    await engine.scripts.limit(engine.queue, limits={"rate": ""})
    assert "w1" in await wakes.heard()
    assert await engine.take() == ["b", "c"]


@pytest.mark.parametrize(
    "limits", [{"max_active": "many"}, {"rate": "3"}, {"depth": "3"}, {"max_active": "1", "key_rate": "1 2"}]
)
async def test_a_wrong_limit_changes_nothing(engine: Engine, limits: dict[str, str]) -> None:
    await engine.add("a")
    before = await engine.dump()
    with pytest.raises(ServerError, match="BAD_LIMIT"):
        await engine.scripts.limit(engine.queue, limits=limits)
    assert await engine.dump() == before
