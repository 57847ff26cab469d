"""Hooks of a processor and of a worker: what they are told, when, and that they change nothing."""

import asyncio

import pytest
from tests.support.runtime import Lines, Run, captured_lines
from tests.support.waiting import until

from jobs_core import Fixed, Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.errors import OptionError
from jobs_core.wire import Others, Progress
from jobs_worker import HOOKS, Discard, Fail, HookEvent, Hooks, JobContext, processor


class Heard:
    """Hooks of every name that keep what they are told."""

    def __init__(self) -> None:
        self.hooks = Hooks()
        self.events: list[HookEvent] = []
        self.hooks.on()(self.events.append)

    @property
    def names(self) -> list[str]:
        return [event.hook for event in self.events]

    def of(self, name: str) -> list[HookEvent]:
        return [event for event in self.events if event.hook == name]


async def test_a_job_that_completes(run: Run) -> None:
    heard = Heard()
    job = Queue("sums").job("add", payload=tuple[int, int], result=int)

    @processor(job, hooks=heard.hooks)
    async def add(payload: tuple[int, int], ctx: JobContext) -> int:
        ctx.progress(40)
        await until(lambda: "progress" in heard.names)
        return sum(payload)

    async with run(add) as worker:
        handle = await worker.producer.enqueue(job, (1, 2))
        assert await handle.result(40) == 3
        await until(lambda: "completed" in heard.names)
    assert [(each.hook, each.attempt, each.data) for each in heard.events] == [
        ("active", 1, None),
        ("progress", 1, Progress(40.0)),
        ("completed", 1, 3),
    ]
    assert {(each.queue, each.job_id, each.name) for each in heard.events} == {("sums", handle.id, "add")}


async def test_a_job_that_is_retried_and_fails(run: Run) -> None:
    heard = Heard()
    queue = Queue("fails", default_job_options={"attempts": 2, "backoff": Fixed(0)})
    job = queue.job("break", payload=int)

    @processor(job)
    async def breaks(payload: int, ctx: JobContext) -> None:
        raise ValueError("no") if ctx.attempt == 1 else Fail("never")

    async with run(breaks, hooks=heard.hooks) as worker:
        await (await worker.producer.enqueue(job, 1)).done(40)
        await until(lambda: "failed" in heard.names)
    told = [(each.hook, each.attempt, each.data) for each in heard.events if each.job_id]
    assert told == [
        ("active", 1, None),
        ("retrying", 1, "ValueError: no"),
        ("active", 2, None),
        ("failed", 2, "never"),
    ]


async def test_a_processor_hears_only_of_its_own_jobs_and_first(run: Run) -> None:
    heard: list[str] = []
    mine, its = Hooks(), Hooks()

    @mine.on("completed")
    def of_worker(event: HookEvent) -> None:
        heard.append(f"worker {event.name}")

    @its.on("completed")
    def of_processor(event: HookEvent) -> None:
        heard.append(f"processor {event.name}")

    queue = Queue("two")
    one, other = queue.job("one", payload=int), queue.job("other", payload=int)

    @processor(one, hooks=its)
    async def do_one(payload: int, ctx: JobContext) -> None: ...

    @processor(other)
    async def do_other(payload: int, ctx: JobContext) -> None: ...

    async with run(do_one, do_other, hooks=mine) as worker:
        await (await worker.producer.enqueue(one, 1)).done(40)
        await (await worker.producer.enqueue(other, 1)).done(40)
        await until(lambda: len(heard) == 3)
    assert heard == ["processor one", "worker one", "worker other"]


async def test_hooks_of_a_worker_over_its_life(run: Run) -> None:
    heard = Heard()
    job = Queue("calm").job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with run(do, hooks=heard.hooks) as worker:
        await worker.scripts.pause("calm")
        await until(lambda: "paused" in heard.names)
        await worker.scripts.resume("calm")
        await until(lambda: "resumed" in heard.names)
    assert [name for name in heard.names if name in HOOKS] == [
        "ready",
        "paused",
        "resumed",
        "closing",
        "closed",
    ]
    assert heard.of("paused")[0].queue == "calm"


async def test_a_job_that_is_cancelled(run: Run) -> None:
    heard = Heard()
    job = Queue("stops").job("do", payload=int)

    @processor(job, hooks=heard.hooks)
    async def do(payload: int, ctx: JobContext) -> None:
        raise Discard("not needed")

    async with run(do) as worker:
        await (await worker.producer.enqueue(job, 1)).done(40)
        await until(lambda: "cancelled" in heard.names)
    assert [(each.hook, each.attempt) for each in heard.events] == [("active", 1), ("cancelled", 1)]


