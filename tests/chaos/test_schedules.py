"""Tickers that are killed and lose replies send each time once, and very many schedules hold nobody up.

JOBS_SCALE multiplies the sizes (1: a hundred thousand schedules). The figures are printed.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import cast

import pytest
from msgspec.structs import replace
from tests.support.engine import CLOCK, Engine
from tests.support.invariants import broken
from tests.support.metered import Metered, worked_ms
from tests.support.proxy import Proxy
from tests.support.runtime import running
from tests.support.scheduling import every_minute
from tests.support.stalls import Stalls, undisturbed
from tests.support.waiting import until

from jobs_core import Queue
from jobs_core.codecs import Codecs
from jobs_core.connection import client_for, parse_address
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.fires import make_definition
from jobs_core.schedules.options import read_options
from jobs_core.schedules.plan import first_fire
from jobs_core.schedules.recurrence import At, CronTimes, Every, fires
from jobs_core.schedules.store import Schedules
from jobs_core.schedules.ticks import Ticker
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_worker import JobContext, processor

SCALE = float(os.environ.get("JOBS_SCALE", "1"))
SLOWEST_MS = 10.0
ROOT = Path(__file__).parents[2]


def kinds(queue: str, start_ms: int) -> list[ScheduleDefinition]:
    """Return schedules that miss nothing, so that it is known which jobs must be there."""
    times = [
        CronTimes("* * * * *"),
        CronTimes("*/7 * * * * *"),
        CronTimes("30 */3 * * * *", "Europe/Paris"),
        Every(11_000, start_ms),
        Every(60_000, start_ms + 500),
        At(tuple(start_ms + each for each in range(1000, 600_000, 7919))),
    ]
    return [
        every_minute(queue, id=f"s{n}-{copy}", recurrence=each, misfire="run_all", misfire_max=10_000)
        for n, each in enumerate(times)
        for copy in range(3)
    ]


async def write(schedules: Schedules, definitions: list[ScheduleDefinition], now_ms: int) -> None:
    for each in definitions:
        made = await schedules.put(each, seen=None, since_ms=now_ms, next_ms=first_fire(each, now_ms + 1))
        assert made == 1


class Tickers:
    """Tickers on connections of their own that lose replies, are cut off, and die at any await."""

    def __init__(self, engine: Engine, url: str, chance: random.Random) -> None:
        self._engine = engine
        self._url = url
        self._chance = chance
        self._stop = False
        self.kills = 0

    async def one(self) -> None:
        """Tick on, each time with another connection after a death."""
        while not self._stop:
            async with Proxy(self._url) as proxy:
                client = client_for(parse_address(proxy.url))
                await client.connect(timeout=10)
                ticker = Ticker(Scripts(client, self._engine.scripts.prefix, clock=CLOCK), "mail", Codecs())
                life = asyncio.create_task(self._live(ticker))
                await asyncio.sleep(self._chance.uniform(0.01, 0.25))
                proxy.drop_replies = True
                await asyncio.sleep(self._chance.uniform(0, 0.05))
                life.cancel()
                self.kills += 1
                with suppress(asyncio.CancelledError):
                    await life
                await client.close()

    async def _live(self, ticker: Ticker) -> None:
        while True:
            with suppress(JobsError, OutcomeLost):
                await ticker.run()
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._stop = True


async def storm(url: str, prefix: str, *, steps: int, tickers: int) -> str:
    """Let time jump on while tickers die, and compare what was sent with what the schedules say."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    client = client_for(parse_address(url))
    await client.connect(timeout=10)
    engine = await Engine(client, prefix).start()
    began = engine.ms
    schedules = Schedules(engine.scripts)
    definitions = kinds("mail", began)
    await write(schedules, definitions, began)
    all_of_them = Tickers(engine, url, chance)
    tasks = [asyncio.create_task(all_of_them.one()) for _ in range(tickers)]
    for _ in range(steps):
        await engine.advance(chance.choice([0.1, 1, 5, 31]))
        await asyncio.sleep(0.02)
    all_of_them.stop()
    await asyncio.gather(*tasks)
    await Ticker(engine.scripts, "mail", Codecs()).run()
    expected = {f"{each.id}:{at}" for each in definitions for at in fires(each.recurrence, began, engine.ms)}
    sent = await engine.ids("waiting")
    assert set(sent) == expected
    # A job that had been added twice would be one id in `waiting`, and two in the totals.
    assert (await engine.stats())["added:send@1"] == len(sent) == len(expected)
    assert await broken(engine) == []
    await client.close()
    return f"{len(sent)} times, {all_of_them.kills} deaths, {tickers} tickers: 0 missed, 0 doubled"


