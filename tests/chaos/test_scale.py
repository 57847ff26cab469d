"""Very many jobs: no script holds the server up, and a claim costs what it costs in an empty queue.

JOBS_SCALE multiplies the sizes (1: a million waiting jobs). The figures are printed; of time, only what the server
itself measured is judged.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from tests.support.engine import Engine, draft, group
from tests.support.invariants import broken

from jobs_core.connection import Client, parse_address
from jobs_core.server import EmbeddedServer
from jobs_core.wire import pack_drafts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

SCALE = float(os.environ.get("JOBS_SCALE", "1"))
MILLION = round(1_000_000 * SCALE)
HUNDRED_THOUSAND = round(100_000 * SCALE)
SLOWEST_MS = 10.0
PAYLOAD = b"x" * 200


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
async def engine(server: EmbeddedServer, prefix: str) -> AsyncIterator[Engine]:
    client = Client(parse_address(server.url))
    await client.connect(timeout=10)
    await client.call("CONFIG", "SET", "slowlog-log-slower-than", 1000, "slowlog-max-len", 100_000)
    yield await Engine(client, prefix).start()
    await client.close()


class Scale:
    """Prints figures past pytest's capture."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, text: str) -> None:
        with self._capsys.disabled():
            print(f"\n  {text}", end="", flush=True)  # noqa: T201 - figures to be read


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Scale:
    return Scale(capsys)


async def fill(engine: Engine, count: int, start: int = 0, *, delay_ms: int = 0, priority: int = 3) -> None:
    """Enqueue so many jobs, 128 a call and 16 calls at a time, each of its own session."""

    async def lane(number: int) -> None:
        for seq, at in enumerate(range(start + number * 128, start + count, 16 * 128), 1):
            drafts = [
                draft(f"j{i:09}", envelope=PAYLOAD, delay_ms=delay_ms, priority=priority)
                for i in range(at, min(at + 128, start + count))
            ]
            await engine.scripts.enqueue(
                engine.queue, session=f"fill-{start}-{number}", seq=seq, jobs=pack_drafts(drafts)
            )

    await asyncio.gather(*(lane(number) for number in range(16)))


async def slowest_ms(engine: Engine) -> float:
    """Return how long the slowest script took since the last look, in ms; 1 at least."""
    entries = cast("list[list[object]]", await engine.client.call("SLOWLOG", "GET", -1))
    await engine.client.call("SLOWLOG", "RESET")
    scripts = [
        cast("int", entry[2]) for entry in entries if cast("list[bytes]", entry[3])[0].startswith(b"EVAL")
    ]
    return max(scripts, default=1000) / 1000


async def cost_us(engine: Engine, rounds: int = 200, want: int = 10) -> float:
    """Take jobs and return what one claim costs the server, in µs, by its own count."""
    spent = 0.0
    for _ in range(rounds):
        await engine.client.call("CONFIG", "RESETSTAT")
        claim = await engine.claim(want)
        text = cast("object", await engine.client.call("INFO", "commandstats"))
        line = next(
            each
            for each in (text if isinstance(text, str) else cast("bytes", text).decode()).splitlines()
            if each.startswith("cmdstat_evalsha:")
        )
        spent += float(line.partition("usec=")[2].partition(",")[0])
        assert len(claim.jobs) == want
        await engine.settle(group("complete", *claim.jobs))
    return spent / rounds


async def base_cost_us(engine: Engine, rounds: int = 200, want: int = 10) -> float:
    """Return what a claim costs where nothing waits but what it takes."""
    spent = 0.0
    for i in range(rounds):
        await fill(engine, want, 900_000_000 + i * want)
        spent += await cost_us(engine, 1, want)
    return spent / rounds


