"""Flows that follow jobs which are there already."""

import pytest
from tests.support.engine import group
from tests.support.flowing import Flowing

from jobs_core.flows.edges import Edge
from jobs_core.flows.modes import Mode


def edge(ordinal: int = 0, mode: Mode = Mode.FAIL_PARENT) -> str:
    return str(Edge("mail", "p", ordinal, mode))


@pytest.mark.parametrize("state", ["waiting", "active", "completed"])
async def test_a_job_that_is_there_is_followed(flowing: Flowing, state: str) -> None:
    await flowing.kids.add("k")
    jobs = (await flowing.kids.claim()).jobs if state != "waiting" else []
    if state == "completed":
        await flowing.kids.settle(group("complete", *jobs, info=b"", keep_count=-1))
    assert (await flowing.home.scripts.follow("kids", edges=["k", edge()]))[0] == []
    await flowing.parent("p", 1)
    if state == "waiting":
        jobs = (await flowing.kids.claim()).jobs
    if state != "completed":
        assert await flowing.home.state("p") == "blocked"
        await flowing.kids.settle(group("complete", *jobs, arg=1, info=b"", keep_count=-1))
    await flowing.settle_all()
    assert await flowing.home.state("p") == "waiting"


async def test_none_is_followed_where_one_is_not_known(flowing: Flowing) -> None:
    await flowing.kids.add("k")
    unknown, posted = await flowing.home.scripts.follow("kids", edges=["k", edge(), "nobody", edge(1)])
    assert (unknown, posted, await flowing.kids.hash("follows")) == (["nobody"], [], {})


async def test_an_edge_is_kept_once(flowing: Flowing) -> None:
    await flowing.kids.add("k")
    for _ in range(2):
        await flowing.home.scripts.follow("kids", edges=["k", edge()])
    await flowing.home.scripts.follow("kids", edges=["k", edge(1, Mode.IGNORE)])
    assert (await flowing.kids.hash("follows"))["k"].decode() == f"{edge()};{edge(1, Mode.IGNORE)}"
