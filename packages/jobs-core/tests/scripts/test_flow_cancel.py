"""Flows that somebody cancels, with the jobs that they follow."""

from tests.support.flowing import Flowing


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
