"""What traces cost: processor time of a job from its producer to its end, `python benchmarks/tracing.py`.

Three cells: `off` (nothing traces), `imported` (some library has imported OpenTelemetry, and no SDK is set up), and `on` (an SDK whose
exporter throws everything away). Producer and worker are the real ones, in one process for each repetition; repetitions of all cells
are interleaved, and each ratio is that of two runs next to each other. Beside it stands what the question alone costs that every
job asks, whether anything traces: that is all that there is where it is off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
import timeit

from jobs_core import Queue
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.tracing import telemetry
from jobs_producer import Producer
from jobs_worker import JobContext, processor
from jobs_worker.declared import declare
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.runtime import Runtime

CELLS = ("off", "imported", "on")
ASKED = 2
"""How often a job asks: where it is enqueued, and where it runs."""


def set_up(cell: str) -> None:
    """Let this process trace, or not."""
    if cell == "off":
        return
    from opentelemetry import trace  # noqa: PLC0415 - what is measured is also that it is not imported

    if cell == "on":
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
            BatchSpanProcessor,
            SpanExporter,
            SpanExportResult,
        )

        class Nowhere(SpanExporter):
            def export(self, spans: object) -> SpanExportResult:
                del spans
                return SpanExportResult.SUCCESS

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
        trace.set_tracer_provider(provider)


async def measure(url: str, jobs: int) -> dict[str, float]:
    """Enqueue jobs one by one and run them; returns us of this process's time a job, and us of the question."""
    queue = Queue("traced", concurrency=100)
    job = queue.job("noop", payload=int, result=int, result_ttl=0)
    done, ran = asyncio.Event(), 0

    @processor(job)
    async def noop(payload: int, _: JobContext) -> int:
        nonlocal ran
        ran += 1
        if ran == jobs:
            done.set()
        return payload

    client = client_for(parse_address(url))
    await client.connect(timeout=5)
    await client.call("FLUSHALL")
    scripts = Scripts(client, "bench")
    routes = build_routes(marks_of(noop), [queue], [])
    await declare(scripts, routes, "")
    runtime = Runtime(scripts, routes, on_owner=_unheard, concurrency=None, off="", hooks=[])
    async with Producer(url, prefix="bench") as producer:
        began = time.process_time()
        for at in range(0, jobs, 100):
            await asyncio.gather(
                *(producer.enqueue(job, number) for number in range(at, min(at + 100, jobs)))
            )
        await runtime.start()
        await done.wait()
        took = time.process_time() - began
        await runtime.drain(5)
        await runtime.close()
    await client.close()
    asked = min(timeit.repeat(telemetry, number=100_000, repeat=5)) / 100_000
    return {"job": took / jobs * 1e6, "asked": asked * 1e6}


def _unheard(queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - as the runtime calls it
    """Nobody asks who owns what here."""


def main() -> None:
    """Measure all cells in turns and print their medians and ratios."""
    parser = argparse.ArgumentParser(description="What traces cost a job.")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--cell", choices=CELLS, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.cell:
        set_up(given.cell)
        print(json.dumps(asyncio.run(measure(given.url, given.jobs))))
        return
    found: dict[str, list[dict[str, float]]] = {cell: [] for cell in CELLS}
    with EmbeddedServer() as server:
        for _ in range(given.repetitions):
            for cell in CELLS:
                line = [
                    sys.executable,
                    __file__,
                    "--cell",
                    cell,
                    "--url",
                    server.url,
                    "--jobs",
                    str(given.jobs),
                ]
                done = subprocess.run(line, capture_output=True, text=True, check=True)
                found[cell].append(json.loads(done.stdout.splitlines()[-1]))
    for cell in CELLS:
        job, asked = (statistics.median(each[key] for each in found[cell]) for key in ("job", "asked"))
        ratio = statistics.median(
            each["job"] / off["job"] for each, off in zip(found[cell], found["off"], strict=True)
        )
        share = "" if cell == "on" else f"; asking costs {ASKED * asked / job:.3%} of it"
        print(f"{cell:9} {job:7.1f} us a job, {ratio:.2f} of off{share}")


if __name__ == "__main__":
    main()
