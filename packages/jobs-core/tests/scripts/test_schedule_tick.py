"""Ticks: each fire is sent once, whoever ticks and how often."""

import asyncio

import pytest
from tests.support.engine import Engine, group
from tests.support.scheduling import MINUTE, Scheduling

from jobs_core.errors import ServerFull
from jobs_core.schedules.definition import Overlap
from jobs_core.schedules.recurrence import AfterCompletion, At, CronTimes, Every
from jobs_core.schedules.store import ACTIVE, ENDED, PAUSED
from jobs_core.wire import decode_envelope, parse_header


async def test_a_fire_becomes_a_job_of_its_time(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    assert await scheduling.tick() == 0
    await engine.advance(60.5)
    fire = engine.ms // MINUTE * MINUTE
    assert await scheduling.tick() == 1
    assert await scheduling.tick() == 0
    (job,) = (await engine.claim()).jobs
    header = parse_header(job.record)
    assert (job.id, header.due_ms) == (f"minutely:{fire}", fire)
    assert decode_envelope(job.record[header.size :]).schedule == ("minutely", fire)
    stored = await scheduling.find()
    assert (stored.next_ms, stored.fired, stored.last_ms, stored.last_job) == (fire + MINUTE, 1, fire, job.id)
    assert await scheduling.head() == fire + MINUTE


async def test_twenty_tickers_send_each_fire_once(engine: Engine, scheduling: Scheduling) -> None:
    for i in range(5):
        await scheduling.put(id=f"s{i}")
    for _ in range(5):
        await engine.advance(60)
        assert sum(await asyncio.gather(*(scheduling.tick() for _ in range(20)))) == 5
    assert len(await engine.ids("waiting")) == 25


async def test_an_older_version_ticks_no_more(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    _, due = await scheduling.schedules.due(engine.queue, limit=1)
    await scheduling.put(seen=await scheduling.find(), recurrence=Every(60 * MINUTE, MINUTE))
    seen = due[0].version, due[0].next_ms
    tick = ("minutely", *seen, 1, 1, 0, "", 0, 0, 0, 0, 0, 0, "", 0, 0)
    (verdict,) = await engine.scripts.schedule_tick(engine.queue, schedules=tick)
    assert (verdict, await engine.ids("waiting")) == (-1, [])


async def test_a_limit_ends_it(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(limit=2)
    for _ in range(4):
        await engine.advance(60)
        await scheduling.tick()
    stored = await scheduling.find()
    assert (stored.fired, stored.status, stored.next_ms, await scheduling.head()) == (2, ENDED, 0, 0)
    assert len(await engine.ids("waiting")) == 2


async def test_an_hour_away_is_made_up_for_once_and_counted(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.set_ms(engine.ms // MINUTE * MINUTE + 60 * MINUTE + 30_000)
    assert await scheduling.tick() == 1
    stored = await scheduling.find()
    assert (stored.fired, stored.late, stored.skipped, stored.missed) == (1, 1, 59, 0)


async def test_very_many_that_are_made_up_for_are_sent_in_steps(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put(misfire="run_all", misfire_max=300, recurrence=CronTimes("* * * * *"))
    await engine.advance(300 * 60)
    assert await scheduling.tick() == 300
    stored = await scheduling.find()
    assert (stored.fired, stored.late + stored.skipped) == (300, stored.late)
    assert len(await engine.ids("waiting")) == 300


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("allow", (2, 0, 0)), ("skip", (0, 0, 2)), ("buffer_one", (0, 1, 1)), ("cancel_previous", (1, 0, 0))],
)
async def test_fires_while_a_run_goes_on(
    engine: Engine, scheduling: Scheduling, overlap: Overlap, expected: tuple[int, int, int]
) -> None:
    await scheduling.put(overlap=overlap)
    await engine.advance(60)
    await scheduling.tick()
    (running,) = (await engine.claim()).jobs
    for _ in range(2):
        await engine.advance(60)
        await scheduling.tick()
    stops = overlap == "cancel_previous"
    homes = len(await engine.ids("waiting")), len(await engine.ids("blocked"))
    assert (*homes, (await scheduling.find()).overlapped) == expected
    asked = await engine.scripts.cancels(engine.queue, ids=[running.id])
    assert asked == [running.fence if stops else None]
    # Once all are over, the next fire is sent in any case.
    over = [running]
    while over:
        for job in over:
            verb = "cancel" if stops and job is running else "complete"
            assert await engine.settle(group(verb, job, arg=parse_header(job.record).flags)) == b"1"
        over = (await engine.claim()).jobs
    await engine.advance(60)
    assert await scheduling.tick() == 1


async def test_a_limit_counts_no_run_that_overlaps(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(overlap="skip", limit=2)
    for _ in range(3):
        await engine.advance(60)
        await scheduling.tick()
    await scheduling.complete()
    await engine.advance(60)
    assert await scheduling.tick() == 1
    stored = await scheduling.find()
    assert (stored.fired, stored.overlapped, stored.status) == (2, 2, ENDED)


async def test_cancel_previous_leaves_one_that_waits(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(overlap="cancel_previous")
    for _ in range(3):
        await engine.advance(60)
        await scheduling.tick()
    assert await engine.ids("waiting") == [(await scheduling.find()).last_job]
    assert (await engine.stats())["cancelled:send@1"] == 2


async def test_the_next_run_counts_from_the_end_of_the_one_before(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1000), limit=3)
    for run in range(3):
        await engine.advance(5)
        assert await scheduling.tick() == 1
        (job,) = (await engine.claim()).jobs
        await engine.advance(100)
        assert await scheduling.tick() == 0
        await engine.settle(group("complete" if run else "fail", job))
    await engine.advance(100)
    assert await scheduling.tick() == 0
    stored = await scheduling.find()
    assert (stored.fired, stored.status) == (3, ENDED)


async def test_a_run_that_was_due_days_ago_is_sent_all_the_same(
    engine: Engine, scheduling: Scheduling
) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1000), misfire="skip")
    await engine.advance(3 * 86400)
    assert await scheduling.tick() == 1
    assert (await scheduling.find()).late == 1


@pytest.mark.parametrize("way", ["remove", "cancel", "obliterate", "drain"])
async def test_a_run_that_is_taken_away_does_not_end_what_counts_from_its_end(
    engine: Engine, scheduling: Scheduling, way: str
) -> None:
    await scheduling.put(recurrence=AfterCompletion(5000, engine.ms + 1000))
    await engine.advance(1)
    await scheduling.tick()
    ids = await engine.ids("waiting")
    match way:
        case "remove":
            await engine.scripts.remove(engine.queue, ids=ids)
        case "cancel":
            await engine.scripts.cancel(engine.queue, ids=ids)
        case "drain":
            await engine.scripts.drain(engine.queue, home="waiting", limit=10)
        case _:
            await engine.scripts.obliterate(engine.queue, force=True)
    await engine.advance(5)
    assert await scheduling.tick() == 1


async def test_an_obliterated_queue_keeps_its_schedules(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    await scheduling.tick()
    await engine.scripts.obliterate(engine.queue, force=True)
    assert await scheduling.head() > engine.ms
    await engine.advance(60)
    assert await scheduling.tick() == 1


async def test_a_failure_pauses_those_that_ask_for_it(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(pause_on_failure=True)
    await engine.advance(60)
    await scheduling.tick()
    (job,) = (await engine.claim()).jobs
    await engine.settle(group("retry", job))
    assert (await scheduling.find()).status == ACTIVE
    (job,) = (await engine.claim()).jobs
    await engine.settle(group("fail", job))
    stored = await scheduling.find()
    assert (stored.status, stored.actor) == (PAUSED, "")
    assert job.id in stored.note
    await engine.advance(60)
    assert await scheduling.tick() == 0


async def test_one_that_cannot_be_worked_out_holds_up_no_other(
    engine: Engine, scheduling: Scheduling, caplog: pytest.LogCaptureFixture
) -> None:
    await scheduling.put()
    await scheduling.put(id="moon", recurrence=CronTimes("* * * * *"))
    _, (moon,) = await scheduling.schedules.named(engine.queue, ["moon"])
    broken = CronTimes("* * * * *", "Moon/Crater")
    definition = type(moon.definition)(
        id="moon", queue=engine.queue, wire_name="send@1", recurrence=broken, payload=b"{}"
    )
    await scheduling.schedules.put(definition, seen=moon, since_ms=1, next_ms=moon.next_ms)
    await engine.advance(60)
    assert await scheduling.tick() == 1
    assert "Moon/Crater" in (await scheduling.find("moon")).note
    assert "Moon/Crater" in caplog.text
    assert await scheduling.tick() == 0
    assert await scheduling.head() <= engine.ms + 60_000


async def test_a_fire_whose_job_is_there_is_not_sent_again(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    fire = engine.ms // MINUTE * MINUTE
    await engine.add(f"minutely:{fire}")
    assert await scheduling.tick() == 0
    assert await engine.ids("waiting") == [f"minutely:{fire}"]


async def test_the_end_of_a_list_ends_it(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put(recurrence=At((engine.ms + 10, engine.ms + 20)))
    await engine.advance(0.01)
    assert await scheduling.tick() == 1
    await engine.advance(0.01)
    assert await scheduling.tick() == 1
    assert (await scheduling.find()).status == ENDED


async def test_a_full_memory_puts_it_off_and_loses_nothing(engine: Engine, scheduling: Scheduling) -> None:
    await scheduling.put()
    await engine.advance(60)
    await engine.client.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(ServerFull):
            await scheduling.tick()
        assert (await scheduling.find()).fired == 0
    finally:
        await engine.client.call("CONFIG", "SET", "maxmemory", 0)
    assert await scheduling.tick() == 1
