import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.wire import OWN_ID


async def bring_to(engine: Engine, state: str, job_id: str = "a", *, flags: int = 0) -> None:
    await engine.add(job_id, delay_ms=5000 if state == "delayed" else 0, flags=flags)
    if state in ("waiting", "delayed"):
        return
    jobs = (await engine.claim()).jobs
    if state == "failed":
        await engine.settle(group("fail", *jobs, arg=flags, keep_count=-1, keep_age_ms=9000))
    elif state == "completed":
        await engine.settle(group("complete", *jobs, arg=flags, keep_count=-1))
    elif state == "finished":
        await engine.settle(group("complete", *jobs, arg=flags, ttl_ms=9000))
    elif state == "unroutable":
        await engine.settle(group("unroutable", *jobs))
    assert await engine.state(job_id) == state


@pytest.mark.parametrize("flags", [0, OWN_ID])
@pytest.mark.parametrize("state", ["waiting", "delayed", "failed", "completed", "finished", "unroutable"])
async def test_nothing_is_left_of_a_removed_job(engine: Engine, state: str, flags: int) -> None:
    await bring_to(engine, state, flags=flags)
    assert await engine.scripts.remove(engine.queue, ids=["a"]) == ["1"]
    assert await engine.state("a") == ""
    left = set(await engine.dump()) - {"idle", "meta", "out", "owners", "stats"}
    assert left == ({"tomb"} if flags else set())
    ended = {"failed", "completed", "finished"}
    assert (await engine.stats()).get("removed", 0) == (0 if state in ended else 1)


async def test_an_active_job_is_refused(engine: Engine) -> None:
    await bring_to(engine, "active")
    before = await engine.dump()
    assert await engine.scripts.remove(engine.queue, ids=["a"]) == ["active"]
    assert await engine.dump() == before


async def test_each_id_gets_its_verdict(engine: Engine) -> None:
    await bring_to(engine, "active", "busy")
    await bring_to(engine, "waiting", "b")
    await bring_to(engine, "delayed", "c")
    verdicts = await engine.scripts.remove(engine.queue, ids=["b", "nobody", "busy", "c", "b"])
    assert verdicts == ["1", "0", "active", "1", "0"]
    assert (await engine.stats())["removed"] == 2


async def test_without_ids_nothing_happens(engine: Engine) -> None:
    assert await engine.scripts.remove(engine.queue, ids=[]) == []


async def test_history_and_large_envelope_go_too(engine: Engine) -> None:
    await engine.add("a", envelope=b"x" * 70_000)
    await engine.settle(group("retry", *(await engine.claim()).jobs, arg=1000))
    await engine.scripts.remove(engine.queue, ids=["a"])
    assert set(await engine.dump()) == {"meta", "owners", "stats"}


async def test_who_awaits_is_told(engine: Engine, wakes: Wakes) -> None:
    await bring_to(engine, "waiting")
    await wakes.listen_inbox("i")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await engine.scripts.remove(engine.queue, ids=["a"])
    assert await wakes.heard() == ["i: removed a"]


async def test_it_may_be_called_again(engine: Engine) -> None:
    await bring_to(engine, "waiting")
    await engine.scripts.remove(engine.queue, ids=["a"])
    before = await engine.dump()
    assert await engine.scripts.remove(engine.queue, ids=["a"]) == ["0"]
    assert await engine.dump() == before


async def test_128_jobs_of_all_kinds(engine: Engine) -> None:
    ids = [f"j{i:03}" for i in range(128)]
    await engine.add(*ids)
    claim = await engine.claim(60)
    await engine.settle(group("fail", *claim.jobs[:30], keep_count=-1), group("unroutable", *claim.jobs[30:]))
    assert await engine.scripts.remove(engine.queue, ids=ids) == ["1"] * 128
    assert await engine.hash("rec") == {}
