import pytest
from tests.support.engine import Engine, group


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "unroutable"])
async def test_an_inbox_is_entered_while_the_job_has_not_ended(engine: Engine, state: str) -> None:
    await engine.add("a", delay_ms=1000 if state == "delayed" else 0)
    if state in ("active", "unroutable"):
        jobs = (await engine.claim()).jobs
        if state == "unroutable":
            await engine.settle(group("unroutable", *jobs))
    found = await engine.scripts.await_(engine.queue, inbox="i1", job_id="a")
    assert (found.state, found.record != b"") == (state, True)
    assert await engine.hash("waiters") == {"a": b"i1"}


@pytest.mark.parametrize("state", ["completed", "failed", "finished", ""])
async def test_nobody_awaits_what_has_ended(engine: Engine, state: str) -> None:
    if state:
        await engine.add("a")
        verb = "fail" if state == "failed" else "complete"
        keep = 0 if state == "finished" else -1
        await engine.settle(group(verb, *(await engine.claim()).jobs, keep_count=keep, ttl_ms=1000))
    found = await engine.scripts.await_(engine.queue, inbox="i1", job_id="a")
    assert (found.state, found.info) == (state, b"info" if state else b"")
    assert await engine.hash("waiters") == {}


async def test_several_inboxes_are_entered_once_each(engine: Engine) -> None:
    await engine.add("a")
    for inbox in ("i1", "i11", "i1", "1", "i11"):
        await engine.scripts.await_(engine.queue, inbox=inbox, job_id="a")
    assert await engine.hash("waiters") == {"a": b"i1 i11 1"}


async def test_without_an_inbox_it_only_looks(engine: Engine) -> None:
    await engine.add("a")
    before = await engine.dump()
    assert (await engine.scripts.await_(engine.queue, inbox="", job_id="a")).state == "waiting"
    assert await engine.dump() == before
