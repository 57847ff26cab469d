from tests.support.engine import Engine
from tests.support.wakes import Wakes


async def test_a_resumed_queue_gives_again(engine: Engine) -> None:
    await engine.add("a")
    await engine.scripts.pause(engine.queue, actor="ada", reason="why")
    assert await engine.scripts.resume(engine.queue) is True
    assert await engine.hash("cfg") == {}
    assert await engine.take() == ["a"]


async def test_a_queue_that_runs_stays_as_it_is(engine: Engine) -> None:
    assert await engine.scripts.resume(engine.queue) is False


async def test_idle_owners_are_woken_for_what_waits(engine: Engine, wakes: Wakes) -> None:
    for owner in ("w1", "w2", "w3"):
        await wakes.listen(owner)
        await engine.claim(1, owner=owner)
    await engine.scripts.pause(engine.queue)
    await engine.add("a", "b")
    await engine.scripts.resume(engine.queue)
    assert sorted(await wakes.heard()) == ["w2", "w3"]


async def test_one_is_woken_to_set_an_alarm(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w1")
    await engine.claim(1)
    await engine.scripts.pause(engine.queue)
    await engine.add("a", delay_ms=1000)
    await engine.scripts.resume(engine.queue)
    assert await wakes.heard() == ["w1"]
