"""Workers send what schedules have due: in time, one of many of them, and whatever else they do."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.support.runtime import InProcess, Run, captured_lines, no_glances, running
from tests.support.waiting import until

from jobs_core import Queue
from jobs_core.queues.cache_warmup import CACHE_WARMUP
from jobs_core.queues.email import EMAIL
from jobs_core.queues.reports import REPORTS
from jobs_core.schedules.recurrence import CronTimes, Every
from jobs_core.schedules.ticks import Ticker
from jobs_producer import Producer
from jobs_worker import Fail, JobContext, declared, processor, runtime


def in_ms(*milliseconds: int) -> list[datetime]:
    now = datetime.now(UTC)
    return [now + timedelta(milliseconds=each) for each in milliseconds]


async def test_an_idle_worker_sends_and_starts_each_time_as_it_comes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is woken for each of them: it does not find them by a glance.
    monkeypatch.setattr(runtime, "glances", no_glances)
    queue = Queue("timed", concurrency=5)
    job = queue.job("start", payload=str)
    started: list[tuple[datetime, datetime]] = []
    senders: list[str | None] = []

    @processor(job)
    async def start(payload: str, ctx: JobContext) -> None:
        started.append((datetime.now(UTC), ctx.scheduled_for))
        senders.append(ctx.schedule_id)

    async with run(start) as worker:
        await until(lambda: worker.lane("timed").idle)
        times = in_ms(1000, 1100, 1200, 1350)
        made = await worker.producer.schedules.upsert("s", job, "ada", at=times)
        await until(lambda: len(started) == len(times))
        assert all(at >= due for at, due in started)
        assert [due - due.replace(microsecond=0) for _, due in started] == [
            timedelta(milliseconds=each.microsecond // 1000) for each in times
        ]
        record = await worker.producer.schedules.get("timed", made.id)
        assert (record.state, record.fired, record.late) == ("ended", 4, 0)
        await worker.producer.enqueue(job, "eve")
        await until(lambda: len(senders) == len(times) + 1)
        assert senders == ["s"] * 4 + [None]


async def test_of_many_workers_one_looks_for_what_is_due(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("herd", concurrency=1)
    job = queue.job("go", payload=int)
    ticks: list[int] = []
    run_ticker = Ticker.run

    async def counted(self: Ticker) -> int:
        sent = await run_ticker(self)
        ticks.append(sent)
        return sent

    # Who glances ticks as well, however often that is while the machine is busy.
    monkeypatch.setattr(runtime, "glances", no_glances)
    monkeypatch.setattr(Ticker, "run", counted)
    done: list[int] = []

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        done.append(payload)

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(redis_url, prefix, go)) for _ in range(10)]
        await until(lambda: all(each.lane("herd").idle for each in workers))
        await workers[0].producer.schedules.upsert("s", job, 1, at=in_ms(1000, 1100, 1200))
        await until(lambda: len(done) == 3)
    assert sum(ticks) == 3
    assert len(ticks) <= 4


async def test_a_queue_that_is_paused_gathers_them(run: Run) -> None:
    queue = Queue("held")
    job = queue.job("go", payload=int)

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        """Do nothing."""

    async with run(go) as worker:
        await worker.scripts.pause("held")
        await worker.producer.schedules.upsert("s", job, 1, at=in_ms(1000, 1050))
        await until(lambda: waiting(worker, 2))


async def waiting(worker: InProcess, count: int) -> bool:
    return (await worker.scripts.glance(["held"]))["held"].waiting == count


async def test_a_worker_without_a_free_slot_sends_them_as_well(run: Run) -> None:
    queue = Queue("held", concurrency=1)
    job = queue.job("hold", payload=int)
    held = asyncio.Event()

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> None:
        await held.wait()

    async with run(hold) as worker:
        await worker.producer.enqueue(job, 0)
        await until(lambda: worker.lane("held").running)
        await worker.producer.schedules.upsert("s", job, 1, at=in_ms(1000))
        await until(lambda: waiting(worker, 1))
        held.set()


async def test_what_was_due_while_nobody_was_there_is_sent_at_the_start(
    run: Run, redis_url: str, prefix: str
) -> None:
    queue = Queue("late")
    job = queue.job("go", payload=int)
    done = asyncio.Event()

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        done.set()

    async with Producer(redis_url, prefix=prefix) as producer:
        (time,) = in_ms(1000)
        await producer.schedules.upsert("s", job, 1, at=[time])
        await until(lambda: datetime.now(UTC) > time)
    async with run(go), asyncio.timeout(40):
        await done.wait()


async def test_the_next_run_counts_from_the_end_of_the_one_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "glances", no_glances)
    queue = Queue("again")
    job = queue.job("go", payload=int)
    times: list[tuple[float, float]] = []

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        times.append((began, asyncio.get_running_loop().time()))

    async with run(go) as worker:
        await worker.producer.schedules.upsert("s", job, 1, after_completion=0.1, limit=3)
        await until(lambda: len(times) == 3)
        assert all(later[0] - sooner[1] >= 0.1 for sooner, later in pairwise(times))


async def test_a_run_that_fails_for_good_pauses_those_that_ask_for_it(run: Run) -> None:
    queue = Queue("fragile", dead_letter=False)
    job = queue.job("go", payload=int)

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        raise Fail("no such account")

    async with run(go) as worker:
        schedules = worker.producer.schedules
        await schedules.upsert("s", job, 1, at=in_ms(1000, 3_600_000), pause_on_failure=True)
        await until(lambda: paused(worker))
        record = await schedules.get("fragile", "s")
        assert (record.fired, record.paused_by) == (1, "")
        assert record.last_job is not None
        assert record.last_job in record.note


async def paused(worker: InProcess) -> bool:
    return (await worker.producer.schedules.get("fragile", "s")).state == "paused"


# Declared in code


def shop(jitter: float = 0) -> Callable[..., object]:
    """Declare two schedules, and return a handler of their queue."""
    queue = Queue("shop", concurrency=2)
    job = queue.job("digest", payload=str)
    queue.cron("0 9 * * *", job, "daily", schedule_id="daily", timezone="Europe/Paris", jitter=jitter)
    queue.every(300, job, "often")

    @processor(job)
    async def digest(payload: str, ctx: JobContext) -> None:
        """Do nothing."""

    return digest


async def test_what_code_declares_is_there_once_a_worker_runs(run: Run) -> None:
    async with run(shop()) as worker:
        first = await worker.producer.schedules.list("shop")
    assert {each.id: each.from_code for each in first.schedules} == {
        "shop:digest:every 300000ms": True,
        "daily": True,
    }
    async with run(shop()) as worker:
        assert await worker.producer.schedules.list("shop") == first
        await worker.producer.schedules.pause("shop", "daily")
    async with run(shop(jitter=60)) as worker:
        record = await worker.producer.schedules.get("shop", "daily")
        assert (record.jitter_ms, record.state) == (60_000, "paused")


async def test_what_code_declares_no_more_is_named_and_stays(run: Run, redis_url: str, prefix: str) -> None:
    async with run(shop()):
        pass
    queue = Queue("shop")
    job = queue.job("digest", payload=str)
    queue.every(300, job, "often")

    @processor(job)
    async def digest(payload: str, ctx: JobContext) -> None:
        """Do nothing."""

    with captured_lines("info") as lines:
        async with run(digest) as worker:
            await worker.producer.schedules.upsert("by-hand", job, "x", every=60)
            assert (await worker.producer.schedules.get("shop", "daily")).state == "active"
    (line,) = lines.of("schedules_undeclared")
    assert (line["queue"], line["schedules"]) == ("shop", ["daily"])


async def test_data_that_is_lost_is_told_and_the_schedules_are_written_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declared, "_LOOK_EVERY", 0.05)
    with captured_lines("info") as lines:
        async with run(shop()) as worker:
            await worker.scripts.client.call("FLUSHALL")
            await until(lambda: is_there(worker))
    assert lines.of("data_lost", queues=["shop"])


async def is_there(worker: InProcess) -> bool:
    return (await worker.producer.schedules.list("shop")).total == 2


async def test_what_needs_a_variable_is_declared_where_that_is_set(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("shop")
    job = queue.job("digest", payload=str)
    queue.every(300, job, "often", schedule_id="digest", requires=("DIGEST_TO", "SHOP_URL"))

    @processor(job)
    async def digest(payload: str, ctx: JobContext) -> None:
        """Do nothing."""

    monkeypatch.setenv("DIGEST_TO", "ada@example.com")
    monkeypatch.setenv("SHOP_URL", " ")
    with captured_lines("info") as lines:
        async with run(digest) as worker:
            assert (await worker.producer.schedules.list("shop")).total == 0
    (line,) = lines.of("schedule_not_set")
    assert (line["queue"], line["schedule"], line["unset"]) == ("shop", "digest", ["SHOP_URL"])
    monkeypatch.setenv("SHOP_URL", "https://example.com")
    async with run(digest) as worker:
        assert (await worker.producer.schedules.get("shop", "digest")).from_code
    monkeypatch.delenv("SHOP_URL")
    with captured_lines("info") as lines:
        async with run(digest):
            pass
    (line,) = lines.of("schedules_undeclared")
    assert line["schedules"] == ["digest"]


def test_the_predefined_schedules() -> None:
    declared = {
        (queue.name, each.id, each.timing.recurrence): each.unset({})
        for queue in (EMAIL, CACHE_WARMUP, REPORTS)
        for each in queue.schedules.values()
    }
    assert declared == {
        ("email", "daily-digest", CronTimes("0 9 * * *")): ["SMTP_URL", "MAIL_FROM", "DIGEST_TO"],
        ("reports", "daily-summary", CronTimes("0 6 * * *")): ["SUMMARY_TO"],
        ("cache-warmup", "warm", Every(300_000, 0)): ["CACHE_URL", "CACHE_WARMUP_URLS"],
    }
