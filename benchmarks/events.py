"""What telling costs: the server's CPU and commands a job with events and metrics, and without: `python benchmarks/events.py`.

Jobs are enqueued, claimed and settled through the scripts themselves, in batches of 1 and of 50, by one caller, so what is measured
is the server alone. Repetitions of all cells are interleaved and medians are told: a machine's speed drifts, ratios do not.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import statistics
from typing import TYPE_CHECKING, cast

from jobs_core.connection import Client, client_for, parse_address
from jobs_core.measures import measure_items
from jobs_core.scripts import Group, Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.told import Batch, pack_batches
from jobs_core.wire import Draft, RecordHead, pack_drafts

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable

JOBS = 500
REPEATS = 3
SWITCHES = {"all": "", "no events": "events", "no metrics": "metrics", "neither": "metrics,events"}
NAME = "bench@1"


async def one_round(client: Client, batch: int, off: str) -> tuple[float, float]:
    """Bring jobs from enqueue to their end; returns the server's CPU in us and its commands, both a job."""
    scripts, queue = Scripts(client, "bench"), secrets.token_hex(4)
    head = RecordHead(NAME)
    await scripts.declare(queue, definition="bench", off=off, fields={})
    before = await _meter(client)
    for number in range(JOBS // batch):
        ids = [f"{queue}{number:06}{index:04}" for index in range(batch)]
        drafts = [Draft(each, head.body(b"e" * 227), head.alike(0, 3)) for each in ids]
        await scripts.enqueue(queue, session="p", seq=number, jobs=pack_drafts(drafts))
        claim = await scripts.claim(
            queue, session="c", seq=number, owner="w", register=True, want=batch, free=100
        )
        items: list[Encodable] = [part for job in claim.jobs for part in (job.id, job.fence, 0, b"")]
        groups = [Group("complete", NAME, items, run_us=batch * 900, wait_us=batch * 400)]
        runs, waits = [900 + index for index in range(batch)], [400] * batch
        if "metrics" not in off:
            groups.append(Group("measure", NAME, measure_items(runs, waits)))
        ids, fences = [job.id for job in claim.jobs], [job.fence for job in claim.jobs]
        ended = Batch("completed", NAME, ids, [1] * batch, fences, fences, runs, waits)
        groups.append(Group("tell", "", [batch, pack_batches("w", [ended]), int("events" not in off), ""]))
        await scripts.settle(queue, session="s", seq=number, owner="w", groups=groups)
    after = await _meter(client)
    return (after[0] - before[0]) / JOBS, (after[1] - before[1]) / JOBS


async def _meter(client: Client) -> tuple[float, int]:
    text = cast("bytes", await client.call("INFO", "everything")).decode()
    script_us = sum(int(found) for found in re.findall(r"cmdstat_evalsha:calls=\d+,usec=(\d+)", text))
    calls = sum(int(found) for found in re.findall(r"cmdstat_(?!info)[^:]+:calls=(\d+)", text))
    return script_us, calls


async def main() -> None:
    """Measure and print a table."""
    cells: dict[tuple[int, str], list[tuple[float, float]]] = {}
    with EmbeddedServer() as server:
        client = client_for(parse_address(server.url))
        await client.connect(timeout=5)
        for _ in range(REPEATS):
            for batch in (1, 50):
                for name, off in SWITCHES.items():
                    cells.setdefault((batch, name), []).append(await one_round(client, batch, off))
                    await client.call("FLUSHALL")
        await client.close()
    print("batch  written      us/job  commands/job  to neither")
    for (batch, name), found in cells.items():
        us = statistics.median(each[0] for each in found)
        commands = statistics.median(each[1] for each in found)
        least = statistics.median(each[0] for each in cells[batch, "neither"])
        print(f"{batch:5}  {name:10}  {us:7.2f}  {commands:12.2f}  {us / least:10.2f}")


if __name__ == "__main__":
    asyncio.run(main())
