"""How many commands each call of the hot path costs the server: the same for one job as for fifty."""

import re
from collections.abc import Awaitable
from typing import cast

import pytest
from tests.support.engine import Engine, group
from tests.support.flowing import Flowing

from jobs_core.outbox import arguments
from jobs_core.wire import EFFECTS, OWN_ID

# Not the script's: what counts, and the clock of the tests is a GET for the server's TIME.
ASIDE = {"evalsha", "script|load", "info", "config|resetstat"}


async def commands(engine: Engine, call: Awaitable[object]) -> int:
    await engine.client.call("CONFIG", "RESETSTAT")
    await call
    info = cast("bytes", await engine.client.call("INFO", "commandstats")).decode()
    found = dict(re.findall(r"cmdstat_([^:]+):calls=(\d+)", info))
    return sum(int(times) for name, times in found.items() if name not in ASIDE)


@pytest.mark.parametrize(("jobs", "free", "limit"), [(1, 1, 15), (1, 50, 14), (16, 16, 15), (50, 50, 17)])
async def test_commands_a_call(engine: Engine, jobs: int, free: int, limit: int) -> None:
    await engine.add("warm")
    await engine.settle(group("complete", *(await engine.claim()).jobs))
    await engine.call("DEL", "idle")
    ids = [f"j{i:02}" for i in range(jobs)]
    assert await commands(engine, engine.add(*ids)) <= 10
    claim = engine.claim(free)
    assert await commands(engine, claim) <= limit
    engine.seqs["w1:claim"] -= 1
    held = (await engine.claim(free)).jobs
    assert len(held) == jobs
    settle = engine.settle(group("complete", *held, run_us=5, wait_us=5))
    assert await commands(engine, settle) <= 11


async def test_beating_for_many_owners_costs_no_more(engine: Engine) -> None:
    for i in range(20):
        await engine.claim(0, owner=f"w{i}")
    await engine.advance(5)
    owners = [f"w{i}" for i in range(20)]
    beat = engine.scripts.beat(engine.queue, lease_ms=20_000, owners=owners)
    assert await commands(engine, beat) <= 6


@pytest.mark.parametrize("jobs", [1, 50])
async def test_what_flows_hear_costs_as_much_of_one_job_as_of_fifty(flowing: Flowing, jobs: int) -> None:
    await flowing.open()
    await flowing.fill(jobs)
    await flowing.settle_all()
    held = (await flowing.kids.claim()).jobs
    assert len(held) == jobs
    settle = flowing.kids.settle(group("complete", *held, arg=OWN_ID | EFFECTS, info=b""))
    assert await commands(flowing.kids, settle) <= 27
    (entry,) = (await flowing.kids.scripts.outbox("kids")).entries
    (effects,) = arguments("kids", entry)
    apply = flowing.home.scripts.apply(
        "mail", source="kids", epoch="0", entry=entry.id, part=0, mark=0, effects=effects
    )
    # A bit of each, and little besides.
    assert await commands(flowing.home, apply) <= 15 + jobs
    assert (await flowing.told()).resolved == jobs
