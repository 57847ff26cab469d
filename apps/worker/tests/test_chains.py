"""Jobs that follow the success of others, through workers of one process."""

from datetime import UTC, datetime

import msgspec
import pytest
from tests.support import chain_handlers as handlers
from tests.support.runtime import InProcess, Run
from tests.support.waiting import until

from jobs_admin import Admin
from jobs_core import (
    ChainFailed,
    Codec,
    Fixed,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JsonValue,
    OptionError,
    Priority,
    Queue,
    ResultTimeout,
    State,
    Unique,
)
from jobs_core.codecs import KeyRing
from jobs_core.options import decode_policy
from jobs_core.wire import decode_envelope, parse_header
from jobs_producer import Producer
from jobs_worker import JobContext, Previous, processor


class Rows(msgspec.Struct):
    numbers: list[int]


class Total(msgspec.Struct):
    sum: int
    of: int


class Pipeline:
    """Three typed jobs in three queues, with handlers that write down what they were given."""

    def __init__(self) -> None:
        self.extract = Queue("extract").job("extract", payload=int, result=Rows)
        self.add = Queue("add").job("add", payload=Rows, result=Total, attempts=2, backoff=Fixed(0))
        self.load = Queue("load").job("load", payload=Total, result=str)
        self.chain = self.extract.then(self.add).then(self.load)
        self.seen: list[tuple[str, str, object]] = []
        self.failing: set[str] = set()
        extract, add, load = self.extract, self.add, self.load

        @processor(extract)
        async def first(payload: int, ctx: JobContext) -> Rows:
            self._begin(ctx, payload)
            return Rows([*range(payload)])

        @processor(add)
        async def second(payload: Rows, ctx: JobContext) -> Total:
            self._begin(ctx, payload)
            return Total(sum(payload.numbers), len(payload.numbers))

        @processor(load)
        async def third(payload: Total, ctx: JobContext) -> str:
            self._begin(ctx, payload)
            before = ctx.previous
            assert before is not None
            assert before.result(add) == payload
            return f"{payload.sum} of {payload.of}"

        self.handlers = (first, second, third)

    def _begin(self, ctx: JobContext, payload: object) -> None:
        self.seen.append((ctx.name, ctx.job_id, payload))
        if ctx.name in self.failing:
            raise ValueError(f"{ctx.name} is broken")


async def added(worker: InProcess, *queues: str) -> list[int]:
    """Return how many jobs each queue was ever given."""
    totals = [(await worker.scripts.tally([queue]))[queue].totals for queue in queues]
    return [sum(number for name, number in each.items() if name.startswith("added:")) for each in totals]


async def test_each_link_takes_the_result_of_the_one_before(run: Run) -> None:
    pipeline = Pipeline()
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(pipeline.chain, 4)
        assert handle.created
        assert await handle.result(40) == "6 of 4"
        assert [payload for _, _, payload in pipeline.seen] == [4, Rows([0, 1, 2, 3]), Total(6, 4)]
        # The caller could name all of them before any had run.
        assert [job_id for _, job_id, _ in pipeline.seen] == [link.id for link in handle.links]
        assert [link.queue for link in handle.links] == ["extract", "add", "load"]
        assert await handle.links[1].result(40) == Total(6, 4)
        assert await added(worker, "extract", "add", "load") == [1, 1, 1]
        await until(lambda: nothing_left(worker, "extract", "add"), what="acknowledged effects")


async def test_another_producer_names_the_chain_by_its_id(run: Run, redis_url: str, prefix: str) -> None:
    pipeline = Pipeline()
    async with run(*pipeline.handlers) as worker, Producer(redis_url, prefix=prefix) as other:
        handle = await worker.producer.enqueue_chain(pipeline.chain, 4)
        again = other.chain_handle(pipeline.chain, handle.id)
        assert (again.created, [link.id for link in again.links]) == (
            False,
            [link.id for link in handle.links],
        )
        assert await again.result(40) == "6 of 4"
        with pytest.raises(OptionError, match="id"):
            other.chain_handle(pipeline.chain, "")


async def nothing_left(worker: InProcess, *queues: str) -> bool:
    """Tell whether the outboxes are empty."""
    return not any([(await worker.scripts.outbox(queue)).entries for queue in queues])


