"""What is over its retention goes without anybody asking: workers see to it."""

from __future__ import annotations

import asyncio

from tests.support.runtime import running

from jobs_core import Keep, Queue, State
from jobs_worker import JobContext, processor
from jobs_worker.leases import LeaseKeeper


async def test_a_worker_removes_what_is_too_old(redis_url: str, prefix: str) -> None:
    queue = Queue("aged")
    job = queue.job("do", payload=int, remove_on_complete=Keep(age=1))

    @processor(job)
    async def do(payload: int, ctx: JobContext) -> None: ...

    async with running(redis_url, prefix, do) as worker:
        handles = [await worker.producer.enqueue(job, number) for number in range(3)]
        assert [await handle.done(10) for handle in handles] == [State.COMPLETED] * 3
        assert (await worker.scripts.tally(["aged"]))["aged"].sizes["completed"] == 3
        await asyncio.sleep(1.1)
        keeper = LeaseKeeper(worker.scripts, lambda queue, owner: None)
        keeper.watch(["aged"])
        assert await keeper.beat()
        tally = (await worker.scripts.tally(["aged"]))["aged"]
        assert (tally.sizes["completed"], sum(tally.totals.values()) > 0) == (0, True)