async def test_a_million_waiting_jobs(engine: Engine, tell: Scale) -> None:
    base = await base_cost_us(engine)
    began = time.monotonic()
    await slowest_ms(engine)
    await fill(engine, MILLION)
    tell(
        f"{MILLION} waiting: enqueued in {time.monotonic() - began:.1f} s, slowest {await slowest_ms(engine):.1f} ms"
    )
    cost = await cost_us(engine)
    claiming = await slowest_ms(engine)
    tell(f"  a claim of 10 costs {cost:.0f} µs, in an empty queue {base:.0f} µs; slowest {claiming:.1f} ms")
    # The next one claimed is the critical one, behind all of them.
    await engine.add("critical", priority=1)
    assert await engine.take(1) == ["critical"]
    for call in (
        engine.scripts.tally(engine.queue),
        engine.scripts.page(engine.queue, home="waiting", newest=False, skip=MILLION // 2),
        engine.scripts.glance([engine.queue]),
        engine.scripts.remove(engine.queue, ids=[f"j{MILLION - i:09}" for i in range(2, 130)]),
        engine.scripts.drain(engine.queue, home="waiting", limit=500),
    ):
        await call
    looking = await slowest_ms(engine)
    began = time.monotonic()
    assert await broken(engine) == []
    tell(f"  tally, page, remove, drain: slowest {looking:.1f} ms")
    tell(f"  checked in {time.monotonic() - began:.1f} s, slowest {await slowest_ms(engine):.1f} ms")
    assert max(claiming, looking) < SLOWEST_MS
    assert cost < 1.5 * base


async def test_many_delayed_jobs_due_at_once(engine: Engine, tell: Scale) -> None:
    await fill(engine, HUNDRED_THOUSAND, delay_ms=60_000)
    await slowest_ms(engine)
    await engine.advance(61)
    calls = taken = 0
    while jobs := (await engine.claim(100)).jobs:
        calls += 1
        taken += len(jobs)
        await engine.settle(group("complete", *jobs))
    slowest = await slowest_ms(engine)
    tell(f"{HUNDRED_THOUSAND} due at once: {calls} claims, slowest script {slowest:.1f} ms")
    assert taken == HUNDRED_THOUSAND
    assert slowest < SLOWEST_MS


async def test_many_keys(engine: Engine, tell: Scale) -> None:
    await engine.declare(keyed=1)
    while (await engine.claim(0, free=0)).again:
        pass
    for at in range(0, 2000, 10):
        for i in range(at, at + 10):
            await engine.add(f"few-{i}", key=f"key-{i % 10}", envelope=PAYLOAD)
    base = await cost_us(engine)
    await slowest_ms(engine)

    async def lane(number: int) -> None:
        for i in range(number, HUNDRED_THOUSAND, 64):
            await engine.add(f"many-{i}", key=f"key-{i}", envelope=PAYLOAD, session=f"keys-{number}")

    await asyncio.gather(*(lane(number) for number in range(64)))
    filling = await slowest_ms(engine)
    cost = await cost_us(engine)
    claiming = await slowest_ms(engine)
    tell(
        f"{HUNDRED_THOUSAND} keys: a claim of 10 costs {cost:.0f} µs, with 10 keys {base:.0f} µs; "
        f"slowest {max(filling, claiming):.1f} ms"
    )
    assert max(filling, claiming) < SLOWEST_MS
    assert cost < 1.5 * base


async def test_payloads_up_to_a_mebibyte(engine: Engine, tell: Scale) -> None:
    sizes = [1024, 16 * 1024, 60 * 1024, 256 * 1024, 1024 * 1024]
    for size in sizes:
        for i in range(24):
            await engine.add(f"p{size}-{i}", envelope=b"x" * size)
    filling = await slowest_ms(engine)
    taken = 0
    while jobs := (await engine.claim(64)).jobs:
        taken += len(jobs)
        await engine.settle(group("complete", *jobs, arg=2, info=b"y" * 1000, keep_count=-1))
    claiming = await slowest_ms(engine)
    await engine.scripts.clean(engine.queue, home="completed", age_ms=0, limit=500)
    tell(
        f"payloads of 1 KiB to 1 MiB: slowest enqueue {filling:.1f} ms, claim or settlement {claiming:.1f} ms, "
        f"clean of all {await slowest_ms(engine):.1f} ms"
    )
    assert taken == 24 * len(sizes)
    assert max(filling, claiming) < SLOWEST_MS


async def test_a_low_job_waits_no_longer_than_the_offsets_allow(engine: Engine, tell: Scale) -> None:
    offset_ms, service = 120_000, 1.0
    await engine.scripts.declare(
        engine.queue, definition="d", fields={"o2": str(offset_ms), "o4": str(-offset_ms)}
    )
    await engine.add("low", priority=4)
    began = engine.ms
    for i in range(1000):
        # Somebody more urgent comes whenever one is done.
        await engine.add(f"high{i}", priority=2)
        (job,) = (await engine.claim(1)).jobs
        await engine.advance(service)
        await engine.settle(group("complete", job))
        if job.id == "low":
            break
    waited = engine.ms - began - service * 1000
    tell(
        f"a LOW job under saturating HIGH load waited {waited / 1000:.1f} s of at most {2 * offset_ms / 1000 + 1:.0f} s"
    )
    assert waited <= 2 * offset_ms + service * 1000


async def test_rates_are_exact_over_many_clients(engine: Engine, tell: Scale) -> None:
    rate, seconds, clients = 100, 20, 64
    await engine.declare(rate=f"{rate} 1000 {rate}")
    await fill(engine, rate * seconds * 2)
    taken = len(await engine.take(rate))
    began = engine.ms
    number = 0
    while engine.ms < began + seconds * 1000:
        await engine.advance(0.005)
        owner = f"client-{number % clients}"
        number += 1
        jobs = (await engine.claim(10, owner=owner)).jobs
        if jobs:
            taken += len(jobs)
            await engine.settle(group("complete", *jobs), owner=owner)
    expected = rate + rate * seconds
    tell(f"{clients} clients at {rate}/s for {seconds} s: {taken} started, {expected} allowed")
    assert abs(taken - expected) <= expected * 0.01


async def test_cleaning_does_not_slow_the_pick_up(
    engine: Engine, server: EmbeddedServer, tell: Scale
) -> None:
    done = 0
    while done < MILLION:
        count = min(20_000, MILLION - done)
        await fill(engine, count, done)
        while jobs := (await engine.claim(128)).jobs:
            await engine.settle(group("complete", *jobs, info=b"", keep_count=-1))
        done += count
    await slowest_ms(engine)
    other = Client(parse_address(server.url))
    await other.connect(timeout=10)
    live = Engine(other, engine.scripts.prefix)
    live.us = engine.us

    async def p99(until: asyncio.Event | None = None) -> float:
        times: list[float] = []
        while len(times) < 2000 and not (until and until.is_set()):
            began = time.perf_counter()
            await live.add(f"live{time.perf_counter_ns()}")
            claim = await live.claim(1, owner="live")
            times.append(time.perf_counter() - began)
            await live.settle(group("complete", *claim.jobs), owner="live")
        return sorted(times)[round(len(times) * 0.99) - 1] * 1000

    before = await p99()
    over = asyncio.Event()

    async def clean() -> int:
        removed = 0
        while n := await engine.scripts.clean(engine.queue, home="completed", age_ms=0, limit=500):
            removed += n
        over.set()
        return removed

    removed, during = await asyncio.gather(clean(), p99(over))
    slowest = await slowest_ms(engine)
    await other.close()
    tell(
        f"clean of {removed} under load: p99 of enqueue and claim {during:.2f} ms, before {before:.2f} ms; "
        f"slowest script {slowest:.1f} ms"
    )
    assert removed == MILLION
    assert slowest < SLOWEST_MS
    assert during < 2 * before
