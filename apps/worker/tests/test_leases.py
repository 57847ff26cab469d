"""Owners that are gone, deliveries that are stale, calls whose outcome is lost, and how a lane stops."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest
from tests.support.engine import Engine
from tests.support.runtime import Lines, Run
from tests.support.waiting import until

from jobs_core import (
    Queue,
    State,
)
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed
from jobs_core.outbox import Relay
from jobs_core.scripts import Beat, Claim, Scripts
from jobs_worker import JobContext, lane, processor
from jobs_worker.leases import LeaseKeeper


async def test_owner_that_is_gone_has_its_handlers_cancelled(run: Run, lines: Lines) -> None:
    queue = Queue("leased", concurrency=2)
    job = queue.job("hold", payload=int, result=int)
    fences: list[int] = []
    cancelled: list[int] = []
    gate = asyncio.Event()

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        fences.append(ctx.fence)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(ctx.fence)
            raise
        return ctx.fence

    async with run(hold) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: len(fences) == 1)
        owner = worker.lane("leased").owner
        assert worker.leases == {("leased", owner): True}
        # Somebody declares it dead and gives its jobs back: it learns of it by its next call, and claims anew.
        await worker.scripts.release("leased", owner=owner)
        await until(lambda: len(fences) == 2)
        assert cancelled == fences[:1]
        assert worker.lane("leased").owner != owner
        await until(
            lambda: worker.leases == {("leased", owner): False, ("leased", worker.lane("leased").owner): True}
        )
        gate.set()
        assert await handle.result(40) == fences[1] > fences[0]
        await until(lambda: worker.runtime.stats().completed == 1)
        assert worker.runtime.stats().lost == 1
        (line,) = lines.of("lease_lost")
        assert (line["level"], line["queue"], line["job_id"], line["fence"]) == (
            "info",
            "leased",
            handle.id,
            fences[0],
        )


async def test_stale_delivery_settles_nothing(run: Run, lines: Lines) -> None:
    queue = Queue("stale", concurrency=1)
    job = queue.job("hold", payload=int, result=int)
    fences: list[int] = []
    gates = [asyncio.Event(), asyncio.Event()]

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        fences.append(ctx.fence)
        await gates[len(fences) - 1].wait()
        return ctx.fence

    async with run(hold) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await until(lambda: len(fences) == 1)
        await worker.scripts.release("stale", owner=worker.lane("stale").owner)
        # It ends before it hears that it was given up: the server refuses what it has to say.
        gates[0].set()
        await until(lambda: len(fences) == 2)
        assert len(lines.of("lease_lost", job_id=handle.id, fence=fences[0])) == 1
        assert (await handle.status()).state is State.ACTIVE
        gates[1].set()
        assert await handle.result(40) == fences[1]


async def test_a_server_that_lost_what_it_had_answered_strands_no_job(run: Run, lines: Lines) -> None:
    queue = Queue("rolled-back", concurrency=1)
    job = queue.job("hold", payload=str, result=int)
    starts: Counter[str] = Counter()
    gates = {"first": asyncio.Event(), "second": asyncio.Event()}

    @processor(job)
    async def hold(payload: str, ctx: JobContext) -> int:
        starts[payload] += 1
        await gates[payload].wait()
        return ctx.fence

    async with run(hold) as worker:
        here, engine = (
            worker.lane(queue.name),
            Engine(worker.scripts.client, worker.scripts.prefix, queue.name),
        )
        first = await worker.producer.enqueue(job, "first")
        await until(lambda: starts["first"] == 1)
        second = await worker.producer.enqueue(job, "second")
        before = await engine.dumped()
        gates["first"].set()
        await until(lambda: starts["second"] == 1)
        await here.reconcile()
        await here.reconcile()
        assert (here.stats.lost, lines.of("given_back")) == (0, [])

        # The settlement of the first and the claim of the second are lost.
        await engine.restore(before)
        await here.reconcile()
        (line,) = lines.of("lease_lost")
        assert line["job_id"] == second.id
        assert (await first.status()).state is State.ACTIVE

        async def given_back() -> bool:
            await here.reconcile()
            return bool(lines.of("given_back"))

        await until(given_back)
        (line,) = lines.of("given_back")
        assert (line["level"], line["queue"], line["job_ids"]) == ("warning", queue.name, [first.id])
        gates["second"].set()
        await first.result(40)
        await second.result(40)
        assert starts == {"first": 2, "second": 2}


async def test_a_node_that_is_away_holds_up_no_queue_of_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    away = asyncio.Event()
    first, second = Queue("first"), Queue("second")

    async def held(scripts: Scripts, queue: str, **_: object) -> dict[int, str]:
        asked[queue] += 1
        if queue == "first":
            await away.wait()
        return {}

    async def confirm(relay: Relay) -> None:
        asked["confirm"] += 1
        await away.wait()

    monkeypatch.setattr(Scripts, "held", held)
    monkeypatch.setattr(Relay, "confirm", confirm)
    monkeypatch.setattr("jobs_worker.runtime.RECONCILE_EVERY", 0.01)
    monkeypatch.setattr("jobs_worker.runtime._PATIENCE", 0.01)

    @processor(first.job("one", payload=int))
    async def one(payload: int, ctx: JobContext) -> None:
        pass

    @processor(second.job("two", payload=int))
    async def two(payload: int, ctx: JobContext) -> None:
        pass

    async with run(one, two):
        await until(lambda: min(asked["first"], asked["second"], asked["confirm"]) > 1)


@pytest.mark.parametrize("call", ["claim", "settle"])
@pytest.mark.parametrize("applied", [True, False])
async def test_call_whose_outcome_is_lost_loses_no_job(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    applied: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(lane, "_ERROR_PAUSE", 0.01)
    queue = Queue("shaky", concurrency=20)
    job = queue.job("count", payload=int, result=int)
    starts: Counter[int] = Counter()

    @processor(job)
    async def count(payload: int, ctx: JobContext) -> int:
        starts[payload] += 1
        return payload

    async with run(count) as worker:
        real = getattr(worker.scripts, call)
        lost = 0

        async def flaky(queue: str, **options: object) -> Claim | bytes:
            nonlocal lost
            answer = await real(queue, **options) if applied or lost >= 3 else None
            if lost < 3 and (options.get("want") or options.get("groups")):
                lost += 1
                raise OutcomeLost("the reply did not come")
            return cast("Claim | bytes", answer or await real(queue, **options))

        monkeypatch.setattr(worker.scripts, call, flaky)
        jobs = [await worker.producer.enqueue(job, n) for n in range(50)]
        assert [await each.result(40) for each in jobs] == list(range(50))
        assert lost == 3
        assert set(starts.values()) == {1}


async def test_drain_waits_for_active_jobs(run: Run) -> None:
    queue = Queue("drained", concurrency=1)
    job = queue.job("hold", payload=int, result=int)
    gate = asyncio.Event()

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        await gate.wait()
        return payload

    async with run(hold) as worker:
        jobs = [await worker.producer.enqueue(job, n) for n in range(3)]
        await until(lambda: worker.lane("drained").running)
        assert not await worker.runtime.drain(0.01)
        gate.set()
        assert await worker.runtime.drain(40)
        assert await jobs[0].result(40) == 0
        assert {(await each.status()).state for each in jobs[1:]} == {State.WAITING}
        worker.runtime.resume()
        assert [await each.result(40) for each in jobs] == [0, 1, 2]


async def test_quiet_lane_whose_owner_is_gone_is_drained(run: Run) -> None:
    queue = Queue("drained", concurrency=1)
    job = queue.job("hold", payload=int, result=int)

    @processor(job)
    async def hold(payload: int, ctx: JobContext) -> int:
        await asyncio.Event().wait()
        return payload

    async with run(hold) as worker:
        await worker.producer.enqueue(job, 1)
        await until(lambda: worker.lane("drained").running)
        assert not await worker.runtime.drain(0.01)
        worker.lane("drained").owner_gone(worker.lane("drained").owner)
        assert await worker.runtime.drain(40)


async def test_abandoned_jobs_wait_again_uncharged(run: Run) -> None:
    queue = Queue("abandoned", concurrency=2)
    on_loop = queue.job("on-loop", payload=int)
    in_thread = queue.job("in-thread", payload=int)
    release = threading.Event()

    @processor(on_loop)
    async def of_loop(payload: int, ctx: JobContext) -> None:
        await asyncio.Event().wait()

    @processor(in_thread)
    def of_thread(payload: int, ctx: JobContext) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)

    async with run(of_loop, of_thread) as worker:
        jobs = [await worker.producer.enqueue(job, 1) for job in (on_loop, in_thread)]
        await until(lambda: len(worker.lane("abandoned").running) == 2)
        assert not await worker.runtime.drain(0.01)
        await worker.runtime.close(abandon=True)
        for each in jobs:
            found = await worker.located("abandoned", each.id)
            assert (found.state, found.entry.attempts, found.entry.crashes) == ("waiting", 0, 0)
            assert found.entry.releases == 1
    release.set()


async def test_beats_that_fail_are_told_once_when_they_begin_and_once_when_they_are_over(
    run: Run, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = {"far", "out"}

    async with run() as worker:
        real = worker.scripts.beat

        async def beat(queue: str, *, lease_ms: int, owners: Sequence[str], deadline: float) -> Beat:
            if queue in away:
                raise ConnectionFailed("a node", "it is away")
            return await real(queue, lease_ms=lease_ms, owners=owners, deadline=deadline)

        monkeypatch.setattr(worker.scripts, "beat", beat)
        keeper = LeaseKeeper(worker.scripts, lambda _queue, _owner: None)
        keeper.watch(["near", "far", "out"])
        for _ in range(3):
            assert not await keeper.beat()
        assert sorted((line["queue"], line["level"]) for line in lines.of("beat_failed")) == [
            ("far", "warning"),
            ("out", "warning"),
        ]
        away.remove("far")
        for _ in range(2):
            assert not await keeper.beat()
        (line,) = lines.of("beat_recovered")
        assert (line["queue"], line["failures"], line["level"]) == ("far", 3, "info")
        assert cast("float", line["lasted_s"]) >= 0
        assert len(lines.of("beat_failed")) == 2
        away.add("far")
        assert not await keeper.beat()
        assert len(lines.of("beat_failed", queue="far")) == 2
