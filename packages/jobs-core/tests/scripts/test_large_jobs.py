"""What a call reads of jobs is bounded by bytes: of large ones it does fewer, and is called again for the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from tests.support.engine import Engine, group

from jobs_core.dead_letters import replay_arguments
from jobs_core.wire import Others

# Just below the size from which an envelope lies apart: eight of them are 480 KiB.
ENVELOPE = b"x" * 60 * 1024
IDS = [f"j{i:02}" for i in range(20)]
A_CALL = 8


async def add(engine: Engine, *, key: str = "", delay_ms: int = 0, options: str = "") -> None:
    for job_id in IDS:
        await engine.add(job_id, envelope=ENVELOPE, key=key, delay_ms=delay_ms, options=options)


async def claim_all(engine: Engine) -> None:
    while (await engine.claim()).jobs:
        pass


async def wait(engine: Engine) -> None:
    await add(engine)


async def wait_delayed(engine: Engine) -> None:
    await add(engine, delay_ms=60_000)


async def fail(engine: Engine) -> None:
    await add(engine)
    while jobs := (await engine.claim()).jobs:
        await engine.settle(group("fail", *jobs, keep_count=-1))


async def each(engine: Engine, script: str) -> list[int]:
    """Call a script for what is left until all is done; returns how many jobs each call looked at."""
    done: list[int] = []
    while sum(done) < len(IDS):
        reply = cast("list[object]", await engine.scripts._run(script, engine.queue, IDS[sum(done) :]))
        counted = {"promote": reply[2] if len(reply) > 2 else None, "cancel": reply[0]}.get(script, reply)
        done.append(counted if isinstance(counted, int) else len(cast("list[object]", counted)))
    return done


@pytest.mark.parametrize(
    ("script", "before", "home"),
    [
        ("remove", wait, ""),
        ("cancel", wait, "cancelled"),
        ("promote", wait_delayed, "waiting"),
        ("retry", fail, "waiting"),
    ],
)
async def test_named_jobs_take_as_many_calls_as_they_are_large(
    engine: Engine, script: str, before: Callable[[Engine], Awaitable[None]], home: str
) -> None:
    await before(engine)
    assert await each(engine, script) == [A_CALL, A_CALL, 4]
    if home:
        assert len(await engine.ids(home)) == len(IDS)


async def test_the_facade_goes_on_until_all_are_done(engine: Engine) -> None:
    await wait_delayed(engine)
    promoted, _ = await engine.scripts.promote(engine.queue, ids=IDS)
    assert promoted == len(IDS)
    assert (await engine.scripts.cancel(engine.queue, ids=IDS)).verdicts == ["cancelled"] * len(IDS)
    assert await engine.scripts.remove(engine.queue, ids=IDS) == ["1"] * len(IDS)
    await fail(engine)
    assert await engine.scripts.retry(engine.queue, ids=IDS[:10]) == ["1"] * 10
    again = [part for job_id in IDS for part in replay_arguments(job_id, priority=2)]
    assert await engine.scripts.replay(engine.queue, jobs=again) == ["waiting"] * 10 + ["1"] * 10


async def test_what_a_drain_removes(engine: Engine) -> None:
    await wait(engine)
    assert await engine.scripts.drain(engine.queue, home="waiting", limit=500) == (A_CALL, 12)


async def test_what_is_given_back(engine: Engine) -> None:
    await wait(engine)
    await claim_all(engine)
    left = [(await engine.scripts.release(engine.queue, owner="w1")).left for _ in range(4)]
    assert left == [15, 10, 5, 0]


async def test_what_fails_for_good_counts_with_its_large_envelope(engine: Engine) -> None:
    await engine.declare(max_stalled=0)
    for job_id in IDS[:3]:
        await engine.add(job_id, envelope=b"x" * 600_000)
    await claim_all(engine)
    ended = [
        len((await engine.scripts.release(engine.queue, owner="w1", others=Others.CHARGED)).poisoned)
        for _ in range(3)
    ]
    assert ended == [1, 1, 1]


async def test_what_is_rerouted(engine: Engine) -> None:
    await wait(engine)
    while jobs := (await engine.claim()).jobs:
        await engine.settle(group("unroutable", *jobs))
    assert await engine.scripts.reroute(engine.queue, offset=0, names=["*"]) == (A_CALL, A_CALL)


async def test_what_expires(engine: Engine) -> None:
    await add(engine, options="expires=1000")
    await engine.advance(2)
    expired: list[int] = []
    for _ in range(3):
        assert (await engine.claim()).jobs == []
        expired.append(len(await engine.ids("expired")))
    assert expired == [8, 16, 20]


async def test_what_comes_due_in_a_keyed_queue(engine: Engine) -> None:
    await engine.declare(keyed=1)
    while (await engine.claim(0, free=0)).again:
        pass
    await add(engine, key="k", delay_ms=1000)
    await engine.advance(2)
    waiting: list[int] = []
    for _ in range(3):
        await engine.claim(0, free=0)
        waiting.append(len(await engine.ids("waiting")))
    assert waiting == [8, 16, 20]


async def test_an_entry_of_the_outbox_has_no_more_jobs_than_a_call_may_add(engine: Engine) -> None:
    await engine.declare(letters=1)
    await engine.add(*(f"s{i:03}" for i in range(200)))
    settled = await engine.settled(group("fail", *(await engine.claim(200)).jobs, keep_count=-1))
    page = await engine.scripts.outbox(engine.queue, ids=settled.posted)
    assert [len(entry.effects) for entry in page.entries] == [128, 72]


async def test_a_claim_that_passes_many_over_reads_them_together(engine: Engine) -> None:
    await engine.add(*(f"late{i:03}" for i in range(600)), options="expires=1000")
    await engine.advance(2)
    await engine.add("fresh")
    await engine.client.call("CONFIG", "RESETSTAT")
    assert (await engine.claim(1)).jobs == []
    text = cast("bytes | str", await engine.client.call("INFO", "commandstats"))
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    (read,) = (line for line in lines if line.startswith("cmdstat_hmget:"))
    # Of the 513 that a claim of one looks at, some at a time.
    assert int(read.partition("calls=")[2].partition(",")[0]) < 60
