"""A flow that failed goes on from the jobs that failed: none of its edges is lost, and none counts twice, in whatever order ends come."""

import msgspec
import pytest
from tests.support.engine import draft, group
from tests.support.flowing import Flowing
from tests.support.invariants import broken

from jobs_core.errors import FlowNotFailed, FlowNotFound
from jobs_core.flows.book import FlowBook
from jobs_core.flows.edges import Edge, joined, with_edges
from jobs_core.flows.graph import NodeInfo
from jobs_core.flows.modes import Mode
from jobs_core.flows.retrying import retry_arguments
from jobs_core.outbox import encode_jobs
from jobs_core.wire import EFFECTS, OWN_ID

FLAGS = OWN_ID | EFFECTS
LATER = 1e12


class Workflow:
    """Steps a, b, c, one after the other, and `on_failure` of a; a and c in `kids`, the others in `mail`."""

    steps = (
        ("kids", "a", ()),
        ("mail", "b", ((0, Mode.AFTER_SUCCESS),)),
        ("kids", "c", ((1, Mode.AFTER_SUCCESS),)),
        ("mail", "alarm", ((0, Mode.AFTER_FAILURE),)),
    )

    def __init__(self, flowing: Flowing) -> None:
        self.flowing = flowing
        self.book = FlowBook(flowing.home.scripts)

    async def start(self) -> None:
        """Submit it."""
        await self.flowing.open(state="staging")
        for number, (queue, label, after) in enumerate(self.steps):
            edges = [
                Edge(target, own, place, mode)
                for target, own, waits in self.steps
                for place, (before, mode) in enumerate(waits)
                if before == number
            ]
            edges.append(Edge("mail", "f", number, Mode.COUNTED))
            job = with_edges(draft(label, flags=FLAGS), joined(edges), blocks=len(after) or None)
            node = NodeInfo(queue, label, label, "send@1", tuple((on, mode.value) for on, mode in after))
            parts = [queue, "node", 0, msgspec.msgpack.encode(node), queue, "jobs", 1, encode_jobs([job])]
            await self.flowing.home.scripts.flow_add("mail", flow_id="f", chunk=str(number), parts=parts)
        await self.flowing.close()
        await self.flowing.settle_all()

    async def end(self, queue: str, verb: str, *ids: str, carry: bool = True, keep: int = -1) -> None:
        """Run what waits in a queue, which is this."""
        engine = self.flowing.home if queue == "mail" else self.flowing.kids
        jobs = (await engine.claim()).jobs
        assert [job.id for job in jobs] == list(ids)
        info = b"poison 1 0" if verb == "fail" else b""
        done = await engine.settle(
            group(verb, *jobs, arg=FLAGS, info=info, keep_count=0 if verb == "complete" else keep)
        )
        assert done.startswith(b"1")
        if carry:
            await self.flowing.settle_all()

    async def states(self) -> list[str]:
        """Tell where its steps are."""
        found = [
            (self.flowing.home if queue == "mail" else self.flowing.kids, label)
            for queue, label, _ in self.steps
        ]
        return [await engine.state(label) for engine, label in found]

    async def retry(self) -> int:
        """Retry it, and leave its effects to the caller."""
        return await self.book.retry("mail", "f", deadline=LATER)


@pytest.fixture
def workflow(flowing: Flowing) -> Workflow:
    return Workflow(flowing)


async def test_it_goes_on_from_the_step_that_failed(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "complete", "a")
    await workflow.end("mail", "fail", "b")
    told = await workflow.flowing.told()
    assert (told.state, told.counts) == ("failed", {"c": 1, "f": 1, "x": 0, "e": 0, "r": 0, "s": 2, "m": 0})
    assert await workflow.retry() == 3
    # The condition of the alarm did not come true, and does not now.
    assert await workflow.states() == ["", "waiting", "blocked", "cancelled"]
    await workflow.flowing.settle_all()
    await workflow.end("mail", "complete", "b")
    await workflow.end("kids", "complete", "c")
    told = await workflow.flowing.told()
    assert (told.state, told.resolved, told.counts["c"], told.counts["s"], told.generation) == (
        "completed",
        4,
        3,
        1,
        1,
    )


