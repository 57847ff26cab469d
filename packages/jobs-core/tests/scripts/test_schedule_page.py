"""Listing schedules."""

from tests.support.engine import Engine
from tests.support.scheduling import Scheduling

from jobs_core.schedules.recurrence import At
from jobs_core.schedules.store import ENDED


async def test_the_next_to_fire_comes_first(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(id="later", recurrence=At((engine.ms + 9000,)))
    await scheduling.put(id="sooner", recurrence=At((engine.ms + 1000,)))
    await scheduling.put(id="ended", recurrence=At(()))
    total, found = await scheduling.book.page(engine.queue, limit=2)
    assert (total, [each.definition.id for each in found]) == (3, ["sooner", "later"])
    _, rest = await scheduling.book.page(engine.queue, offset=2)
    assert [(each.definition.id, each.status) for each in rest] == [("ended", ENDED)]
