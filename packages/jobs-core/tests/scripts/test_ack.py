"""What was applied leaves the outbox."""

from tests.support.effects import Effected
from tests.support.engine import Engine


async def test_entries_go_once(engine: Engine) -> None:
    effected = Effected(engine)
    first = await effected.end("a", b"one")
    second = await effected.end("b", b"two")
    acked = await engine.scripts.ack(engine.queue, ids=[first])
    assert (acked.gone, acked.mark) == (1, second)
    assert (await engine.scripts.ack(engine.queue, ids=[first])).gone == 0
    page = await engine.scripts.outbox(engine.queue)
    assert [entry.id for entry in page.entries] == [second]
    assert page.epoch == acked.epoch
    acked = await engine.scripts.ack(engine.queue, ids=[second])
    assert acked.gone == 1
    assert await engine.call("EXISTS", "out") == 0
    # Nothing is left, and whatever is written from now on is younger.
    assert (await engine.scripts.ack(engine.queue, ids=[])).gone == 0
    assert second < acked.mark <= await effected.end("c", b"three")


async def test_ids_grow_also_after_the_last_one_went(engine: Engine) -> None:
    effected = Effected(engine)
    first = await effected.end("a", b"one")
    await engine.scripts.ack(engine.queue, ids=[first])
    assert await effected.end("b", b"two") > first
