"""What has to be fetched before a handler begins, and cannot be: the job waits again, and nothing is spent."""

import asyncio

import pytest
from tests.support.runtime import running
from tests.support.waiting import until

from jobs_core import Fixed, Queue
from jobs_worker import JobContext, processor


@pytest.mark.parametrize("home", ["checkpoint", "history"])
async def test_a_later_attempt_is_not_spent_on_what_could_not_be_fetched(
    redis_url: str, prefix: str, home: str
) -> None:
    queue = Queue("calm")
    job = queue.job("send", payload=int, result=int, attempts=3, backoff=Fixed(0.2), retry_for=600)

    @processor(job)
    async def send(payload: int, ctx: JobContext) -> int:
        if ctx.attempt == 1:
            raise ValueError("once more")
        return ctx.attempt

    async with running(redis_url, prefix, send) as worker:
        call, key = worker.scripts.client.call, worker.scripts.key("calm") + home
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: call("ZSCORE", worker.scripts.key("calm") + "delayed", handle.id))
        await call("RENAME", key, key + ":aside") if home == "history" else None
        await call("SET", key, "of another type")
        await asyncio.sleep(0.6)
        await call("DEL", key)
        await call("RENAME", key + ":aside", key) if home == "history" else None
        assert await handle.result(10) == 2


async def test_a_job_whose_envelope_cannot_be_fetched_is_not_lost(redis_url: str, prefix: str) -> None:
    queue = Queue("calm")
    job = queue.job("read", payload=str, result=int)

    @processor(job)
    async def read(payload: str, ctx: JobContext) -> int:
        return len(payload)

    async with running(redis_url, prefix, read) as worker:
        await worker.scripts.pause("calm")
        handle = await worker.producer.enqueue(job, "x" * 100_000)
        call, key = worker.scripts.client.call, f"{worker.scripts.key('calm')}big:{handle.id}"
        await call("RENAME", key, key + ":aside")
        await call("HSET", key, "of", "another type")
        await worker.scripts.resume("calm")
        await asyncio.sleep(0.3)
        await call("RENAME", key + ":aside", key)
        assert await handle.result(10) == 100_000