async def test_a_failure_names_its_link_and_stops_the_rest(run: Run) -> None:
    pipeline = Pipeline()
    pipeline.failing.add("add")
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(pipeline.chain, 4)
        with pytest.raises(ChainFailed, match=r"'add', link 2 of 3.*add is broken") as failed:
            await handle.result(40)
        error = failed.value
        assert (error.position, error.length, error.queue, error.name) == (2, 3, "add", "add")
        assert error.job_id == handle.links[1].id
        assert isinstance(error.failure, JobFailed)
        # Whoever waits for a later link alone hears the same, at once.
        with pytest.raises(ChainFailed, match="link 2 of 3"):
            await handle.links[2].result(40)
        with pytest.raises(JobNotFound):
            await handle.links[2].status()
        # It was retried, by its own options, and had the same payload again.
        assert [name for name, _, _ in pipeline.seen] == ["extract", "add", "add"]
        assert await added(worker, "load") == [0]


async def test_a_failure_of_the_last_link_is_told_alike(run: Run) -> None:
    pipeline = Pipeline()
    pipeline.failing.add("load")
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(
            pipeline.extract.then(pipeline.add).then(pipeline.load, attempts=1), 4
        )
        with pytest.raises(ChainFailed, match="link 3 of 3"):
            await handle.result(40)
        assert [name for name, _, _ in pipeline.seen] == ["extract", "add", "load"]


async def test_a_replayed_link_goes_on_with_the_chain(run: Run, redis_url: str, prefix: str) -> None:
    pipeline = Pipeline()
    pipeline.failing.add("add")
    async with run(*pipeline.handlers) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue_chain(pipeline.chain, 5)
        with pytest.raises(ChainFailed):
            await handle.result(40)
        pipeline.failing.clear()
        await admin.retry("add", handle.links[1].id)
        assert await handle.result(40) == "10 of 5"
        assert await added(worker, "extract", "load") == [1, 1]


async def test_a_link_that_was_not_kept_is_replayed_from_its_dead_letter(
    run: Run, redis_url: str, prefix: str
) -> None:
    pipeline = Pipeline()
    pipeline.failing.add("add")
    chain = pipeline.extract.then(pipeline.add, attempts=1, remove_on_fail=True).then(pipeline.load)
    async with run(*pipeline.handlers) as worker, Admin(redis_url, prefix=prefix) as admin:
        handle = await worker.producer.enqueue_chain(chain, 5)
        with pytest.raises(ChainFailed):
            await handle.result(40)
        pipeline.failing.clear()

        async def letter() -> bool:
            return (await worker.scripts.tally(["dead-letter"]))["dead-letter"].sizes["waiting"] == 1

        await until(letter, what="the dead letter")
        assert await admin.replay_all() == 1
        assert await handle.result(40) == "10 of 5"


async def test_a_cancelled_link_stops_the_rest(run: Run) -> None:
    pipeline = Pipeline()
    chain = pipeline.extract.then(pipeline.add, delay=3600).then(pipeline.load)
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(chain, 5)
        await handle.links[0].result(40)
        await until(lambda: located(worker, "add", handle.links[1].id))
        with pytest.raises(ResultTimeout):
            await handle.result(0.1)
        await handle.links[1].cancel()
        with pytest.raises(ChainFailed, match="link 2 of 3") as failed:
            await handle.result(40)
        assert isinstance(failed.value.failure, JobCancelled)


