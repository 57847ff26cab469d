"""How long a server works, told apart from how long it was not let work.

A slow log tells how long a script took by the clock. On a machine that others share, most of what it finds slow are
moments at which a processor stood still. The CPU clock of the server's process does not count most of those, and what it
counts nevertheless a watch on each processor (`Stalls`) sees.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from jobs_core.connection import SingleClient, parse_address

if TYPE_CHECKING:
    from tests.support.stalls import Stalls

    from jobs_core.connection.protocol import Encodable, Reply
    from jobs_core.loader import Script
    from jobs_core.server import EmbeddedServer

LATE_MS = 10.0
# From here on the server is asked how long the script alone took: it also read its arguments and wrote its answer.
_ASK_MS = 2.0


def worked_ms(pid: int) -> float:
    """Return how long a process has kept processors busy, in ms, without what other machines took from this one."""
    # What clock_getcpuclockid(3) returns on Linux; Python has it for threads only.
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6


class Took(NamedTuple):
    """A call of a script, or of a command: from when until when, and for how many ms the server was at it."""

    script: str
    began: float
    ended: float
    ms: float


class Slowest(NamedTuple):
    """The script that the server worked on longest, in ms, of how many, and what the clock said of all of them."""

    ms: float
    script: str
    calls: int
    late: int
    latest_ms: float

    def __str__(self) -> str:
        late = f", by the clock {self.late} over {LATE_MS:.0f} ms, the longest {self.latest_ms:.0f}"
        return f"{self.ms:.1f} ms ({self.script}) of {self.calls} calls{late if self.late else ''}"


class Metered(SingleClient):
    """A client that sends one script at a time, and knows how long the server worked on each."""

    def __init__(self, server: EmbeddedServer, stalls: Stalls) -> None:
        """Prepare a client of a server that runs here; `connect` opens the connection."""
        super().__init__(parse_address(server.url))
        self._stalls = stalls
        self._pid = server.pid
        self._turn = asyncio.Lock()
        self._took: list[Took] = []
        self._late: list[float] = []
        self._newest = -1

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Encodable],
        *,
        deadline: float | None = None,
        queue: str = "",
    ) -> Reply:
        """Run a script once those before it are answered, and note how long the server worked on it."""
        sending = super().run(script, keys, args, deadline=deadline, queue=queue)
        return await self._metered(script.name, [b"EVALSHA", script.sha.encode()], sending)

    async def _metered(
        self, name: str, sent: list[bytes], sending: Coroutine[object, object, Reply]
    ) -> Reply:
        async with self._turn:
            before, began = worked_ms(self._pid), time.perf_counter()
            reply = await sending
            ms, ended = worked_ms(self._pid) - before, time.perf_counter()
            if (ended - began) * 1000 > _ASK_MS:
                by_clock = await self._by_clock(sent)
                ms = min(ms, by_clock)
                if by_clock >= LATE_MS:
                    self._late.append(by_clock)
            self._took.append(Took(name, began, ended, ms))
        return reply

    async def _by_clock(self, sent: list[bytes]) -> float:
        """Return how long what ran last took by the slow log, which holds what took over a ms."""
        entries = cast("list[list[object]]", await super().call("SLOWLOG", "GET", 8))
        told = [
            (cast("int", each[0]), cast("int", each[2]), cast("list[bytes]", each[3])[:2]) for each in entries
        ]
        # Others may have run theirs since.
        fresh = [took for number, took, command in told if number > self._newest and command == sent]
        self._newest = max([self._newest, *(number for number, _, _ in told)])
        return max(fresh, default=1000) / 1000

    def slowest(self) -> Slowest:
        """Return the slowest script since the last look."""
        seen = self._stalls.seen()
        worked = [
            (min(each.ms, (each.ended - each.began - seen.lost(each.began, each.ended)) * 1000), each.script)
            for each in self._took
        ]
        ms, script = max(worked, default=(0.0, ""))
        found = Slowest(ms, script, len(worked), len(self._late), max(self._late, default=0.0))
        self._took.clear()
        self._late.clear()
        return found


class MeteredCalls(Metered):
    """One that meters commands as well as scripts."""

    async def call(self, *args: Encodable, deadline: float | None = None) -> Reply:
        """Send a command once what came before it is answered, and note how long the server worked on it."""
        sent = [each if isinstance(each, bytes) else str(each).encode() for each in args[:2]]
        return await self._metered(str(args[0]), sent, super().call(*args, deadline=deadline))
