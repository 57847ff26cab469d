"""Jobs that no handler of a worker knows, or may run: parked until a worker comes that does."""

import pytest
from tests.support.runtime import Lines, Run
from tests.support.waiting import until

from jobs_core import (
    Queue,
    State,
)
from jobs_core.payloads import JsonValue
from jobs_worker import JobContext, processor


async def test_unknown_job_is_parked_and_goes_to_the_first_worker_that_knows_it(
    run: Run, lines: Lines
) -> None:
    old = Queue("deploys")
    known = old.job("known", payload=int, result=int)
    new = Queue("deploys")
    added = new.job("added", payload=int, result=int)

    @processor(known)
    async def of_old(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(added)
    async def of_new(payload: int, ctx: JobContext) -> int:
        return -payload

    async with run(of_old) as before:
        parked = await before.producer.enqueue(added, 1)

        async def is_parked() -> bool:
            return (await parked.status()).state is State.UNROUTABLE

        await until(is_parked)
        # It was told before the job was parked.
        assert len(lines.of("unroutable", job_id=parked.id, job="added@1")) == 1
        async with run(of_new) as after:
            assert await parked.result(40) == -1
            await until(lambda: after.lane("deploys").idle)
            # While both idle the older one takes some and parks them: the other finds them at its next glance.
            jobs = [await before.producer.enqueue(added, n) for n in range(2, 6)]
            assert [await each.result(40) for each in jobs] == [-2, -3, -4, -5]
            assert (await before.entry("deploys", jobs[0].id)).attempts == 0


async def test_job_that_needs_an_unset_variable_stays_parked(
    run: Run, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    queue = Queue("needy")
    job = queue.job("ship", payload=int)

    @processor(job, requires=("SHOP_URL",))
    async def ship(payload: int, ctx: JobContext) -> None: ...

    @processor(queue)
    async def rest(payload: JsonValue, ctx: JobContext) -> JsonValue:
        return payload

    async with run(ship, rest) as worker:
        parked = await worker.producer.enqueue(job, 1)

        async def is_parked() -> bool:
            return (await parked.status()).state is State.UNROUTABLE

        await until(is_parked)
        # It stays there, whoever else asks for work.
        for n in range(3):
            await (await worker.producer.queue("needy").enqueue("other", n, result_ttl=60)).result(40)
        assert await is_parked()
        assert len(lines.of("unroutable", job_id=parked.id)) == 1
        assert lines.of("unroutable")[0]["needs"] == ["SHOP_URL"]
