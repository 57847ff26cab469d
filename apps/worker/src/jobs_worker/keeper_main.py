"""The program of a lease keeper: renews what it is told to on standard input, and ends when that closes.

Then the application is gone, and what it ran is given back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

import msgspec

from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.wire import Others
from jobs_worker import logs, loops
from jobs_worker.keeper import KeeperConfig, Lease, Stalled
from jobs_worker.leases import LeaseKeeper

_LEASE = 20.0


async def _keep() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = msgspec.json.decode(await reader.readline(), type=KeeperConfig)
    logs.configure(config.log_level, config.log_format)
    client = client_for(parse_address(config.redis_url), name=f"jobs:keeper:{os.getpid()}")
    await client.connect()
    # The application finds out by its next call that an owner is gone; the keeper only stops renewing.
    leases = LeaseKeeper(Scripts(client, config.prefix), lambda _queue, _owner: None, _tell)
    beating = loops.spawn("leases", leases.run)
    decode = msgspec.json.Decoder(Lease).decode
    try:
        while line := await reader.readline():
            lease = decode(line)
            if lease.alive:
                leases.add(lease.queue, lease.owner)
            else:
                leases.remove(lease.queue, lease.owner)
        # Leases that nobody renews are over by then, also where the server does not answer.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEASE):
                for queue, owner in leases.owners():
                    await leases.release(queue, owner, others=Others.CHARGED)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await client.close()


def _tell(queue: str, job_ids: list[str]) -> None:
    try:
        os.write(1, msgspec.json.encode(Stalled(queue, job_ids)) + b"\n")
    except BrokenPipeError:
        # The application is gone; nobody is left to hear of it.
        return


def main() -> None:
    """Run a keeper."""
    # The application decides when it ends, and the keeper after it, not the Ctrl-C that the terminal sends to both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_keep())


if __name__ == "__main__":
    main()
