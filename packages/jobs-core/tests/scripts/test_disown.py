"""Jobs that wait for others which they added: who cancels them cancels these."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.engine import group
from tests.support.flowing import Flowing

from jobs_core.dead_letters import pack_parts
from jobs_core.flows.edges import Edge
from jobs_core.flows.modes import Mode
from jobs_core.wire import EFFECTS, OWN_ID


def disown(flowing: Flowing, *ids: str, parent: str = "p") -> bytes:
    """Return what calls off jobs of the other queue."""
    content = msgspec.msgpack.encode([f"{flowing.home.queue}:{parent}:", *ids])
    return pack_parts(flowing.kids.queue.encode(), b"disown", content)


async def waits(flowing: Flowing, *ids: str, owned: bytes) -> None:
    """Let the job `p` run and wait for children."""
    await flowing.home.add("p", flags=OWN_ID | EFFECTS)
    claimed = (await flowing.home.claim()).jobs
    for ordinal, job_id in enumerate(ids):
        await flowing.child(job_id, "p", ordinal)
    await flowing.home.settle(group("wait", *claimed, arg=len(ids), info=owned))


async def cancel(flowing: Flowing, job_id: str = "p") -> list[str]:
    verdicts = (await flowing.home.scripts.cancel(flowing.home.queue, ids=[job_id])).verdicts
    await flowing.settle_all()
    return list(verdicts)


async def test_children_are_cancelled_with_who_waits_for_them(flowing: Flowing) -> None:
    ids = [f"k{i}" for i in range(70)]
    await waits(flowing, *ids, owned=disown(flowing, *ids))
    (running,) = (await flowing.kids.claim(1)).jobs
    assert await cancel(flowing) == ["cancelled"]
    assert set(await flowing.kids.ids("cancelled")) == set(ids) - {running.id}
    assert await flowing.kids.settle(group("wait", running, arg=1)) == b"c"


async def test_one_that_another_job_follows_as_well_goes_on(flowing: Flowing) -> None:
    await waits(flowing, "a", "b", owned=disown(flowing, "a", "b", "stranger"))
    await flowing.kids.add("stranger", flags=OWN_ID)
    await flowing.parent("other", 1)
    edge = str(Edge(flowing.home.queue, "other", 0, Mode.FAIL_PARENT))
    await flowing.kids.scripts.follow(flowing.kids.queue, edges=["b", edge])
    await cancel(flowing)
    assert [await flowing.kids.state(each) for each in ("a", "b", "stranger")] == [
        "cancelled",
        "waiting",
        "waiting",
    ]


async def test_one_that_is_still_on_its_way_does_not_come_any_more(flowing: Flowing) -> None:
    await waits(flowing, "a", owned=disown(flowing, "a", "late"))
    await cancel(flowing)
    await flowing.child("late", "p", 1)
    assert await flowing.kids.state("late") == "finished"
    assert (await flowing.kids.hash("result"))["late"].startswith(b"cancelled ")
    assert await flowing.kids.ids("waiting") == []


@pytest.mark.parametrize(
    ("verb", "left"), [("complete", "waiting"), ("fail", "waiting"), ("cancel", "cancelled")]
)
async def test_who_runs_again_calls_them_off_only_where_it_is_cancelled(
    flowing: Flowing, verb: str, left: str
) -> None:
    await flowing.home.add("p", flags=OWN_ID | EFFECTS)
    claimed = (await flowing.home.claim()).jobs
    await flowing.child("a", "p", 0, Mode.CONTINUE)
    await flowing.child("b", "p", 1, Mode.CONTINUE)
    await flowing.home.settle(group("wait", *claimed, arg=2, info=disown(flowing, "a", "b")))
    (first,) = (await flowing.kids.claim(1)).jobs
    await flowing.kids.settle(group("fail", first, arg=OWN_ID | EFFECTS, info=b""))
    await flowing.settle_all()
    again = (await flowing.home.claim()).jobs
    await flowing.home.settle(group(verb, *again, arg=OWN_ID | EFFECTS))
    await flowing.settle_all()
    (other,) = {"a", "b"} - {first.id}
    assert await flowing.kids.state(other) == left


async def test_a_job_that_is_to_stop_when_it_begins_to_wait_calls_them_off_at_once(flowing: Flowing) -> None:
    await flowing.home.add("p", flags=OWN_ID | EFFECTS)
    claimed = (await flowing.home.claim()).jobs
    await cancel(flowing)
    await flowing.child("a", "p", 0)
    assert await flowing.home.settle(group("wait", *claimed, arg=1, info=disown(flowing, "a"))) == b"c"
    await flowing.settle_all()
    assert await flowing.kids.state("a") == "cancelled"


async def test_a_flow_that_it_waits_for_is_cancelled(flowing: Flowing) -> None:
    await flowing.open()
    await flowing.fill(3)
    await flowing.settle_all()
    owned = pack_parts(flowing.home.queue.encode(), b"cancel_flow", b"f")
    await flowing.home.add("p", flags=OWN_ID | EFFECTS)
    claimed = (await flowing.home.claim()).jobs
    await flowing.home.settle(group("wait", *claimed, arg=3, info=owned))
    await cancel(flowing)
    assert (await flowing.told()).state == "cancelled"
    assert [await flowing.kids.state(f"f.{i}") for i in range(3)] == ["cancelled"] * 3
