"""The lease keeper of an embedded worker: a process that renews leases while the application's own loop may be blocked."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class KeeperConfig(msgspec.Struct, frozen=True):
    """The first line that a keeper reads."""

    redis_url: str
    prefix: str
    log_level: str
    log_format: str


class Lease(msgspec.Struct, frozen=True):
    """Renew the lease of this owner, or let it be."""

    queue: str
    owner: str
    alive: bool


class Stalled(msgspec.Struct, frozen=True):
    """What a keeper writes: these jobs wait again, for their worker died under them."""

    queue: str
    job_ids: list[str]


class Keeper:
    """A keeper process as the application sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Made by `start`."""
        self._process = process

    @classmethod
    async def start(cls, config: KeeperConfig) -> Self:
        """Spawn the keeper."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jobs_worker.keeper_main",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        keeper = cls(process)
        keeper._write(config)
        return keeper

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    def lease(self, queue: str, owner: str, *, alive: bool) -> None:
        """Have a lease renewed, or not any more."""
        self._write(Lease(queue, owner, alive))

    async def stop(self) -> None:
        """End the keeper."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5.0):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def wait(self, on_stalled: Callable[[str, list[str]], None]) -> int:
        """Wait until the process ends; `on_stalled(queue, ids)` is told of jobs whose worker died under them."""
        if self._process.stdout is not None:
            decode = msgspec.json.Decoder(Stalled).decode
            async for line in self._process.stdout:
                stalled = decode(line)
                on_stalled(stalled.queue, stalled.job_ids)
        return await self._process.wait()

    def _write(self, message: KeeperConfig | Lease) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(msgspec.json.encode(message) + b"\n")
