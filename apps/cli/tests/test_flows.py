"""Flows from the command line: listed, drawn, cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from jobs_cli.pictures import picture
from jobs_core import Queue
from jobs_core.flows.records import FlowJobRecord, Waited
from jobs_producer import Flow, Producer, Workflow, child, step

if TYPE_CHECKING:
    from conftest import Jobs

NEAR, FAR = Queue("near"), Queue("far")
TASK = NEAR.job("task", payload=str, result=str)
REMOTE = FAR.job("remote", payload=str, result=str)


def submit(jobs: Jobs, *flows: Workflow | Flow[str]) -> list[str]:
    async def send() -> list[str]:
        async with Producer(jobs.url, prefix=jobs.prefix) as producer:
            return [
                (await (each.start(producer) if isinstance(each, Workflow) else each.submit(producer))).id
                for each in flows
            ]

    return asyncio.run(send())


def diamond() -> Workflow:
    workflow = Workflow("diamond", id="d1", metadata={"created_by": "ada"}, tags=["shapes"])
    a = workflow.add("a", TASK, "one", delay=60)
    b = workflow.add("b", REMOTE, "two", after=[a])
    c = workflow.add("c", TASK, "three", after=[a])
    workflow.add("d", REMOTE, "four", after=[b, c.on("ignore")])
    return workflow


def test_a_graph_is_drawn_with_each_job_once(jobs: Jobs) -> None:
    submit(jobs, diamond())
    shown = jobs("flow", "show", "d1")
    assert shown.code == 0, shown.err
    head, body = shown.out.split("\n\n")
    assert head.splitlines()[:2] == ["diamond  workflow  running", "d1 of near, 4 jobs: 4 pending"]
    assert head.splitlines()[3:] == ["created_by=ada", "tags shapes"]
    assert body.splitlines() == [
        "a  delayed  near/task.0",
        "├─ b  blocked  far/remote.1",
        "│  └─ d  blocked  far/remote.3",
        "└─ c  blocked  near/task.2",
        "   └─ ignore: d  (above)",
    ]
    assert jobs("flow", "d1").out == shown.out
    assert jobs("flow", "d1.3", "--queue", "far").out == shown.out


def test_a_tree_and_a_workflow_of_nested_steps_are_drawn(jobs: Jobs) -> None:
    inner = Flow(REMOTE, "x", children=[TASK.call("y", delay=60)])
    tree = Flow(TASK, "root", id="t1", children=[inner, child(TASK.call("z", delay=60), policy="continue")])
    nested = Workflow(
        "nested",
        id="n1",
        steps=[
            step(
                TASK,
                "a",
                delay=60,
                on_success=[step(REMOTE, "b", name="good")],
                on_failure=[step(REMOTE, "c", name="bad")],
            )
        ],
    )
    submit(jobs, tree, nested)
    assert jobs("flow", "t1").out.split("\n\n")[1].splitlines() == [
        "task  blocked  near/task.0",
        "├─ remote-1  blocked  far/remote.1",
        "│  └─ task-3  delayed  near/task.3",
        "└─ continue: task-2  delayed  near/task.2",
    ]
    assert jobs("flow", "n1").out.split("\n\n")[1].splitlines() == [
        "task  delayed  near/task.0",
        "├─ good  blocked  far/remote.1",
        "└─ on_failure: bad  blocked  far/remote.2",
    ]
    rows = jobs("flow", "list").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["n1", "t1"]
    listed = cast("dict[str, list[dict[str, object]]]", jobs("flow", "list", "near", "--json").json)
    assert [each["kind"] for each in listed["flows"]] == ["workflow", "flow"]
    ran = jobs("flow", "list", "--limit", "1")
    assert "more with --cursor live:" in ran.err


def test_a_large_flow_is_counted(jobs: Jobs) -> None:
    submit(jobs, Flow(TASK, "root", id="big", children=[REMOTE.call(str(i), delay=60) for i in range(250)]))
    shown = jobs("flow", "big")
    assert "big of near, 251 jobs: 251 pending" in shown.out
    assert "far/remote" not in shown.out
    assert "too many for a picture" in shown.err
    drawn = jobs("flow", "big", "--limit", "300").out
    assert drawn.count("far/remote") == 250
    told = cast("dict[str, object]", jobs("flow", "big", "--json", "--limit", "2").json)
    assert told["next"] == 2
    assert len(cast("list[object]", told["jobs"])) == 2
    some = jobs("flow", "big", "--state", "blocked")
    assert len(some.out.split("\n\n")[1].splitlines()) == 2


def test_a_flow_is_cancelled_once(jobs: Jobs) -> None:
    submit(jobs, diamond())
    assert jobs("flow", "cancel", "d1", "--actor", "ada", "--reason", "wrong").out == "d1 cancelled\n"
    assert jobs("flow", "cancel", "d1", "--json").json == {"id": "d1", "changed": False}
    refused = jobs("flow", "retry", "d1")
    assert (refused.code, "only one that failed can be retried" in refused.err) == (1, True)
    assert "diamond  workflow  cancelled" in jobs("flow", "d1").out
    assert "flow.cancel" in jobs("audit").out


def test_a_blocked_job_names_those_it_waits_for(jobs: Jobs) -> None:
    submit(jobs, diamond())
    assert "waits for  near/task d1.0 (delayed)" in jobs("show", "far", "d1.1").out
    assert "jobsctl doctor near d1.0" in jobs("doctor", "far", "d1.1").out


@pytest.mark.parametrize("verb", ["show", "cancel", "retry"])
def test_what_is_not_there_is_told(jobs: Jobs, verb: str) -> None:
    assert jobs("flow", "list").out == "no flows\n"
    ran = jobs("flow", verb, "nobody")
    assert (ran.code, "nobody" in ran.err) == (3, True)


def test_a_job_stands_above_the_children_that_it_added_and_below_what_it_waited_for() -> None:
    after = (
        Waited(0, "first", "ignore"),
        Waited(1, "c1", "fail_parent", child=True),
        Waited(2, "c2", "ignore", child=True),
    )
    parts: list[tuple[str, tuple[Waited, ...]]] = [("first", ()), ("c1", ()), ("c2", ()), ("parent", after)]
    jobs = [
        FlowJobRecord(number=i, label=label, queue="q", id=label, name="t", state="blocked", after=waits)
        for i, (label, waits) in enumerate(parts)
    ]
    assert [line.text(None) for line in picture(jobs, flow="parent", parents_first=False)] == [
        "first  blocked  q/t",
        "└─ ignore: parent  blocked  q/t",
        "   ├─ c1  blocked  q/t",
        "   └─ ignore: c2  blocked  q/t",
    ]


def test_a_picture_keeps_to_its_width_however_deep_it_is() -> None:
    deep = [
        FlowJobRecord(
            number=i,
            label=f"step-{i}",
            queue="near",
            id=f"f.{i}",
            name="task",
            state="failed" if i == 29 else "completed",
            after=(Waited(i - 1, f"step-{i - 1}", "fail_parent"),) if i else (),
            error="ValueError: " + "long " * 40 if i == 29 else None,
        )
        for i in range(30)
    ]
    lines = [line.text(80) for line in picture(deep, flow="f", parents_first=False)]
    assert len(lines) == 31
    assert max(map(len, lines)) == 80
    assert [f"step-{i}" in line for i, line in enumerate(lines[:30])] == [True] * 30
