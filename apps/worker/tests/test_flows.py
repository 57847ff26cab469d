"""Jobs that wait for others, through workers of one process."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.support import flow_handlers as handlers
from tests.support.runtime import Run
from tests.support.waiting import until

from jobs_core import (
    DependencyUnknown,
    FlowCancelled,
    FlowError,
    FlowFailed,
    FlowNotFound,
    FlowTimeout,
    JobCancelled,
    JobFailed,
    JsonValue,
    OptionError,
    Queue,
)
from jobs_producer import Flow, Workflow, child, on, step
from jobs_worker import Fail, JobContext, WaitForChildren, processor


@dataclass
class Seen:
    """What ran, in order, and what it was given."""

    names: list[str] = field(default_factory=list[str])
    results: dict[str, dict[str, JsonValue]] = field(default_factory=dict[str, dict[str, JsonValue]])
    failures: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    outcomes: dict[str, list[tuple[str, str | None, bool]]] = field(
        default_factory=dict[str, list[tuple[str, str | None, bool]]]
    )
    before: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


class Shop:
    """Two queues: what fails is told by its payload."""

    def __init__(self) -> None:
        self.near = Queue("near")
        self.far = Queue("far")
        self.task = self.near.job("task", payload=str, result=str, attempts=1)
        self.remote = self.far.job("remote", payload=str, result=str, attempts=1)
        self.seen = Seen()

        @processor(self.task)
        async def task(payload: str, ctx: JobContext) -> str:
            return self._run(payload, ctx)

        @processor(self.remote)
        async def remote(payload: str, ctx: JobContext) -> str:
            return self._run(payload, ctx)

        self.handlers = (task, remote)

    def _run(self, payload: str, ctx: JobContext) -> str:
        self.seen.names.append(payload)
        self.seen.results[payload] = dict(ctx.results)
        self.seen.failures[payload] = [each.state for each in ctx.children.failures]
        self.seen.outcomes[payload] = [(each.state, each.error, each.dropped) for each in ctx.children]
        if ctx.previous is not None:
            self.seen.before[payload] = ctx.previous.value
        if payload.startswith("bad"):
            raise Fail(f"{payload} fails")
        return payload.upper()


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_steps_run_after_those_that_they_wait_for_and_see_their_results(run: Run, shop: Shop) -> None:
    workflow = Workflow("diamond", metadata={"created_by": "test"}, tags=["shapes"])
    a = workflow.add("a", shop.task, "one")
    b = workflow.add("b", shop.remote, "two", after=[a])
    c = workflow.add("c", shop.task, "three", after=["a"])
    d = workflow.add("d", shop.remote, "four", after=[b, c])
    async with run(*shop.handlers) as place:
        flow = await workflow.start(place.producer)
        assert flow.created
        assert await flow.result(40) == {"a": "ONE", "b": "TWO", "c": "THREE", "d": "FOUR"}
        assert await flow.result_of(d) == "FOUR"
        record = await flow.status()
        jobs = await flow.jobs()
    assert (record.name, record.state, record.total, record.completed) == ("diamond", "completed", 4, 4)
    assert (record.metadata, record.tags) == ({"created_by": "test"}, ("shapes",))
    assert shop.seen.names[0] == "one"
    assert shop.seen.names[-1] == "four"
    assert shop.seen.results["four"] == {"b": "TWO", "c": "THREE"}
    assert [(job.label, job.queue, [each.label for each in job.after]) for job in jobs] == [
        ("a", "near", []),
        ("b", "far", ["a"]),
        ("c", "near", ["a"]),
        ("d", "far", ["b", "c"]),
    ]


async def test_a_failed_step_fails_those_that_need_it_and_names_itself(run: Run, shop: Shop) -> None:
    workflow = Workflow("broken")
    a = workflow.add("a", shop.task, "bad")
    b = workflow.add("b", shop.remote, "two", after=[a])
    workflow.add("c", shop.task, "three", after=[b])
    workflow.add("d", shop.task, "four", after=[a.on("ignore")])
    async with run(*shop.handlers) as place:
        flow = await workflow.start(place.producer)
        with pytest.raises(FlowFailed) as failed:
            await flow.result(40)
        states = [job.state for job in await flow.jobs()]

        async def dead() -> bool:
            return (await place.scripts.tally(["dead-letter"]))["dead-letter"].sizes["waiting"] == 1

        await until(dead)
    assert (failed.value.label, failed.value.queue) == ("a", "near")
    assert "bad fails" in str(failed.value)
    assert states == ["failed", "failed", "failed", "completed"]
    assert shop.seen.names == ["bad", "four"]
    assert shop.seen.failures["four"] == ["failed"]


async def test_nested_steps_follow_success_failure_and_the_end_of_all(run: Run, shop: Shop) -> None:
    workflow = Workflow(
        "nested",
        steps=[
            step(
                shop.task,
                "first",
                name="first",
                on_success=[
                    step(
                        shop.remote,
                        "bad inner",
                        name="inner",
                        on_success=[step(shop.task, "never", name="never")],
                        on_failure=[step(shop.task, "mend", name="mend")],
                    )
                ],
                on_failure=[step(shop.task, "not this", name="not this")],
                finally_=[step(shop.remote, "at last", name="last")],
            ),
            step(shop.task, "second", name="second"),
        ],
    )
    async with run(*shop.handlers) as place:
        flow = await workflow.start(place.producer)
        record = await flow.done(40)
        states = {job.label: job.state for job in await flow.jobs()}
    assert record.state == "failed"
    assert states == {
        "first": "completed",
        "inner": "failed",
        "never": "skipped",
        "mend": "completed",
        "not this": "skipped",
        "last": "completed",
        "second": "completed",
    }
    assert shop.seen.names == ["first", "bad inner", "mend", "at last", "second"]


async def test_a_parent_runs_when_its_children_have_ended_and_has_their_results(run: Run, shop: Shop) -> None:
    inner = Flow(shop.remote, "inner", children=[shop.task.call("leaf one"), shop.remote.call("leaf two")])
    flow = Flow(shop.task, "root", children=[inner, shop.task.call("leaf three")], metadata={"user": 7})
    async with run(*shop.handlers) as place:
        submitted = await flow.submit(place.producer)
        assert await submitted.result(40) == "ROOT"
    assert shop.seen.names[-1] == "root"
    assert list(shop.seen.results["root"].values()) == ["INNER", "LEAF THREE"]
    assert list(shop.seen.results["inner"].values()) == ["LEAF ONE", "LEAF TWO"]


async def test_metadata_tags_and_the_earlier_deadline_pass_on_to_all_below_a_parent(run: Run) -> None:
    member = Queue("family").job("member", payload=str)
    now = datetime.now(UTC).replace(microsecond=0)
    late, early = now + timedelta(hours=2), now + timedelta(hours=1)
    seen: dict[str, tuple[datetime | None, dict[str, object], tuple[str, ...]]] = {}

    @processor(member)
    async def look(payload: str, ctx: JobContext) -> None:
        seen[payload] = (ctx.deadline, dict(ctx.metadata), tuple(ctx.tags))

    children = [
        Flow(
            member, "parent", children=[member.call("leaf")], deadline=early, metadata={"of": 2}, tags=["p"]
        ),
        member.call("child", deadline=now + timedelta(hours=3), metadata={"of": 1}),
    ]
    flow = Flow(member, "top", children=children, deadline=late, metadata={"run": 7, "of": 0}, tags=["t"])
    async with run(look) as place:
        await (await flow.submit(place.producer)).done(60)
    assert seen == {
        "top": (late, {"run": 7, "of": 0}, ("t",)),
        "parent": (early, {"run": 7, "of": 2}, ("t", "p")),
        "leaf": (early, {"run": 7, "of": 2}, ("t", "p")),
        "child": (late, {"run": 7, "of": 1}, ("t",)),
    }


@pytest.mark.parametrize(
    ("policy", "ends"),
    [("fail_parent", "failed"), ("ignore", "completed"), ("continue", "completed"), ("remove", "completed")],
)
async def test_what_a_failed_child_makes_of_its_parent(run: Run, shop: Shop, policy: str, ends: str) -> None:
    bad = child(shop.remote.call("bad"), policy=policy)  # pyright: ignore[reportArgumentType] - of a table
    flow = Flow(shop.task, "root", children=[bad, shop.task.call("good")])
    async with run(*shop.handlers) as place:
        submitted = await flow.submit(place.producer)
        record = await submitted.done(40)
    assert record.state == ends
    if ends == "completed":
        assert shop.seen.failures["root"] == ([] if policy == "remove" else ["failed"])
        assert shop.seen.outcomes["root"][0] == ("failed", "bad fails", policy == "remove")


async def test_a_job_waits_for_jobs_that_run_have_run_or_wait(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        done = await place.producer.enqueue(shop.remote, "done")
        await done.result(40)
        later = await place.producer.enqueue(shop.task, "later", delay=0.2)
        last = await place.producer.enqueue(shop.task, "last", after=[done, ("near", later.id)])
        assert await last.result(40) == "LAST"
        with pytest.raises(DependencyUnknown) as unknown:
            await place.producer.enqueue(shop.task, "never", after=["nobody"])
    assert (unknown.value.queue, unknown.value.job_id) == ("near", "nobody")
    assert shop.seen.results["last"] == {done.id: "DONE", later.id: "LATER"}


async def test_a_job_that_waits_for_a_failure_follows_its_policy(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        bad = await place.producer.enqueue(shop.remote, "bad", delay=0.1)
        fails = await place.producer.enqueue(shop.task, "fails", after=[bad])
        runs = await place.producer.enqueue(shop.task, "runs", after=[on(bad, policy="ignore")])
        with pytest.raises(JobFailed, match="which it waited for, failed"):
            await fails.result(40)
        assert await runs.result(40) == "RUNS"
    assert shop.seen.failures["runs"] == ["failed"]


async def test_jobs_follow_a_failure_once(run: Run, shop: Shop) -> None:
    async with run(*shop.handlers) as place:
        bad = await place.producer.enqueue(shop.task, "bad", on_failure=[shop.remote.call("told")])
        good = await place.producer.enqueue(shop.task, "good", on_failure=[shop.remote.call("not told")])
        await good.done(40)
        await bad.done(40)
        await until(lambda: "told" in shop.seen.names)
    assert shop.seen.names.count("told") == 1
    assert shop.seen.before["told"] == {"state": "failed", "error_type": "", "error": "bad fails"}
    assert "not told" not in shop.seen.names


async def test_a_running_job_adds_children_and_waits_for_them(run: Run, shop: Shop) -> None:
    split = shop.near.job("split", payload=int, result=list[str], attempts=3)
    runs = 0

    @processor(split)
    async def splits(payload: int, ctx: JobContext) -> list[str]:
        nonlocal runs
        runs += 1
        if not ctx.children:
            for i in range(payload):
                ctx.add_child(shop.remote, f"part {i}")
            if runs == 1:
                raise ValueError("fails before it waits")
            raise WaitForChildren
        assert ctx.attempt == 2
        return ctx.children.results(shop.remote)

    async with run(splits, *shop.handlers) as place:
        job = await place.producer.enqueue(split, 3, backoff=[0])
        assert await job.result(40) == ["PART 0", "PART 1", "PART 2"]
    assert (runs, sorted(shop.seen.names)) == (3, ["part 0", "part 1", "part 2"])


async def test_results_are_those_of_the_jobs_that_are_asked_for(run: Run, shop: Shop) -> None:
    number = shop.far.job("number", payload=int, result=int)
    both = shop.near.job("both", payload=int, result=tuple[list[str], list[int]])

    @processor(number)
    async def counts(payload: int, ctx: JobContext) -> int:
        return payload

    @processor(both)
    async def gathers(payload: int, ctx: JobContext) -> tuple[list[str], list[int]]:
        return ctx.children.results(shop.task), ctx.children.results(number)

    tree = Flow(both, 0, children=[shop.task.call("a"), number.call(1), number.call(2), shop.task.call("b")])
    async with run(counts, gathers, *shop.handlers) as place:
        flow = await tree.submit(place.producer)
        assert await flow.result(40) == (["A", "B"], [1, 2])


async def test_a_child_of_a_running_job_may_be_followed(run: Run, shop: Shop) -> None:
    split = shop.near.job("split", payload=int, result=list[str])

    @processor(split)
    async def splits(payload: int, ctx: JobContext) -> list[str]:
        del payload
        if not ctx.children:
            ctx.add_child(shop.remote, "part", on_success=[shop.task.call("behind it")])
            raise WaitForChildren
        return ctx.children.results(shop.remote)

    async with run(splits, *shop.handlers) as place:
        job = await place.producer.enqueue(split, 1)
        assert await job.result(40) == ["PART"]
        await until(lambda: "behind it" in shop.seen.names)
    assert shop.seen.before["behind it"] == "PART"


async def test_children_that_nobody_waits_for_are_a_mistake(run: Run, shop: Shop) -> None:
    split = shop.near.job("split", payload=int, result=int, attempts=1)

    @processor(split)
    async def splits(payload: int, ctx: JobContext) -> int:
        ctx.add_child(shop.remote, "part")
        return payload

    async with run(splits, *shop.handlers) as place:
        job = await place.producer.enqueue(split, 3)
        with pytest.raises(JobFailed, match="Raise WaitForChildren"):
            await job.result(40)
    assert shop.seen.names == []


async def test_threads_and_processes_have_children(run: Run) -> None:
    leaves = [handlers.LEAF.call(i) for i in range(3)]
    async with run(
        handlers.leaf, handlers.sum_in_thread, handlers.sum_in_process, handlers.split_in_process
    ) as place:
        thread = await Flow(handlers.SUM_IN_THREAD, 1, children=leaves).submit(place.producer)
        process = await Flow(handlers.SUM_IN_PROCESS, 2, children=leaves).submit(place.producer)
        split = await place.producer.enqueue(handlers.SPLIT_IN_PROCESS, 3)
        assert await thread.result(40) == 7
        assert await process.result(40) == 8
        assert await split.result(40) == [0, 2, 4]


async def test_a_workflow_is_started_once(run: Run, shop: Shop) -> None:
    def make() -> Workflow:
        return Workflow("once", id="the-one", steps=[step(shop.task, "only")])

    async with run(*shop.handlers) as place:
        first = await make().start(place.producer)
        again = await make().start(place.producer)
        await first.result(40)
        third = await make().start(place.producer)
        assert (first.created, again.created, third.created) == (True, False, False)
        assert await third.result(40) == {"task": "ONLY"}
    assert shop.seen.names == ["only"]


async def test_a_cancelled_flow_takes_its_jobs_with_it(run: Run, shop: Shop) -> None:
    workflow = Workflow("slow")
    first = workflow.add("first", shop.task, "one", delay=60)
    workflow.add("second", shop.remote, "two", after=[first])
    async with run(*shop.handlers) as place:
        flow = await workflow.start(place.producer)
        with pytest.raises(FlowTimeout):
            await flow.result(0.05)
        assert await flow.cancel()
        with pytest.raises(FlowCancelled):
            await flow.result(40)
        assert not await flow.cancel()
        jobs = await flow.jobs()
        with pytest.raises(JobCancelled):
            await place.producer.handle(shop.task, jobs[0].id).result(40)
        with pytest.raises(FlowNotFound):
            await place.producer.flows.run("near", "nobody").status()
    assert shop.seen.names == []


def test_what_cannot_be_a_flow_is_refused(shop: Shop) -> None:
    ring = Workflow("ring")
    ring.add("a", shop.task, "a", after=["b"])
    ring.add("b", shop.task, "b", after=["a"])
    with pytest.raises(FlowError, match=r"wait for each other: (a -> b -> a|b -> a -> b)"):
        ring.graph()
    lost = Workflow("lost")
    lost.add("a", shop.task, "a", after=["nobody"])
    with pytest.raises(FlowError, match="no such step"):
        lost.graph()
    with pytest.raises(FlowError, match="two steps"):
        lost.add("a", shop.task, "a")
    with pytest.raises(FlowError, match="at least one job"):
        Workflow("empty").graph()
    with pytest.raises(FlowError, match=r"at most 10,000 jobs"):
        Flow(shop.task, "root", children=[shop.task.call(str(i)) for i in range(10_000)]).graph()
    with pytest.raises(OptionError, match="fail_parent, ignore"):
        child(shop.task.call("a"), policy="nothing")  # pyright: ignore[reportArgumentType]


async def test_children_of_a_running_job_are_cancelled_with_it(run: Run, shop: Shop) -> None:
    begun: list[str] = []
    parent = shop.near.job("parent", payload=str, result=str)
    slow = shop.far.job("slow", payload=str, result=str, attempts=1)

    @processor(parent)
    async def split(payload: str, ctx: JobContext) -> str:
        for name in ("one", "two"):
            ctx.add_child(slow, f"{payload}.{name}")
        if payload == "top":
            ctx.add_child(parent, "middle")
        raise WaitForChildren

    @processor(slow)
    async def wait(payload: str, ctx: JobContext) -> str:
        begun.append(payload)
        await asyncio.Event().wait()
        return payload

    async with run(split, wait, concurrency=3) as place:
        job = await place.producer.enqueue(parent, "top")
        await until(lambda: len(begun) == 3)
        assert await job.cancel() == "cancelled"

        async def ended() -> bool:
            totals = [(await place.scripts.tally([queue]))[queue].totals for queue in ("near", "far")]
            return [totals[0].get("cancelled:parent@1"), totals[1].get("cancelled:slow@1")] == [2, 4]

        await until(ended)
