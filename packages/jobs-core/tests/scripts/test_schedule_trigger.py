"""Sending jobs of a schedule out of turn: by hand, or for a range of the past."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.engine import Engine, group
from tests.support.scheduling import MINUTE, Scheduling, every_minute

from jobs_core.codecs import Codecs
from jobs_core.errors import OptionError, ScheduleNotFound
from jobs_core.schedules.fires import make_fire
from jobs_core.schedules.recurrence import AfterCompletion, Every
from jobs_core.wire import OWN_ID, pack_drafts


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


async def test_a_job_is_sent_now_and_the_turn_stays(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    before = await scheduling.find()
    job_id, verdict, _ = await scheduling.book.trigger(engine.queue, "minutely")
    after = await scheduling.find()
    assert (verdict.sign, await engine.ids("waiting")) == ("1", [job_id])
    assert (after.next_ms, after.fired, after.last_job) == (before.next_ms, 0, job_id)


async def test_a_paused_one_can_be_triggered_and_an_unknown_one_not(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put()
    await scheduling.book.pause(engine.queue, "minutely")
    await scheduling.book.trigger(engine.queue, "minutely")
    assert len(await engine.ids("waiting")) == 1
    with pytest.raises(ScheduleNotFound):
        await scheduling.book.trigger(engine.queue, "nothing")


async def test_a_call_that_arrives_twice_sends_one_job(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    draft = await make_fire(
        every_minute(engine.queue), engine.ms, Codecs(), job_id="by-hand", remembered=True
    )
    for _ in range(2):
        await engine.scripts.schedule_trigger(
            engine.queue,
            schedule_id="minutely",
            version=1,
            last_job="by-hand",
            stops=0,
            jobs=pack_drafts([draft]),
        )
        await scheduling.complete()
    assert (await engine.stats())["completed:send@1"] == 1


async def test_one_that_skips_says_which_run_is_there(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(overlap="skip")
    first, _, _ = await scheduling.book.trigger(engine.queue, "minutely")
    second, verdict, _ = await scheduling.book.trigger(engine.queue, "minutely")
    assert (verdict.sign, second) == ("s", first)


async def test_the_next_run_counts_from_the_end_of_the_one_by_hand(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1))
    await engine.advance(1)
    await scheduling.tick()
    await scheduling.book.trigger(engine.queue, "minutely")
    first, by_hand = (await engine.claim()).jobs
    await engine.settle(group("complete", first))
    assert (await scheduling.find()).next_ms == 0
    await engine.settle(group("complete", by_hand, arg=OWN_ID))
    assert (await scheduling.find()).next_ms == engine.ms + 5000


async def test_a_range_of_the_past_is_made_up_for_once(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=Every(MINUTE, 0))
    hour = at(engine.ms - 60 * MINUTE), at(engine.ms - MINUTE)
    backfill = scheduling.book.backfill
    assert await backfill(engine.queue, "minutely", *hour) == 60
    assert await backfill(engine.queue, "minutely", *hour) == 0
    assert await scheduling.complete() == 60
    assert await backfill(engine.queue, "minutely", *hour) == 0
    stored = await scheduling.find()
    assert (stored.fired, stored.last_job) == (0, "")


async def test_what_was_backfilled_is_not_made_up_for_again(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(misfire="run_all", misfire_max=100)
    began = engine.ms
    await engine.advance(600)
    await scheduling.book.backfill(engine.queue, "minutely", at(began), at(engine.ms - 5 * MINUTE))
    sent = len(await engine.ids("waiting"))
    await scheduling.tick()
    ids = await engine.ids("waiting")
    assert (len(ids), len(set(ids)), sent) == (10, 10, 5)


async def test_wrong_ranges_are_refused(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await scheduling.put(id="after", recurrence=AfterCompletion(5000, engine.ms + 1))
    backfill = scheduling.book.backfill
    for schedule_id, begin, end in (
        ("minutely", engine.ms, engine.ms + MINUTE),
        ("minutely", engine.ms - 20_000 * MINUTE, engine.ms),
        ("after", engine.ms - MINUTE, engine.ms),
    ):
        with pytest.raises(OptionError):
            await backfill(engine.queue, schedule_id, at(begin), at(end))
