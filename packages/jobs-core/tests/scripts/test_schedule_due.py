"""Which schedules are due."""

from tests.support.engine import Engine
from tests.support.scheduling import Scheduling

from jobs_core.schedules.recurrence import At


async def test_the_longest_due_come_first(engine: Engine, scheduling: Scheduling) -> None:
    for name, seconds in {"a": 3, "b": 1, "c": 9}.items():
        await scheduling.put(id=name, recurrence=At((engine.ms + seconds * 1000,)))
    await engine.advance(5)
    _, due = await scheduling.schedules.due(engine.queue, limit=8)
    assert [each.definition.id for each in due] == ["b", "a"]
    _, first = await scheduling.schedules.due(engine.queue, limit=1)
    assert [each.definition.id for each in first] == ["b"]


async def test_one_claim_is_told_to_tick_and_the_others_leave_it_alone(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put()
    assert (await engine.claim(0, owner="w1", free=1, register=True)).ticks is False
    assert (await engine.claim(0, owner="w2", free=1, register=True)).ticks is False
    await engine.advance(60)
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].schedules is True
    first = await engine.claim(owner="w1", register=False)
    assert (first.ticks, first.alarm_ms) == (True, 1000)
    assert (await engine.claim(owner="w2", register=False)).ticks is False
    assert (await engine.scripts.glance([engine.queue]))[engine.queue].schedules is False
    # Who was told has died.
    await engine.advance(1)
    assert (await engine.claim(owner="w2", register=False)).ticks is True
    await scheduling.tick()
    await engine.advance(1)
    assert (await engine.claim(owner="w1", register=False)).ticks is False


async def test_an_owner_that_registers_is_not_told(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    assert (await engine.claim(register=True)).ticks is False
    assert (await engine.claim(register=False)).ticks is True


async def test_while_more_are_due_the_ticker_keeps_its_turn(engine: Engine, scheduling: Scheduling) -> None:
    for i in range(3):
        await scheduling.put(id=f"s{i}")
    await engine.advance(60)
    await engine.claim(0, free=1, register=True)
    assert (await engine.claim(register=False)).ticks is True
    _, due = await scheduling.schedules.due(engine.queue, limit=8)
    head = await scheduling.head()
    await scheduling.book.trigger(engine.queue, "s2")
    assert (len(due), head, await scheduling.head()) == (3, engine.ms + 1000, engine.ms + 1000)
    await scheduling.tick()
    assert await scheduling.head() > engine.ms + 1000
