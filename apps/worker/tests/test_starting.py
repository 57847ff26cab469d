"""What has to be fetched before a handler begins, and cannot be: the job waits again, and nothing is spent."""

import asyncio

import pytest
from tests.support.engine import Engine
from tests.support.runtime import Lines, running
from tests.support.waiting import until

from jobs_core import Fixed, Queue
from jobs_core.scripts import Claimed
from jobs_core.scripts.flows import FlowJobs
from jobs_core.wire import AttemptInfo, ErrorInfo, FinishInfo, Header, encode_finish, pack_history_entry
from jobs_producer import Flow
from jobs_worker import JobContext, processor, starting
from jobs_worker.settlement import unopened
from jobs_worker.starting import find_first_start


@pytest.mark.parametrize("home", ["checkpoint", "history"])
async def test_a_later_attempt_is_not_spent_on_what_could_not_be_fetched(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, lines: Lines, home: str
) -> None:
    monkeypatch.setattr(starting, "_ERROR_PAUSE", 0.01)
    queue = Queue("calm")
    job = queue.job("send", payload=int, result=int, attempts=3, backoff=Fixed(300), retry_for=600)

    @processor(job)
    async def send(payload: int, ctx: JobContext) -> int:
        if ctx.attempt == 1:
            raise ValueError("once more")
        return ctx.attempt

    async with running(redis_url, prefix, send) as worker:
        call, key = worker.scripts.client.call, worker.scripts.key("calm") + home
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: call("ZSCORE", worker.scripts.key("calm") + "delayed", handle.id))
        worker.runtime.quiet()
        await worker.scripts.promote("calm", ids=[handle.id])
        await call("RENAME", key, key + ":aside") if home == "history" else None
        await call("SET", key, "of another type")
        worker.runtime.resume()
        await until(lambda: tried_again(lines))
        await call("DEL", key)
        await call("RENAME", key + ":aside", key) if home == "history" else None
        assert await handle.result(40) == 2


def tried_again(lines: Lines) -> bool:
    """Tell whether a job was taken and given back more than once."""
    return len(lines.of("fetch_failed", queue="calm")) > 1


async def test_a_job_whose_envelope_cannot_be_fetched_is_not_lost(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr(starting, "_ERROR_PAUSE", 0.01)
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
        await until(lambda: tried_again(lines))
        await call("RENAME", key + ":aside", key)
        assert await handle.result(40) == 100_000


def failed(attempt: int, started_ms: int, first_ms: int = 0) -> bytes:
    return pack_history_entry(
        AttemptInfo(attempt, started_ms, 1, "w", ErrorInfo("ValueError", "no"), 0, first_ms)
    )


def ended(started_ms: int) -> bytes:
    info = encode_finish(
        FinishInfo("failed", "send@1", 3, 1, 0, started_ms, 3, 4, 3, 3, 0, "w", error=ErrorInfo("E", "no"))
    )
    return (2**31 + len(info)).to_bytes(4, "big") + info


@pytest.mark.parametrize(
    ("history", "first_ms"),
    [
        pytest.param(failed(1, 1000, 1000) + failed(2, 5000, 1000), 1000, id="of several"),
        pytest.param(failed(9, 9000, 1000), 1000, id="the oldest are gone"),
        pytest.param(failed(1, 1, 1) + ended(2000) + failed(1, 7000, 7000), 7000, id="since its replay"),
        pytest.param(failed(1, 1000), 1000, id="of an earlier release"),
        pytest.param(b"", 5_000, id="none"),
    ],
)
async def test_a_time_budget_counts_from_the_first_attempt_that_failed(
    redis_url: str, prefix: str, history: bytes, first_ms: int
) -> None:
    async with running(redis_url, prefix, queues=(Queue("calm"),)) as worker:
        scripts = worker.scripts
        key = scripts.key("calm") + "history"
        if history:
            await scripts.client.call("HSET", key, "a", history)
        delivery = unopened(Claimed("a", b"", 5_000_000, None), Header(0, 3, 1, 0, "send@1", 36), "w")
        assert await find_first_start(scripts, "calm", delivery)
        assert delivery.first_ms == first_ms
        await scripts.client.call("DEL", key)


async def test_a_server_that_lost_ends_of_children_has_no_parent_run_without_them(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, trees = Queue("leaves"), Queue("trees")
    leaf = leaves.job("leaf", payload=int, result=int)
    tree = trees.job("tree", payload=int, result=list[int])
    gate = asyncio.Event()
    seen: list[list[int]] = []

    @processor(leaf)
    async def grow(payload: int, ctx: JobContext) -> int:
        if payload:
            await gate.wait()
        return payload

    @processor(tree)
    async def gather(payload: int, ctx: JobContext) -> list[int]:
        seen.append(ctx.children.results(leaf))
        return seen[-1]

    async with running(redis_url, prefix, grow, gather) as worker:
        scripts = worker.scripts
        engine = Engine(scripts.client, scripts.prefix, "trees")
        children = [Flow(leaf, 0, id="leaf-0"), Flow(leaf, 1, id="leaf-1")]
        await Flow(tree, 0, children=children, id="tree").submit(worker.producer)

        async def told() -> bool:
            return any(
                job.ended for job in (await scripts.flow_jobs("trees", flow_id="tree.0", kind="j")).jobs
            )

        await until(told)
        before = await engine.dumped()
        read = scripts.flow_jobs
        reads = 0

        async def lost(queue: str, **options: object) -> FlowJobs:
            nonlocal reads
            reads += 1
            if reads == 1:
                # Both the claim of the parent and the end of the second child are gone.
                await engine.restore(before)
            return await read(queue, **options)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(scripts, "flow_jobs", lost)
        gate.set()
        await until(lambda: seen)
        assert (seen, reads > 1) == ([[0, 1]], True)
