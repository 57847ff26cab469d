"""What each breach is mended by is tried beside the checker, in the tests of jobs-admin."""

from tests.support.engine import START_MS, Engine
from tests.support.scheduling import Scheduling

from jobs_core.schedules.recurrence import AfterCompletion

CODES = [
    "ghost",
    "homeless",
    "two_homes",
    "fence",
    "stamp",
    "result",
    "result_due",
    "leftover",
    "waiter",
    "own_id",
]


async def test_what_holds_is_left_alone(engine: Engine) -> None:
    await engine.add("waits", "runs", "big", envelope=b"x" * 70_000)
    await engine.add("late", delay_ms=1000)
    await engine.claim(1)
    before = await engine.dump()
    for code in [*CODES, "envelope"]:
        ids = ["waits", "runs", "late", "nobody"]
        assert await engine.scripts.mend(engine.queue, code=code, about=ids) == b"0" * 4, code
    for code, about in {
        "owner": "w1",
        "idle": "w1",
        "session": "producer",
        "key_ttl": "rec",
        "bytes": "completed",
        "parked": "send@1",
        "totals": "mail",
        "stream": "events",
        "applied": "other:1",
        "measure": f"series:{START_MS // 86_400_000}",
        "log": "runs",
        "schedule": "",
        "watched": "waits",
    }.items():
        assert await engine.scripts.mend(engine.queue, code=code, about=[about]) == b"0", code
    assert await engine.scripts.mend(engine.queue, code="unheard of", about=["x"]) == b"-"
    after = await engine.dump()
    assert {**after, "meta": None} == {**before, "meta": None}


async def test_a_ghost_is_taken_out_of_all_homes(damaged: Engine) -> None:
    await damaged.call("ZADD", "waiting", 1, "ghost")
    await damaged.call("ZADD", "delayed", 1, "ghost")
    assert await damaged.scripts.mend(damaged.queue, code="ghost", about=["ghost", "ghost"]) == b"10"
    assert await damaged.ids("waiting") == await damaged.ids("delayed") == []
    assert (await damaged.stats()) == {"ghosts": 1, "mended:ghost": 1}


async def test_a_schedule_gets_its_time_again_or_is_forgotten(damaged: Engine) -> None:
    scheduling = Scheduling(damaged)
    for each in "abc":
        await scheduling.put(id=each)
    await damaged.call("ZADD", "sched", 2**53 - 1, "a")
    await damaged.call("HDEL", "sched.rows", "b")
    await damaged.call("HSET", "meta", "sched", 0)
    assert await damaged.scripts.mend(damaged.queue, code="schedule", about=["a", "b", "c", "a"]) == b"1100"
    assert await damaged.ids("sched") == ["a", "c"]
    assert await scheduling.head() == (await scheduling.find("a")).next_ms
    await damaged.call("HSET", "meta", "sched", 0)
    assert await damaged.scripts.mend(damaged.queue, code="schedule", about=["", ""]) == b"11"
    assert await damaged.scripts.mend(damaged.queue, code="schedule", about=[""]) == b"0"


async def test_a_schedule_that_waits_for_nobody_goes_on(damaged: Engine) -> None:
    scheduling = Scheduling(damaged)
    await scheduling.put(recurrence=AfterCompletion(5000, damaged.ms + 1))
    await damaged.advance(1)
    await scheduling.tick()
    (job_id,) = await damaged.ids("waiting")
    await damaged.call("HDEL", "rec", job_id)
    assert await damaged.scripts.mend(damaged.queue, code="watched", about=[job_id, job_id]) == b"10"
    assert (await scheduling.find()).next_ms == damaged.ms + 5000