async def test_it_may_fail_and_be_retried_again(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    for generation in (1, 2, 3):
        assert await workflow.retry() == 3
        await workflow.flowing.settle_all()
        assert await workflow.states() == ["waiting", "blocked", "blocked", ""]
        await workflow.end("kids", "fail", "a")
        told = await workflow.flowing.told()
        assert (told.state, told.generation, told.counts["s"], told.counts["f"]) == (
            "failed",
            generation,
            2,
            1,
        )
    await workflow.retry()
    await workflow.flowing.settle_all()
    await workflow.end("kids", "complete", "a")
    await workflow.end("mail", "complete", "b")
    await workflow.end("kids", "complete", "c")
    assert (await workflow.flowing.told()).state == "completed"


@pytest.mark.parametrize("verb", ["complete", "fail"])
async def test_a_step_that_ends_before_its_follower_waits_again(workflow: Workflow, verb: str) -> None:
    """The end of the retried step is carried before the word to those behind it."""
    flowing, relay = workflow.flowing, workflow.flowing.relay
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    told = await flowing.told()
    page = (await flowing.home.scripts.flow_jobs("mail", flow_id="f")).jobs
    again = retry_arguments("mail", "f", page)
    _, posted = await flowing.home.scripts.flow_retry(
        "mail", flow_id="f", generation=told.generation, jobs=again
    )
    to_kids = [
        entry.id for entry in (await flowing.home.scripts.outbox("mail")).entries if entry.target == "kids"
    ]
    assert len(posted) == 2
    await relay.relay("mail", ids=to_kids)
    await workflow.end("kids", verb, "a", carry=False)
    await relay.relay("kids")
    await flowing.settle_all()
    if verb == "complete":
        assert await workflow.states() == ["", "waiting", "blocked", ""]
        await workflow.end("mail", "complete", "b")
        await workflow.end("kids", "complete", "c")
        assert (await flowing.told()).state == "completed"
    else:
        assert (await flowing.told()).state == "failed"
        assert (await flowing.told()).resolved == 4


async def test_a_step_that_is_not_kept_is_missing(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "fail", "a", keep=0)
    await workflow.end("mail", "complete", "alarm")
    await workflow.retry()
    await workflow.flowing.settle_all()
    told = await workflow.flowing.told()
    assert (told.state, told.counts["m"], told.counts["s"], told.resolved) == ("failed", 1, 2, 4)


async def test_a_follower_that_is_not_kept_is_missing_and_nobody_waits_for_it(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    await workflow.flowing.home.scripts.remove("mail", ids=["b"])
    await workflow.retry()
    await workflow.flowing.settle_all()
    await workflow.end("kids", "complete", "a")
    told = await workflow.flowing.told()
    assert (told.state, told.resolved, told.counts["m"]) == ("failed", 4, 1)


async def test_one_that_was_retried_by_hand_counts(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    await workflow.flowing.kids.scripts.retry("kids", ids=["a"])
    await workflow.retry()
    await workflow.flowing.settle_all()
    await workflow.end("kids", "complete", "a")
    await workflow.end("mail", "complete", "b")
    await workflow.end("kids", "complete", "c")
    assert (await workflow.flowing.told()).state == "completed"


async def test_only_a_flow_that_failed_is_retried(workflow: Workflow) -> None:
    with pytest.raises(FlowNotFound):
        await workflow.retry()
    await workflow.start()
    with pytest.raises(FlowNotFailed):
        await workflow.retry()


async def test_a_retry_that_is_sent_twice_counts_once(workflow: Workflow) -> None:
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    args: list[str | int] = [0, "kids", "a", "mail:f:0:n", ""]
    first = await workflow.flowing.home.scripts.flow_retry("mail", flow_id="f", generation=0, jobs=args)
    second = await workflow.flowing.home.scripts.flow_retry("mail", flow_id="f", generation=0, jobs=args)
    assert (first[0], second) == ("retried", ("running", []))
    await workflow.flowing.settle_all()
    await workflow.end("kids", "fail", "a")
    assert await workflow.flowing.home.scripts.flow_retry("mail", flow_id="f", generation=0, jobs=args) == (
        "changed",
        [],
    )


async def test_one_that_completed_after_all_without_a_result_does_not_run_again(flowing: Flowing) -> None:
    await flowing.open()
    nodes = [NodeInfo("kids", f"f.{i}", f"f.{i}", "j@1") for i in range(2)]
    await flowing.fill(2, nodes=nodes)
    await flowing.close()
    await flowing.settle_all()
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("fail", *jobs, arg=FLAGS, info=b"poison 1 0", keep_count=-1))
    await flowing.settle_all()
    await flowing.kids.scripts.retry("kids", ids=["f.0"])
    await flowing.run()
    assert await FlowBook(flowing.home.scripts).retry("mail", "f", deadline=LATER) == 1
    assert await flowing.run() == ["f.1"]
    assert (await flowing.told()).state == "completed"


async def test_what_was_cancelled_runs_again_with_those_that_wait_for_it(workflow: Workflow) -> None:
    flowing = workflow.flowing
    await workflow.start()
    await flowing.home.scripts.cancel("mail", ids=["b"])
    await workflow.end("kids", "cancel", "a")
    await workflow.end("mail", "complete", "alarm")
    assert (await flowing.told()).state == "failed"
    assert await workflow.retry() == 3
    await flowing.settle_all()
    # The one that somebody cancelled while it waited waits again.
    assert await workflow.states() == ["waiting", "blocked", "blocked", ""]
    assert await broken(flowing.home) == await broken(flowing.kids) == []
    await workflow.end("kids", "complete", "a")
    await workflow.end("mail", "complete", "b")
    await workflow.end("kids", "complete", "c")
    told = await flowing.told()
    assert (told.state, told.counts["c"], told.counts["x"]) == ("completed", 4, 0)
    assert await broken(flowing.home) == await broken(flowing.kids) == []


async def test_children_that_a_retried_job_adds_itself_end_as_any(workflow: Workflow) -> None:
    """What it adds while it runs is of no generation of the flow, and no end of it is an old one."""
    flowing = workflow.flowing
    await workflow.start()
    await workflow.end("kids", "fail", "a")
    await workflow.end("mail", "complete", "alarm")
    await workflow.retry()
    await flowing.settle_all()
    await workflow.end("kids", "complete", "a")
    (b,) = (await flowing.home.claim()).jobs
    await flowing.child("own", "b", 1)
    await flowing.home.settle(group("wait", b, arg=2))
    await workflow.end("kids", "fail", "own")
    assert await flowing.home.state("b") == "failed"
    assert (await flowing.told()).state == "failed"


async def test_a_job_of_two_flows_runs_again_for_either(flowing: Flowing) -> None:
    kids = flowing.kids
    await kids.add("k", flags=OWN_ID | EFFECTS, options="edges=mail:f:0:n;mail:g:0:n")

    async def fail() -> None:
        (job,) = (await kids.claim()).jobs
        await kids.settle(group("fail", job, arg=OWN_ID | EFFECTS, info=b"poison 1 0", keep_count=-1))

    async def again(entry: int, flow: str, generation: int) -> str:
        effects = ["again", 4, "k", generation, f"mail:{flow}:0:n", ""]
        await kids.scripts.apply("kids", source="mail", epoch="1", entry=entry, mark=0, effects=effects)
        return (await kids.hash("follows"))["k"].decode()

    await fail()
    assert await again(1, "f", 9000) == "mail:f:0:n9000;mail:g:0:n"
    await fail()
    # That of the other flow is younger, and says nothing of this one's.
    assert await again(2, "g", 5) == "mail:f:0:n9000;mail:g:0:n5"
    assert await kids.state("k") == "waiting"
    await fail()
    # One that was lost and comes after a later one does nothing.
    assert await again(3, "f", 8999) == "mail:f:0:n9000;mail:g:0:n5"
    assert await kids.state("k") == "failed"
