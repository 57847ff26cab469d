"""A flow of very many jobs: it is filled in constant memory, no script holds the server up, and its end follows the last job at once.

JOBS_SCALE multiplies the size (1: a million jobs). The figures are printed.
"""

import resource
import time

import pytest
from tests.chaos import test_scale
from tests.chaos.test_scale import SCALE, SLOWEST_MS, Scale, slowest, undisturbed
from tests.support.engine import Engine, group
from tests.support.flowing import Flowing
from tests.support.runtime import running

from jobs_core import Queue
from jobs_core.server import EmbeddedServer
from jobs_core.wire import EFFECTS, OWN_ID
from jobs_worker import JobContext, processor

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

server, stalls, engine, tell = test_scale.server, test_scale.stalls, test_scale.engine, test_scale.tell
MILLION = round(1_000_000 * SCALE)


async def test_no_script_of_a_flow_of_a_million_jobs_is_slow(engine: Engine, tell: Scale) -> None:
    flowing = Flowing(engine)
    await flowing.open()
    began = time.monotonic()
    for chunk in range(0, MILLION, 128):
        added = await flowing.fill(min(128, MILLION - chunk), chunk=str(chunk))
        await flowing.relay.relay("mail", ids=added.posted)
    filling = slowest(engine)
    tell(f"{MILLION} jobs added to a flow in {time.monotonic() - began:.1f} s, slowest {filling}")
    await flowing.close()
    began = time.monotonic()
    while jobs := (await flowing.kids.claim(128)).jobs:
        settled = await flowing.kids.settled(group("complete", *jobs, arg=OWN_ID | EFFECTS, info=b""))
        await flowing.relay.relay("kids", ids=settled.posted)
    ending = slowest(engine)
    told = await flowing.told()
    tell(f"  and ended in {time.monotonic() - began:.1f} s, slowest {ending}")
    assert (told.state, told.counts["c"]) == ("completed", MILLION)
    assert max(filling.ms, ending.ms) < SLOWEST_MS


async def test_the_reduce_of_a_million_maps_starts_at_once(
    server: EmbeddedServer, prefix: str, tell: Scale
) -> None:
    queue = Queue("many", concurrency=200)
    each = queue.job("each", payload=int)
    last = queue.job("last", payload=str, result=int)
    ended = started = 0.0

    @processor(each)
    async def count(payload: int, _: JobContext) -> None:
        nonlocal ended
        ended = time.monotonic()

    @processor(last)
    async def reduce(payload: str, ctx: JobContext) -> int:
        nonlocal started
        started = time.monotonic()
        done = 0
        async for outcome in ctx.children.stream():
            done += outcome.state == "completed"
        return done

    async with running(server.url, prefix, count, reduce) as place:
        with undisturbed(0):
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            job = await place.producer.flows.map_reduce(each, iter(range(MILLION)), last, "all")
            filled = time.monotonic() - began
            assert await job.result(1800) == MILLION
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    tell(
        f"{MILLION} maps sent in {filled:.1f} s by a process that grew by {grown >> 10} MiB and ran them too, over after "
        f"{ended - began:.1f} s; the reduce started {(started - ended) * 1000:.0f} ms after the last"
    )
    assert started - ended < 1
    assert grown < 100 << 10
