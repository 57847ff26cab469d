import pytest
from tests.support.engine import Engine, group
from tests.support.wakes import Wakes

from jobs_core.errors import OwnerGone
from jobs_core.wire import OWN_ID

STAYS = {"meta", "cfg", "owners", "idle", "trash.rec", "trash.waiters", "trash.logs", "out", "events"}


async def obliterate(engine: Engine, *, force: bool = False) -> tuple[int, int, int]:
    return await engine.scripts.obliterate(engine.queue, force=force)


async def fill(engine: Engine) -> None:
    await engine.add("done", "failed", "retried", "parked")
    done, failed, retried, parked = (await engine.claim()).jobs
    await engine.settle(
        group("complete", done, keep_count=-1),
        group("fail", failed, keep_count=-1),
        group("retry", retried, arg=1000),
        group("unroutable", parked),
    )
    await engine.add("own", flags=OWN_ID)
    await engine.add("big", envelope=b"x" * 70_000)
    await engine.add("late", delay_ms=9000)


async def test_nothing_is_left_but_clocks_and_what_is_declared(engine: Engine) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "1"})
    await fill(engine)
    stamp = (await engine.hash("meta"))["stamp"]
    assert await obliterate(engine) == (7, 0, 7)
    assert set(await engine.dump()) <= STAYS | {"big:big"}
    assert await engine.scripts.trim(engine.queue) == 7
    assert set(await engine.dump()) <= STAYS - {"trash.rec"}
    assert (await engine.hash("meta"))["stamp"] == stamp
    assert (await engine.hash("cfg"))["strict"] == b"1"
    tally = await engine.tally()
    assert (tally.totals, sum(tally.sizes.values())) == ({}, 0)


async def test_it_is_refused_while_jobs_run(engine: Engine) -> None:
    await engine.add("a", "b")
    await engine.claim(1)
    assert await obliterate(engine) == (-2, 1, 0)
    assert await engine.state("b") == "waiting"


async def test_who_runs_a_job_then_cannot_bring_anything_back(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID)
    jobs = (await engine.claim()).jobs
    assert await obliterate(engine, force=True) == (1, 1, 1)
    await engine.add("a", flags=OWN_ID)
    (again,) = (await engine.claim(owner="w2")).jobs
    assert again.fence > jobs[0].fence
    items = ["a", jobs[0].fence, b"50%"]
    assert await engine.scripts.progress(engine.queue, owner="w1", items=items) == b"0"
    assert await engine.settle(group("fail", *jobs, arg=OWN_ID, keep_count=-1)) == b"0"
    assert (await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w1"])).gone == ["w1"]
    with pytest.raises(OwnerGone):
        await engine.claim()
    assert await engine.settle(group("complete", again, arg=OWN_ID), owner="w2") == b"1"


async def test_a_large_job_of_the_same_id_keeps_its_envelope(engine: Engine) -> None:
    await engine.add("a", flags=OWN_ID, envelope=b"x" * 70_000)
    await obliterate(engine)
    await engine.add("a", flags=OWN_ID, envelope=b"y" * 70_000)
    await engine.scripts.trim(engine.queue)
    assert await engine.call("STRLEN", "big:a") == 70_000


async def test_the_trash_is_emptied_in_steps_and_before_the_next(engine: Engine) -> None:
    await engine.add(*(f"j{i:04}" for i in range(900)))
    assert await obliterate(engine) == (900, 0, 900)
    await engine.add("x")
    assert await obliterate(engine) == (-1, 0, 400)
    assert await engine.state("x") == "waiting"
    assert await obliterate(engine) == (1, 0, 1)


async def test_who_awaits_is_told(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen_inbox("i")
    await engine.add("a")
    await engine.scripts.await_(engine.queue, inbox="i", job_id="a")
    await obliterate(engine)
    await engine.scripts.trim(engine.queue)
    assert await wakes.heard() == ["i: removed a"]
    assert "trash.waiters" not in await engine.dump()


async def test_idle_workers_are_woken_for_what_comes_after(engine: Engine, wakes: Wakes) -> None:
    await wakes.listen("w2")
    await engine.claim(owner="w2")
    await obliterate(engine)
    await engine.add("a")
    assert await wakes.heard() == ["w2"]
