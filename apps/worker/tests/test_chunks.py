"""Handlers that take many jobs in one call, each of which ends for itself."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, Unpack

import msgspec
import pytest
from tests.support.runtime import InProcess, Run, captured_lines, failure
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, write_package

from jobs_admin import Admin
from jobs_core import (
    CancelOutcome,
    DeclarationError,
    Fixed,
    JobCancelled,
    JobOptions,
    JobType,
    OptionError,
    Queue,
    State,
)
from jobs_core.wire import Others, Progress
from jobs_producer import JobHandle, Producer
from jobs_worker import (
    Chunk,
    ChunkContext,
    ChunkMismatch,
    Discard,
    Fail,
    JobContext,
    RateLimited,
    Retry,
    Snooze,
    WaitForChildren,
    chunks,
    processor,
)
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.testing import Kit

LONG = 60.0
P = TypeVar("P")
R = TypeVar("R")
Handles = Sequence[JobHandle[str]]
Answer = Callable[[str, JobContext], str | Exception]


@dataclass
class Store:
    """A queue whose handler takes chunks and writes down what it was called with; `answer` ends each job."""

    chunk: Chunk
    queue: Queue = field(default_factory=lambda: Queue("rows", concurrency=2))
    attempts: int = 3
    timeout: float = 0
    calls: list[list[str]] = field(default_factory=list[list[str]])
    seen: list[ChunkContext] = field(default_factory=list[ChunkContext])
    answer: Answer = lambda payload, _: payload.upper()
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.job = self.queue.job(
            "store", str, str, attempts=self.attempts, backoff=Fixed(0.01), timeout=self.timeout
        )

        @processor(self.job, chunk=self.chunk)
        async def store(payloads: list[str], ctx: ChunkContext) -> list[str | Exception]:
            self.calls.append(payloads)
            self.seen.append(ctx)
            await self.gate.wait()
            return [self.answer(payload, job) for payload, job in zip(payloads, ctx.jobs, strict=True)]

        self.handler = store

    async def send(self, place: InProcess, *payloads: str) -> Handles:
        """Enqueue jobs, all in one step."""
        return await add(place.producer, self.job, payloads)


async def add(
    producer: Producer, job: JobType[P, R], payloads: Iterable[P], **options: Unpack[JobOptions]
) -> list[JobHandle[R]]:
    """Enqueue jobs, all in one step."""
    added = [each async for each in producer.enqueue_many(job, payloads, **options)]
    return [producer.handle(job, each.id) for each in added]


async def results(handles: Handles) -> list[str]:
    return [await handle.result(40) for handle in handles]


async def told(handle: JobHandle[R]) -> str | None:
    """Return the message of the progress that a job tells."""
    progress = (await handle.status()).progress
    return progress.message if isinstance(progress, Progress) else None


async def states(handles: Handles) -> list[State]:
    return [(await handle.status()).state for handle in handles]


# Gathering


async def test_so_many_jobs_make_a_call_and_each_gets_its_result(run: Run) -> None:
    store = Store(Chunk(size=3, wait=LONG))
    async with run(store.handler) as place:
        handles = await store.send(place, *"abcdef")
        assert await results(handles) == [*"ABCDEF"]
    assert store.calls == [[*"abc"], [*"def"]]
    assert store.seen[0].ids == tuple(handle.id for handle in handles[:3])


async def test_fewer_jobs_make_a_call_when_the_first_has_waited(run: Run) -> None:
    store = Store(Chunk(size=100, wait=timedelta(seconds=0.3)))
    async with run(store.handler) as place:
        began = time.monotonic()
        assert await results(await store.send(place, *"abc")) == [*"ABC"]
        assert time.monotonic() - began >= 0.3
    assert store.calls == [[*"abc"]]


async def test_chunks_run_as_many_at_a_time_as_the_queue_has_concurrency(run: Run) -> None:
    store = Store(Chunk(size=2, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        handles = await store.send(place, *"abcdef")
        await until(lambda: len(store.calls) == 2)
        lane = place.lane("rows")
        assert (lane.slots, len(lane.running), lane.free) == (4, 4, 0)
        assert await states(handles[4:]) == [State.WAITING] * 2
        place.runtime.set_slots("rows", 3)
        await until(lambda: len(store.calls) == 3)
        store.gate.set()
        assert await results(handles) == [*"ABCDEF"]


async def test_a_processor_may_have_fewer_calls_and_a_chunk_that_waits_for_one_grows(run: Run) -> None:
    queue = Queue("rows", concurrency=4)
    job = queue.job("store", str, str)
    calls: list[list[str]] = []
    gate = asyncio.Event()

    @processor(job, chunk=Chunk(size=4, wait=0), concurrency=2)
    async def store(payloads: list[str], ctx: ChunkContext) -> list[str]:
        calls.append(payloads)
        await gate.wait()
        return payloads

    async with run(store) as place:
        handles: list[JobHandle[str]] = []
        for payload in "abcd":
            handles.append(await place.producer.enqueue(job, payload))
            await until(lambda: len(place.lane("rows").running) == len(handles))
            await until(lambda: len(calls) == min(len(handles), 2))
        assert calls == [["a"], ["b"]]
        gate.set()
        assert await results(handles) == [*"abcd"]
    assert calls == [["a"], ["b"], ["c", "d"]]


async def test_large_payloads_make_a_chunk_however_few_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MAX_BYTES", 1000)
    store = Store(Chunk(size=100, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        large = ["x" * 700, "y" * 700, "z" * 700, "u" * 700, "v" * 700, "w" * 700]
        first = await store.send(place, *large)
        await until(lambda: len(store.calls) == 2)
        # Two run and one is complete: nothing more is claimed until one of them has ended.
        await until(lambda: len(place.lane("rows").running) == 6)
        later = await store.send(place, "a", "b")
        assert place.lane("rows").free == 0
        assert await states(later) == [State.WAITING] * 2
        store.gate.set()
        assert await results(first) == [each.upper() for each in large]
        await place.runtime.drain(40)
    assert [len(call) for call in store.calls[:3]] == [2, 2, 2]


async def test_jobs_of_a_chunk_by_key_have_one_key(run: Run) -> None:
    store = Store(Chunk(size=2, wait=LONG, by_key=True), Queue("rows", concurrency=5, key=True))
    async with run(store.handler) as place:
        handles = [
            await place.producer.enqueue(store.job, payload, key=payload[0])
            for payload in ("a1", "b1", "b2", "a2")
        ]
        assert await results(handles) == ["A1", "B1", "B2", "A2"]
    assert sorted((ctx.key, *call) for ctx, call in zip(store.seen, store.calls, strict=True)) == [
        ("a", "a1", "a2"),
        ("b", "b1", "b2"),
    ]


async def test_where_all_slots_are_taken_nobody_waits_for_more(run: Run) -> None:
    store = Store(Chunk(size=3, wait=LONG, by_key=True), Queue("rows", concurrency=1, key=True))
    async with run(store.handler) as place:
        handles = [await place.producer.enqueue(store.job, key, key=key) for key in "abc"]
        assert await results(handles) == [*"ABC"]
    assert store.calls == [["a"], ["b"], ["c"]]


async def test_who_drains_waits_for_no_more_jobs(run: Run) -> None:
    store = Store(Chunk(size=100, wait=LONG))
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        await until(lambda: len(place.lane("rows").running) == 3)
        assert store.calls == []
        assert await place.runtime.drain(40)
        assert store.calls == [[*"abc"]]
        assert await results(handles) == [*"ABC"]
        assert await states(await store.send(place, "later")) == [State.WAITING]
        place.runtime.resume()
        await until(lambda: len(place.lane("rows").running) == 1)
        assert len(store.calls) == 1


# Outcomes


async def test_each_job_ends_as_its_place_in_the_list_says(run: Run) -> None:
    ends: dict[str, Exception] = {
        "fail": Fail("no good"),
        "retry": Retry(after=0, reason="again"),
        "snooze": Snooze(300),
        "limited": RateLimited(300),
        "discard": Discard("not needed"),
        "error": ValueError("oops"),
    }
    store = Store(Chunk(size=7, wait=0.2), attempts=2)
    store.answer = lambda payload, job: ends[payload] if payload in ends and job.attempt == 1 else payload
    async with run(store.handler) as place:
        handles = dict(zip(["fine", *ends], await store.send(place, "fine", *ends), strict=True))
        assert await handles["fine"].result(40) == "fine"
        assert await failure(handles["fail"]) == "no good"
        assert await handles["retry"].result(40) == "retry"
        assert await handles["error"].result(40) == "error"
        with pytest.raises(JobCancelled):
            await handles["discard"].result(40)
        assert await states([handles["snooze"], handles["limited"]]) == [State.DELAYED] * 2
        attempts = [(await handles[name].status()).attempts_made for name in ("fine", "retry", "error")]
    assert attempts == [1, 2, 2]
    assert store.calls[0] == ["fine", *ends]
    # Only those that failed run again.
    assert sorted(payload for call in store.calls[1:] for payload in call) == ["error", "retry"]


async def test_what_the_handler_raises_is_the_end_of_all(run: Run) -> None:
    store = Store(Chunk(size=3, wait=0.05))

    def answer(payload: str, job: JobContext) -> str:
        if job.attempt == 1:
            raise ConnectionError("no database")
        return payload

    store.answer = answer
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        assert await results(handles) == [*"abc"]
        record = await handles[2].status()
    assert record.attempts_made == 2
    assert store.calls[0] == [*"abc"]


async def test_the_stack_of_each_job_is_that_of_the_handler_alone(
    run: Run, redis_url: str, prefix: str
) -> None:
    store = Store(Chunk(size=3, wait=LONG), attempts=1)

    def answer(payload: str, _: JobContext) -> str:
        raise ConnectionError(f"no database for {payload}")

    store.answer = answer
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        for handle in handles:
            assert await failure(handle) == "ConnectionError: no database for a"
        async with Admin(redis_url, prefix=prefix) as admin:
            found = [await admin.job_detail("rows", handle.id) for handle in handles]
    stacks = [each.history[-1].stack for each in found]
    assert [stack.count("chunks.py") for stack in stacks] == [stacks[0].count("chunks.py")] * 3
    assert all("in answer" in stack for stack in stacks)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        pytest.param(["a"], "was called for 2 jobs and returned 1 results", id="too few"),
        pytest.param(["a", "b", "c"], "was called for 2 jobs and returned 3 results", id="too many"),
        pytest.param("ab", "was called for 2 jobs and returned no list but str", id="no list"),
        pytest.param(None, "was called for 2 jobs and returned no list but NoneType", id="nothing"),
    ],
)
async def test_a_list_of_another_length_fails_all(run: Run, returned: list[str], told: str) -> None:
    job = Queue("rows").job("store", str, str, attempts=1)

    @processor(job, chunk=Chunk(size=2, wait=LONG))
    async def store(payloads: list[str], ctx: ChunkContext) -> list[str]:
        return returned

    async with run(store) as place:
        handles = await add(place.producer, job, ["a", "b"])
        for handle in handles:
            assert await failure(handle) == (
                f"{ChunkMismatch.__name__}: the handler of store@1 {told}; it must return a list with one result, "
                "or exception, for each, in their order"
            )


async def test_a_payload_or_a_result_that_does_not_fit_fails_alone(run: Run) -> None:
    job = Queue("rows").job("store", int, int, attempts=1)
    calls: list[list[int]] = []

    @processor(job, chunk=Chunk(size=3, wait=0.1))
    async def store(payloads: list[int], ctx: ChunkContext) -> list[int]:
        calls.append(payloads)
        return [payload if payload != 2 else "two" for payload in payloads]  # pyright: ignore[reportReturnType] - that is the mistake

    async with run(store) as place:
        good = await add(place.producer, job, [1, 2, 3])
        bad = await place.producer.queue("rows").enqueue("store", "no number")
        assert (await failure(bad)).startswith("payload: ")
        assert [await good[0].result(40), await good[2].result(40)] == [1, 3]
        assert "expected int, got str" in await failure(good[1])
    assert calls == [[1, 2, 3]]


# Stopping


async def test_one_of_a_running_chunk_is_cancelled_and_the_others_go_on(run: Run) -> None:
    store = Store(Chunk(size=3, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        await until(lambda: store.calls)
        assert await handles[1].cancel() is CancelOutcome.REQUESTED
        jobs = store.seen[0].jobs
        await until(lambda: jobs[1].cancelled)
        assert (jobs[0].cancelled, jobs[2].cancelled, store.seen[0].cancelled) == (False, False, False)
        store.gate.set()
        assert await results([handles[0], handles[2]]) == ["A", "C"]
        with pytest.raises(JobCancelled):
            await handles[1].result(40)


async def test_a_call_ends_when_all_its_jobs_are_cancelled(run: Run) -> None:
    store = Store(Chunk(size=2, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        handles = await store.send(place, *"ab")
        await until(lambda: store.calls)
        for handle in handles:
            await handle.cancel()
        for handle in handles:
            with pytest.raises(JobCancelled):
                await handle.result(40)
        assert store.seen[0].cancelled
        # The call is free again.
        store.gate.set()
        assert await results(await store.send(place, *"cdef")) == [*"CDEF"]


async def test_one_that_is_cancelled_while_it_gathers_is_in_no_call(run: Run) -> None:
    store = Store(Chunk(size=3, wait=LONG))
    async with run(store.handler) as place:
        first = await store.send(place, *"ab")
        await until(lambda: len(place.lane("rows").running) == 2)
        await first[0].cancel()
        with pytest.raises(JobCancelled):
            await first[0].result(40)
        assert await results([first[1], *await store.send(place, *"cd")]) == [*"BCD"]
    assert store.calls == [[*"bcd"]]


async def test_the_time_of_a_call_begins_with_it_and_ends_all(run: Run) -> None:
    store = Store(Chunk(size=100, wait=0.7), attempts=1, timeout=0.5)
    async with run(store.handler) as place:
        assert await results(await store.send(place, *"ab")) == [*"AB"]
        store.gate.clear()
        handles = await store.send(place, *"cd")
        for handle in handles:
            assert await failure(handle) == "timeout: ran longer than its timeout of 0.5 s"
    assert store.calls == [[*"ab"], [*"cd"]]


async def test_the_longest_limit_of_a_chunk_is_that_of_its_call(run: Run) -> None:
    store = Store(Chunk(size=2, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        short = await place.producer.enqueue(store.job, "a", timeout=0.05)
        long = await place.producer.enqueue(store.job, "b", timeout=300)
        await until(lambda: store.calls)
        remaining = [job.remaining for job in store.seen[0].jobs]
        assert all(each is not None and 250 < each <= 300 for each in [*remaining, store.seen[0].remaining])
        store.seen[0].extend(100)
        assert (store.seen[0].remaining or 0) > 350
        await asyncio.sleep(0.1)
        store.gate.set()
        assert await results([short, long]) == ["A", "B"]
        await place.producer.enqueue(store.job, "c", timeout=1)
        await place.producer.enqueue(store.job, "d")
        await until(lambda: len(store.calls) == 2)
    assert store.seen[1].remaining is None


async def test_jobs_of_a_lost_owner_are_stopped_and_run_again(run: Run) -> None:
    store = Store(Chunk(size=2, wait=0.5))
    store.gate.clear()
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        await until(lambda: len(store.calls) == 2)
        await place.scripts.release("rows", owner=place.lane("rows").owner)
        await until(lambda: len(store.calls) == 4)
        store.gate.set()
        assert await results(handles) == [*"ABC"]
        assert place.lane("rows").stats.lost == 3
        assert store.seen[0].cancelled
    assert store.calls[2:] == [["a", "b"], ["c"]]


async def test_a_crash_delivers_all_again_and_each_by_itself(run: Run) -> None:
    store = Store(Chunk(size=3, wait=LONG))
    store.gate.clear()
    async with run(store.handler) as place:
        handles = await store.send(place, *"abc")
        await until(lambda: store.calls)
        # As the supervisor does for a child that died.
        await place.scripts.release("rows", owner=place.lane("rows").owner, others=Others.CHARGED)
        await until(lambda: len(store.calls) == 3)
        store.gate.set()
        assert await results(handles) == [*"ABC"]
        records = [await handle.status() for handle in handles]
    assert [(record.attempts_made, record.stalled) for record in records] == [(1, 1)] * 3
    # So the one that killed the worker takes no others along.
    assert sorted(store.calls[1:]) == [["a"], ["b"], ["c"]]


async def test_one_that_kills_its_workers_fails_as_poison_and_the_others_complete(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    queue = Queue("deadly", concurrency=1, max_stalled=1)
    job = queue.job("store", str, str, attempts=1)
    modules = {"deadly/queue.py": _DEADLY_QUEUE, "deadly/processor.py": _DEADLY_PROCESSOR}
    write_package(tmp_path, "shop", modules)
    async with Producer(redis_url, prefix=prefix) as producer:
        handles = await add(producer, job, [*"ab", "die", *"cdefgh"])
        chosen = {"WORKER_HTTP_PORT": "0", "WORKER_QUEUES": "deadly"}
        with WorkerProcess(url=redis_url, prefix=prefix, path=tmp_path, package="shop", **chosen) as worker:
            worker.ready()
            assert (await failure(handles.pop(2), 120)).startswith("poison: the worker died 2 times")
            assert [await handle.result(40) for handle in handles] == [*"ABCDEFGH"]
        records = [await handle.status() for handle in handles]
    # Those of its chunk were charged once, those that only waited not at all.
    assert [record.stalled for record in records] == [1, 1, 1, 0, 0, 0, 0, 0]


_DEADLY_QUEUE = """
from jobs_core import Queue

