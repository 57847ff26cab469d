"""A primary with a replica, and a sentinel that watches them, on free ports of the loopback interface."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, cast

import redis
from tests.support.cluster import HOST, Member, Peer
from tests.support.ports import free_port
from tests.support.waiting import wait_until

from jobs_core._server_process import ServerProcess
from jobs_core.server import EmbeddedServer, find_server_binary

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SERVICE = "main"
# Nobody is held for down who is only slow, unless a test says so.
_DOWN_AFTER_MS = 600_000
_SOON_MS = 500


class Watched:
    """Two servers, of which `primary` is the first one, and the sentinel."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self.servers: list[Member] = []
        self.sentinel = Peer(free_port())

    @property
    def url(self) -> str:
        """Return what to set REDIS_URL to."""
        return f"redis+sentinel://{HOST}:{self.sentinel.port}/{SERVICE}"

    def __enter__(self) -> Self:
        """Start all three, and wait until the sentinel knows both servers."""
        with ExitStack() as stack:
            for _ in range(2):
                options = {"repl-diskless-sync-delay": "0"}
                self.servers.append(Member(stack.enter_context(EmbeddedServer(port=0, options=options))))
            primary, replica = self.servers
            replica.ask("REPLICAOF", HOST, primary.port)
            wait_until(lambda: cast("list[object]", replica.ask("ROLE"))[3] == "connected")
            self._start_sentinel(stack)
            self.sentinel.ask("SENTINEL", "MONITOR", SERVICE, HOST, primary.port, 1)
            self.sentinel.ask("SENTINEL", "SET", SERVICE, "down-after-milliseconds", _DOWN_AFTER_MS)
            self.sentinel.ask("SENTINEL", "SET", SERVICE, "failover-timeout", 2000)
            wait_until(lambda: cast("list[object]", self.sentinel.ask("SENTINEL", "REPLICAS", SERVICE)))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_sentinel(self, stack: ExitStack) -> None:
        # A sentinel writes into its file what it learns.
        file = self._path / "sentinel.conf"
        file.write_text(f"port {self.sentinel.port}\nbind {HOST}\ndir {self._path}\n")
        with (self._path / "sentinel.log").open("wb") as log:
            process = ServerProcess([str(find_server_binary()), str(file), "--sentinel"], log.fileno(), None)
        stack.callback(process.end, signal.SIGTERM)
        wait_until(self._answers, what="the sentinel answers")

    def _answers(self) -> bool:
        try:
            return bool(self.sentinel.ask("PING"))
        except redis.ConnectionError:
            return False

    def notice(self) -> None:
        """From now on have the sentinel hold for down who is silent for half a second."""
        self.sentinel.ask("SENTINEL", "SET", SERVICE, "down-after-milliseconds", _SOON_MS)

    def knows(self, primary: Member) -> bool:
        """Tell whether the sentinel names this server as the primary."""
        named = cast("list[str]", self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE))
        return primary.role == "master" and int(named[1]) == primary.port

    def fail_over(self) -> None:
        """Have the sentinel make the replica the primary; the one before becomes its replica and goes on answering."""
        self.sentinel.ask("SENTINEL", "FAILOVER", SERVICE)
