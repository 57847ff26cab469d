"""Flows that somebody cancels, with the jobs that they follow."""

import pytest
from tests.support.engine import draft
from tests.support.flowing import Flowing
from tests.support.invariants import broken

from jobs_core.flows.book import FlowBook
from jobs_core.flows.children import encode_children
from jobs_core.flows.modes import Mode
from jobs_core.wire import EFFECTS, OWN_ID

LATER = 1e12


async def test_it_ends_with_all_its_jobs(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(3)
    await flowing.settle_all()
    assert (await flowing.home.scripts.flow_cancel("mail", flow_id="f"))[:2] == ("cancelled", None)
    await flowing.settle_all()
    assert [await flowing.kids.state(f"f.{i}") for i in range(3)] == ["cancelled"] * 3
    assert (await flowing.told()).state == "cancelled"
    assert (await flowing.home.scripts.flow_cancel("mail", flow_id="f"))[0] == "already_finished"
    assert (await flowing.home.scripts.flow_cancel("mail", flow_id="nobody"))[0] == "not_found"


async def test_many_jobs_take_several_calls(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(100)
    await flowing.fill(100, chunk="2")
    await flowing.settle_all()
    _, at, _ = await flowing.home.scripts.flow_cancel("mail", flow_id="f")
    assert at == 128
    assert (await flowing.home.scripts.flow_cancel("mail", flow_id="f", from_=at))[:2] == ("cancelled", None)
    await flowing.settle_all()
    assert len(await flowing.kids.ids("cancelled")) == 200


@pytest.mark.parametrize("queues", [["kids"], ["kids", "mail"]])
async def test_none_runs_that_lay_in_the_outbox_when_it_was_cancelled(
    flowing: Flowing, queues: list[str]
) -> None:
    """Whoever filled it died before it carried them."""
    await flowing.open()
    for chunk, queue in enumerate(queues):
        jobs = encode_children([draft("", flags=OWN_ID | EFFECTS) for _ in range(3)], Mode.COUNTED)
        parts = [queue, "children", 3, jobs]
        await flowing.home.scripts.flow_add("mail", flow_id="f", chunk=str(chunk), parts=parts)
    await FlowBook(flowing.home.scripts).cancel("mail", "f", deadline=LATER)
    await flowing.settle_all()
    told = await flowing.told()
    assert (told.state, told.resolved, told.counts["x"]) == ("cancelled", told.total, told.total)
    assert not await flowing.kids.ids("waiting") + await flowing.home.ids("waiting")
    assert await broken(flowing.home) == await broken(flowing.kids) == []


async def test_what_cancels_a_job_may_overtake_it(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(3)
    (added,) = [each.id for each in (await flowing.home.scripts.outbox("mail")).entries]
    _, _, posted = await flowing.home.scripts.flow_cancel("mail", flow_id="f")
    assert added not in posted
    await flowing.relay.relay("mail", ids=posted)
    await flowing.settle_all()
    assert (await flowing.told()).counts["x"] == 3
    assert await flowing.kids.ids("waiting") == []
