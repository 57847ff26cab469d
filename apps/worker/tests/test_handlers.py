"""What a handler is given, what it returns, tells and writes."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from tests.support.runtime import Lines, Run, captured_lines
from tests.support.waiting import until

from jobs_core import (
    Fixed,
    Queue,
    State,
)
from jobs_core.payloads import JsonValue
from jobs_core.wire import Progress
from jobs_worker import JobContext, processor

NOW = Fixed(0)


async def test_result_of_an_async_handler(run: Run) -> None:
    queue = Queue("sums")
    job = queue.job("add", payload=tuple[int, int], result=int)

    @processor(job)
    async def add(payload: tuple[int, int], ctx: JobContext) -> int:
        return sum(payload)

    async with run(add) as worker:
        handle = await worker.producer.enqueue(job, (2, 3))
        assert await handle.result(40) == 5
        record = await handle.status()
        assert (record.state, record.attempts_made, record.result) == (State.COMPLETED, 1, 5)


async def test_sync_handler_runs_in_a_thread(run: Run) -> None:
    queue = Queue("sync")
    job = queue.job("where", payload=int, result=int)

    @processor(job)
    def where(payload: int, ctx: JobContext) -> int:
        return threading.get_ident()

    async with run(where) as worker:
        assert await (await worker.producer.enqueue(job, 1)).result(40) != threading.get_ident()


async def test_context_tells_of_the_delivery(run: Run) -> None:
    queue = Queue("told")
    job = queue.job("tell", payload=str, result=dict[str, object])
    seen: list[JobContext] = []

    @processor(job)
    async def tell(payload: str, ctx: JobContext) -> dict[str, object]:
        seen.append(ctx)
        return {"remaining": ctx.remaining}

    async with run(tell) as worker:
        before = time.time()
        handle = await worker.producer.enqueue(
            job, "x", job_id="mine", metadata={"tenant": 7}, tags=["a", "b"], attempts=4, timeout=60
        )
        result = await handle.result(40)
        (ctx,) = seen
        assert (ctx.job_id, ctx.queue, ctx.name, ctx.attempt, ctx.attempts) == ("mine", "told", "tell", 1, 4)
        assert (ctx.metadata, ctx.tags) == ({"tenant": 7}, ("a", "b"))
        assert abs(ctx.created_at.timestamp() - before) < 60
        assert abs(ctx.fence / 1e6 - before) < 60
        assert 50 < cast("float", result["remaining"]) <= 60


async def test_queue_handler_takes_names_that_no_code_declares(run: Run) -> None:
    queue = Queue("any", concurrency=5)
    known = queue.job("known", payload=int, result=int)

    @processor(known)
    async def of_known(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(queue)
    async def of_rest(payload: JsonValue, ctx: JobContext) -> JsonValue:
        return {"name": ctx.name, "payload": payload}

    async with run(of_known, of_rest) as worker:
        free = worker.producer.queue("any")
        one = await free.enqueue("surprise", {"a": [1, None]}, result_ttl=60)
        two = await worker.producer.enqueue(known, 3)
        assert await one.result(40) == {"name": "surprise", "payload": {"a": [1, None]}}
        assert await two.result(40) == 3


@pytest.mark.parametrize("size", [65_000, 65_537, 300_000, 1024 * 1024 - 2])
async def test_payload_of_any_size_arrives(run: Run, size: int) -> None:
    queue = Queue("large", concurrency=4)
    job = queue.job("echo", payload=str, result=str)

    @processor(job)
    async def echo(payload: str, ctx: JobContext) -> str:
        return payload

    async with run(echo) as worker:
        text = "x" * size
        assert await (await worker.producer.enqueue(job, text)).result(40) == text


async def test_progress_is_visible_while_the_job_runs(run: Run) -> None:
    queue = Queue("told", concurrency=2)
    on_loop = queue.job("on-loop", payload=int, result=int)
    in_thread = queue.job("in-thread", payload=int, result=int)
    seen = threading.Event()

    @processor(on_loop)
    async def of_loop(payload: int, ctx: JobContext) -> int:
        for percent in range(payload):
            ctx.progress(percent)
        ctx.progress(payload)
        await until(seen.is_set)
        return 1

    @processor(in_thread)
    def of_thread(payload: int, ctx: JobContext) -> int:
        ctx.progress(current=payload, total=200, message="x" * 2000 + "\udcff")
        seen.wait(40)
        return 2

    async with run(of_loop, of_thread) as worker:
        one, two = [await worker.producer.enqueue(job, 42) for job in (on_loop, in_thread)]

        async def progress() -> list[object]:
            records = [await one.status(), await two.status()]
            return [each.progress for each in records if each.progress is not None]

        reported: list[object] = []
        while len(reported) < 2:
            reported = await until(progress)
        assert reported == [42.0, Progress(21.0, 42, 200, "x" * 1000)]
        seen.set()
        assert [await one.result(40), await two.result(40)] == [1, 2]


async def test_shared_thing_is_made_once_and_closed_with_the_child(run: Run) -> None:
    queue = Queue("sharing", concurrency=20)
    job = queue.job("use", payload=int, result=int)
    opened: list[object] = []
    closed: list[object] = []

    @asynccontextmanager
    async def pool() -> AsyncGenerator[object]:
        await asyncio.sleep(0)
        opened.append(thing := object())
        yield thing
        closed.append(thing)

    @processor(job)
    async def use(payload: int, ctx: JobContext) -> int:
        return id(await ctx.shared(pool))

    async with run(use) as worker:
        jobs = [await worker.producer.enqueue(job, n) for n in range(20)]
        assert {await each.result(40) for each in jobs} == {id(opened[0])}
        assert (len(opened), closed) == (1, [])
    assert closed == opened


async def test_lines_are_bound_to_the_job(run: Run, lines: Lines) -> None:
    queue = Queue("logged")
    good = queue.job("good", payload=int)
    bad = queue.job("bad", payload=int, attempts=2, backoff=NOW)

    @processor(good)
    async def of_good(payload: int, ctx: JobContext) -> None:
        ctx.log.info("halfway", number=payload)

    @processor(bad)
    def of_bad(payload: int, ctx: JobContext) -> None:
        ctx.log.warning("about to fail")
        raise ValueError("no")

    async with run(of_good, of_bad) as worker:
        jobs = [await worker.producer.enqueue(job, 7) for job in (good, bad)]
        for each in jobs:
            await each.done(40)
        await until(lambda: lines.of("completed") and lines.of("failed"))
    told = {"queue": "logged", "job_id": jobs[0].id, "job": "good@1"}
    assert [line["level"] for line in lines.of("active", **told)] == ["debug"]
    assert [line["level"] for line in lines.of("completed", **told)] == ["debug"]
    assert len(lines.of("halfway", job_id=jobs[0].id, queue="logged", job="good", number=7)) == 1
    told = {
        "queue": "logged",
        "job_id": jobs[1].id,
        "job": "bad@1",
        "error_type": "ValueError",
        "error": "no",
    }
    assert [line["level"] for line in lines.of("retry", attempt=1, delay_ms=0, **told)] == ["info"]
    assert [line["level"] for line in lines.of("failed", attempt=2, **told)] == ["info"]
    assert [line["attempt"] for line in lines.of("about to fail", job_id=jobs[1].id)] == [1, 2]


async def test_lines_of_every_job_are_not_written_at_info(run: Run) -> None:
    queue = Queue("quiet")
    job = queue.job("good", payload=int)

    @processor(job)
    async def of_good(payload: int, ctx: JobContext) -> None: ...

    with captured_lines("info") as lines:
        async with run(of_good) as worker:
            await (await worker.producer.enqueue(job, 7)).done(40)
        assert lines.of("active") == lines.of("completed") == []
