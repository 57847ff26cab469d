"""A worker inside an application."""

from __future__ import annotations

import asyncio

from jobs_core import Queue
from jobs_producer import Producer
from jobs_worker import Fail, JobContext, Worker, processor


async def test_it_starts_stops_waits_and_measures(redis_url: str, prefix: str) -> None:
    queue = Queue("embedded", concurrency=5)
    work = queue.job("work", payload=str, result=str)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @processor(work)
    async def do(payload: str, ctx: JobContext) -> str:
        if payload == "bad":
            raise Fail("no good")
        if payload == "slow":
            begun.set()
            await go_on.wait()
        return payload

    worker = Worker(processors=[do], url=redis_url, prefix=prefix)
    assert not await worker.is_connected()
    async with Producer(redis_url, prefix=prefix) as producer, worker:
        assert await worker.is_connected()
        assert worker.connection_info().role == "master"
        assert await (await producer.enqueue(work, "one")).result(10) == "one"
        await (await producer.enqueue(work, "bad")).done(10)
        slow = await producer.enqueue(work, "slow")
        await asyncio.wait_for(begun.wait(), 10)
        assert worker.metrics().active == 1
        worker.stop()
        later = await producer.enqueue(work, "later")
        assert not await worker.wait_for_completion(0.3)
        go_on.set()
        assert await worker.wait_for_completion(10)
        assert await slow.result(10) == "slow"
        assert (await later.status()).state == "waiting"
        metrics = worker.metrics()
        assert (metrics.active, metrics.completed, metrics.failed) == (0, 2, 1)
        assert metrics.uptime_s > 0
        # Started again it goes on with what came meanwhile.
        await worker.start()
        assert await later.result(10) == "later"
    assert not await worker.is_connected()
