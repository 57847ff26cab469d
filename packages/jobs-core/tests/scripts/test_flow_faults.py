"""Flows whose keys are of another type for a while: what was refused is carried later, and nothing is lost, doubled or half done."""

import pytest
from tests.support.engine import Engine, group
from tests.support.flowing import Flowing
from tests.support.invariants import broken

from jobs_core.errors import JobsError
from jobs_core.flows.modes import Mode
from jobs_core.wire import EFFECTS, OWN_ID

KEYS = [
    *("join:p", "join.done:p", "join.results:p", "joins", "blocked", "waiting", "early", "rec", "state"),
    *("flow:f", "flow.done:f", "flow.results:f", "flow.chunks:f", "flows", "flows.ended", "flows.due", "out"),
    *("flow:s", "flow.staged:s", "flow.nodes:s", "flow.chunks:s", "meta", "result", "failed"),
]


async def attempt(flowing: Flowing) -> None:
    """Do all that flows do: hear of ends, take jobs in, close, cancel, look after what is due."""
    home = flowing.home.scripts
    for call in (
        lambda: flowing.relay.relay("kids"),
        lambda: flowing.relay.relay("mail"),
        lambda: flowing.fill(1, "s", chunk="2"),
        lambda: home.flow_close("mail", flow_id="s"),
        lambda: home.flow_cancel("mail", flow_id="x"),
        lambda: home.tend("mail"),
        lambda: home.trim("mail"),
    ):
        try:
            await call()
        except JobsError:
            continue


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_of_another_type_loses_no_end(damaged: Engine, key: str) -> None:
    flowing = Flowing(damaged)
    await flowing.parent("p", 2)
    await flowing.child("a", "p", 0, Mode.IGNORE)
    await flowing.child("b", "p", 1)
    for flow, state in (("f", "open"), ("x", "open"), ("s", "staging")):
        await flowing.open(flow, state)
        await flowing.fill(2, flow)
    await flowing.settle_all()
    await flowing.home.scripts.flow_close("mail", flow_id="f")
    jobs = {job.id: job for job in (await flowing.kids.claim()).jobs}
    ended = [jobs[each] for each in ("b", "f.0", "f.1")]
    await flowing.kids.settle(group("complete", *ended, arg=OWN_ID | EFFECTS, info=b""))
    await flowing.kids.settle(group("fail", jobs["a"], arg=OWN_ID | EFFECTS, info=b"poison 1 0"))
    await flowing.kids.settle(group("release", jobs["x.0"], jobs["x.1"]))
    existed = await damaged.call("EXISTS", key)
    if existed:
        await damaged.call("RENAME", key, damaged.key + "aside")
    await damaged.call("SADD", key, "of another type")
    await attempt(flowing)
    await damaged.call("DEL", key)
    if existed:
        await damaged.call("RENAME", "aside", damaged.key + key)
    await attempt(flowing)
    await flowing.settle_all()
    assert await broken(damaged) == []
    assert await damaged.state("p") == "waiting"
    assert [(await flowing.told(flow)).state for flow in ("f", "x", "s")] == [
        "completed",
        "cancelled",
        "running",
    ]
    # What was refused as the flow was filled, and is closed by now, is not there.
    assert {"s.0", "s.1"} <= set(await flowing.kids.ids("waiting")) <= {"s.0", "s.1", "s.2"}
