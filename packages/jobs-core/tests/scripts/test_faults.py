"""A script that fails leaves no job lost, none in two homes and nothing half removed, wherever it failed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from tests.support.engine import CLOCK, Engine, draft, group
from tests.support.invariants import broken

from jobs_core.connection import client_for, parse_address
from jobs_core.dead_letters import replay_arguments
from jobs_core.errors import ServerError
from jobs_core.scripts import Claimed
from jobs_core.wire import BIG, OWN_ID, pack_drafts

Operation = Callable[[Engine], Awaitable[object]]


async def populate(engine: Engine) -> None:
    """Put jobs into every state, with everything that can be kept of them."""
    await engine.add("done1", "done2", "told", "parked", "run1", "run2", "retried", "late")
    await engine.add("own", "lost1", "lost2", flags=OWN_ID)
    jobs = {job.id: job for job in (await engine.claim()).jobs}
    await engine.settle(
        group("complete", jobs["done1"], keep_count=-1),
        group("fail", jobs["done2"], keep_count=-1, keep_age_ms=1000),
        group("fail", jobs["lost1"], jobs["lost2"], arg=OWN_ID, keep_count=-1),
        group("complete", jobs["told"], ttl_ms=1000),
        group("unroutable", jobs["parked"]),
        group("retry", jobs["retried"], jobs["late"], arg=500, info=b"history"),
    )
    await engine.advance(0.5)
    await engine.scripts.promote(engine.queue, ids=["retried"])
    claim = await engine.claim(1)
    assert [job.id for job in claim.jobs] == ["late"]
    items = ["late", claim.jobs[0].fence, b"50%"]
    await engine.scripts.progress(engine.queue, owner="w1", items=items)
    await engine.scripts.await_(engine.queue, inbox="i", job_id="late")
    await engine.add("big", envelope=b"x" * 70_000)
    await engine.add("ownwait", flags=OWN_ID)
    await engine.scripts.await_(engine.queue, inbox="i", job_id="big")
    await engine.add("due", delay_ms=100)
    await engine.add("notdue", delay_ms=90_000)
    await engine.scripts.pause(engine.queue)
    await engine.claim(3, owner="w2")
    await engine.scripts.resume(engine.queue)
    await engine.claim(0, free=3, owner="w3")
    for _ in range(4):
        await engine.advance(5)
        await engine.scripts.beat(engine.queue, lease_ms=20_000, owners=["w2", "w3"])


async def settle(engine: Engine) -> None:
    held = await engine.zset("active:w1")
    run1, run2, own, late = (
        [Claimed(each, b"", int(held[each]), None)] if each in held else []
        for each in ("run1", "run2", "own", "late")
    )
    await engine.settle(
        group("retry", *run1, arg=100, info=b"more"),
        group("complete", *run2, arg=BIG, ttl_ms=500),
        group("fail", *own, arg=OWN_ID, keep_count=1),
        group("release", *late),
    )


async def enqueue(engine: Engine) -> None:
    jobs = pack_drafts([draft("n1", flags=OWN_ID, envelope=b"x" * 70_000), draft("n2", delay_ms=500)])
    engine.seqs["new"] += 1
    await engine.scripts.enqueue(engine.queue, session="new", seq=engine.seqs["new"], jobs=jobs)


OPERATIONS: dict[str, Operation] = {
    "enqueue": enqueue,
    "claim": lambda e: e.claim(2, owner="w2"),
    "claim, the first": lambda e: e.claim(2, owner="w9"),
    "settle": settle,
    "beat": lambda e: e.scripts.beat(e.queue, lease_ms=20_000, owners=["w1", "w2"]),
    "reap": lambda e: e.scripts.reap(e.queue, owner="w1"),
    "release": lambda e: e.scripts.release(e.queue, owner="w1", culprits=["run1"]),
    "promote": lambda e: e.scripts.promote(e.queue),
    "promote named": lambda e: e.scripts.promote(e.queue, ids=["notdue"]),
    "reroute": lambda e: e.scripts.reroute(e.queue, offset=0, names=["*"]),
    "remove": lambda e: e.scripts.remove(e.queue, ids=["done1", "lost1", "told", "parked", "big", "notdue"]),
    "retry": lambda e: e.scripts.retry(e.queue, ids=["done2", "lost1"]),
    "replay": lambda e: e.scripts.replay(
        e.queue, jobs=[*replay_arguments("done2"), *replay_arguments("lost1", priority=1)]
    ),
    "clean": lambda e: e.scripts.clean(e.queue, home="failed", age_ms=0, limit=2),
    "drain": lambda e: e.scripts.drain(e.queue, home="waiting", limit=9),
    "trim": lambda e: e.scripts.trim(e.queue),
    "priority": lambda e: e.scripts.priority(e.queue, priority=1, ids=["ownwait", "notdue", "big"]),
    "reschedule": lambda e: e.scripts.reschedule(e.queue, delay_ms=9, ids=["ownwait", "notdue", "big"]),
    "reschedule, now": lambda e: e.scripts.reschedule(e.queue, ids=["ownwait", "notdue", "big"]),
    "obliterate": lambda e: e.scripts.obliterate(e.queue, force=True),
    "pause": lambda e: e.scripts.pause(e.queue),
    "resume": lambda e: e.scripts.resume(e.queue),
    "declare": lambda e: e.scripts.declare(e.queue, definition="d", fields={"o1": "1"}),
    "await": lambda e: e.scripts.await_(e.queue, inbox="j", job_id="big"),
}
KEYS = [
    *(
        "rec",
        "waiting",
        "delayed",
        "active:w1",
        "active:w2",
        "owners",
        "idle",
        "unroutable",
        "unroutable.names",
    ),
    *("completed", "failed", "result", "result.due", "state", "history", "progress", "checkpoint", "tomb"),
    *("meta", "cfg", "stats", "sessions", "waiters"),
]
KEYED = ["ring", "kparked", "kactive", "kbucket", "k:a", "k:", "waiting", "rec", "meta", "cfg", "active:w2"]
# On the hot path nothing is asked that is not needed. What these leave is mended by the same call sent again
# (and an id without a record by the claim that meets it); the totals may then count a job twice.
MENDED = {
    ("enqueue", "rec"),
    ("enqueue", "delayed"),
    ("enqueue", "stats"),
    ("settle", "failed"),
    ("settle", "result.due"),
}


async def populate_keyed(engine: Engine) -> None:
    """The same jobs in a queue that has every limit, and is indexed by key."""
    limits = {
        "keyed": 1,
        "key_active": 3,
        "key_rate": "100 1000 100",
        "rate": "100 1000 100",
        "max_active": 50,
    }
    await engine.declare(**limits)
    await engine.claim(0, owner="w3")
    await populate(engine)
    await engine.add(*(f"of-{key}{i}" for key in "ab" for i in range(5)))
    for key in "ab":
        await engine.add(*(f"{key}{i}" for i in range(5)), key=key)
    claim = await engine.claim(14, owner="w2")
    assert {"a0", "b0"} <= {job.id for job in claim.jobs}
    assert set(await engine.zset("kparked")) == {"a", "b"}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_script_that_fails_leaves_a_sound_queue(damaged: Engine, operation: str) -> None:
    await fails(damaged, operation, populate, KEYS)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_script_that_fails_leaves_a_sound_keyed_queue(damaged: Engine, operation: str) -> None:
    await fails(damaged, operation, populate_keyed, KEYED)


async def fails(
    damaged: Engine, operation: str, fill: Callable[[Engine], Awaitable[None]], keys: list[str]
) -> None:
    """Run an operation once for each key, which is of another type meanwhile, and judge what is left."""
    run, call = OPERATIONS[operation], damaged.client.call
    await fill(damaged)
    assert await broken(damaged) == []
    names = cast("list[bytes]", await call("KEYS", "*"))
    values = cast("list[bytes]", await asyncio.gather(*(call("DUMP", name) for name in names)))
    seqs = damaged.seqs.copy()
    for key in keys:
        damaged.seqs = seqs.copy()
        await call("FLUSHDB")
        await asyncio.gather(*(call("RESTORE", n, 0, value) for n, value in zip(names, values, strict=True)))
        existed = await damaged.call("EXISTS", key)
        if existed:
            await damaged.call("RENAME", key, damaged.key + "aside")
        await damaged.call("SET", key, "of another type")
        try:
            await run(damaged)
            failed = False
        except ServerError:
            failed = True
        await damaged.call("DEL", key)
        if existed:
            await damaged.call("RENAME", "aside", damaged.key + key)
        if not failed:
            continue
        wrong = await broken(damaged)
        if (operation, key) in MENDED:
            assert wrong != []
            # Time goes on, and stamps with it.
            await damaged.advance(0.001)
            await run(damaged)
            wrong = [each for each in await broken(damaged) if not each.startswith("totals")]
        assert wrong == [], (operation, key)


async def test_what_fails_says_which_key_is_not_ours(damaged: Engine) -> None:
    await damaged.call("SET", "waiting", "of another type")
    with pytest.raises(ServerError, match=r"WRONGTYPE .*waiting is a string"):
        await damaged.scripts.promote(damaged.queue)


async def test_a_user_who_may_not_publish_loses_wake_ups_alone(damaged: Engine, redis_url: str) -> None:
    await populate(damaged)
    await damaged.client.call("ACL", "SETUSER", "mute", "on", ">pw", "~*", "+@all", "resetchannels")
    mute = client_for(parse_address(redis_url.replace("unix://", "unix://mute:pw@")))
    await mute.connect(timeout=40)
    try:
        scripts = type(damaged.scripts)(mute, damaged.scripts.prefix, clock=CLOCK)
        await scripts.claim(damaged.queue, session="s", seq=1, owner="w4", register=True, want=0, free=1)
        given = await scripts.release(damaged.queue, owner="w1")
        assert given.left == 0
    finally:
        await mute.close()
        await damaged.client.call("ACL", "DELUSER", "mute")
    assert await broken(damaged) == []
