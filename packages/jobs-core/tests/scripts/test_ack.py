"""What was applied leaves the outbox."""

from tests.support.effects import Effected
from tests.support.engine import Engine


async def test_entries_go_once(engine: Engine) -> None:
    effected = Effected(engine)
    first = await effected.end("a", b"one")
    second = await effected.end("b", b"two")
    assert await engine.scripts.ack(engine.queue, ids=[first]) == 1
    assert await engine.scripts.ack(engine.queue, ids=[first]) == 0
    page = await engine.scripts.outbox(engine.queue)
    assert (page.mark, [entry.id for entry in page.entries]) == (second, [second])
    assert await engine.scripts.ack(engine.queue, ids=[second]) == 1
    assert await engine.call("EXISTS", "out") == 0
    assert await engine.scripts.ack(engine.queue, ids=[]) == 0


async def test_ids_grow_also_after_the_last_one_went(engine: Engine) -> None:
    effected = Effected(engine)
    first = await effected.end("a", b"one")
    await engine.scripts.ack(engine.queue, ids=[first])
    assert await effected.end("b", b"two") > first
