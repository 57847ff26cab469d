"""Limits with real workers: they hold over all of them, and who waits starts as soon as it may."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.support.runtime import running
from tests.support.waiting import until

from jobs_core import KeyLimits, Queue, RateLimit
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_worker import JobContext, RateLimited, processor


@pytest.fixture
async def scripts(redis_url: str, prefix: str) -> AsyncIterator[Scripts]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    yield Scripts(client, prefix)
    await client.close()


async def test_a_rate_holds_over_all_workers(redis_url: str, prefix: str) -> None:
    job = Queue("paced", concurrency=16, rate_limit=RateLimit(100, 1, burst=20)).job(
        "go", payload=dict[str, int]
    )
    started: list[int] = []

    @processor(job)
    async def go(payload: dict[str, int], ctx: JobContext) -> None:
        await asyncio.sleep(0)
        started.append(ctx.fence)

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(redis_url, prefix, go)) for _ in range(4)]
        for i in range(220):
            await workers[0].producer.enqueue(job, {"i": i})
        await until(lambda: len(started) == 220)
    started.sort()
    # Whatever span is looked at: never more than the burst and what came in meanwhile.
    for first in range(0, 220, 7):
        for last in range(first + 20, 220, 7):
            allowed = 20 + (started[last] - started[first]) / 10_000
            assert last - first + 1 <= allowed * 1.01 + 1
    assert started[-1] - started[0] >= 1_980_000


async def test_slots_and_keys_hold_over_all_workers(redis_url: str, prefix: str) -> None:
    queue = Queue("tenants", concurrency=8, max_active=6, key="tenant", key_limits=KeyLimits(concurrency=2))
    job = queue.job("go", payload=dict[str, str])
    now, most, peak, done = Counter[str](), Counter[str](), [0], list[str]()

    @processor(job)
    async def go(payload: dict[str, str], ctx: JobContext) -> None:
        tenant = payload["tenant"]
        now[tenant] += 1
        most[tenant] = max(most[tenant], now[tenant])
        peak[0] = max(peak[0], now.total())
        await asyncio.sleep(0.002)
        now[tenant] -= 1
        done.append(tenant)

    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(running(redis_url, prefix, go)) for _ in range(3)]
        for tenant in ("big", "big", "big", "a", "b", "c", "d"):
            for _ in range(20):
                await workers[0].producer.enqueue(job, {"tenant": tenant})
        await until(lambda: len(done) == 140)
    assert set(most) == {"big", "a", "b", "c", "d"}
    assert max(most.values()) <= 2
    assert peak[0] <= 6


async def test_jobs_that_are_held_back_cost_no_claims(redis_url: str, prefix: str, scripts: Scripts) -> None:
    job = Queue("slow", concurrency=4, rate_limit=RateLimit(1, 60)).job("go", payload=dict[str, str])
    done: list[str] = []

    @processor(job)
    async def go(payload: dict[str, str], ctx: JobContext) -> None:
        await asyncio.sleep(0)
        done.append(ctx.job_id)

    async with running(redis_url, prefix, go) as worker:
        for _ in range(5):
            await worker.producer.enqueue(job, {})
        await until(lambda: len(done) == 1)
        # A call under way, or one that a message still to be read asks for, would be counted below.
        await worker.scripts.client.call("PING")
        await until(lambda: worker.lane("slow").idle and not worker.lane("slow").taken)
        before = await _claims(scripts)
        for _ in range(12):
            worker.lane("slow").glanced((await scripts.glance(["slow"]))["slow"])
            await asyncio.sleep(0.02)
        assert await _claims(scripts) == before


async def _claims(scripts: Scripts) -> int:
    meta = await scripts.client.call("HGETALL", scripts.key("slow") + "meta")
    assert isinstance(meta, dict)
    return sum(
        int(bytes(value).split()[0])
        for name, value in meta.items()
        if isinstance(name, bytes)
        and isinstance(value, bytes)
        and name.endswith(b"c")
        and b"session:" in name
    )


async def test_a_handler_that_meets_a_limit_holds_back_its_key_alone(redis_url: str, prefix: str) -> None:
    queue = Queue("calls", concurrency=1, key="tenant", key_limits=KeyLimits(concurrency=1))
    job = queue.job("go", payload=dict[str, str], attempts=1)
    started: list[tuple[str, int]] = []
    holds = {"a": 3600, "c": 0.5}

    @processor(job)
    async def go(payload: dict[str, str], ctx: JobContext) -> None:
        await asyncio.sleep(0)
        started.append((payload["tenant"], ctx.fence))
        if (
            payload["tenant"] in holds
            and len([each for each in started if each[0] == payload["tenant"]]) == 1
        ):
            raise RateLimited(holds[payload["tenant"]], scope="key")

    async with running(redis_url, prefix, go) as worker:
        for tenant in ("a", "a", "b", "b", "c"):
            await worker.producer.enqueue(job, {"tenant": tenant})
        await until(lambda: len(started) == 5)
    at = {tenant: [fence for name, fence in started if name == tenant] for tenant in "abc"}
    assert (len(at["a"]), len(at["b"])) == (1, 2)
    assert at["c"][1] - at["c"][0] >= 500_000
