"""Jobs that are added to a flow, chunk by chunk."""

import pytest
from tests.support.flowing import Flowing

from jobs_core.errors import ServerError
from jobs_core.scripts.flows import Added


async def test_a_chunk_is_added_once(flowing: Flowing) -> None:
    await flowing.open()
    first = await flowing.fill(3)
    assert (first.total, first.first, len(first.posted)) == (3, 0, 1)
    assert await flowing.fill(3) == Added(3, 0, 3, [])
    assert (await flowing.fill(2, chunk="2")).first == 3
    await flowing.settle_all()
    assert await flowing.kids.ids("waiting") == [f"f.{i}" for i in range(5)]


async def test_a_flow_that_is_staging_keeps_them_back(flowing: Flowing) -> None:
    await flowing.open(state="staging")
    await flowing.fill(3)
    await flowing.settle_all()
    assert await flowing.kids.ids("waiting") == []
    assert await flowing.close() == "running"
    await flowing.settle_all()
    assert await flowing.kids.ids("waiting") == ["f.0", "f.1", "f.2"]


@pytest.mark.parametrize("known", [True, False])
async def test_nothing_is_added_to_a_flow_that_is_not_open(flowing: Flowing, *, known: bool) -> None:
    if known:
        await flowing.open()
        await flowing.close()
    with pytest.raises(ServerError, match="NOT_OPEN"):
        await flowing.fill(1)


async def test_a_flow_that_the_server_rolled_back_is_neither_filled_nor_closed(flowing: Flowing) -> None:
    scripts = flowing.home.scripts
    await flowing.open()
    await flowing.fill(2)
    before = await flowing.home.dumped()
    seen = (await flowing.fill(3, chunk="2")).total
    await flowing.home.restore(before)
    for refused in (
        scripts.flow_add("mail", flow_id="f", chunk="3", seen=seen, parts=[]),
        scripts.flow_add("mail", flow_id="lost", chunk="3", seen=seen, parts=[]),
        scripts.flow_close("mail", flow_id="f", seen=seen),
    ):
        with pytest.raises(ServerError, match="LOST"):
            await refused
    assert (await flowing.told("f")).state == "open"
    assert (await flowing.fill(3, chunk="2")).total == seen
    assert (await scripts.flow_close("mail", flow_id="f", seen=seen)).state == "running"
