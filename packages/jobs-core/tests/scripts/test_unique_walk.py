"""Whatever order things happen in, no unique key leaks and nothing stays blocked: seeded walks over all doors."""

import random

import pytest
from tests.support.engine import Engine, group
from tests.support.invariants import broken

from jobs_core.wire import OWN_ID, Others, parse_header

CONFLICTS = ("skip", "replace", "keep_last", "extend", "error", "debounce")


@pytest.mark.parametrize("seed", range(4))
async def test_no_walk_leaves_a_key_or_a_blocked_job(engine: Engine, seed: int) -> None:
    walk = random.Random(seed)
    await engine.scripts.declare(engine.queue, definition="d", fields={"max_stalled": "1", "max_depth": "12"})
    made = 0
    for step in range(250):
        what = walk.randrange(12)
        if what < 5:
            made += 1
            options = [f"conflict={walk.choice(CONFLICTS)}"]
            mode = walk.choice("sdt")
            options += ["ttl=4000"] if mode == "t" or walk.random() < 0.2 else []
            options += ["max_wait=3000"] if walk.random() < 0.3 else []
            options += ["expires=2500"] if walk.random() < 0.3 else []
            await engine.add(
                f"j{made:04}",
                unique=f"{mode}key{walk.randrange(4)}",
                options=",".join(options),
                delay_ms=walk.choice((0, 0, 1500)),
                priority=walk.randrange(1, 6),
                flags=OWN_ID if walk.random() < 0.3 else 0,
                envelope=b"x" * walk.choice((5, 70_000)),
            )
        elif what < 7:
            await engine.claim(walk.randrange(1, 3), owner=walk.choice(("w1", "w2")))
        elif what < 10:
            await end_one(engine, walk)
        else:
            await disturb(engine, walk)
        if step % 25 == 24:
            assert await broken(engine) == [], step
    for _ in range(60):
        await engine.advance(1)
        await engine.claim(20)
        await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
        for owner in ("w1", "w2"):
            for each, fence in (await engine.zset(f"active:{owner}")).items():
                record = (await engine.hash("rec"))[each]
                item = [each, int(fence), parse_header(record).flags, b"info"]
                await settle(engine, owner, "complete", item)
        await engine.scripts.trim(engine.queue)
    # What ended as poison, or expired, is kept.
    ended = {*await engine.ids("failed"), *await engine.ids("expired"), *await engine.ids("cancelled")}
    assert set(await engine.hash("rec")) == ended
    assert (await engine.hash("uniq"), await engine.hash("uniq.next")) == ({}, {})
    assert (await engine.zset("uniq.due"), await engine.zset("expiring")) == ({}, {})


async def settle(engine: Engine, owner: str, verb: str, item: list[str | int | bytes]) -> None:
    made = group(verb, ttl_ms=0)
    made.items.extend(item)
    await engine.settle(made, owner=owner)


async def end_one(engine: Engine, walk: random.Random) -> None:
    owner = walk.choice(("w1", "w2"))
    held = await engine.zset(f"active:{owner}")
    if held:
        job_id = walk.choice(sorted(held))
        verb = walk.choice(("complete", "fail", "cancel", "retry", "snooze", "release", "unroutable"))
        flags = parse_header((await engine.hash("rec"))[job_id]).flags
        arg = walk.choice((0, 700)) if verb in {"retry", "snooze"} else flags
        await settle(engine, owner, verb, [job_id, int(held[job_id]), arg, b"info"])


async def disturb(engine: Engine, walk: random.Random) -> None:
    ids = sorted(await engine.hash("rec"))
    what = walk.randrange(10)
    if what == 0 and ids:
        await engine.scripts.remove(engine.queue, ids=walk.sample(ids, min(3, len(ids))))
    elif what == 1:
        await engine.scripts.drain(engine.queue, home=walk.choice(("waiting", "delayed")), limit=1)
    elif what == 2:
        await engine.scripts.release(engine.queue, owner="w2", others=Others.CHARGED)
        await engine.call("ZREM", "owners", "w2")
    elif what == 3:
        await engine.scripts.reroute(engine.queue, offset=0, names=["*"])
    elif what == 6 and ids:
        await engine.scripts.cancel(engine.queue, ids=walk.sample(ids, min(3, len(ids))))
    elif what == 4:
        await engine.scripts.retry(engine.queue, ids=(await engine.ids("failed"))[:2])
    elif what == 5:
        await engine.scripts.trim(engine.queue)
    else:
        await engine.advance(walk.random() * 2)
