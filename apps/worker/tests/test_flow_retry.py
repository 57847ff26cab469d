"""A flow that failed, and an operator who lets it go on."""

import asyncio

import pytest
from tests.support.runtime import Run

from jobs_admin import Admin
from jobs_core import FlowFailed, FlowNotFailed, FlowNotFound, Queue
from jobs_producer import Flow, Workflow
from jobs_worker import Fail, JobContext, WaitForChildren, processor


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


async def test_what_was_cancelled_runs_again(run: Run, redis_url: str, prefix: str) -> None:
    long, above = (
        Queue("long").job("wait", payload=int, result=int),
        Queue("above").job("add", payload=str, result=int),
    )
    began, go_on = asyncio.Event(), asyncio.Event()

    @processor(long)
    async def wait(payload: int, ctx: JobContext) -> int:
        began.set()
        await go_on.wait()
        return payload

    @processor(above)
    async def add(payload: str, ctx: JobContext) -> int:
        return sum(ctx.children.results(long))

    async with run(wait, add) as place, Admin(redis_url, prefix=prefix) as admin:
        flow = await Flow(above, "sum", id="t", children=[long.call(5)]).submit(place.producer)
        await asyncio.wait_for(began.wait(), 60)
        await admin.cancel("long", "t.1")
        with pytest.raises(
            FlowFailed, match=r"at 'wait-1' \(job 't.1' of queue 'long'\): it was cancelled\."
        ):
            await flow.result(60)
        go_on.set()
        assert await admin.retry_flow("t") == 2
        assert await flow.result(60) == 5


async def test_the_failure_of_a_job_that_is_none_of_the_flow_is_told(run: Run) -> None:
    parts, whole = (
        Queue("parts").job("part", payload=int, attempts=1),
        Queue("whole").job("split", payload=int),
    )

    @processor(parts)
    async def part(payload: int, ctx: JobContext) -> None:
        raise Fail("torn")

    @processor(whole)
    async def split(payload: int, ctx: JobContext) -> None:
        if payload:
            ctx.add_child(parts, 1)
            raise WaitForChildren

    async with run(part, split) as place:
        flow = await Flow(whole, 0, id="t", children=[whole.call(1)]).submit(place.producer)
        with pytest.raises(
            FlowFailed, match=r"at 'split-1' .* of queue 'parts', which it waited for, failed"
        ):
            await flow.result(60)
