"""Resuming schedules: what they would have sent meanwhile is not made up for."""

import pytest
from tests.support.engine import Engine, group
from tests.support.scheduling import MINUTE, Scheduling

from jobs_core.errors import ScheduleNotFound
from jobs_core.schedules.recurrence import AfterCompletion
from jobs_core.schedules.store import ACTIVE


async def test_it_goes_on_with_the_next_fire(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await scheduling.book.pause(engine.queue, "minutely", reason="holidays")
    await engine.advance(3600)
    assert await scheduling.book.resume(engine.queue, "minutely") is True
    assert await scheduling.tick() == 0
    stored = await scheduling.find()
    assert (stored.status, stored.note) == (ACTIVE, "")
    assert stored.next_ms == engine.ms // MINUTE * MINUTE + MINUTE
    assert await scheduling.book.resume(engine.queue, "minutely") is False
    await engine.advance(60)
    assert await scheduling.tick() == 1
    stored = await scheduling.find()
    assert (stored.fired, stored.skipped, stored.missed) == (1, 0, 0)


async def test_one_that_waits_for_its_run_still_does(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1))
    await engine.advance(1)
    await scheduling.tick()
    (job,) = (await engine.claim()).jobs
    await scheduling.book.pause(engine.queue, "minutely")
    await scheduling.book.resume(engine.queue, "minutely")
    stored = await scheduling.find()
    assert (stored.status, stored.next_ms) == (ACTIVE, 0)
    await engine.settle(group("complete", job))
    assert (await scheduling.find()).next_ms == engine.ms + 5000


async def test_one_whose_run_ended_meanwhile_goes_on_as_well(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1))
    await engine.advance(1)
    await scheduling.tick()
    (job,) = (await engine.claim()).jobs
    await scheduling.book.pause(engine.queue, "minutely")
    await engine.settle(group("complete", job))
    await engine.advance(60)
    assert await scheduling.tick() == 0
    await scheduling.book.resume(engine.queue, "minutely")
    assert await scheduling.tick() == 1


async def test_one_that_is_not_there_is_refused(engine: Engine, scheduling: Scheduling) -> None:
    with pytest.raises(ScheduleNotFound):
        await scheduling.book.resume(engine.queue, "nothing")
    assert (
        await engine.scripts.schedule_resume(
            engine.queue, schedule_id="nothing", version=1, expected_ms=0, next_ms=0, act_ms=0
        )
        == -1
    )
