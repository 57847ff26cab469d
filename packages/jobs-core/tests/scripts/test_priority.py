import pytest
from tests.support.engine import Engine

from jobs_core.wire import BIG, parse_header

HALF_AN_HOUR = 30 * 60_000 * 1000


async def priority_of(engine: Engine, job_id: str) -> int:
    return parse_header((await engine.scripts.lookup(engine.queue, ids=[job_id]))[0].record).priority


async def test_a_waiting_job_takes_its_new_place(engine: Engine) -> None:
    await engine.add("a", "b")
    before = await engine.zset("waiting")
    assert await engine.scripts.priority(engine.queue, priority=2, ids=["b"]) == ["1"]
    assert await engine.zset("waiting") == {"b": before["b"] - HALF_AN_HOUR, "a": before["a"]}
    assert await priority_of(engine, "b") == 2
    assert await engine.take() == ["b", "a"]


async def test_a_delayed_job_keeps_its_time(engine: Engine) -> None:
    await engine.add("a", delay_ms=1000)
    due = engine.ms + 1000
    assert await engine.scripts.priority(engine.queue, priority=1, ids=["a"]) == ["1"]
    assert await engine.zset("delayed") == {"a": due * 16 + 1}
    assert await priority_of(engine, "a") == 1


async def test_a_job_that_waited_before_counts_from_then(engine: Engine) -> None:
    await engine.add("a")
    await engine.claim()
    await engine.advance(60)
    await engine.add("b")
    await engine.scripts.release(engine.queue, owner="w1")
    await engine.scripts.priority(engine.queue, priority=2, ids=["a", "b"])
    assert await engine.ids("waiting") == ["a", "b"]
    await engine.scripts.priority(engine.queue, priority=3, ids=["b", "a"])
    assert await engine.ids("waiting") == ["a", "b"]


async def test_others_are_told_where_they_are(engine: Engine) -> None:
    await engine.add("busy")
    await engine.claim()
    await engine.add("a")
    verdicts = await engine.scripts.priority(engine.queue, priority=4, ids=["a", "a", "busy", "none"])
    assert verdicts == ["1", "1", "active", "0"]


@pytest.mark.parametrize("priority", [1, 2, 3, 4, 5])
async def test_in_a_strict_queue_it_changes_the_band(engine: Engine, priority: int) -> None:
    await engine.scripts.declare(engine.queue, definition="d", fields={"strict": "1"})
    await engine.add("a", priority=3)
    await engine.add("b", priority=priority)
    before = (await engine.zset("waiting"))["b"]
    await engine.scripts.priority(engine.queue, priority=3, ids=["b"])
    await engine.scripts.priority(engine.queue, priority=priority, ids=["b"])
    assert (await engine.zset("waiting"))["b"] == before


async def test_large_records_take_more_than_one_call(engine: Engine) -> None:
    ids = [f"j{i:03}" for i in range(40)]
    await engine.add(*ids, envelope=b"x" * 60_000)
    assert await engine.scripts.priority(engine.queue, priority=5, ids=ids) == ["1"] * 40


async def test_an_envelope_apart_stays(engine: Engine) -> None:
    await engine.add("a", envelope=b"x" * 70_000)
    await engine.scripts.priority(engine.queue, priority=1, ids=["a"])
    header = parse_header((await engine.scripts.lookup(engine.queue, ids=["a"]))[0].record)
    assert (header.flags, header.priority) == (BIG, 1)