async def test_an_error_of_the_worker_is_told(run: Run, redis_url: str, prefix: str) -> None:
    heard = Heard()
    job = Queue("breaks").job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    waiting = f"{prefix}:{{breaks}}:waiting"
    async with run(do, hooks=heard.hooks) as worker:
        await client.call("SET", waiting, "of somebody else")
        await until(lambda: "error" in heard.names)
        await client.call("DEL", waiting)
        await (await worker.producer.enqueue(job, 1)).done(40)
        await until(lambda: "completed" in heard.names)
    await client.close()
    assert {each.queue for each in heard.of("error")} == {"breaks"}


async def test_a_lost_lease_is_told(run: Run) -> None:
    heard = Heard()
    job = Queue("lost").job("do", payload=int)
    going, released = asyncio.Event(), asyncio.Event()

    @processor(job, hooks=heard.hooks)
    async def do(payload: int, ctx: JobContext) -> None:
        going.set()
        await released.wait()

    async with run(do) as worker:
        handle = await worker.producer.enqueue(job, 1)
        await going.wait()
        await worker.scripts.release("lost", owner=worker.lane("lost").owner, others=Others.CHARGED)
        released.set()
        await handle.done(40)
        await until(lambda: "lease_lost" in heard.names)
    assert heard.of("lease_lost")[0].job_id == handle.id


async def test_jobs_whose_worker_died_are_told(run: Run) -> None:
    heard = Heard()
    job = Queue("stalls").job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with run(do, hooks=heard.hooks) as worker:
        worker.lane("stalls").stalled(["a", "b"])
    assert [(each.job_id, each.queue) for each in heard.of("stalled")] == [("a", "stalls"), ("b", "stalls")]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_hook_that_raises_is_logged_and_changes_nothing(run: Run, kind: str) -> None:
    hooks = Hooks()

    @hooks.on("active", "completed")
    def broken(event: HookEvent) -> None:
        raise RuntimeError("not my day")

    later = Hooks()

    @later.on("active", "completed")
    async def broken_later(event: HookEvent) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("not my day")

    job = Queue("sturdy").job("do", payload=int, result=int)

    @processor(job, hooks=hooks if kind == "sync" else later)
    async def do(payload: int, ctx: JobContext) -> int:
        return payload

    with captured_lines("info") as lines:
        assert isinstance(lines, Lines)
        async with run(do) as worker:
            assert await (await worker.producer.enqueue(job, 7)).result(40) == 7
            await until(lambda: len(lines.of("hook_failed", queue="sturdy")) == 2)


async def test_async_hooks_are_waited_for_at_the_end(run: Run) -> None:
    ended: list[str] = []
    hooks = Hooks()

    @hooks.on("closed")
    async def slow(event: HookEvent) -> None:
        await asyncio.sleep(0.1)
        ended.append(event.hook)

    job = Queue("slow").job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with run(do, hooks=hooks):
        pass
    assert ended == ["closed"]


async def test_hooks_slower_than_the_jobs_are_dropped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs_worker.hooks._MOST", 3)
    monkeypatch.setattr("jobs_worker.hooks._PATIENCE", 0.01)
    hooks, begun = Hooks(), 0

    @hooks.on("completed")
    async def stuck(event: HookEvent) -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(60)

    job = Queue("many").job("do", payload=int)

    @processor(job, hooks=hooks)
    async def do(payload: int, ctx: JobContext) -> None: ...

    with captured_lines("info") as lines:
        async with run(do) as worker:
            for number in range(6):
                await (await worker.producer.enqueue(job, number)).done(40)
            await until(lambda: bool(lines.of("hooks_dropped")))
    assert begun == 3


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(OptionError, match="compelted"):
        Hooks().on("compelted")  # pyright: ignore[reportArgumentType]


worker_wide = Hooks(worker=True)
told: list[str] = []


@worker_wide.on("completed")
def note(event: HookEvent) -> None:
    told.append(event.name)


async def test_a_module_of_processors_may_have_hooks_of_the_worker(run: Run) -> None:
    told.clear()
    job = Queue("wide").job("do", payload=int)

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with run(do) as worker:
        await (await worker.producer.enqueue(job, 1)).done(40)
        await until(lambda: told == ["do"])
