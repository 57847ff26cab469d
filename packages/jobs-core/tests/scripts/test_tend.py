"""Queues that no worker serves: whoever comes by looks after what has to go on there."""

from tests.support.flowing import Flowing

from jobs_core.flows.edges import Edge, Mode
from jobs_core.wire import EFFECTS, OWN_ID


async def test_cancelling_goes_on_where_its_caller_died(flowing: Flowing) -> None:
    await flowing.open()
    for chunk in "123":
        await flowing.fill(100, chunk=chunk)
    await flowing.settle_all()
    await flowing.home.scripts.flow_cancel("mail", flow_id="f")
    assert (await flowing.home.scripts.flow_cancel("mail", flow_id="f"))[:2] == ("cancelled", 256)
    await flowing.home.advance(2.1)
    flowing.kids.us = flowing.home.us
    assert await flowing.home.scripts.tend("mail") == (False, 10)
    await flowing.settle_all()
    assert len(await flowing.kids.ids("cancelled")) == 300


async def test_sending_goes_on_where_its_caller_died(flowing: Flowing) -> None:
    await flowing.open(state="staging")
    for i in range(200):
        await flowing.fill(1, chunk=str(i))
    closed = await flowing.home.scripts.flow_close("mail", flow_id="f")
    assert closed.left == 72
    await flowing.home.advance(2.1)
    flowing.kids.us = flowing.home.us
    assert await flowing.home.scripts.tend("mail") == (False, 200)
    await flowing.settle_all()
    assert len(await flowing.kids.ids("waiting")) == 200


async def test_a_child_that_expires_where_no_worker_is_resolves_its_edge(flowing: Flowing) -> None:
    await flowing.parent("p", 1)
    edge = Edge("mail", "p", 0, Mode.IGNORE)
    await flowing.kids.add("k", flags=OWN_ID | EFFECTS, options=f"expires=1000,edges={edge}")
    assert await flowing.kids.scripts.tend("kids") == (False, 0)
    await flowing.home.advance(2)
    flowing.kids.us = flowing.home.us
    assert await flowing.kids.scripts.tend("kids") == (False, 1)
    await flowing.settle_all()
    assert (await flowing.home.state("p"), await flowing.ends("p")) == ("waiting", {0: "e"})


async def test_children_that_were_obliterated_where_no_worker_is_resolve_their_edges(
    flowing: Flowing,
) -> None:
    await flowing.parent("p", 1200)
    edge = Edge("mail", "p", 0, Mode.IGNORE)
    ids = [f"k{i}" for i in range(1200)]
    for at in range(0, 1200, 120):
        await flowing.kids.add(
            *ids[at : at + 120], flags=OWN_ID | EFFECTS, options=f"edges={_from(edge, at)}"
        )
    await flowing.kids.scripts.obliterate("kids", force=True)
    more, calls = True, 0
    while more:
        more, _ = await flowing.kids.scripts.tend("kids")
        calls += 1
    assert calls == 3
    await flowing.settle_all()
    assert await flowing.home.state("p") == "waiting"


def _from(edge: Edge, ordinal: int) -> Edge:
    return Edge(edge.queue, edge.flow, ordinal, edge.mode)
