"""Jobs of a tree that are cancelled, with those below them."""

import msgspec
from tests.support.engine import draft
from tests.support.flowing import Flowing

from jobs_core.flows.edges import Edge, joined, with_edges
from jobs_core.flows.graph import NodeInfo
from jobs_core.flows.modes import Mode
from jobs_core.outbox import encode_jobs
from jobs_core.wire import EFFECTS, OWN_ID

FLAGS = OWN_ID | EFFECTS


async def fill(flowing: Flowing, children: int) -> None:
    """Give a tree whole: `top` over `p` over its children, these in the other queue; it is kept back until it is closed."""
    await flowing.open("f", "staging")
    above = [
        ("top", None, Edge("mail", "f", 0, Mode.TOP), NodeInfo("mail", "top", "top", "j@1", ((1, "i"),))),
        (
            "p",
            "top",
            Edge("mail", "f", 1, Mode.COUNTED),
            NodeInfo("mail", "p", "p", "j@1", (), (2, children)),
        ),
    ]
    parts: list[str | int | bytes] = []
    for name, parent, edge, info in above:
        edges = joined([edge] if parent is None else [Edge("mail", parent, 0, Mode.IGNORE), edge])
        job = with_edges(draft(name, flags=FLAGS), edges, blocks=1 if parent is None else children)
        parts += ["mail", "node", 0, msgspec.msgpack.encode(info), "mail", "jobs", 1, encode_jobs([job])]
    await flowing.home.scripts.flow_add("mail", flow_id="f", chunk="0", parts=parts)
    for place in range(children):
        name, info = f"k{place}", NodeInfo("kids", f"k{place}", f"k{place}", "j@1")
        edges = joined(
            [Edge("mail", "p", place, Mode.FAIL_PARENT), Edge("mail", "f", 2 + place, Mode.COUNTED)]
        )
        job = encode_jobs([with_edges(draft(name, flags=FLAGS), edges)])
        more = ["kids", "node", 0, msgspec.msgpack.encode(info), "kids", "jobs", 1, job]
        await flowing.home.scripts.flow_add("mail", flow_id="f", chunk=name, parts=more)


async def cancel(flowing: Flowing, job_id: str) -> None:
    verdicts = (await flowing.home.scripts.cancel("mail", ids=[job_id])).verdicts
    assert list(verdicts) == ["cancelled"]
    await flowing.settle_all()


async def test_those_below_end_and_the_flow_goes_on(flowing: Flowing) -> None:
    await fill(flowing, 3)
    await flowing.close()
    await flowing.settle_all()
    (running,) = (await flowing.kids.claim(1)).jobs
    await cancel(flowing, "p")
    assert len(await flowing.kids.ids("cancelled")) == 2
    assert list(await flowing.kids.hash("cancels")) == [running.id]
    # The one above does without it, and runs.
    assert await flowing.home.state("top") == "waiting"
    assert (await flowing.told()).state == "running"


async def test_one_that_is_still_on_its_way_does_not_come_any_more(flowing: Flowing) -> None:
    await fill(flowing, 3)
    await flowing.close()
    # What is above arrived, and what is below lies in the outbox: its node was away.
    entries = (await flowing.home.scripts.outbox("mail")).entries
    await flowing.relay.relay("mail", ids=[each.id for each in entries if each.target == "mail"])
    verdicts = (await flowing.home.scripts.cancel("mail", ids=["p"])).verdicts
    assert list(verdicts) == ["cancelled"]
    known = {each.id for each in entries}
    for _ in range(4):
        # What calls off overtakes it.
        new = [
            each.id for each in (await flowing.home.scripts.outbox("mail")).entries if each.id not in known
        ]
        await flowing.relay.relay("mail", ids=new)
    await flowing.settle_all()
    assert not await flowing.kids.hash("rec")
    assert await flowing.home.state("top") == "waiting"
    assert {i: sign for i, sign in (await flowing.ends("f")).items() if i > 1} == dict.fromkeys(
        (2, 3, 4), "x"
    )


async def test_those_below_one_that_is_on_its_way_end_as_well(flowing: Flowing) -> None:
    await flowing.open("f", "staging")
    # Each is the parent of the next, the second one of the last two.
    for place, below in enumerate(((1, 1), (2, 2), None, None)):
        node = NodeInfo("kids", f"f.{place}", f"f.{place}", "j@1", (), below)
        await flowing.fill(1, "f", str(place), nodes=[node])
    await flowing.close()
    first, _, *rest = [each.id for each in (await flowing.home.scripts.outbox("mail")).entries]
    await flowing.relay.relay("mail", ids=[first, *rest])
    await flowing.kids.scripts.cancel("kids", ids=["f.0"])
    # What calls it off comes before it.
    await flowing.relay.relay("kids")
    assert [await flowing.kids.state(f"f.{i}") for i in range(4)] == [
        "cancelled",
        "finished",
        "waiting",
        "waiting",
    ]
    await flowing.settle_all()
    told = await flowing.told()
    assert (told.state, told.counts["x"]) == ("failed", 4)
    assert await flowing.kids.ids("waiting") == []


async def test_it_comes_behind_what_is_kept_back_still(flowing: Flowing) -> None:
    await fill(flowing, 200)
    closed = await flowing.home.scripts.flow_close("mail", flow_id="f")
    assert closed.left
    await flowing.settle_all()
    assert 0 < len(await flowing.kids.ids("waiting")) < 200
    await cancel(flowing, "p")
    assert not await flowing.kids.ids("cancelled")
    await flowing.close()
    await flowing.settle_all()
    # What calls off may overtake some of them, and these do not come any more.
    assert not await flowing.kids.ids("waiting")
    told = await flowing.told()
    assert (told.total, told.resolved, told.counts["x"] + told.counts["m"]) == (202, 201, 201)