QUEUE = Queue("deadly", concurrency=1, max_stalled=1)
STORE = QUEUE.job("store", str, str, attempts=1)
"""
_DEADLY_PROCESSOR = """
import os, signal
from jobs_worker import Chunk, ChunkContext, processor
from shop.deadly.queue import STORE

@processor(STORE, chunk=Chunk(size=4, wait=0.2))
async def store(payloads: list[str], ctx: ChunkContext) -> list[str]:
    if "die" in payloads:
        os.kill(os.getpid(), signal.SIGKILL)
    return [payload.upper() for payload in payloads]
"""


# Threads


async def test_a_handler_in_a_thread_takes_chunks_too(run: Run) -> None:
    queue = Queue("threads", concurrency=1)
    job = queue.job("store", str, str, attempts=1)
    threads: list[int] = []
    go_on = threading.Event()

    @processor(job, chunk=Chunk(size=3, wait=LONG))
    def store(payloads: list[str], ctx: ChunkContext) -> list[str | Fail]:
        threads.append(threading.get_ident())
        ctx.progress(50, message="half")
        go_on.wait(40)
        return [Fail("no good") if payload == "b" else f"{payload}{ctx.name}" for payload in payloads]

    async with run(store) as place:
        handles = await add(place.producer, job, ["a", "b", "c"])
        for handle in handles:
            assert await until(lambda: told(handle)) == "half"  # noqa: B023 - awaited here
        go_on.set()
        assert await results([handles[0], handles[2]]) == ["astore", "cstore"]
        assert await failure(handles[1]) == "no good"
    assert threads != [threading.get_ident()]


async def test_a_thread_whose_time_is_over_or_whose_jobs_are_cancelled_is_told(run: Run) -> None:
    queue = Queue("threads", concurrency=2)
    job = queue.job("store", str, str, attempts=1)
    started = threading.Semaphore(0)

    @processor(job, chunk=Chunk(size=2, wait=LONG))
    def store(payloads: list[str], ctx: ChunkContext) -> list[str]:
        started.release()
        while not ctx.cancelled:
            time.sleep(0.001)
        return payloads

    async with run(store) as place:
        timed = await add(place.producer, job, ["a", "b"], timeout=0.05)
        for handle in timed:
            assert (await failure(handle)).startswith("timeout: ")
        stopped = await add(place.producer, job, ["c", "d"])
        await asyncio.to_thread(lambda: (started.acquire(timeout=40), started.acquire(timeout=40)))
        for handle in stopped:
            await handle.cancel()
        for handle in stopped:
            with pytest.raises(JobCancelled):
                await handle.result(40)


# What a chunk can do besides


async def test_followers_children_effects_and_lines_are_of_single_jobs(
    run: Run, redis_url: str, prefix: str
) -> None:
    queue, after = Queue("rows"), Queue("after", concurrency=10)
    job = queue.job("store", str, str, attempts=2, backoff=Fixed(0.01))
    note = after.job("note", str, str)
    noted: list[str] = []

    @processor(job, chunk=Chunk(size=3, wait=0.1))
    async def store(payloads: list[str], ctx: ChunkContext) -> list[str | Exception]:
        ctx.log.info("a line for all")
        ends: list[str | Exception] = []
        for payload, one in zip(payloads, ctx.jobs, strict=True):
            one.log.info("a line for one", payload=payload)
            if payload == "parent" and not one.children:
                one.add_child(note, "child")
                ends.append(WaitForChildren())
            elif payload == "flaky" and one.attempt == 1:
                one.enqueue(note, "of an attempt that failed")
                ends.append(ValueError("once more"))
            else:
                one.enqueue(note, f"effect of {payload}")
                ends.append(f"{payload} {[*one.children.results(note)]}")
        return ends

    @processor(note)
    async def keep(payload: str, ctx: JobContext) -> str:
        noted.append(payload)
        return payload

    with captured_lines("info"):
        async with run(store, keep) as place, Admin(redis_url, prefix=prefix) as admin:
            # All of them are there when the first chunk gathers.
            place.runtime.quiet()
            parent = await place.producer.enqueue(job, "parent")
            flaky = await place.producer.enqueue(job, "flaky", on_success=[note.call("followed flaky")])
            chain = await place.producer.enqueue_chain(job.then(note), "link")
            place.runtime.resume()
            assert await parent.result(40) == "parent ['child']"
            assert await flaky.result(40) == "flaky []"
            assert await chain.result(40) == "link []"
            await until(lambda: len(noted) == 6)
            lines = [line.message for line in (await admin.logs("rows", parent.id)).lines]
    assert sorted(noted) == [
        "child",
        "effect of flaky",
        "effect of link",
        "effect of parent",
        "followed flaky",
        "link []",
    ]
    assert lines[:2] == ["a line for all jobs=3", "a line for one payload='parent'"]
    assert [line for line in lines if "flaky" in line or "link" in line] == []


async def test_a_context_for_tests_is_made_of_those_of_jobs() -> None:
    store = Store(Chunk(size=2))
    store.answer = lambda payload, job: Fail(payload) if job.attempt == 2 else payload
    one, two = JobContext.for_test(), JobContext.for_test(job_id="other", attempt=2)
    ctx = ChunkContext.for_test(one, two, key="k")
    ctx.progress(50)
    ended = await store.handler(["a", "b"], ctx)
    assert ended[0] == "a"
    assert isinstance(ended[1], Fail)
    assert (ctx.ids, ctx.key, ctx.attempt, ctx.remaining) == (("test", "other"), "k", 2, None)
    assert [each.percent for each in one.progress_log + two.progress_log] == [50, 50]


async def test_the_kit_gathers_what_is_there_and_waits_for_no_more(redis_url: str) -> None:
    store = Store(Chunk(size=100, wait=LONG))
    slept: set[str] = set()

    def answer(payload: str, job: JobContext) -> str | Exception:
        if payload == "b" and payload not in slept:
            slept.add(payload)
            return Snooze(timedelta(hours=1))
        return payload

    store.answer = answer
    async with Kit(store.handler, url=redis_url) as kit:
        handles = [await kit.producer.enqueue(store.job, payload) for payload in "abc"]
        await kit.idle()
        assert store.calls == [[*"abc"]]
        assert await states(handles) == [State.COMPLETED, State.DELAYED, State.COMPLETED]
        await kit.advance(timedelta(hours=1))
        assert store.calls == [[*"abc"], ["b"]]
        assert await handles[1].result(40) == "b"


# Wrong declarations


class Row(msgspec.Struct):
    number: int


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        pytest.param({"size": 0}, "a chunk has 1 to 1000 jobs", id="no job"),
        pytest.param({"size": 1001}, "a chunk has 1 to 1000 jobs", id="too many"),
        pytest.param({"size": True}, "a chunk has 1 to 1000 jobs", id="no number"),
        pytest.param({"wait": -1}, "0 s to 10 years", id="a negative time"),
    ],
)
def test_a_chunk_that_cannot_be(chunk: dict[str, int], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Chunk(**chunk)  # pyright: ignore[reportArgumentType] - of a table


def refused(reason: str) -> "pytest.RaisesExc[DeclarationError]":
    return pytest.raises(DeclarationError, match=f"{re.escape(__file__)}:\\d+.*{reason}")


def test_handlers_that_do_not_fit() -> None:
    queue = Queue("rows", concurrency=20)
    job = queue.job("store", Row, Row)

    def one(payload: Row, ctx: ChunkContext) -> list[Row]: ...

    def others(payloads: list[str], ctx: ChunkContext) -> list[Row]: ...

    def results_of_others(payloads: list[Row], ctx: ChunkContext) -> list[str | Fail]: ...

    def good(payloads: list[Row], ctx: ChunkContext) -> list[Row | Fail | ValueError]: ...

    decorate = processor(job, chunk=Chunk(size=10))
    with refused("takes Row, but the job is declared with payload Row, of which it takes a list"):
        decorate(one)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake
    with refused(r"takes list\[str\], but the job is declared with payload Row"):
        decorate(others)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake
    with refused(r"returns list\[str\], but the job is declared with result Row"):
        decorate(results_of_others)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake
    with refused("takes chunks, which run on the loop or in threads"):
        processor(job, chunk=Chunk(size=10), executor="process")(good)
    with refused("its queue is declared without `key`"):
        processor(job, chunk=Chunk(size=10, by_key=True))(good)
    with refused("would be 20000 jobs in one process; at most 10000"):
        processor(job, chunk=Chunk(size=1000))(good)
    with refused(r"must be Chunk\(size=, wait=, by_key=\), not 100"):
        processor(job, chunk=100)(good)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake
    with refused("chunk= takes a job"):
        processor(queue, chunk=Chunk())(good)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake
    decorate(good)
    assert marks_of(good)[0].chunk == Chunk(size=10)


def test_queues_that_do_not_fit() -> None:
    heavy = Queue("rows", executor="process")
    job, single = heavy.job("store", Row), heavy.job("single", Row)

    @processor(job, chunk=Chunk(size=10))
    def store(payloads: list[Row], ctx: ChunkContext) -> list[None]: ...

    @processor(job, chunk=Chunk(size=10), executor="thread")
    def threaded(payloads: list[Row], ctx: ChunkContext) -> list[None]: ...

    @processor(single, executor="thread")
    def one(payload: Row, ctx: JobContext) -> None: ...

    with refused("give this processor executor='thread'"):
        build_routes(marks_of(store), [heavy])
    with refused("jobs that are handled in chunks have a queue of their own"):
        build_routes([*marks_of(threaded), *marks_of(one)], [heavy])
    assert build_routes(marks_of(threaded), [heavy])["rows"].per_slot == 10