async def test_tickers_that_die_and_lose_replies_send_each_time_once(redis_url: str, prefix: str) -> None:
    await storm(redis_url, prefix, steps=30, tickers=20)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_a_long_storm(redis_url: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = await storm(redis_url, prefix, steps=3000, tickers=20)
    with capsys.disabled():
        print(f"\n  {told}", end="")  # noqa: T201 - figures to be read


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_processes_that_are_killed_send_each_time_once(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty tickers as processes of their own, by the real clock, one of them killed every fifth of a second."""
    kills, seconds = 0, 60.0
    with EmbeddedServer() as server:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=10)
        schedules = Schedules(Scripts(client, prefix))
        began = int(time.time() * 1000)
        definitions = [
            every_minute(
                "mail", id=f"s{n}", recurrence=Every(interval, began), misfire="run_all", misfire_max=10_000
            )
            for n, interval in enumerate([100, 250, 700, 1000, 1300, 2000] * 3)
        ]
        await write(schedules, definitions, began)
        started = [start_ticker(server.url, prefix) for _ in range(20)]
        try:
            while time.time() * 1000 < began + seconds * 1000:
                await asyncio.sleep(0.2)
                victim = random.randrange(len(started))
                started[victim].kill()
                started[victim].wait()
                started[victim] = start_ticker(server.url, prefix)
                kills += 1
        finally:
            for each in started:
                each.kill()
                each.wait()
        await Ticker(Scripts(client, prefix), "mail", Codecs()).run()
        states = {each.definition.id: each for each in (await schedules.page("mail"))[1]}
        expected = {
            f"{each.id}:{at}"
            for each in definitions
            for at in fires(each.recurrence, began, states[each.id].next_ms - 1)
        }
        key = Scripts(client, prefix).key("mail")
        sent = {
            each.decode() for each in cast("list[bytes]", await client.call("ZRANGE", key + "waiting", 0, -1))
        }
        added = int(cast("bytes", await client.call("HGET", key + "stats", "added:send@1")))
        assert sent == expected
        assert added == len(expected)
        await client.close()
    with capsys.disabled():
        print(f"\n  {added} times, {kills} processes killed: 0 missed, 0 doubled", end="")  # noqa: T201


@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_a_hundred_thousand_schedules(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An idle worker stays idle, what is due comes in time, and an instant that very many share is worked off.

    In time: counted without the moments at which the machine stood still.
    """
    count = round(100_000 * SCALE)
    queue = Queue("many", concurrency=50)
    job = queue.job("go", payload=int)
    started: list[tuple[float, float]] = []

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        started.append((ctx.scheduled_ms / 1000, time.time()))

    with EmbeddedServer() as server, undisturbed(server.pid), Stalls() as stalls:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=10)
        scripts = Scripts(client, prefix)
        schedules = Schedules(scripts)
        base = make_definition("s", job, 1, read_options({"every": 3600}))
        now = int(time.time() * 1000)
        first = now + 20_000 + round(100_000 * SCALE)

        async def put(n: int) -> None:
            at = first + n * 3_600_000 // count
            definition = replace(base, id=f"s{n}", recurrence=Every(3_600_000, at))
            await schedules.put(definition, seen=None, since_ms=now, next_ms=at)

        for at in range(0, count, 256):
            await asyncio.gather(*(put(n) for n in range(at, min(at + 256, count))))
        async with running(server.url, prefix, go):
            await asyncio.sleep(2)
            idle = await sent_in(server.url, 10)
            assert time.time() * 1000 < first, "the schedules were written too slowly to see an idle worker"
            with undisturbed(0):
                await asyncio.sleep((first - time.time() * 1000) / 1000 + 30)
            spread, _ = started[:], started.clear()
            due = int(time.time() * 1000) + 5000
            burst = round(2000 * max(SCALE, 0.2))
            for at in range(0, burst, 256):
                await asyncio.gather(
                    *(
                        schedules.put(
                            replace(base, id=f"b{n}", recurrence=At((due,))),
                            seen=None,
                            since_ms=now,
                            next_ms=due,
                        )
                        for n in range(at, min(at + 256, burst))
                    )
                )
            await until(lambda: len(started) >= burst, within=300)
        offset, seen = time.perf_counter() - time.time(), stalls.seen()
        late = [(at - due) * 1000 for due, at in spread]
        sound = [(at - due) * 1000 for due, at in spread if not seen.lost(due + offset, at + offset)]
        lateness = f"p50 {percentile(sound, 50):.1f} ms, p99 {percentile(sound, 99):.1f} ms late"
        told = [
            f"{count} schedules: idle worker {idle.total() / 10:.1f} commands/s ({told_counts(idle)} in 10 s)",
            f"{len(sound)} of {len(spread)} times in 30 s: {lateness} ({percentile(late, 99):.1f} ms of all)",
            f"{burst} at one instant: the last one {max(at - due for due, at in started) * 1000:.0f} ms late",
        ]
        await client.close()
    with capsys.disabled():
        print("\n  " + "\n  ".join(told), end="")  # noqa: T201 - figures to be read
    assert 0 < idle.total() / 10 < 2
    # All that were due in these seconds came, and none before its time.
    assert len(spread) > 30 * count / 3600 * 0.9
    assert len(sound) > len(spread) / 2
    assert min(late) >= 0
    assert percentile(sound, 99) < 100


@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_a_tick_of_very_many_is_bounded(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a hundred thousand schedules a fifth is due at one instant."""
    count, due = round(100_000 * SCALE), round(20_000 * SCALE)
    job = Queue("many").job("go", payload=int)
    base = make_definition("s", job, 1, read_options({"every": 3600}))
    with EmbeddedServer() as server, undisturbed(server.pid), Stalls() as stalls:
        client = Metered(server, stalls)
        await client.connect(timeout=10)
        await client.call("CONFIG", "SET", "slowlog-log-slower-than", 1000)
        scripts = Scripts(client, prefix)
        schedules = Schedules(scripts)
        now = int(time.time() * 1000)
        for n in range(count):
            at = now + (1 if n < due else 86_400_000 + n)
            definition = replace(base, id=f"s{n}", recurrence=Every(3_600_000, at))
            await schedules.put(definition, seen=None, since_ms=now, next_ms=at)
        writing = client.slowest()
        ticker = Ticker(scripts, "many", Codecs())
        began, worked, sent = time.monotonic(), worked_ms(server.pid), 0
        while sent < due:
            sent += await ticker.run()
        took, each = time.monotonic() - began, (worked_ms(server.pid) - worked) / due
        ticking = client.slowest()
        assert await ticker.run() == 0
        await client.close()
    with capsys.disabled():
        told = f"{due} of {count} due at one instant, sent in {took:.1f} s, {each * 1000:.0f} µs of the server each"
        print(f"\n  {told}\n  slowest tick {ticking}; slowest write {writing}", end="")  # noqa: T201
    assert sent == due
    assert max(ticking.ms, writing.ms) < SLOWEST_MS


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_delayed_jobs_start_when_they_are_due(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an idle worker, and counted without the moments at which the machine stood still."""
    count, seconds = 3000, 30.0
    queue = Queue("later", concurrency=50)
    job = queue.job("go", payload=int)
    started: list[tuple[float, float]] = []

    @processor(job)
    async def go(payload: int, ctx: JobContext) -> None:
        started.append((ctx.scheduled_ms / 1000, time.time()))

    with EmbeddedServer() as server, undisturbed(server.pid), Stalls() as stalls:
        async with running(server.url, prefix, go) as worker:
            for _ in range(count):
                await worker.producer.enqueue(job, 1, delay=random.uniform(2, 2 + seconds))
            with undisturbed(0):
                await until(lambda: len(started) == count, within=seconds + 60)
        offset = time.perf_counter() - time.time()
        seen = stalls.seen()
    late = [(at - due) * 1000 for due, at in started]
    sound = [(at - due) * 1000 for due, at in started if not seen.lost(due + offset, at + offset)]
    with capsys.disabled():
        told = f"p50 {percentile(sound, 50):.1f} ms, p99 {percentile(sound, 99):.1f} ms late"
        told += f" ({percentile(late, 99):.1f} ms of all)"
        print(f"\n  {len(sound)} of {count} delayed jobs: {told}", end="")  # noqa: T201 - figures to be read
    assert len(sound) > count / 2
    assert min(late) >= 0
    assert percentile(sound, 99) < 100


def start_ticker(url: str, prefix: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "tests.support.ticker", url, prefix, "mail"]
    return subprocess.Popen(line, cwd=ROOT)


async def sent_in(url: str, seconds: float) -> Counter[str]:
    """Return what clients sent a server in so long, by command; what scripts do inside it is not counted."""
    reader, writer = await asyncio.open_unix_connection(parse_address(url).path)
    writer.write(b"MONITOR\r\n")
    found: Counter[str] = Counter()
    assert await reader.readline() == b"+OK\r\n"
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while line := await reader.readline():
                # +1700000000.123456 [0 unix:/run/s] "EVALSHA" "…": of what a script does it says [0 lua].
                who, _, rest = line.partition(b"] ")
                if not who.endswith(b"lua"):
                    found[rest.split(b'"', 2)[1].decode().lower()] += 1
    writer.close()
    await writer.wait_closed()
    return found


def told_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def percentile(values: list[float], at: int) -> float:
    return quantiles(values, n=100)[at - 1]