async def test_chain_to_runs_one_after_the_other_with_payloads_of_their_own(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    order = first.job("order", payload=int, result=dict[str, int])
    invoice = second.job("invoice", payload=str, result=str)
    ship = first.job("ship", payload=str)
    seen: list[tuple[str, object, JsonValue]] = []

    @processor(order)
    async def ordered(payload: int, ctx: JobContext) -> dict[str, int]:
        assert ctx.previous is None
        return {"number": payload}

    @processor(invoice)
    async def invoiced(payload: str, ctx: JobContext) -> str:
        before = ctx.previous
        assert before is not None
        seen.append((payload, before.result(order), before.value))
        assert (before.queue, before.name) == ("first", "order")
        with pytest.raises(OptionError, match="the job before was first/order"):
            before.result(ship)
        return f"invoice {payload}"

    @processor(ship)
    async def shipped(payload: str, ctx: JobContext) -> None:
        before = ctx.previous
        seen.append((payload, before and before.result(invoice), before and before.id))

    async with run(ordered, invoiced, shipped) as worker:
        handle = await worker.producer.enqueue(
            order,
            7,
            chain_to=[invoice.call("a"), ship.call("b", job_id="parcel-7", priority="high")],
            metadata={"correlation_id": "c"},
            deadline=datetime(2040, 1, 1, tzinfo=UTC),
        )
        assert await handle.result(40) == {"number": 7}
        last = worker.producer.handle(ship, "parcel-7")
        await until(lambda: len(seen) == 2)
        assert seen[0] == ("a", {"number": 7}, {"number": 7})
        assert seen[1][:2] == ("b", "invoice a")
        await last.done(40)


async def test_on_success_starts_all_at_once_and_may_be_nested(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    order = first.job("order", payload=int, result=int)
    tell = second.job("tell", payload=str, result=str)
    seen: dict[str, JsonValue] = {}

    @processor(order)
    async def ordered(payload: int, _: JobContext) -> int:
        return payload

    @processor(tell)
    async def told(payload: str, ctx: JobContext) -> str:
        if payload == "fails":
            raise ValueError(payload)
        before = ctx.previous
        seen[payload] = before and before.value
        return payload.upper()

    nested = tell.call("b", on_success=[tell.call("ba"), tell.call("bb", chain_to=[tell.call("bbc")])])
    broken = tell.call("fails", attempts=1, on_success=[tell.call("never")])
    async with run(ordered, told) as worker:
        await worker.producer.enqueue(order, 7, on_success=[tell.call("a"), nested, broken])
        await until(lambda: len(seen) == 5)
        assert seen == {"a": 7, "b": 7, "ba": "B", "bb": "B", "bbc": "BB"}

        async def all_six() -> bool:
            return await added(worker, "second") == [6]

        await until(all_six)


async def test_a_chain_may_follow_a_job(run: Run) -> None:
    pipeline = Pipeline()
    start = Queue("start").job("start", payload=int)
    ids: list[str] = []

    @processor(start)
    async def begin(payload: int, ctx: JobContext) -> None:
        ids.append(ctx.enqueue(pipeline.chain, payload))

    async with run(begin, *pipeline.handlers) as worker:
        await worker.producer.enqueue(start, 3, on_success=[pipeline.chain.call(4)])
        await until(lambda: len(pipeline.seen) == 6)
        assert sorted(payload for name, _, payload in pipeline.seen if name == "extract") == [3, 4]  # pyright: ignore[reportCallIssue, reportArgumentType]
        assert ids[0] in {job_id for name, job_id, _ in pipeline.seen if name == "extract"}


async def test_handlers_in_threads_and_processes_stand_in_chains(run: Run) -> None:
    chain = handlers.THREADED.then(handlers.FORKED)
    async with run(handlers.in_thread, handlers.in_process, handlers.tell) as worker:
        handle = await worker.producer.enqueue_chain(chain, 21)
        assert await handle.result(40) == "42 after 42"
        follower = handlers.TOLD.call("hello", job_id="told")
        await worker.producer.enqueue(handlers.FORKED, 1, on_success=[follower])
        told = worker.producer.handle(handlers.TOLD, "told")

        async def there() -> bool:
            return (await worker.located("chain-processes", "told")).state != ""

        await until(there)
        assert await told.result(40) == ["hello", "chain-processes/forked: 1 after None"]


async def test_what_is_sealed_stays_sealed_on_the_way(
    redis_url: str, prefix: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_KEYS", KeyRing({"k": bytes(32)}).text())
    secret, plain = Queue("secret", codec=Codec(encrypt=True)), Queue("plain", codec=Codec(compress=True))
    make = secret.job("make", payload=str, result=str)
    take = secret.job("take", payload=str, result=str)
    show = plain.job("show", payload=str, result=str, format="msgpack")

    @processor(make)
    async def made(payload: str, _: JobContext) -> str:
        return f"made {payload}"

    @processor(take)
    async def taken(payload: str, ctx: JobContext) -> str:
        before = ctx.previous
        return f"{payload}, {before and before.value}"

    @processor(show)
    async def shown(payload: str, ctx: JobContext) -> str:
        before = ctx.previous
        return f"{payload}, {before and before.value}"

    async with run(made, taken, shown) as worker, Producer(redis_url, prefix=prefix) as producer:
        handle = await producer.enqueue_chain(make.then(take, delay=3600), "pearl")
        await handle.links[0].result(40)

        async def delayed() -> bytes:
            return (await worker.located("secret", handle.links[1].id)).record

        await until(delayed)
        assert b"pearl" not in await delayed()
        await worker.scripts.promote("secret", ids=[handle.links[1].id])
        assert await handle.result(40) == "made pearl, made pearl"
        other = await producer.enqueue(
            make, "pearl", delay=3600, chain_to=[take.call("ruby", job_id="r"), show.call("opal", job_id="o")]
        )
        record = (await worker.located("secret", other.id)).record
        assert b"pearl" not in record
        assert b"ruby" not in record
        await worker.scripts.promote("secret", ids=[other.id])
        await other.result(40)
        await until(lambda: located(worker, "plain", "o"))
        assert await producer.handle(show, "o").result(40) == "opal, ruby, made pearl"


async def located(worker: InProcess, queue: str, job_id: str) -> str:
    """Return the state of a job."""
    return (await worker.located(queue, job_id)).state


async def test_followers_inherit_metadata_and_deadline(run: Run) -> None:
    pipeline = Pipeline()
    late = datetime(2040, 1, 1, tzinfo=UTC)
    chain = pipeline.extract.then(pipeline.add, metadata={"n": 2}, priority=Priority.LOW, delay=3600).then(
        pipeline.load
    )
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(
            chain, 1, metadata={"n": 1, "by": "me"}, deadline=late, tags=["first"]
        )
        await handle.links[0].result(40)
        await until(lambda: located(worker, "add", handle.links[1].id))
        record = (await worker.located("add", handle.links[1].id)).record
        header = parse_header(record)
        envelope = decode_envelope(record[header.size :])
        assert envelope.metadata == {"n": 2, "by": "me"}
        assert envelope.tags is None
        assert header.priority == Priority.LOW
        assert decode_policy(envelope.policy).deadline_ms == late.timestamp() * 1000


async def test_a_job_tells_where_it_stands(run: Run) -> None:
    pipeline = Pipeline()
    pipeline.failing.add("add")
    async with run(*pipeline.handlers) as worker:
        handle = await worker.producer.enqueue_chain(pipeline.chain, 1)
        with pytest.raises(ChainFailed):
            await handle.result(40)
        first, second = [await link.status() for link in handle.links[:2]]
        assert first.flow is not None
        assert (first.flow.chain, first.flow.position, first.flow.length) == (handle.id, 1, 3)
        assert [(ref.queue, ref.name, ref.id) for ref in first.flow.next] == [
            ("add", "add", handle.links[1].id)
        ]
        assert second.state is State.FAILED
        assert second.flow is not None
        assert (second.flow.chain, second.flow.position, second.flow.length) == (handle.id, 2, 3)
        assert second.flow.previous is not None
        assert second.flow.previous.id == handle.id
        assert [ref.id for ref in second.flow.next] == [handle.links[2].id]


async def test_jobs_that_no_code_declares_stand_in_chains(run: Run) -> None:
    raw, other = Queue("raw"), Queue("other")
    seen: list[tuple[str, JsonValue, JsonValue]] = []

    @processor(raw)
    async def anything(payload: JsonValue, ctx: JobContext) -> JsonValue:
        before = ctx.previous
        seen.append((ctx.name, payload, before and before.value))
        return {"from": ctx.name}

    @processor(other)
    async def anything_else(payload: JsonValue, ctx: JobContext) -> JsonValue:
        before = ctx.previous
        seen.append((ctx.name, payload, before and before.value))
        return None

    async with run(anything, anything_else) as worker:
        first, second = worker.producer.queue("raw"), worker.producer.queue("other")
        await first.enqueue("a", {"n": 1}, chain_to=[first.call("b", 2), second.call("c", [3])])
        await until(lambda: len(seen) == 3)
        assert seen == [("a", {"n": 1}, None), ("b", 2, {"from": "a"}), ("c", [3], {"from": "b"})]
        # Links that keep no result come and go unseen; the last one keeps its own.
        a, b, c = (raw.dynamic_job(name) for name in ("x", "y", "z"))
        handle = await worker.producer.enqueue_chain(a.then(b).then(c, result_ttl=60), 1)
        assert await handle.result(40) == {"from": "z"}


async def test_keys_are_made_of_the_result_that_is_piped(run: Run) -> None:
    rows = Queue("rows").job("make", payload=int, result=dict[str, str])
    keyed = Queue("keyed", key="tenant").job("take", payload=dict[str, str], result=str)

    @processor(rows)
    async def make(payload: int, _: JobContext) -> dict[str, str]:
        return {"tenant": f"t{payload}"}

    async with run(make) as worker:
        handle = await worker.producer.enqueue_chain(rows.then(keyed), 7)
        await handle.links[0].result(40)
        await until(lambda: located(worker, "keyed", handle.links[1].id))
        record = (await worker.located("keyed", handle.links[1].id)).record
        assert b"t7" in record[: parse_header(record).size]


async def test_a_result_too_large_for_its_follower_fails_its_own_job(run: Run) -> None:
    texts = Queue("texts")
    make = texts.job("make", payload=int, result=str, attempts=1)
    take = texts.job("take", payload=str)

    @processor(make)
    async def made(payload: int, _: JobContext) -> str:
        return "x" * payload

    async with run(made) as worker:
        handle = await worker.producer.enqueue(make, 1_000_000, on_success=[take.call("y" * 400_000)])
        with pytest.raises(JobFailed, match=r"PayloadTooLarge.*job 'take'"):
            await handle.result(40)
        assert await added(worker, "texts") == [1]


async def test_a_known_job_leads_to_the_chain_that_it_began(run: Run) -> None:
    pipeline = Pipeline()
    async with run(*pipeline.handlers) as worker:
        one = await worker.producer.enqueue_chain(pipeline.chain, 3, job_id="mine")
        assert await one.result(40) == "3 of 3"
        again = await worker.producer.enqueue_chain(pipeline.chain, 3, job_id="mine")
        assert (again.created, again.outcome) == (False, "known")
        assert await again.result(40) == "3 of 3"
        await worker.producer.enqueue(pipeline.extract, 9, job_id="bare", result_ttl=60)
        bare = await worker.producer.enqueue_chain(pipeline.chain, 9, job_id="bare")
        with pytest.raises(JobNotFound):
            await bare.result(40)


async def test_a_unique_first_link_stands_for_its_chain(run: Run) -> None:
    pipeline = Pipeline()
    only = Unique(key="one")
    async with run(*pipeline.handlers) as worker:
        one = await worker.producer.enqueue_chain(pipeline.chain, 3, unique=only, delay=3600)
        two = await worker.producer.enqueue_chain(pipeline.chain, 4, unique=only)
        assert (two.id, two.outcome) == (one.id, "skipped")
        await worker.scripts.promote("extract", ids=[one.id])
        assert await two.result(40) == "3 of 3"
        assert two.links[2].id == one.links[2].id


async def test_many_chains_are_added_in_one_call(run: Run) -> None:
    pipeline = Pipeline()
    notes: list[int] = []
    note = Queue("notes").job("note", payload=int)

    @processor(note)
    async def noted(payload: int, _: JobContext) -> None:
        notes.append(payload)

    async with run(noted, *pipeline.handlers) as worker:
        summary = await worker.producer.enqueue_many(pipeline.chain, range(50), on_success=[note.call(1)])
        assert summary.created == 50

        async def over() -> bool:
            return await added(worker, "load") == [50] and len(notes) == 50

        await until(over)
        await until(lambda: len([name for name, _, _ in pipeline.seen if name == "load"]) == 50)


async def test_a_handler_is_tested_with_what_came_before() -> None:
    pipeline = Pipeline()
    total = Total(6, 4)
    async with JobContext.for_test(previous=Previous.of(pipeline.add, total)) as ctx:
        assert await pipeline.handlers[2](total, ctx) == "6 of 4"  # pyright: ignore[reportArgumentType]
        ctx.enqueue(pipeline.chain, 5)
        (enqueued,) = ctx.enqueued
        assert [step.job.name for step in enqueued.steps] == ["add", "load"]
