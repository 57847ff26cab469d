"""Jobs that handlers enqueue as effects of their success, and dead letters, through workers of one process."""

from datetime import UTC, datetime

import pytest
from tests.support import effect_handlers as handlers
from tests.support.runtime import InProcess, Run, captured_lines
from tests.support.waiting import until

from jobs_core import Fixed, OptionError, Priority, Queue, State, Unique
from jobs_core.options import decode_policy
from jobs_core.queues.dead_letter import DEAD_LETTERS
from jobs_core.records import read_records
from jobs_core.wire import decode_envelope, parse_header
from jobs_worker import Fail, JobContext, effects, processor
from jobs_worker.queues.dead_letter.processor import tell


async def count(worker: InProcess, queue: str) -> int:
    """Return how many jobs a queue was ever given."""
    totals = (await worker.scripts.tally([queue]))[queue].totals
    return sum(number for name, number in totals.items() if name.startswith("added:"))


async def test_they_are_sent_with_the_completion(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    job = first.job("one", payload=int)
    following = second.job("two", payload=str)
    seen: list[tuple[str, str, object]] = []

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> None:
        for i in range(payload):
            ctx.enqueue(following, f"n{i}", priority=Priority.HIGH, metadata={"n": i})

    @processor(following)
    async def two(payload: str, ctx: JobContext) -> None:
        seen.append((payload, ctx.job_id, {**ctx.metadata}))

    async with run(one, two) as worker:
        await worker.producer.enqueue(job, 3, metadata={"correlation_id": "c", "n": -1})
        await until(lambda: len(seen) == 3)
        assert [(payload, metadata) for payload, _, metadata in sorted(seen)] == [
            (f"n{i}", {"correlation_id": "c", "n": i}) for i in range(3)
        ]
        assert len({job_id for _, job_id, _ in seen}) == 3

        async def acknowledged() -> bool:
            return (await worker.scripts.outbox("first")).entries == []

        await until(acknowledged)


async def test_an_attempt_that_fails_sends_none(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    job = first.job("one", payload=int, attempts=3, backoff=Fixed(0))
    following = second.job("two", payload=int)
    ids: list[str] = []

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> None:
        ids.append(ctx.enqueue(following, payload))
        if ctx.attempt < 3:
            raise ValueError("not yet")

    async with run(one) as worker:
        await worker.producer.enqueue(job, 1)
        await until(lambda: count(worker, "second"), what="the effect")
        assert await count(worker, "second") == 1
        # Each attempt would have sent the same job.
        assert (len(ids), len(set(ids))) == (3, 1)
        (record,) = await read_records(worker.scripts, "second", ids[:1])
        assert record is not None
        assert record.state is State.WAITING


async def test_a_result_that_does_not_fit_sends_none(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    job = first.job("one", payload=int, result=int, attempts=1)
    following = second.job("two", payload=int)

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> int:
        ctx.enqueue(following, payload)
        return "text"  # pyright: ignore[reportReturnType] - that is the point

    async with run(one) as worker:
        handle = await worker.producer.enqueue(job, 1)
        assert await handle.done(40) is State.FAILED
        assert [
            entry.target
            for entry in (await worker.scripts.outbox("first")).entries
            if entry.target != "dead-letter"
        ] == []
        assert await count(worker, "second") == 0


async def test_threads_and_processes_send_them_too(run: Run) -> None:
    async with run(handlers.in_thread, handlers.in_process) as worker:
        await worker.producer.enqueue(handlers.THREADED, 2)
        await worker.producer.enqueue(handlers.FORKED, 3)

        async def all_there() -> bool:
            return await count(worker, "effect-target") == 5

        await until(all_there, what="five effects")


async def test_deadline_and_unique_key_travel(run: Run) -> None:
    first, second = Queue("first"), Queue("second")
    job = first.job("one", payload=int)
    following = second.job("two", payload=int)
    late = datetime(2040, 1, 1, tzinfo=UTC)

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> None:
        ctx.enqueue(following, payload, unique=Unique(key="same"))
        ctx.enqueue(following, payload, unique=Unique(key="same"))

    async with run(one) as worker:
        await worker.producer.enqueue(job, 1, deadline=late)
        await until(lambda: count(worker, "second"), what="the effect")
        assert await count(worker, "second") == 1
        (own,) = (await worker.scripts.page("second", home="waiting", newest=False)).ids
        located = await worker.located("second", own)
        envelope = decode_envelope(located.record[parse_header(located.record).size :])
        assert decode_policy(envelope.policy).deadline_ms == late.timestamp() * 1000


async def test_own_options_and_bounds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    second = Queue("second")
    following = second.job("two", payload=int)
    ctx = JobContext.for_test()
    assert ctx.enqueue(following, 1, job_id="mine") == "mine"
    with pytest.raises(OptionError, match="zone"):
        ctx.enqueue(following, 1, run_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is refused
    assert [(each.id, each.payload) for each in ctx.enqueued] == [("mine", 1)]
    monkeypatch.setattr(effects, "MAX_JOBS", 1)
    with pytest.raises(OptionError, match="producer"):
        ctx.enqueue(following, 1)


async def test_what_fails_for_good_is_told_and_kept(run: Run) -> None:
    queue = Queue("first")
    job = queue.job("one", payload=int, attempts=2, backoff=Fixed(0))

    @processor(job)
    async def one(payload: int, ctx: JobContext) -> None:
        if payload:
            raise ValueError("never")
        raise Fail("no")

    with captured_lines("info") as lines:
        async with run(one, tell, queues=(DEAD_LETTERS,)) as worker:
            handle = await worker.producer.enqueue(job, 1, metadata={"user": 7})
            await worker.producer.enqueue(job, 0)
            assert await handle.done(40) is State.FAILED
            await until(lambda: len(lines.of("dead_letter")) == 2)
            told = lines.of("dead_letter", dead_job_id=handle.id)[0]
            assert (told["dead_queue"], told["attempts"]) == ("first", 2)
            # It may repeat what its payload hides.
            assert "reason" not in told
            assert str(told["group"]).endswith("tests/test_effects.py:one")

            async def kept() -> bool:
                return (await worker.scripts.tally(["dead-letter"]))["dead-letter"].sizes["completed"] == 2

            await until(kept)
