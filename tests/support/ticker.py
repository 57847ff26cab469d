"""A process that ticks the schedules of a queue over and over, and nothing else: `python -m tests.support.ticker URL PREFIX QUEUE`."""

import asyncio
import sys

from jobs_core.codecs import Codecs
from jobs_core.connection import client_for, parse_address
from jobs_core.schedules.ticks import Ticker
from jobs_core.scripts import Scripts


async def main(url: str, prefix: str, queue: str) -> None:
    """Tick until killed."""
    client = client_for(parse_address(url))
    await client.connect(timeout=10)
    ticker = Ticker(Scripts(client, prefix), queue, Codecs())
    while True:
        await ticker.run()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
