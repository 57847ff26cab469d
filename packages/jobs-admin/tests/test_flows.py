"""Flows in the hands of operators: found by any id, listed, cancelled; and on whom a blocked job waits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from tests.support.runtime import InProcess, running
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_core import FlowNotFailed, FlowNotFound, Queue
from jobs_core.errors import OptionError, UnknownQueue
from jobs_core.records import AwaitedJob
from jobs_producer import Flow, Workflow, child, on
from jobs_worker import Fail, JobContext, WaitForChildren, processor

Run = Callable[..., AbstractAsyncContextManager[InProcess]]

NEAR, FAR = Queue("near"), Queue("far")
TASK = NEAR.job("task", payload=str, result=str, attempts=1)
REMOTE = FAR.job("remote", payload=str, result=str, attempts=1)
SPLIT = NEAR.job("split", payload=int, result=int, attempts=1)


@processor(TASK)
async def task(payload: str, _: JobContext) -> str:
    if payload.startswith("bad"):
        raise Fail(f"{payload} fails")
    return payload


@processor(REMOTE)
async def remote(payload: str, _: JobContext) -> str:
    return payload


@processor(SPLIT)
async def split(payload: int, ctx: JobContext) -> int:
    if not ctx.children:
        for i in range(payload):
            ctx.add_child(REMOTE, str(i), delay=60, policy="ignore")
        raise WaitForChildren
    return payload


@pytest.fixture
def run(redis_url: str, prefix: str) -> Run:
    return partial(running, redis_url, prefix)


async def arrived(place: InProcess, queue: str, job_id: str) -> None:
    """Wait until a job with a delay is there: a worker carries what follows from a job a moment after its end."""

    async def there() -> bool:
        return (await place.located(queue, job_id)).state == "delayed"

    await until(there)


async def children_of(admin: Admin, parent: str) -> tuple[AwaitedJob, ...]:
    """Return the three that a job waits for, once they are there."""

    async def there() -> tuple[AwaitedJob, ...]:
        found = (await admin.job("near", parent)).waits_for
        return found if [each.state for each in found] == ["delayed"] * 3 else ()

    return await until(there)


def diamond(name: str = "diamond", *, first: str = "one", **options: str) -> Workflow:
    workflow = Workflow(name, metadata={"created_by": "ada"}, tags=["shapes"], **options)  # pyright: ignore[reportArgumentType]
    a = workflow.add("a", TASK, first, delay=0 if first == "bad" else 60)
    b = workflow.add("b", REMOTE, "two", after=[a])
    c = workflow.add("c", TASK, "three", after=[a])
    workflow.add("d", REMOTE, "four", after=[b, c.on("ignore")])
    return workflow


async def test_a_flow_is_found_by_its_id_and_by_those_of_its_jobs(admin: Admin, run: Run) -> None:
    async with run() as place:
        flow = await diamond().start(place.producer)
        record = await admin.flow(flow.id)
        assert (record.kind, record.name, record.state, record.total, record.pending) == (
            *("workflow", "diamond", "running", 4, 4),
        )
        assert (record.queue, record.metadata, record.tags) == ("near", {"created_by": "ada"}, ("shapes",))
        page = await admin.flow_jobs(flow.id)
        assert [(job.label, job.state) for job in page.jobs] == [
            *(("a", "delayed"), ("b", "blocked"), ("c", "blocked"), ("d", "blocked")),
        ]
        assert [(each.label, each.mode) for each in page.jobs[3].after] == [
            *(("b", "fail_parent"), ("c", "ignore")),
        ]
        assert await admin.flow(page.jobs[3].id) == record
        assert (await admin.flow_jobs(flow.id, limit=3)).next == 3
        assert [job.label for job in (await admin.flow_jobs(flow.id, start=3)).jobs] == ["d"]
        for at, labels in enumerate((["a", "b"], ["a", "b"], ["b", "c"], ["c", "d"])):
            beside = await admin.flow_jobs(page.jobs[at].id, limit=2, beside=True)
            assert (beside.flow, [job.label for job in beside.jobs]) == (record, labels)
        assert [job.label for job in (await admin.flow_jobs(flow.id, state="delayed")).jobs] == ["a"]
        with pytest.raises(FlowNotFound, match="No queue keeps a flow 'nobody'"):
            await admin.flow("nobody")
        with pytest.raises(FlowNotFound, match="Queue 'far'"):
            await admin.flow(flow.id, queue="far")
        with pytest.raises(UnknownQueue):
            await admin.flow(flow.id, queue="fra")
        with pytest.raises(OptionError, match="state"):
            await admin.flow_jobs(flow.id, state="done")


async def test_an_id_that_two_queues_have_asks_for_the_queue(admin: Admin, run: Run) -> None:
    async with run() as place:
        await diamond(id="same").start(place.producer)
        other = Workflow("other", id="same")
        other.add("x", REMOTE, "x", delay=60)
        await other.start(place.producer)
        with pytest.raises(OptionError, match="several queues have it: far, near"):
            await admin.flow("same")
        assert (await admin.flow("same", queue="far")).name == "other"


async def test_flows_of_all_queues_are_listed_the_newest_first(admin: Admin, run: Run) -> None:
    async with run(task, remote) as place:
        made = [(await diamond(f"flow {i}").start(place.producer)).id for i in range(5)]
        ended = await Flow(REMOTE, "x", children=[TASK.call("y")], name="tree").submit(place.producer)
        assert await ended.result(WITHIN) == "x"
        broken = await diamond("broken", first="bad").start(place.producer)
        await broken.done(WITHIN)
        assert await admin.cancel_flow(made[0])
        assert not await admin.cancel_flow(made[0])
        whole = await admin.flows()
        assert [each.id for each in whole.flows] == [*reversed(made[1:]), made[0], broken.id, ended.id]
        assert whole.cursor is None
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await admin.flows(limit=2, cursor=cursor)
            seen += [each.id for each in page.flows]
            cursor = page.cursor
        assert seen == [each.id for each in whole.flows]
        assert [each.name for each in (await admin.flows(state="failed")).flows] == ["broken"]
        assert [each.name for each in (await admin.flows("far")).flows] == ["tree"]
        assert [each.state for each in (await admin.flows(state="cancelled")).flows] == ["cancelled"]
        failed = (await admin.flow_jobs(broken.id, state="failed")).jobs
        assert "bad fails" in (failed[0].error or "")
        assert (await admin.flow(failed[0].id)).id == broken.id
        # Also of a job that completed, and has no edges any more.
        completed = (await admin.flow_jobs(ended.id, state="completed")).jobs
        for job in completed:
            page = await admin.flow_jobs(job.id, queue=job.queue, beside=True, limit=1)
            assert (page.flow.id, [each.id for each in page.jobs]) == (ended.id, [job.id])
        with pytest.raises(FlowNotFound):
            await admin.flow(f"{ended.id}.7")
        for wrong in ("what", "live:x:near:1", "live:" + "9" * 400 + ":near:1", "live:1:near"):
            with pytest.raises(OptionError, match="none of ours"):
                await admin.flows(cursor=wrong)
        with pytest.raises(OptionError, match="state"):
            await admin.flows(state="done")
        changes = [each for each in (await admin.audit()).changes if each.verb == "flow.cancel"]
        assert [(each.queue, each.filter, each.count) for each in reversed(changes)] == [
            *(("near", made[0], 1), ("near", made[0], 0)),
        ]


async def test_a_blocked_job_says_on_whom_it_waits(admin: Admin, run: Run) -> None:
    async with run() as place:
        first = await place.producer.enqueue(REMOTE, "one", delay=60)
        second = await place.producer.enqueue(TASK, "two", delay=60)
        last = await place.producer.enqueue(TASK, "three", after=[first, second])
        record = await admin.job("near", last.id)
        assert [(each.queue, each.id, each.name, each.state) for each in record.waits_for] == [
            ("far", first.id, "remote", "delayed"),
            ("near", second.id, "task", "delayed"),
        ]
        (finding,) = await admin.doctor("near", last.id)
        assert f"{first.id} of far (delayed), {second.id} of near (delayed)" in finding.text
        assert finding.mend == f"jobsctl flow show {last.id} --queue near"
        await admin.cancel("far", first.id)
        record = await admin.job_detail("near", second.id)
        assert record.waits_for == ()


async def test_a_step_says_on_whom_it_waits(admin: Admin, run: Run) -> None:
    async with run() as place:
        flow = await diamond().start(place.producer)
        jobs = (await admin.flow_jobs(flow.id)).jobs
        record = await admin.job("far", jobs[1].id)
        assert [(each.id, each.state) for each in record.waits_for] == [(jobs[0].id, "delayed")]
        (finding,) = await admin.doctor("far", jobs[1].id)
        assert finding.mend == f"jobsctl doctor near {jobs[0].id}"


async def test_what_is_around_a_job_that_waits_by_itself(admin: Admin, run: Run) -> None:
    async with run() as place:
        first = await place.producer.enqueue(REMOTE, "one", delay=60)
        middle = await place.producer.enqueue(TASK, "two", after=[first], on_failure=[REMOTE.call("oh")])
        last = await place.producer.enqueue(TASK, "three", after=[on(middle, policy="remove")])
        for each in (first, middle, last):
            page = await admin.flow_jobs(each.id)
            shown = {job.id: (job.state, [at.label for at in job.after]) for job in page.jobs}
            assert shown[first.id] == ("delayed", [])
            assert shown[middle.id] == ("blocked", [first.id])
            assert shown[last.id] == ("blocked", [middle.id])
            (waited,) = next(job.after for job in page.jobs if job.id == last.id)
            assert (waited.mode, waited.child) == ("remove", False)
        page = await admin.flow_jobs(middle.id)
        (oh,) = [job for job in page.jobs if job.name == "remote" and job.id != first.id]
        assert (oh.state, oh.after[0].mode) == ("pending", "on_failure")
        assert (page.flow.kind, page.flow.state, page.flow.total) == ("job", "running", 4)
        with pytest.raises(OptionError, match="no flow of its own"):
            await admin.cancel_flow(middle.id)


async def test_of_hundreds_that_a_job_waits_for_some_are_named(admin: Admin, run: Run) -> None:
    async with run() as place:
        wide = Workflow("wide")
        steps = [wide.add(f"s{n}", TASK, "x", delay=60) for n in range(300)]
        wide.add("last", TASK, "x", after=steps)
        flow = await wide.start(place.producer)
        (job,) = (await admin.flow_jobs(flow.id, start=300)).jobs
        assert (job.after_total, len(job.after), job.after[0].label) == (300, 200, "0")
        *beside, job = (await admin.flow_jobs(flow.id, start=250)).jobs
        assert (job.label, len(beside), len(job.after)) == ("last", 50, 200)
        # Those that are told along with it are among them, by their names.
        assert [each.label for each in job.after][-50:] == [each.label for each in beside]


async def test_children_that_a_job_added_are_around_it(admin: Admin, run: Run) -> None:
    async with run(task, split, remote) as place:
        parent = await place.producer.enqueue(SPLIT, 3)
        children = await children_of(admin, parent.id)
        assert [(each.queue, each.name, each.state) for each in children] == [
            ("far", "remote", "delayed")
        ] * 3
        page = await admin.flow_jobs(parent.id)
        assert (page.flow.total, page.flow.pending) == (4, 4)
        assert [(each.mode, each.child) for each in page.jobs[-1].after] == [("ignore", True)] * 3
        below = await admin.flow_jobs(children[0].id)
        assert [(each.mode, each.child) for each in below.jobs[-1].after] == [("ignore", True)]
        await admin.promote("far", *(each.id for each in children))
        assert await parent.result(WITHIN) == 3


async def test_children_are_cancelled_in_the_step_that_cancels_their_parent(admin: Admin, run: Run) -> None:
    async with run(split) as place:
        for cancels in (place.producer.cancel, admin.cancel):
            parent = await place.producer.enqueue(SPLIT, 3)
            children = await children_of(admin, parent.id)
            await cancels("near", parent.id)
            states = {(await place.located("far", each.id)).state for each in children}
            assert states == {"cancelled"}


@pytest.mark.parametrize("door", ["run", "producer", "admin", "flow"])
async def test_a_tree_is_cancelled_with_its_parent(admin: Admin, run: Run, door: str) -> None:
    inner = Flow(REMOTE, "inner", children=[TASK.call(str(i), delay=60) for i in range(200)])
    tree = Flow(TASK, "root", children=[inner, REMOTE.call("leaf", delay=60)])
    async with run() as place:
        flow = await tree.submit(place.producer)
        match door:
            case "run":
                await flow.cancel()
            case "producer":
                await place.producer.cancel("near", f"{flow.id}.0")
            case "admin":
                await admin.cancel("near", f"{flow.id}.0")
            case _:
                await admin.cancel_flow(flow.id)
        record = await flow.status()
        assert (record.state, record.cancelled, record.pending) == ("cancelled", 203, 0)


@pytest.mark.parametrize("door", ["producer", "admin"])
async def test_cancelling_a_parent_within_a_tree_cancels_what_is_below_it_and_nothing_else(
    admin: Admin, run: Run, door: str
) -> None:
    deep = Flow(TASK, "deep", children=[REMOTE.call("deepest", delay=60)])
    broken = Flow(
        REMOTE,
        "broken",
        children=[TASK.call("bad"), Flow(TASK, "beside", children=[REMOTE.call("far below", delay=60)])],
    )
    many = [TASK.call(str(i), delay=60) for i in range(150)]
    inner = Flow(REMOTE, "inner", children=[child(broken, policy="ignore"), *many, deep])
    tree = Flow(TASK, "root", children=[child(inner, policy="ignore"), REMOTE.call("leaf", delay=60)])
    async with run(task, remote) as place:
        flow = await tree.submit(place.producer)

        async def is_broken() -> bool:
            return (await flow.status()).failed == 2

        # A parent that failed leaves its other children as they are, until somebody cancels them from above.
        await until(is_broken)
        cancels = place.producer.cancel if door == "producer" else admin.cancel
        await cancels("far", f"{flow.id}.1")
        record = await flow.status()
        assert (record.state, record.failed, record.cancelled, record.pending) == ("running", 2, 155, 2)
        left = [
            job.label
            for job in (await admin.flow_jobs(flow.id, limit=200)).jobs
            if job.state in {"blocked", "delayed"}
        ]
        assert left == ["task", "remote-2"]
        await admin.promote("far", f"{flow.id}.2")
        assert await flow.done(10)
        assert (await flow.status()).completed == 2


async def test_cancelling_a_step_of_a_workflow_leaves_what_it_waits_for(admin: Admin, run: Run) -> None:
    async with run() as place:
        flow = await diamond().start(place.producer)
        jobs = (await admin.flow_jobs(flow.id)).jobs
        await admin.cancel("far", jobs[3].id)
        assert [job.state for job in (await admin.flow_jobs(flow.id)).jobs] == [
            *("delayed", "blocked", "blocked", "cancelled"),
        ]


async def test_a_chain_is_shown_by_the_id_of_any_link(admin: Admin, run: Run) -> None:
    chain = TASK.then(REMOTE, remove_on_complete=False).then(TASK, delay=60)
    async with run(task, remote) as place:
        handle = await place.producer.enqueue_chain(chain, "x")
        await arrived(place, "near", handle.links[2].id)
        for link in handle.links:
            page = await admin.flow_jobs(link.id)
            assert page.flow.kind == "chain"
            assert [(job.id, job.state) for job in page.jobs] == [
                *((handle.links[0].id, "completed"), (handle.links[1].id, "completed")),
                (handle.links[2].id, "delayed"),
            ]


async def test_a_chain_that_broke_is_failed_and_goes_on_when_its_link_is_retried(
    admin: Admin, run: Run
) -> None:
    chain = TASK.then(TASK).then(REMOTE, delay=60)
    async with run(task, remote) as place:
        handle = await place.producer.enqueue_chain(chain, "bad")
        await handle.links[0].done(WITHIN)
        flow = await admin.flow(handle.id)
        assert (flow.kind, flow.state, flow.failed, flow.pending) == ("chain", "failed", 1, 1)
        await admin.retry("near", handle.id)
        await handle.links[0].done(WITHIN)
        assert (await admin.flow(handle.id)).state == "failed"
        going = await place.producer.enqueue_chain(chain, "good")
        await arrived(place, "far", going.links[2].id)
        assert (await admin.flow(going.id)).state == "running"
        await admin.cancel("far", going.links[2].id)
        assert (await admin.flow(going.id)).state == "cancelled"


async def test_a_failed_child_is_shown_with_its_error(admin: Admin, run: Run) -> None:
    async with run(task, remote) as place:
        tree = Flow(REMOTE, "root", children=[child(TASK.call("bad"), policy="ignore"), TASK.call("good")])
        flow = await tree.submit(place.producer)
        await flow.done(WITHIN)
        page = await admin.flow_jobs(flow.id)
        assert [job.state for job in page.jobs] == ["completed", "failed", "completed"]
        assert "bad fails" in (page.jobs[1].error or "")
        assert [each.label for each in page.jobs[0].after] == ["task-1", "task-2"]


async def test_a_flow_that_failed_goes_on_from_there(admin: Admin, run: Run) -> None:
    broken = [True]
    once = NEAR.job("once", payload=str, result=str, attempts=1)

    @processor(once)
    async def fails_once(payload: str, _: JobContext) -> str:
        if broken[0]:
            raise Fail("not yet")
        return payload

    workflow = Workflow("mended")
    first = workflow.add("first", REMOTE, "one")
    second = workflow.add("second", once, "two", after=[first])
    workflow.add("third", REMOTE, "three", after=[second])
    async with run(remote, fails_once) as place:
        flow = await workflow.start(place.producer)
        assert (await flow.done(WITHIN)).state == "failed"
        broken[0] = False
        assert await admin.acting(actor="ada").retry_flow(flow.id) == 2
        assert await flow.result(WITHIN) == {"first": "one", "second": "two", "third": "three"}
        with pytest.raises(FlowNotFailed, match="is completed"):
            await admin.retry_flow(flow.id)
        entry = next(each for each in (await admin.audit()).changes if each.verb == "flow.retry")
        assert (entry.actor, entry.queue, entry.filter, entry.count) == ("ada", "far", flow.id, 2)
