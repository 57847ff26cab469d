"""Pausing schedules."""

import pytest
from tests.support.engine import Engine
from tests.support.scheduling import Scheduling

from jobs_core.errors import ScheduleEnded, ScheduleNotFound
from jobs_core.schedules.recurrence import At
from jobs_core.schedules.store import PAUSED


async def test_it_sends_nothing_and_says_who_and_why(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    assert (
        await scheduling.book.pause(engine.queue, "minutely", actor="ada", reason="holidays\nuntil May")
        is True
    )
    assert await scheduling.head() == 0
    await engine.advance(3600)
    assert await scheduling.tick() == 0
    stored = await scheduling.find()
    assert (stored.status, stored.actor, stored.note) == (PAUSED, "ada", "holidays\nuntil May")
    # Who pauses it once more and says nothing takes nobody's word away.
    assert await scheduling.book.pause(engine.queue, "minutely", actor="bob") is False
    stored = await scheduling.find()
    assert (stored.status, stored.actor, stored.note) == (PAUSED, "ada", "holidays\nuntil May")
    assert await scheduling.book.pause(engine.queue, "minutely", actor="bob", reason="moved") is False
    stored = await scheduling.find()
    assert (stored.actor, stored.note) == ("bob", "moved")


async def test_what_has_ended_or_is_not_there_is_refused(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=At((engine.ms + 1,)))
    await engine.advance(1)
    await scheduling.tick()
    with pytest.raises(ScheduleEnded):
        await scheduling.book.pause(engine.queue, "minutely")
    with pytest.raises(ScheduleNotFound):
        await scheduling.book.pause(engine.queue, "nothing")
