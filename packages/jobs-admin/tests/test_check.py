"""The checker names what is broken, and only that."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from tests.support.engine import START_MS, Engine, group
from tests.support.scheduling import Scheduling
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_admin._check.rules import TEXTS
from jobs_core.connection import client_for, parse_address
from jobs_core.errors import UnknownQueue
from jobs_core.wire import OWN_ID


@pytest.fixture
async def engine(redis_url: str, prefix: str) -> AsyncIterator[Engine]:
    """Return a queue with something in every home, and all that may be kept of jobs."""
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    engine = await Engine(client, prefix).start()
    await engine.add("done", "failed", "parked", "again", "told")
    await engine.add("own", flags=OWN_ID)
    await engine.add("first", unique="dkey", options="conflict=replace")
    jobs = {job.id: job for job in (await engine.claim()).jobs}
    await engine.settle(
        group("complete", jobs["done"], keep_count=-1),
        group("fail", jobs["failed"], keep_count=-1),
        group("unroutable", jobs["parked"]),
        group("retry", jobs["again"], arg=90_000),
        group("complete", jobs["told"], ttl_ms=60_000),
    )
    await engine.scripts.progress(engine.queue, owner="w1", items=["own", jobs["own"].fence, b"50%"])
    await engine.scripts.await_(engine.queue, inbox="i", job_id="own")
    line = ["own", jobs["own"].fence, 1, 0, b"a line"]
    await engine.scripts.log(engine.queue, owner="w1", max_lines=1000, max_bytes=10_000, items=line)
    await engine.scripts.apply(engine.queue, source="other", epoch="1", entry=10, mark=10, effects=[])
    await engine.add("big", envelope=b"x" * 70_000)
    await engine.add("late", delay_ms=90_000)
    await engine.add("brief", delay_ms=90_000, options="expires=60000")
    await Scheduling(engine).put()
    await engine.add("pending", unique="dkey", options="conflict=replace")
    yield engine
    await client.close()


async def found(admin: Admin) -> dict[str, tuple[str, ...]]:
    report = await admin.check("mail")
    assert report.ok == (not report.breaches)
    return {breach.code: breach.about for breach in report.breaches}


async def test_a_sound_queue_has_no_breach(admin: Admin, engine: Engine) -> None:
    report = await admin.check("mail")
    assert (report.queues, report.jobs, report.breaches, report.unjudged) == (("mail",), 10, (), ())


STAMPED = ("again", "big", "brief", "done", "failed", "first", "late", "own", "parked", "pending")
DAY = START_MS // 86_400_000
DAMAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown_key": (("SET", "mine", "1"), ("mine",)),
    "key_ttl": (("EXPIRE", "owners", "1000"), ("owners",)),
    "ghost": (("ZADD", "waiting", "1", "nobody"), ("nobody",)),
    "homeless": (("ZREM", "delayed", "late"), ("late",)),
    "two_homes": (("ZADD", "delayed", "1", "big"), ("big",)),
    "fence": (("ZINCRBY", "active:w1", "1000000", "own"), ("own",)),
    "stamp": (("HSET", "meta", "stamp", "1"), STAMPED),
    "owner": (("ZREM", "owners", "w1"), ("first", "own")),
    "idle": (("ZADD", "idle", "1", "w9"), ("w9",)),
    "totals": (("HINCRBY", "stats", "removed", "1"), ("mail",)),
    "bytes": (("HINCRBY", "meta", "bytes:failed", "1"), ("failed",)),
    "result": (("HSET", "result", "nobody", "1"), ("nobody",)),
    "result_due": (("ZADD", "result.due", "1", "nobody"), ("nobody",)),
    "leftover": (("HSET", "history", "nobody", "1"), ("nobody",)),
    "waiter": (("HSET", "waiters", "done", "i"), ("done",)),
    "parked": (("HINCRBY", "unroutable.names", "send@1", "1"), ("send@1",)),
    "own_id": (("ZADD", "tomb", "1", "own"), ("own",)),
    "envelope": (("DEL", "big:big"), ("big",)),
    "expiring": (("ZINCRBY", "expiring", "1", "brief"), ("brief",)),
    "unique": (("HSET", "uniq", "key", "late"), ("key",)),
    "blocked": (("DEL", "uniq.next"), ("pending",)),
    "cancel": (("HSET", "cancels", "done", "1"), ("done",)),
    "schedule": (("HDEL", "sched.state", "minutely"), ("minutely",)),
    "watched": (("HSET", "sched.watch", "nobody", "minutely"), ("nobody",)),
    "log": (("HDEL", "logs", "own"), ("own",)),
    "stream": (("XADD", "events", "5000000000000000-0", "ms", "1"), ("events",)),
    "applied": (("ZADD", "in:other:1", "5", "5"), ("other:1",)),
    "measure": (("DEL", "series.due"), (f"series:{DAY}",)),
    "session": (("DEL", "sessions"), ("producer", "w1:claim", "w1:settle")),
}


KEYED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "keyed": (("ZREM", "k:a", "a2"), ("a2",)),
    "ring": (("ZREM", "ring", "a"), ("a",)),
    "slots": (("HSET", "kactive", "a", "1"), ("a",)),
}


@pytest.mark.parametrize("code", DAMAGES)
async def test_every_breach_is_named_with_what_it_is_about(admin: Admin, engine: Engine, code: str) -> None:
    (command, key, *args), about = DAMAGES[code]
    await engine.call(command, key, *args)
    wrong = await found(admin)
    assert tuple(sorted(wrong[code])) == about
    # What else is wrong follows from it.
    assert set(wrong) <= {code, "fence", "totals", "idle", "owner", "stream"}


@pytest.mark.parametrize("code", sorted(DAMAGES.keys() - {"unknown_key"}))
async def test_what_can_be_mended_is_and_only_once(admin: Admin, engine: Engine, code: str) -> None:
    (command, key, *args), _ = DAMAGES[code]
    await engine.call(command, key, *args)
    report = await admin.check("mail", repair=True)
    left = await admin.check("mail", repair=True)
    if code == "envelope":
        assert not report.ok
        assert {each.code for each in left.breaches} == {"envelope"}
        return
    assert {each.code for each in left.breaches} <= {"ghost"}, (report, left)
    assert report.ok
    assert await found(admin) == {}
    assert (await engine.stats())[f"mended:{code}"] > 0


async def test_a_repair_is_entered_among_the_changes(admin: Admin, engine: Engine) -> None:
    await engine.call("ZADD", "waiting", 1, "nobody")
    await admin.check("mail")
    await admin.check("mail", repair=True)
    entries = (await admin.audit("mail")).changes
    assert [(each.verb, each.queue, each.filter, each.count) for each in entries] == [
        ("repair", "mail", "ghost", 1),
    ]


async def test_without_repair_nothing_is_changed(admin: Admin, engine: Engine) -> None:
    await engine.call("ZADD", "waiting", 1, "nobody")
    before = await engine.dump()
    await admin.check("mail")
    assert await engine.dump() == before


async def test_a_job_that_lost_its_home_runs_at_its_place(admin: Admin, engine: Engine) -> None:
    await engine.add("one", "two")
    place = await engine.call("ZSCORE", "waiting", "one")
    await engine.call("ZREM", "waiting", "one")
    assert (await admin.check("mail", repair=True)).ok
    assert await engine.call("ZSCORE", "waiting", "one") == place
    assert await engine.state("two") == "waiting"


async def test_a_job_that_lost_its_home_after_its_end_does_not_run_again(
    admin: Admin, engine: Engine
) -> None:
    await engine.call("ZREM", "completed", "done")
    assert (await admin.check("mail", repair=True)).ok
    assert await engine.state("done") == ""
    assert await found(admin) == {}


async def test_jobs_of_an_owner_that_is_not_known_are_given_back(admin: Admin, engine: Engine) -> None:
    await engine.call("ZREM", "owners", "w1")
    assert (await admin.check("mail", repair=True)).ok
    assert (await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=[])).silent == ["w1"]
    assert (await engine.scripts.reap(engine.queue, owner="w1")).ids == ["own", "first"]
    assert await found(admin) == {}


def test_every_code_is_tried() -> None:
    # Those of flows are tried in test_check_flows.py.
    assert DAMAGES.keys() | KEYED.keys() | {"key_type", "audit", "flow", "stuck", "letters"} == TEXTS.keys()


TOLD: dict[str, tuple[tuple[tuple[str, ...], ...], str, str]] = {
    "a log that was lost": ((("DEL", "log:own"),), "log", "own"),
    "a log with other counts": ((("HSET", "logs", "own", "\0\0\0\2\0\0\0\6\0\0\0\0"),), "log", "own"),
    "a log whose count is none": ((("HSET", "logs", "own", "?"),), "log", "own"),
    "a log of nobody": ((("XADD", "log:nobody", "*", "line", "x"),), "leftover", "nobody"),
    "rows that are ahead": ((("XADD", "rows", "900000-0", "told", "x"),), "stream", "rows"),
    "rows that are never cut": (
        (("XADD", "rows", "9-0", "told", "x"), ("HSET", "meta", "rows", "900000")),
        "stream",
        "rows",
    ),
    "events that are never cut": ((("HSET", "meta", "told", "5000000000000000"),), "stream", "events"),
    "an outbox that is ahead": (
        (("XADD", "out", "5000000000000000-0", "to", "other", "clear", ""),),
        "stream",
        "out",
    ),
    "a histogram that is not entered": ((("SET", "hist:odd@1", "x"),), "measure", "hist:odd@1"),
    "minutes that are too long": (
        (("SETRANGE", f"series:{DAY}", "50000", "x"),),
        "measure",
        f"series:{DAY}",
    ),
}


@pytest.mark.parametrize("damage", TOLD)
async def test_what_is_told_beside_jobs_is_judged_and_mended_once(
    admin: Admin, engine: Engine, damage: str
) -> None:
    commands, code, about = TOLD[damage]
    for command, key, *args in commands:
        await engine.call(command, key, *args)
    assert (await found(admin))[code] == (about,)
    assert (await admin.check("mail", repair=True)).ok
    mended = await engine.stats()
    assert mended[f"mended:{code}"] == 1
    assert (await admin.check("mail", repair=True)).breaches == ()
    assert await engine.stats() == mended
    # The queue goes on, and tells of it.
    await engine.advance(1)
    await engine.add("next")
    (first, *_) = cast(
        "list[tuple[bytes, list[bytes]]]", await engine.call("XREVRANGE", "events", "+", "-", "COUNT", 1)
    )
    assert b"next" in first[1][-1]


async def test_dead_letters_are_counted_by_queue(admin: Admin, engine: Engine) -> None:
    letters = Engine(engine.client, engine.scripts.prefix, "dead-letter")
    await letters.add("mail:1", "mail:2", "shop:1", "by hand")
    await letters.scripts.remove("dead-letter", ids=["mail:1"])
    assert (await admin.check("dead-letter")).breaches == ()
    await letters.call("HSET", "letters.kept", "mail", 7, "nobody", 1)
    await letters.call("HDEL", "letters.kept", "shop")
    (breach,) = (await admin.check("dead-letter")).breaches
    assert (breach.code, breach.about, breach.detail) == (
        "letters",
        ("mail", "nobody", "shop"),
        "7 counted, 1 there",
    )
    assert (await admin.check("dead-letter", repair=True)).ok
    assert (await letters.stats())["mended:letters"] == 3
    assert await letters.hash("letters.kept") == {"mail": b"1", "shop": b"1"}
    assert (await admin.check("dead-letter")).breaches == ()


async def test_a_log_over_its_caps_is_cut(admin: Admin, engine: Engine) -> None:
    for _ in range(4):
        await engine.call("XADD", "log:own", "*", "line", "x" * 70_000)
    assert (await found(admin))["log"] == ("own",)
    assert (await admin.check("mail", repair=True)).ok
    kept = await engine.scripts.logs(engine.queue, job_id="own")
    assert (kept.kept, kept.dropped) == (3, 2)
    assert await found(admin) == {}


async def test_the_audit_is_judged_and_cut(admin: Admin, engine: Engine) -> None:
    call, key = engine.client.call, f"{engine.scripts.prefix}:{{~}}:audit"
    await admin.pause("mail")
    await call("XADD", key, "*", "hello", "world")
    report = await admin.check()
    assert [(each.queue, each.code, each.count) for each in report.breaches] == [("", "audit", 1)]
    # Nobody is kept from reading the others.
    assert [each.verb for each in (await admin.audit()).changes] == ["", "pause"]
    await asyncio.gather(
        *(call("XADD", key, "*", "verb", "clean", "count", "1", "queue", "mail") for _ in range(20_000))
    )
    (breach,) = (await admin.check(repair=True)).breaches
    assert (breach.code, breach.count, breach.repaired) == ("audit", 2, 1)
    assert await call("XLEN", key) == 10_001
    assert (await admin.check(repair=True)).breaches == ()


async def test_an_audit_of_another_type_is_named(admin: Admin, engine: Engine) -> None:
    key = f"{engine.scripts.prefix}:{{~}}:audit"
    await engine.client.call("SET", key, "mine")
    assert [(each.code, each.about) for each in (await admin.check()).breaches] == [("key_type", (key,))]


@pytest.mark.parametrize("code", KEYED)
async def test_breaches_of_a_keyed_queue_are_named(admin: Admin, engine: Engine, code: str) -> None:
    await engine.declare(keyed=1)
    while (await engine.claim(0, free=0)).again:
        pass
    await engine.add("a1", "a2", "a3", key="a")
    await engine.call("DEL", "k:", "ring")
    await engine.call("ZADD", "ring", 1, "a")
    (command, key, *args), about = KEYED[code]
    await engine.call(command, key, *args)
    assert set(about) <= set((await found(admin))[code])
    assert (await admin.check("mail", repair=True)).ok
    while (await engine.claim(0, free=0)).again:
        pass
    assert await found(admin) == {}
    assert await engine.ids("k:a") == ["a1", "a2", "a3"]


async def test_a_key_of_another_type_is_named(admin: Admin, engine: Engine) -> None:
    await engine.call("DEL", "rec")
    await engine.call("SET", "rec", "mine")
    assert await found(admin) == {"key_type": ("rec",)}


async def test_a_job_of_an_owner_nobody_entered_is_not_lost_to_sight(admin: Admin, engine: Engine) -> None:
    await engine.call("ZADD", "active:ghost", engine.us, "nobody")
    assert await found(admin) == {"ghost": ("nobody",), "owner": ("nobody",)}


async def test_a_breach_of_very_many_jobs_names_some(admin: Admin, engine: Engine) -> None:
    await engine.call("ZADD", "waiting", *(part for i in range(300) for part in (i, f"nobody-{i}")))
    (breach,) = [each for each in (await admin.check("mail")).breaches if each.code == "ghost"]
    assert (breach.queue, breach.count, len(breach.about)) == ("mail", 300, 20)


async def test_all_queues_are_judged_and_what_lies_beside_them(
    admin: Admin, engine: Engine, mail: Seeder
) -> None:
    await mail.named("audit").add("1")
    scripts = engine.scripts
    await scripts.client.call("SET", f"{scripts.prefix}:mine", 1)
    await scripts.client.call("ZADD", scripts.key("audit") + "waiting", 1, "nobody")
    report = await admin.check()
    assert report.queues == ("audit", "mail")
    assert [(each.queue, each.code, each.about) for each in report.breaches] == [
        ("", "unknown_key", (f"{scripts.prefix}:mine",)),
        ("audit", "ghost", ("nobody",)),
        ("audit", "totals", ("audit",)),
    ]


async def test_jobs_that_only_move_are_no_breach(admin: Admin, engine: Engine) -> None:
    over = asyncio.Event()

    async def load(owner: str) -> None:
        i = 0
        while not over.is_set():
            i += 1
            await engine.add(*(f"{owner}-{i}-{n}" for n in range(5)), session=owner)
            # As many end as come, so that the queue stays as long as it is.
            jobs = (await engine.claim(10, owner=owner)).jobs
            await engine.settle(
                group("complete", *jobs[:5], arg=OWN_ID, keep_count=20),
                group("retry", *jobs[5:], arg=0, info=b"again"),
                owner=owner,
            )

    async def check() -> None:
        for _ in range(10):
            assert (await admin.check("mail")).breaches == ()
        over.set()

    async with asyncio.TaskGroup() as tasks:
        for n in range(4):
            tasks.create_task(load(f"load{n}"))
        tasks.create_task(check())


async def test_what_is_too_large_for_one_step_is_named(admin: Admin, engine: Engine) -> None:
    for at in range(0, 1100, 100):
        await engine.add(*(f"done-{i}" for i in range(at, at + 100)))
        await engine.settle(group("complete", *(await engine.claim()).jobs, keep_count=-1))
    report = await admin.check("mail")
    assert (report.breaches, report.unjudged) == ((), ("mail: bytes of completed",))


async def test_a_queue_that_nobody_used_is_refused(admin: Admin) -> None:
    with pytest.raises(UnknownQueue):
        await admin.check("mail")
