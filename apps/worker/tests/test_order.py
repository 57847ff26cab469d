"""How many jobs a worker runs at once, and which ones first."""

import asyncio
from collections import Counter
from typing import cast

import pytest
from tests.support.runtime import Run, no_glances
from tests.support.waiting import until

from jobs_core import (
    HEAVY,
    Queue,
    State,
)
from jobs_worker import JobContext, processor, runtime


@pytest.mark.parametrize("concurrency", [1, 3, 20])
async def test_slots_are_filled_and_never_exceeded(run: Run, concurrency: int) -> None:
    queue = Queue("narrow", concurrency=concurrency)
    job = queue.job("busy", payload=str, result=int)
    active = most = 0
    full = asyncio.Event()

    @processor(job)
    async def busy(payload: str, ctx: JobContext) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == concurrency:
            full.set()
        await full.wait()
        await asyncio.sleep(0.001)
        active -= 1
        return len(payload)

    async with run(busy) as worker:
        # Large ones take two trips from claim to start.
        worker.runtime.quiet()
        sizes = [100_000 if n % 3 else 1 for n in range(60)]
        jobs = [await worker.producer.enqueue(job, "x" * size) for size in sizes]
        worker.runtime.resume()
        assert [await each.result(40) for each in jobs] == sizes
        assert most == concurrency


async def test_limit_of_one_name_holds_and_never_holds_up_the_others(run: Run) -> None:
    queue = Queue("mixed", concurrency=6)
    limited = queue.job("limited", payload=str, result=int)
    other = queue.job("other", payload=int, result=int)
    gate = asyncio.Event()
    active: Counter[str] = Counter()
    most: Counter[str] = Counter()

    @processor(limited, concurrency=2)
    async def of_limited(payload: str, ctx: JobContext) -> int:
        active["limited"] += 1
        most["limited"] = max(most["limited"], active["limited"])
        await gate.wait()
        await asyncio.sleep(0)
        active["limited"] -= 1
        return 1

    @processor(other)
    async def of_other(payload: int, ctx: JobContext) -> int:
        active["other"] += 1
        most["other"] = max(most["other"], active["other"])
        await asyncio.sleep(0.001)
        active["other"] -= 1
        return payload

    async with run(of_limited, of_other) as worker:
        held = [await worker.producer.enqueue(limited, "x" * (70_000 if n % 2 else 1)) for n in range(40)]
        free = [await worker.producer.enqueue(other, n) for n in range(40)]
        assert [await each.result(40) for each in free] == list(range(40))
        assert most["limited"] == 2
        assert most["other"] <= 4
        gate.set()
        assert [await each.result(40) for each in held] == [1] * 40
        assert most["limited"] == 2


async def test_heavy_queues_share_three_slots_in_turns(run: Run) -> None:
    first = Queue("video", profile=HEAVY, executor="async", concurrency=3)
    second = Queue("audio", profile=HEAVY, executor="async", concurrency=3)
    jobs = [queue.job("cut", payload=str, result=int) for queue in (first, second)]
    active = most = 0
    order: list[str] = []

    async def work(payload: str, ctx: JobContext) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.001)
        order.append(ctx.queue)
        active -= 1
        return 1

    for job in jobs:
        processor(job)(work)
    async with run(work) as worker:
        worker.runtime.quiet()
        handles = [
            await worker.producer.enqueue(job, "x" * (70_000 if n == 4 else 1))
            for n in range(15)
            for job in jobs
        ]
        worker.runtime.resume()
        assert [await each.result(40) for each in handles] == [1] * 30
        assert most == 3
        # Neither waits until the other has nothing left to do.
        assert min(Counter(order[:16]).values()) >= 4, order


async def test_urgent_jobs_come_first(run: Run) -> None:
    queue = Queue("ordered", concurrency=1)
    job = queue.job("note", payload=str, result=str)
    order: list[str] = []

    @processor(job)
    async def note(payload: str, ctx: JobContext) -> str:
        order.append(payload)
        return payload

    async with run(note) as worker:
        worker.runtime.quiet()
        priorities = ["low", "background", "normal", "critical", "high", "normal"]
        jobs = [
            await worker.producer.enqueue(job, f"{priority} {n}", priority=priority)
            for n, priority in enumerate(priorities)
        ]
        worker.runtime.resume()
        for each in jobs:
            await each.result(40)
        assert order == ["critical 3", "high 4", "normal 2", "normal 5", "low 0", "background 1"]


async def test_delayed_job_starts_on_time_at_an_idle_worker(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The alarm wakes it, not the glance that comes each second.
    monkeypatch.setattr(runtime, "glances", no_glances)
    queue = Queue("timed", concurrency=5)
    job = queue.job("start", payload=int, result=int)

    @processor(job)
    async def start(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(start) as worker:
        await (await worker.producer.enqueue(job, 0)).result(40)
        await until(lambda: worker.lane("timed").idle)
        # The later one first: the earlier one must set the alarm anew.
        jobs = [await worker.producer.enqueue(job, ms, delay=ms / 1000) for ms in (300, 120)]
        for each in jobs:
            await each.result(40)
            record = await each.status()
            assert 0 <= cast("float", record.wait_ms) < 10_000, record


async def test_paused_queue_starts_nothing_until_it_is_resumed(run: Run) -> None:
    queue = Queue("held", concurrency=5)
    job = queue.job("go", payload=int, result=int)

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> int:
        return payload

    async with run(go) as worker:
        await (await worker.producer.enqueue(job, 0)).result(40)
        await worker.scripts.pause("held")
        held = [await worker.producer.enqueue(job, n) for n in range(10)]
        assert {(await each.status()).state for each in held} == {State.WAITING}
        # Also a worker that asks is given nothing.
        worker.lane("held").kick(hungry=True)
        await until(lambda: worker.lane("held").idle and worker.runtime.stats().completed)
        assert worker.runtime.stats().completed == 1
        await worker.scripts.resume("held")
        assert [await each.result(40) for each in held] == list(range(10))
