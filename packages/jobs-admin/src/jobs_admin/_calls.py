"""Round trips that end in time, and the few reads that need no script."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

from jobs_admin.errors import Unanswered
from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed, JobsError
from jobs_core.outbox import Relay

if TYPE_CHECKING:
    from jobs_core.scripts import Scripts, Tally

T = TypeVar("T")


class Calls:
    """The scripts of one client, each call bounded by `timeout` seconds."""

    def __init__(self, scripts: Scripts, timeout: float) -> None:
        """Bind to the scripts of a client."""
        self.scripts = scripts
        self.client = scripts.client
        self.timeout = timeout
        self._relay = Relay(scripts)

    async def read(self, call: Coroutine[object, object, T]) -> T:
        """Await what changes nothing. Raises ConnectionFailed."""
        try:
            async with asyncio.timeout(self.timeout):
                return await call
        except TimeoutError:
            client = self.client
            reason = f"no answer within {self.timeout:g} s" if client.is_connected else client.failure
            raise ConnectionFailed(client.address.display, reason) from None

    async def read_all(self, calls: Sequence[Coroutine[object, object, T]]) -> list[T]:
        """Await several reads that travel together. Raises ConnectionFailed."""
        return await self.read(_gather(calls))

    async def change(self, call: Coroutine[object, object, T]) -> T:
        """Await what changes something. Raises Unanswered."""
        try:
            async with asyncio.timeout(self.timeout):
                return await call
        except (TimeoutError, OutcomeLost):
            raise Unanswered(self.client.address.display, self.timeout) from None

    async def relay(self, queue: str, ids: Sequence[int] = ()) -> None:
        """Carry on what a change left in a queue's outbox, all or these entries; where that fails a worker of the queue does."""
        with suppress(TimeoutError, OutcomeLost, JobsError):
            async with asyncio.timeout(self.timeout):
                await self._relay.relay(queue, ids=ids)
                await self._relay.confirm()

    async def tally(self, queue: str) -> Tally:
        """Count a queue. Raises ConnectionFailed."""
        return (await self.read(self.scripts.tally([queue])))[queue]

    async def exists(self, queue: str) -> bool:
        """Tell whether anybody ever used a queue."""
        return await self.read(self.client.call("EXISTS", self.scripts.key(queue) + "meta")) == 1

    async def server_ms(self) -> int:
        """Return the server's time in Unix ms."""
        seconds, micros = cast("list[bytes]", await self.read(self.client.call("TIME")))
        return int(seconds) * 1000 + int(micros) // 1000

    async def count(self, queue: str, home: str, until_ms: int) -> int:
        """Count the jobs of a final home that ended until an instant."""
        key = self.scripts.key(queue) + home
        return cast("int", await self.read(self.client.call("ZCOUNT", key, "-inf", until_ms)))

    async def oldest(self, queue: str, home: str, until_ms: int, limit: int) -> list[str]:
        """Return ids of the jobs of a final home that ended first, until an instant."""
        key = self.scripts.key(queue) + home
        call = self.client.call("ZRANGEBYSCORE", key, "-inf", until_ms, "LIMIT", 0, limit)
        return [each.decode() for each in cast("list[bytes]", await self.read(call))]

    async def place(self, queue: str, job_id: str) -> int | None:
        """Return how many jobs go before a waiting one; None when it does not wait."""
        key = self.scripts.key(queue) + "waiting"
        return cast("int | None", await self.read(self.client.call("ZRANK", key, job_id)))

    async def holds(self, queue: str, owner: str, job_id: str) -> bool:
        """Tell whether a worker child runs a job."""
        key = f"{self.scripts.key(queue)}active:{owner}"
        return await self.read(self.client.call("ZSCORE", key, job_id)) is not None


async def _gather(calls: Sequence[Coroutine[object, object, T]]) -> list[T]:
    return list(await asyncio.gather(*calls))
