"""Writing schedules: new ones, and other definitions of those that were seen."""

import pytest
from msgspec.structs import replace
from tests.support.engine import Engine, group
from tests.support.scheduling import MINUTE, Scheduling

from jobs_core.errors import PayloadTooLarge
from jobs_core.schedules.recurrence import AfterCompletion, At
from jobs_core.schedules.store import ACTIVE, ENDED, PAUSED


async def test_a_new_one_waits_for_its_first_fire(engine: Engine, scheduling: Scheduling) -> None:
    assert await scheduling.put() == 1
    due = engine.ms // MINUTE * MINUTE + MINUTE
    stored = await scheduling.find()
    assert (stored.version, stored.status, stored.since_ms, stored.next_ms) == (1, ACTIVE, engine.ms, due)
    assert await scheduling.head() == due


async def test_who_saw_an_older_version_or_fire_writes_nothing(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put()
    assert await scheduling.put() == 0
    seen = await scheduling.find()
    assert await scheduling.put(seen=seen, limit=3) == 2
    assert await scheduling.put(seen=seen, limit=4) == 0
    seen = await scheduling.find()
    await engine.advance(60)
    await scheduling.tick()
    assert await scheduling.put(seen=seen, limit=4) == 0
    assert (await scheduling.find()).definition.limit == 3


async def test_a_sooner_fire_wakes_who_holds_the_alarm(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    claim = await engine.claim(register=True)
    assert claim.alarm_ms == MINUTE - engine.ms % MINUTE
    await scheduling.put(id="once", recurrence=At((engine.ms + 10,)))
    assert await engine.ids("idle") == []
    assert (await engine.claim(register=False)).alarm_ms == 10


async def test_a_paused_one_stays_paused_and_an_ended_one_begins_again(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put()
    await scheduling.book.pause(engine.queue, "minutely")
    await scheduling.put(seen=await scheduling.find(), limit=1)
    assert (await scheduling.find()).status == PAUSED
    await scheduling.book.resume(engine.queue, "minutely")
    await engine.advance(60)
    assert await scheduling.tick() == 1
    assert (await scheduling.find()).status == ENDED
    await scheduling.put(seen=await scheduling.find(), limit=2)
    stored = await scheduling.find()
    assert (stored.status, stored.fired) == (ACTIVE, 1)


async def test_another_delay_holds_from_the_run_that_is_under_way(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1000))
    await engine.advance(2)
    await scheduling.tick()
    (job,) = (await engine.claim()).jobs
    seen = await scheduling.find()
    changed = AfterCompletion(9000, engine.ms - 1000)
    definition = replace(seen.definition, recurrence=changed)
    assert await scheduling.schedules.put(definition, seen=seen, since_ms=seen.since_ms, next_ms=None)
    await engine.settle(group("complete", job))
    stored = await scheduling.find()
    assert (stored.status, stored.next_ms) == (ACTIVE, engine.ms + 9000)


async def test_a_definition_over_the_bound_is_refused(scheduling: Scheduling) -> None:
    with pytest.raises(PayloadTooLarge):
        await scheduling.put(payload=b"x" * 1_400_000)
