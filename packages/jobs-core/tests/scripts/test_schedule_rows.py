"""Reading schedules by id."""

from tests.support.engine import Engine
from tests.support.scheduling import Scheduling


async def test_those_that_are_there_come_in_the_order_asked_for(
    engine: Engine, scheduling: Scheduling
) -> None:
    for name in "abc":
        await scheduling.put(id=name)
    now_ms, found = await scheduling.schedules.named(engine.queue, ["c", "nothing", "a"])
    assert (now_ms, [each.definition.id for each in found]) == (engine.ms, ["c", "a"])


async def test_large_ones_take_more_than_one_call(engine: Engine, scheduling: Scheduling) -> None:
    for name in "abc":
        await scheduling.put(id=name, payload=b"x" * 300_000)
    _, found = await scheduling.schedules.named(engine.queue, ["a", "b", "c"])
    assert len(found) == 1
    total, all_of_them = await scheduling.book.page(engine.queue)
    assert (total, len(all_of_them)) == (3, 3)


async def test_one_that_cannot_be_read_says_so(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.call("HSET", "sched.rows", "minutely", b"\x81broken")
    assert "cannot be read" in (await scheduling.find()).fault
