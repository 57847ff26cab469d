"""Enqueue many jobs in bulk, and print how much memory that took: python bulk_load.py URL NUMBER."""

import asyncio
import json
import resource
import sys
import time

from msgspec import Struct

from jobs_core.queue import Queue
from jobs_producer import Producer


class Note(Struct):
    """A payload."""

    text: str


NOTE = Queue("load").job("note", Note)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(url: str, number: int) -> None:
    """Warm up, then measure."""
    async with Producer(url, prefix=f"load-{number}") as producer:
        await producer.enqueue_many(NOTE, (Note("x" * 200) for _ in range(8_000)))
        before, began = _peak_mb(), time.perf_counter()
        summary = await producer.enqueue_many(NOTE, (Note("x" * 200) for _ in range(number)))
        seconds = time.perf_counter() - began
    found = {"created": summary.created, "grown_mb": _peak_mb() - before, "seconds": seconds}
    sys.stdout.write(json.dumps(found))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
