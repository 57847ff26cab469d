"""Flows without a job of their own: opened once, left behind by nobody."""

import pytest
from tests.support.flowing import Flowing

from jobs_core.errors import ServerError


async def test_a_flow_is_opened_once(flowing: Flowing) -> None:
    assert await flowing.open() == ""
    assert await flowing.open() == "open"
    told = await flowing.told()
    assert (told.kind, told.state, told.total, told.info) == ("b", "open", 0, b"about")
    assert told.created_ms == flowing.home.ms


async def test_one_that_nobody_fills_any_more_fails(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.home.advance(61)
    await flowing.home.scripts.trim(flowing.home.queue)
    assert (await flowing.told()).state == "failed"
    with pytest.raises(ServerError, match="NOT_OPEN failed"):
        await flowing.fill(1)


async def test_one_that_was_never_closed_is_forgotten_with_all_that_it_kept_back(flowing: Flowing) -> None:
    await flowing.open(state="staging")
    await flowing.fill(3)
    await flowing.home.advance(61)
    await flowing.home.scripts.trim(flowing.home.queue)
    assert (await flowing.told()).kind == ""
    await flowing.settle_all()
    assert await flowing.kids.ids("waiting") == []
