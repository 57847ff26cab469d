"""What is over its retention goes without anybody asking: workers see to it."""

from __future__ import annotations

from tests.support.runtime import running
from tests.support.waiting import until

from jobs_core import Keep, Queue, State
from jobs_core.scripts import Tally
from jobs_worker import JobContext, processor
from jobs_worker.leases import LeaseKeeper


async def test_a_worker_removes_what_is_too_old(redis_url: str, prefix: str) -> None:
    queue = Queue("aged")
    job = queue.job("do", payload=int, remove_on_complete=Keep(age=1))

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with running(redis_url, prefix, do) as worker:
        handles = [await worker.producer.enqueue(job, number) for number in range(3)]
        assert [await handle.done(40) for handle in handles] == [State.COMPLETED] * 3
        young = await worker.producer.enqueue(job, 4, remove_on_complete=Keep(age=3600))
        assert await young.done(40) is State.COMPLETED

        async def aged() -> Tally:
            return (await worker.scripts.tally(["aged"]))["aged"]

        async def trimmed() -> bool:
            # The first beat of each sees to it.
            keeper = LeaseKeeper(worker.scripts, lambda queue, owner: None)
            keeper.watch(["aged"])
            return await keeper.beat() and (await aged()).sizes["completed"] == 1

        await until(trimmed)
        assert (await young.status()).state is State.COMPLETED
        assert sum((await aged()).totals.values()) > 0
