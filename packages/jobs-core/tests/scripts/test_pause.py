from tests.support.engine import Engine


async def test_a_pause_says_who_when_and_why(engine: Engine) -> None:
    assert await engine.scripts.pause(engine.queue, actor="ada", reason="the printer burns") is True
    assert await engine.hash("cfg") == {
        "paused": str(engine.ms).encode(),
        "pause_actor": b"ada",
        "pause_reason": b"the printer burns",
    }


async def test_a_second_pause_tells_that_it_was_paused(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue)
    assert await engine.scripts.pause(engine.queue, actor="bob") is False
    assert (await engine.hash("cfg"))["pause_actor"] == b"bob"


async def test_what_is_declared_stays(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"o2": "7"})
    await engine.scripts.pause(engine.queue)
    assert (await engine.hash("cfg"))["o2"] == b"7"
