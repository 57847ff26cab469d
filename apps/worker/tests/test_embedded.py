"""A worker inside an application."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import psutil
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core import Queue
from jobs_core.connection import client_for, parse_address
from jobs_producer import Producer
from jobs_worker import Fail, JobContext, Worker, processor, tending
from jobs_worker.keeper import Keeper, KeeperConfig

if TYPE_CHECKING:
    import pytest


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
        await until(worker.is_connected)
        assert worker.connection_info().role == "master"
        assert await (await producer.enqueue(work, "one")).result(40) == "one"
        await (await producer.enqueue(work, "bad")).done(40)
        slow = await producer.enqueue(work, "slow")
        await asyncio.wait_for(begun.wait(), 40)
        assert worker.metrics().active == 1
        worker.stop()
        later = await producer.enqueue(work, "later")
        assert not await worker.wait_for_completion(0.3)
        go_on.set()
        assert await worker.wait_for_completion(40)
        assert await slow.result(40) == "slow"
        assert (await later.status()).state == "waiting"
        metrics = worker.metrics()
        assert (metrics.active, metrics.completed, metrics.failed) == (0, 2, 1)
        assert metrics.uptime_s > 0
        # Started again it goes on with what came meanwhile.
        await worker.start()
        assert await later.result(40) == "later"
    assert not await worker.is_connected()


async def test_what_the_server_lost_is_declared_again(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "_LIST_EVERY", 0.0)
    monkeypatch.setattr(tending, "_ROUND", 1)
    monkeypatch.setattr(tending, "TEND_EVERY", 0.02)
    queue = Queue("embedded", max_active=7)
    work = queue.job("work", payload=str)

    @processor(work)
    async def do(payload: str, ctx: JobContext) -> None: ...

    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    async with (
        Worker(processors=[do], url=redis_url, prefix=prefix),
        Admin(redis_url, prefix=prefix) as admin,
    ):
        keys = [f"{prefix}:{{~}}:queues", f"{prefix}:{{embedded}}:cfg"]
        assert await client.call("DEL", *keys) == 2

        async def declared() -> bool:
            return await client.call("EXISTS", *keys) == 2

        await until(declared)
        assert [each.queue for each in await admin.queues()] == ["embedded"]
        (limit,) = [each for each in await admin.limits("embedded") if each.limit == "max_active"]
        assert limit.declared == 7
    await client.close()


def keepers() -> list[int]:
    """Return the keepers of this process that run."""
    return [each.pid for each in psutil.Process().children() if "jobs_worker.keeper_main" in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # it is gone by now, or a zombie
        return []


async def test_a_keeper_that_died_is_replaced_as_soon_as_there_may_be_a_process(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Queue("embedded").job("work", payload=str, result=str)
    start, refused = Keeper.start, asyncio.Event()

    async def start_later(config: KeeperConfig) -> Keeper:
        if refused.is_set():
            return await start(config)
        refused.set()
        raise BlockingIOError("no process is to be had now")

    @processor(work)
    async def do(payload: str, ctx: JobContext) -> str:
        return payload

    async with Producer(redis_url, prefix=prefix) as producer:
        async with Worker(processors=[do], url=redis_url, prefix=prefix):
            (first,) = keepers()
            monkeypatch.setattr(Keeper, "start", start_later)
            os.kill(first, signal.SIGKILL)
            await refused.wait()
            await until(lambda: bool(keepers()))
            assert first not in keepers()
            assert await (await producer.enqueue(work, "one")).result(40) == "one"
        assert keepers() == []
