"""Flows that are closed end when the last of their jobs has, and send their callbacks once."""

import msgspec
from tests.support.engine import draft, group
from tests.support.flowing import Flowing

from jobs_core.wire import OWN_ID, pack_drafts


def callback(queue: str, job_id: str) -> bytes:
    """Return a callback as `flow_open` takes it."""
    content = msgspec.msgpack.encode(pack_drafts([draft(job_id, flags=OWN_ID)]))
    parts = (queue.encode(), b"jobs", content)
    return b"".join(len(each).to_bytes(4, "big") + each for each in parts)


async def test_an_empty_flow_completes_at_once(flowing: Flowing) -> None:
    await flowing.open(
        success=callback("kids", "s"), complete=callback("kids", "c"), failure=callback("kids", "f")
    )
    assert await flowing.close() == "completed"
    await flowing.settle_all()
    assert sorted(await flowing.kids.ids("waiting")) == ["c", "s"]


async def test_it_completes_with_its_last_job(flowing: Flowing) -> None:
    await flowing.open(success=callback("mail", "s"), complete=callback("mail", "c"))
    await flowing.fill(3)
    await flowing.settle_all()
    await flowing.run(2)
    assert await flowing.close() == "running"
    await flowing.run()
    told = await flowing.told()
    assert (told.state, told.resolved, told.counts["c"], told.ended_ms) == (
        "completed",
        3,
        3,
        flowing.home.ms,
    )
    assert sorted(await flowing.home.ids("waiting")) == ["c", "s"]
    assert await flowing.close() == "completed"
    await flowing.settle_all()
    assert sorted(await flowing.home.ids("waiting")) == ["c", "s"]


async def test_the_first_failure_is_told_and_a_retry_that_completes_makes_it_whole(flowing: Flowing) -> None:
    await flowing.open(
        success=callback("mail", "s"), complete=callback("mail", "c"), failure=callback("mail", "f")
    )
    await flowing.fill(2)
    await flowing.close()
    await flowing.settle_all()
    jobs = (await flowing.kids.claim()).jobs
    await flowing.kids.settle(group("fail", jobs[0], arg=33, info=b"poison 1 0", keep_count=-1))
    await flowing.settle_all()
    assert await flowing.home.ids("waiting") == ["f"]
    await flowing.kids.settle(group("complete", jobs[1], arg=33))
    await flowing.settle_all()
    assert ((await flowing.told()).state, await flowing.ends("f")) == ("failed", {0: "f"})
    assert sorted(await flowing.home.ids("waiting")) == ["c", "f"]
    await flowing.kids.scripts.retry("kids", ids=["f.0"])
    await flowing.run()
    told = await flowing.told()
    assert (told.state, told.counts["c"], told.counts["f"]) == ("completed", 2, 0)
    assert sorted(await flowing.home.ids("waiting")) == ["c", "f", "s"]


async def test_what_the_end_of_a_flow_sends_is_carried_with_it(flowing: Flowing) -> None:
    await flowing.open(success=callback("mail", "s"))
    await flowing.fill(1)
    await flowing.close()
    await flowing.settle_all()
    (job,) = (await flowing.kids.claim()).jobs
    done = await flowing.kids.settled(group("complete", job, arg=33, info=b""))
    # One call, of what that settlement wrote: no second look at any outbox.
    await flowing.relay.relay("kids", ids=done.posted)
    assert await flowing.home.ids("waiting") == ["s"]
