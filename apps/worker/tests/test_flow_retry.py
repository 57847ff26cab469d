"""A flow that failed, and an operator who lets it go on."""

import pytest
from tests.support.runtime import Run

from jobs_admin import Admin
from jobs_core import FlowNotFailed, FlowNotFound, Queue
from jobs_producer import Workflow
from jobs_worker import Fail, JobContext, processor


async def test_it_goes_on_from_the_step_that_failed(run: Run, redis_url: str, prefix: str) -> None:
    steps, told = Queue("steps"), Queue("told")
    fetch = steps.job("fetch", payload=int, result=int, attempts=1)
    tell = told.job("tell", payload=str, result=str)
    ran: list[str] = []

    @processor(fetch)
    async def do_fetch(payload: int, ctx: JobContext) -> int:
        ran.append(f"fetch {payload}")
        if payload == 2 and ran.count("fetch 2") == 1:
            raise Fail("the source was away")
        return payload

    @processor(tell)
    async def do_tell(payload: str, ctx: JobContext) -> str:
        ran.append(payload)
        return f"{payload} {ctx.results.of('second', fetch)}"

    workflow = Workflow("import", id="w")
    first = workflow.add("first", fetch, 1)
    second = workflow.add("second", fetch, 2, after=[first])
    workflow.add("last", tell, "told", after=[second])
    async with run(do_fetch, do_tell) as place, Admin(redis_url, prefix=prefix) as admin:
        flow = await workflow.start(place.producer)
        assert (await flow.done(40)).state == "failed"
        assert await admin.retry_flow("w") == 2
        assert (await flow.result(40))["last"] == "told 2"
        with pytest.raises(FlowNotFailed):
            await admin.retry_flow("w")
        with pytest.raises(FlowNotFound):
            await admin.retry_flow("nobody", queue=flow.queue)
        (entry,) = [each for each in (await admin.audit()).changes if each.verb == "flow.retry"]
    assert ran == ["fetch 1", "fetch 2", "fetch 2", "told"]
    assert (entry.queue, entry.filter, entry.count) == (flow.queue, "w", 2)
