"""Removing schedules, with the job that has not started."""

import pytest
from tests.support.engine import Engine, group
from tests.support.scheduling import MINUTE, Scheduling

from jobs_core.errors import ScheduleNotFound
from jobs_core.schedules.recurrence import AfterCompletion, At


async def test_it_goes_with_the_job_that_has_not_started(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    await scheduling.tick()
    assert await scheduling.book.remove(engine.queue, "minutely") is True
    assert await engine.ids("waiting") == []
    assert await engine.call("EXISTS", "sched", "sched.rows", "sched.state", "sched.watch") == 0
    assert await scheduling.head() == 0
    with pytest.raises(ScheduleNotFound):
        await scheduling.book.remove(engine.queue, "minutely")


async def test_a_job_that_runs_stays_and_so_does_one_that_is_to_be_kept(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put()
    await scheduling.put(id="other")
    await engine.advance(60)
    await scheduling.tick()
    taken = await engine.claim(1)
    kept = {"minutely": "other", "other": "minutely"}[taken.jobs[0].id.partition(":")[0]]
    assert await scheduling.book.remove(engine.queue, taken.jobs[0].id.partition(":")[0]) is False
    assert await scheduling.book.remove(engine.queue, kept, keep_job=True) is False
    assert len(await engine.ids("waiting")) == 1
    assert await engine.settle(group("complete", *taken.jobs)) == b"1"


async def test_the_others_are_still_due(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await scheduling.put(id="once", recurrence=At((engine.ms + 10,)))
    assert await scheduling.head() == engine.ms + 10
    await scheduling.book.remove(engine.queue, "once")
    assert await scheduling.head() == engine.ms // MINUTE * MINUTE + MINUTE


async def test_a_run_whose_schedule_is_gone_ends_as_any_other(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1))
    await engine.advance(1)
    await scheduling.tick()
    (job,) = (await engine.claim()).jobs
    await scheduling.book.remove(engine.queue, "minutely")
    assert await engine.settle(group("complete", job)) == b"1"
    assert await engine.call("EXISTS", "sched", "sched.state", "sched.watch") == 0
