"""Flows that are filled while they run: batches with callbacks, map-reduce."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypedDict, Unpack

import pytest
from tests.support.engine import Engine
from tests.support.runtime import InProcess, Run
from tests.support.waiting import until

from jobs_core import Codec, FlowClosed, FlowFailed, FlowRolledBack, JobFailed, OptionError, Queue
from jobs_core.codecs import KeyRing
from jobs_core.connection.protocol import Encodable
from jobs_core.scripts import Scripts
from jobs_core.scripts.flows import Added
from jobs_producer import Flow
from jobs_worker import Fail, JobContext, WaitForChildren, processor


class _Add(TypedDict):
    flow_id: str
    chunk: str
    seen: int
    parts: Sequence[Encodable]
    deadline: float | None


class Shop:
    """Numbers that are doubled, and what the callbacks saw."""

    def __init__(self) -> None:
        self.queue = Queue("numbers", concurrency=20)
        self.other = Queue("told")
        self.double = self.queue.job("double", payload=int, result=int, attempts=1)
        self.quiet = self.queue.job("quiet", payload=int)
        self.total = self.other.job("total", payload=str, result=int)
        self.told = self.other.job("told", payload=str)
        self.ran: Counter[int] = Counter()
        self.calls: list[tuple[str, int, list[str]]] = []
        self.deadline: datetime | None = None

        @processor(self.double)
        async def double(payload: int, _: JobContext) -> int:
            self.ran[payload] += 1
            if payload < 0 and self.ran[payload] < 2:
                raise Fail("no negative numbers yet")
            return 2 * payload

        @processor(self.quiet)
        async def quiet(payload: int, _: JobContext) -> None:
            self.ran[payload] += 1

        @processor(self.total)
        async def total(payload: str, ctx: JobContext) -> int:
            self.deadline = ctx.deadline
            self.calls.append((payload, len(ctx.children), [each.state for each in ctx.children.failures]))
            return sum(ctx.children.results(self.double))

        @processor(self.told)
        async def told(payload: str, ctx: JobContext) -> None:
            self.calls.append((payload, len(ctx.children), [each.state for each in ctx.children.failures]))

        self.handlers = (double, quiet, total, told)


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_batch_calls_back_when_all_its_jobs_have_completed(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        async with await place.producer.flows.batch(
            "numbers",
            shop.queue,
            on_success=[shop.told.call("success")],
            on_complete=[shop.told.call("complete")],
            on_failure=[shop.told.call("failure")],
            metadata={"user": 7},
        ) as batch:
            assert await batch.add_many(shop.double, range(300)) == 300
            await batch.add(shop.quiet, 1000)
        record = await batch.run.done(40)
        await until(lambda: len(shop.calls) == 2)
    assert (record.state, record.total, record.completed) == ("completed", 301, 301)
    assert sorted(shop.calls) == [("complete", 301, []), ("success", 301, [])]
    assert shop.ran == Counter([*range(300), 1000])


async def test_a_failure_is_told_at_once_and_success_when_it_is_mended(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        batch = await place.producer.flows.batch(
            "numbers",
            shop.queue,
            on_success=[shop.told.call("success")],
            on_failure=[shop.told.call("failure")],
        )
        await batch.add(shop.double, -1)
        await batch.flush()
        await until(lambda: shop.calls == [("failure", 1, ["failed"])])
        await batch.add(shop.double, 2)
        flow = await batch.close()
        assert (await flow.done(40)).state == "failed"
        (failed,) = [job for job in await flow.jobs() if job.state == "failed"]
        await place.scripts.retry("numbers", ids=[failed.id])
        await until(lambda: len(shop.calls) == 2)
        assert (await flow.status()).state == "completed"
    assert shop.calls[1][0] == "success"


async def test_a_callback_may_add_children_and_wait_for_them(run: Run, shop: Shop) -> None:
    add = shop.other.job("add", payload=int, result=list[int], attempts=2)
    runs: list[int] = []

    @processor(add)
    async def adds(payload: int, ctx: JobContext) -> list[int]:
        runs.append(len(ctx.children))
        if len(runs) == 1:
            # Nothing but the batch: that it has ended already holds nobody up.
            raise WaitForChildren
        if len(ctx.children) < 4:
            ctx.add_child(shop.double, payload)
            raise WaitForChildren
        return [*ctx.children.results(shop.double), *[each.number async for each in ctx.children.stream()]]

    async with run(adds, *shop.handlers) as place:
        job = await place.producer.flows.map_reduce(shop.double, [1, 2, 3], add, 100)
        assert await job.result(40) == [2, 4, 6, 200, 0, 1, 2, 3]
    assert runs == [3, 3, 4]


async def test_an_empty_batch_completes(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        async with await place.producer.flows.batch(
            "none", shop.queue, on_success=[shop.told.call("success")]
        ) as batch:
            pass
        assert (await batch.run.done(40)).state == "completed"
        await until(lambda: shop.calls == [("success", 0, [])])


async def test_a_filler_that_died_is_resumed_by_the_id(run: Run, shop: Shop) -> None:
    async def fill(place: InProcess, until_: int) -> None:
        async with await place.producer.flows.batch(
            "numbers", shop.queue, id="import", on_success=[shop.told.call("success")]
        ) as batch:
            for i in range(400):
                if i == until_:
                    raise ConnectionError
                await batch.add(shop.double, i)

    async with run(*shop.handlers) as place:
        with pytest.raises(ConnectionError):
            await fill(place, 300)
        await fill(place, 1000)
        flow = place.producer.flows.run("numbers", "import")
        assert (await flow.done(40)).total == 400
        with pytest.raises(FlowClosed):
            await fill(place, 1000)
    assert shop.ran == Counter(range(400))


async def test_a_filler_hears_that_the_server_lost_jobs_and_fills_it_again(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as worker:
        home = Engine(worker.scripts.client, worker.scripts.prefix, shop.other.name)
        callback = [shop.told.call("all")]
        batch = await worker.producer.flows.batch("b", shop.other, id="b", on_complete=callback)
        await batch.add_many(shop.quiet, range(10))
        await batch.flush()
        before = await home.dumped()
        await batch.add_many(shop.quiet, range(10, 20))
        await batch.flush()
        await home.restore(before)
        with pytest.raises(FlowRolledBack):
            await batch.close()
        await batch.add(shop.quiet, 20)
        with pytest.raises(FlowRolledBack, match="Fill it again from its first job"):
            await batch.flush()
        again = await worker.producer.flows.batch("b", shop.other, id="b", on_complete=callback)
        await again.add_many(shop.quiet, range(21))
        await again.close()
        assert (await again.run.done(40)).completed == 21
        await until(lambda: shop.calls == [("all", 21, [])])


async def test_a_tree_is_submitted_whole_though_the_server_loses_a_part_of_it(
    run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(*shop.handlers) as worker:
        home = Engine(worker.scripts.client, worker.scripts.prefix, shop.other.name)
        before: dict[bytes, bytes] = {}
        real, calls = Scripts.flow_add, 0

        async def forgetful(scripts: Scripts, queue: str, **options: Unpack[_Add]) -> Added:
            nonlocal calls
            calls += 1
            if calls == 2:
                before.update(await home.dumped())
            if calls == 3:
                await home.restore(before)
            return await real(scripts, queue, **options)

        monkeypatch.setattr(Scripts, "flow_add", forgetful)
        children = [Flow(shop.double, number) for number in range(300)]
        total = await Flow(shop.total, "tree", children=children).submit(worker.producer)
        assert await total.result(100) == sum(2 * number for number in range(300))
        assert calls > 3


async def test_jobs_are_added_from_elsewhere_while_it_is_open(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        batch = await place.producer.flows.batch("numbers", shop.queue)

        async def member(numbers: range) -> None:
            other = place.producer.flows.join(shop.queue, batch.id)
            await other.add_many(shop.double, numbers)
            await other.flush()

        await asyncio.gather(*(member(range(at, at + 10)) for at in range(0, 100, 10)))
        flow = await batch.close()
        assert (await flow.done(40)).completed == 100
    assert shop.ran == Counter(range(100))


async def test_a_reduce_runs_once_with_all_results_in_order(run: Run, shop: Shop) -> None:
    deadline = datetime(2100, 1, 1, tzinfo=UTC)
    async with run(*shop.handlers) as place:
        job = await place.producer.flows.map_reduce(
            shop.double, range(500), shop.total, "sum", deadline=deadline
        )
        assert await job.result(40) == 2 * sum(range(500))
    assert shop.calls == [("sum", 500, [])]
    assert shop.deadline == deadline


async def test_a_reduce_does_not_run_where_a_map_failed(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        job = await place.producer.flows.map_reduce(shop.double, [1, -1, 2], shop.total, "sum")
        with pytest.raises(FlowFailed, match="no negative numbers"):
            await job.result(40)
    assert shop.calls == []


async def test_jobs_whose_payloads_are_sealed_are_members_too(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_KEYS", KeyRing({"k": bytes(32)}).text())
    queue = Queue("sealed", codec=Codec(encrypt=True))
    secret = queue.job("secret", payload=int, result=int)
    total = queue.job("total", payload=str, result=int)

    @processor(secret)
    async def double(payload: int, _: JobContext) -> int:
        return 2 * payload

    @processor(total)
    async def add(payload: str, ctx: JobContext) -> int:
        del payload
        return sum(ctx.children.results(secret))

    async with run(double, add) as place:
        job = await place.producer.flows.map_reduce(secret, range(5), total, "sum")
        assert await job.result(40) == 20


@pytest.mark.parametrize("cuts", [(50, 100), (200, 130), (300, 7), (130, 300)], ids=str)
async def test_one_that_is_filled_again_has_each_job_once_wherever_it_was_cut(
    run: Run, shop: Shop, cuts: tuple[int, int]
) -> None:
    async with run(*shop.handlers) as place:
        flows = place.producer.flows
        first = await flows.batch("again", shop.queue, id="again")
        batch = await flows.batch("again", shop.queue, id="again")
        for filled, cut, until_there in ((first, cuts[0], 310), (batch, cuts[1], 400)):
            for number in range(until_there):
                if number == cut:
                    await filled.flush()
                await filled.add(shop.double, number)
            await filled.flush()
        assert (await batch.run.status()).total == 400
        await batch.close()
        record = await batch.run.done(40)
        assert (record.total, record.completed) == (400, 400)


async def test_of_jobs_without_a_result_nothing_is_kept(run: Run, shop: Shop) -> None:
    quiet = shop.queue.job("silent", payload=int)
    last = shop.queue.job("last", payload=str, result=list[str])

    @processor(quiet)
    async def does(payload: int, ctx: JobContext) -> None: ...

    @processor(last)
    async def ends(payload: str, ctx: JobContext) -> list[str]:
        return [f"{each.state} {each.name}" for each in ctx.children]

    tree = Flow(last, "x", children=[quiet.call(1), shop.double.call(2)])
    async with run(does, ends, *shop.handlers) as place:
        flow = await tree.submit(place.producer)
        assert await flow.result(40) == ["completed ", "completed double"]


async def test_what_cannot_be_a_batch_is_refused(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        flows = place.producer.flows
        with pytest.raises(OptionError, match="longer than 0"):
            await flows.batch("b", shop.queue, open_timeout=0)
        with pytest.raises(OptionError, match="a queue or its name"):
            await flows.batch("b", shop.double)  # pyright: ignore[reportArgumentType]
        with pytest.raises(OptionError, match="followed itself"):
            await flows.batch(
                "b", shop.queue, on_success=[shop.told.call("x", on_success=[shop.told.call("y")])]
            )
        batch = await flows.batch("b", shop.queue)
        with pytest.raises(OptionError, match="followed by the batch"):
            await batch.add(shop.double, 1, on_success=[shop.told.call("x")])  # pyright: ignore[reportCallIssue]
        other = flows.join(shop.queue, "nobody")
        await other.add(shop.double, 1)
        with pytest.raises(FlowClosed):
            await other.flush()
        failed = await place.producer.enqueue(shop.double, -5)
        with pytest.raises(JobFailed):
            await failed.result(40)
