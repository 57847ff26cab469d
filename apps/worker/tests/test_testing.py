"""The test kit: a real server, and time that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from jobs_core import Exponential, OptionError, Queue, RateLimit
from jobs_worker import Fail, JobContext, Retry, Snooze, processor
from jobs_worker.testing import Kit, NotIdle

MAIL = Queue("mail", concurrency=2)
SEND = MAIL.job("send", payload=str, result=str, attempts=4, backoff=Exponential(60))
ran: list[tuple[str, datetime]] = []
kits: list[Kit] = []


@processor(SEND)
async def send(payload: str, ctx: JobContext) -> str:
    ran.append((payload, kits[-1].now))
    match payload:
        case "flaky" if ctx.attempt < 3:
            raise ValueError("not yet")
        case "bad":
            raise Fail("no good")
        case "later" if len(ran) == 1:
            raise Snooze(timedelta(hours=5))
        case "again" if ctx.attempt == 1:
            raise Retry(after=30)
        case "chain":
            ctx.enqueue(SEND, "link")
        case "hang":
            await asyncio.Event().wait()
        case _:
            pass
    return payload


@pytest.fixture
async def kit(redis_url: str) -> AsyncIterator[Kit]:
    ran.clear()
    async with Kit(send, url=redis_url) as kit:
        kits.append(kit)
        yield kit


def times(kit: Kit, start: datetime) -> list[tuple[str, float]]:
    return [(payload, (at - start).total_seconds()) for payload, at in ran]


async def test_time_stands_still_until_it_is_moved(kit: Kit) -> None:
    start = kit.now
    job = await kit.producer.enqueue(SEND, "a", delay=timedelta(days=3))
    await kit.advance(timedelta(days=3) - timedelta(milliseconds=1))
    assert (await job.status()).state == "delayed"
    assert ran == []
    await kit.advance(0.001)
    assert times(kit, start) == [("a", 3 * 86400)]
    assert await job.result(40) == "a"
    record = await job.status()
    assert record.finished_at is not None
    assert record.created_at == start
    # What the handler took is measured in real time.
    assert timedelta(0) <= record.finished_at - start - timedelta(days=3) < timedelta(minutes=1)


async def test_what_comes_due_on_the_way_runs_at_its_time(kit: Kit) -> None:
    start = kit.now
    await kit.producer.enqueue(SEND, "second", delay=20)
    await kit.producer.enqueue(SEND, "third", run_at=start + timedelta(hours=1))
    await kit.producer.enqueue(SEND, "first")
    flaky = await kit.producer.enqueue(SEND, "flaky", delay=100)
    await kit.advance(86400)
    assert times(kit, start) == [
        ("first", 0),
        ("second", 20),
        ("flaky", 100),
        ("flaky", 160),
        ("flaky", 280),
        ("third", 3600),
    ]
    assert (await flaky.status()).attempts_made == 3
    assert kit.now == start + timedelta(days=1)


@pytest.mark.parametrize(("payload", "after"), [("later", 5 * 3600), ("again", 30)])
async def test_a_handler_may_put_its_job_off(kit: Kit, payload: str, after: int) -> None:
    start = kit.now
    await kit.producer.enqueue(SEND, payload)
    await kit.advance(86400)
    assert times(kit, start) == [(payload, 0), (payload, after)]


async def test_idle_waits_for_what_follows(kit: Kit) -> None:
    start = kit.now
    await kit.producer.enqueue(SEND, "chain")
    bad = await kit.producer.enqueue(SEND, "bad")
    await kit.idle()
    assert sorted(times(kit, start)) == [("bad", 0), ("chain", 0), ("link", 0)]
    assert (await bad.status()).state == "failed"
    await kit.admin.retry("mail", bad.id)
    await kit.idle()
    assert len(ran) == 4


async def test_leases_outlive_any_time(kit: Kit) -> None:
    for _ in range(20):
        await kit.advance(timedelta(days=30))
        job = await kit.producer.enqueue(SEND, "a")
        await kit.idle()
        assert (await job.status()).state == "completed"
    assert len(ran) == 20


async def test_a_rate_holds_by_the_time_of_the_kit(redis_url: str) -> None:
    slow = Queue("slow", rate_limit=RateLimit(2, per=60))
    job = slow.job("one", payload=int)
    begun: list[float] = []

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> None:
        begun.append((kit.now - start).total_seconds())

    async with Kit(one, url=redis_url) as kit:
        start = kit.now
        for number in range(6):
            await kit.producer.enqueue(job, number)
        await kit.idle()
        assert begun == [0, 0]
        await kit.advance(timedelta(minutes=5))
        assert begun == [0, 0, 30, 60, 90, 120]


async def test_a_paused_queue_is_idle_until_its_pause_ends(kit: Kit) -> None:
    await kit.admin.pause("mail", for_=timedelta(minutes=10))
    await kit.producer.enqueue(SEND, "a")
    await kit.advance(timedelta(minutes=9))
    assert ran == []
    await kit.advance(timedelta(minutes=1))
    assert len(ran) == 1


async def test_it_tells_what_does_not_end(redis_url: str) -> None:
    async with Kit(send, url=redis_url, patience=0.2) as kit:
        kits.append(kit)
        await kit.producer.enqueue(SEND, "hang")
        with pytest.raises(NotIdle, match="mail") as caught:
            await kit.idle()
    assert caught.value.queues == ("mail",)


async def test_time_begins_where_the_test_says(redis_url: str) -> None:
    spring = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    async with Kit(send, url=redis_url, now=spring) as kit:
        assert kit.now == spring
        await kit.advance_to(spring + timedelta(hours=2))
        assert kit.now == spring + timedelta(hours=2)
        with pytest.raises(OptionError, match="does not go back"):
            await kit.advance_to(spring)
        with pytest.raises(OptionError, match="by"):
            await kit.advance(-1)
        with pytest.raises(OptionError, match="no time zone"):
            await kit.advance_to(datetime(2028, 1, 1))  # noqa: DTZ001 - that is what is tried
    with pytest.raises(OptionError, match="no time zone"):
        Kit(now=datetime(2028, 1, 1))  # noqa: DTZ001


async def test_it_brings_a_server_of_its_own() -> None:
    async with Kit(send) as kit:
        kits.append(kit)
        assert await (await kit.producer.enqueue(SEND, "a")).result(40) == "a"


async def test_schedules_fire_at_their_times(redis_url: str) -> None:
    queue = Queue("reports")
    daily = queue.job("daily", payload=str)
    queue.cron("0 9 * * *", daily, "sales", timezone="Europe/Paris")
    ran: list[tuple[datetime, datetime]] = []

    @processor(daily)
    async def make(payload: str, ctx: JobContext) -> None:
        ran.append((ctx.scheduled_for, kit.now))

    # Clocks go forward in the night to the 29th.
    async with Kit(make, url=redis_url, now=datetime(2026, 3, 27, 12, tzinfo=UTC)) as kit:
        await kit.advance(timedelta(days=3))
    assert ran == [
        (at, at)
        for at in (datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((28, 8), (29, 7), (30, 7)))
    ]


async def test_chains_go_on_as_time_passes(kit: Kit) -> None:
    start = kit.now
    chain = SEND.then(SEND, delay=timedelta(hours=1)).then(SEND)
    handle = await kit.producer.enqueue_chain(chain, "link", on_success=[SEND.call("aside")])
    await kit.advance(timedelta(hours=2))
    assert times(kit, start) == [("link", 0.0), ("aside", 0.0), ("link", 3600.0), ("link", 3600.0)]
    assert await handle.result(40) == "link"
