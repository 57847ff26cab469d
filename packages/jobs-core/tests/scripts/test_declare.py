from tests.support.engine import Engine


async def test_a_declaration_is_written_once(engine: Engine) -> None:
    declare = engine.scripts.declare
    assert await declare(engine.queue, definition="d1", fields={"o1": "1", "strict": "0"}) is True
    expected = {"definition": b"d1", "declared": b"o1,strict", "o1": b"1", "strict": b"0"}
    assert await engine.hash("cfg") == expected
    assert await declare(engine.queue, definition="d1", fields={"o1": "2"}) is False
    assert (await engine.hash("cfg"))["o1"] == b"1"


async def test_what_is_no_longer_declared_goes(engine: Engine) -> None:
    declare = engine.scripts.declare
    await declare(engine.queue, definition="d1", fields={"o1": "1", "keep:failed:count": "9"})
    await engine.scripts.pause(engine.queue)
    assert await declare(engine.queue, definition="d2", fields={"o1": "2"}) is True
    cfg = await engine.hash("cfg")
    assert (cfg["o1"], cfg["declared"]) == (b"2", b"o1")
    assert "keep:failed:count" not in cfg
    assert "paused" in cfg


async def test_a_pause_stays(engine: Engine) -> None:
    await engine.scripts.pause(engine.queue, actor="ada")
    await engine.scripts.declare(engine.queue, definition="d", fields={})
    assert (await engine.hash("cfg"))["pause_actor"] == b"ada"


async def test_a_first_declaration_opens_the_queue(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "0"})
    assert await engine.hash("meta") == {"schema": b"1", "epoch": str(engine.us).encode()}
