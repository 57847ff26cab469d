"""What talks to the server for everybody else: it sends calls, knows what may be sent twice, and outlives connections.

There are two kinds: a client of one server, also one that Sentinel names, and a client of a cluster, which sends each call
to the node that has its keys. `client_for` takes the one that an address asks for.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

import hiredis
import msgspec

from jobs_core.connection.protocol import Disconnected, Encodable, Protocol, Reply
from jobs_core.connection.replies import classify, to_error
from jobs_core.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from jobs_core.connection.address import Address
    from jobs_core.connection.node import Node
    from jobs_core.loader import Script

READ_DEADLINE = 10.0
BACKOFF_STEP = 0.05
BACKOFF_CAP = 2.0
_SCAN_STEP = 500


class OutcomeLost(Exception):
    """The call was sent, perhaps applied, and no reply came in time. Producers make OutcomeUnknown of it."""


class ConnectionInfo(msgspec.Struct, frozen=True):
    """Where a client is connected to; never with the password.

    `nodes` are the servers themselves: of a cluster its primaries, of Sentinel the primary that it named last.
    """

    address: str
    db: int
    tls: bool
    connected: bool
    server: str
    version: str
    role: str
    nodes: tuple[str, ...] = ()


class Client(ABC):
    """Sends commands and scripts, again where that does no harm, over connections that come and go."""

    def __init__(self, address: Address) -> None:
        """Prepare a client; `connect` opens the connection."""
        self.address = address
        self._on_connect: list[Callable[[], None]] = []

    @abstractmethod
    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect, and stay connected until `close`.

        Raises ConnectionFailed when there is no connection after `timeout` seconds (None: try for ever), or
        the error of a server that refuses this client.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection for good.

        Whoever waits for it gets ConnectionFailed, or OutcomeLost for what was sent.
        """

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether there is a connection right now; of a cluster, one to each primary."""

    @property
    @abstractmethod
    def failure(self) -> str:
        """Why there is no connection."""

    @abstractmethod
    def nodes(self) -> list[Node]:
        """Return the connections: one, or one for each primary of a cluster."""

    @abstractmethod
    def subscribe(self, channel: str, handler: Callable[[bytes], None]) -> None:
        """Hear what is published on a shard channel, now and after every reconnect."""

    @abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """Hear no more of a shard channel."""

    @abstractmethod
    def together(self, keys: Sequence[Encodable]) -> list[list[int]]:
        """Say which keys one call may name: positions in `keys`, a list for each call that it takes."""

    @abstractmethod
    def _at(self, where: Node | Encodable | None) -> Protocol | None:
        """Return the connection for a key (or to a node, or for what has no key), None while there is none."""

    @abstractmethod
    async def _wait_at(
        self, where: Node | Encodable | None, deadline: float | None, *, sent: bool
    ) -> Protocol:
        """Wait for the connection that `_at` returns.

        Raises ConnectionFailed, OutcomeLost if the call was sent before, or the refusal.
        """

    @abstractmethod
    def _elsewhere(self, protocol: Protocol, text: str) -> None:
        """Take note of a server that says it does not serve this any more, and look for the one that does."""

    def info(self) -> ConnectionInfo:
        """Describe the connection without secrets."""
        nodes = self.nodes()
        facts = nodes[0].facts if nodes else {}
        return ConnectionInfo(
            address=self.address.display,
            db=self.address.db,
            tls=self.address.tls,
            connected=self.is_connected,
            server=facts.get("server", ""),
            version=facts.get("version", ""),
            role=facts.get("role", ""),
            nodes=tuple(node.display for node in nodes),
        )

    def on_connect(self, callback: Callable[[], None]) -> None:
        """Call back after each time a connection was made, the first one included."""
        self._on_connect.append(callback)

    async def call(self, *args: Encodable, deadline: float | None = None) -> Reply:
        """Send a command that may be sent twice (a read) and return its reply.

        Raises ConnectionFailed past `deadline` (loop time), or the typed error of an error reply.
        """
        try:
            return await self._send(_key_of(args), args, None, deadline)
        except OutcomeLost as error:
            raise ConnectionFailed(address=self.address.display, reason=str(error)) from None

    async def call_each(self, *args: Encodable, deadline: float | None = None) -> dict[str, Reply]:
        """Send such a command to each node, of a cluster to each primary that is there; return the replies by address. Raises as `call`."""
        return await self._ask_each(args, deadline)

    async def scan(self, pattern: str, *, deadline: float | None = None) -> AsyncIterator[list[bytes]]:
        """Yield the keys that match a pattern, some at a time, of all nodes; one may come twice. Raises as `call`."""
        for node in self.nodes():
            cursor = b"0"
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_STEP)
                reply = await self._ask(node, command, deadline)
                cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
                yield keys
                if cursor == b"0":
                    break

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Encodable],
        *,
        deadline: float | None = None,
        queue: str = "",
    ) -> Reply:
        """Run a script; after a lost connection it is sent again as it was, so it must apply once.

        Raises ConnectionFailed when it was never sent before `deadline` (loop time; None: for ever),
        OutcomeLost when it may have been applied, or the typed error of an error reply.
        """
        command = ("EVALSHA", script.sha, len(keys), *keys, *args)
        return await self._send(keys[0], command, script, deadline, queue)

    async def run_each(
        self, script: Script, args: Sequence[Encodable], *, deadline: float | None = None
    ) -> dict[str, Reply]:
        """Run a script without keys that changes nothing on each such node; return the replies by address. Raises as `call`."""
        command = ("EVALSHA", script.sha, 0, *args)
        return await self._ask_each(command, deadline, script)

    async def _ask_each(
        self, args: tuple[Encodable, ...], deadline: float | None, script: Script | None = None
    ) -> dict[str, Reply]:
        """Ask the nodes that there is a connection to, all where there is none to any."""
        nodes = [node for node in self.nodes() if node.protocol is not None] or self.nodes()
        replies = await asyncio.gather(*(self._ask(node, args, deadline, script) for node in nodes))
        return {node.display: reply for node, reply in zip(nodes, replies, strict=True)}

    async def _ask(
        self, node: Node, args: tuple[Encodable, ...], deadline: float | None, script: Script | None = None
    ) -> Reply:
        try:
            return await self._send(node, args, script, deadline)
        except OutcomeLost as error:
            raise ConnectionFailed(address=self.address.display, reason=str(error)) from None

    async def _send(
        self,
        where: Node | Encodable | None,
        args: tuple[Encodable, ...],
        script: Script | None,
        deadline: float | None,
        queue: str = "",
    ) -> Reply:
        loop = asyncio.get_running_loop()
        sent, pause = False, BACKOFF_STEP
        while True:
            if deadline is not None and loop.time() >= deadline:
                raise self._given_up("there was no time left to send it", sent=sent)
            protocol = self._at(where) or await self._wait_at(where, deadline, sent=sent)
            try:
                reply = await self._exchange(protocol, args, script, deadline)
            except Disconnected as error:
                sent = sent or error.sent
                continue
            except TimeoutError:
                # The connection stays: it belongs to others too. The reply is dropped when it comes, and a
                # server that answers nobody is noticed by the read deadline.
                raise OutcomeLost("no reply in time") from None
            if not isinstance(reply, hiredis.ReplyError):
                return reply
            text = str(reply)
            kind = classify(text)
            if kind == "rediscover":
                self._elsewhere(protocol, text)
            elif kind == "refuse" and sent:
                # The first sending may have been applied before the server began to refuse.
                raise OutcomeLost(text)
            elif kind in ("refuse", "fatal"):
                raise to_error(text, queue=queue)
            await self._pause(pause, deadline, sent=sent, reason=text)
            pause = min(pause * 2, BACKOFF_CAP)

    async def _exchange(
        self, protocol: Protocol, args: tuple[Encodable, ...], script: Script | None, deadline: float | None
    ) -> Reply:
        """Send a command and return its reply; a script that the server does not have is loaded first."""
        if deadline is None:
            reply = await protocol.call(args)
        else:
            answer = protocol.call(args)
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await answer
            except TimeoutError:
                if answer.cancelled():
                    raise
                # A loop that stood still meets the answer and the end of the time in one turn.
                reply = answer.result()
        if script is None or not isinstance(reply, hiredis.ReplyError) or classify(str(reply)) != "reload":
            return reply
        loaded = await self._exchange(protocol, ("SCRIPT", "LOAD", script.text), None, deadline)
        if isinstance(loaded, hiredis.ReplyError):
            return loaded
        return await self._exchange(protocol, args, None, deadline)

    async def _pause(self, seconds: float, deadline: float | None, *, sent: bool, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if deadline is not None and now + seconds > deadline:
            raise self._given_up(reason, sent=sent)
        await asyncio.sleep(seconds)

    def _given_up(self, reason: str, *, sent: bool) -> Exception:
        return OutcomeLost(reason) if sent else ConnectionFailed(address=self.address.display, reason=reason)

    def _connected(self) -> None:
        for callback in self._on_connect:
            guarded(callback)


def guarded(callback: Callable[[], None]) -> None:
    """Call what others gave us: what it raises is theirs and does not end the connection."""
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - see above
        context = {"message": "a callback of the connection failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


# Commands that name no key, and those that any node answers as well as another.
_KEYLESS = frozenset(
    {"PING", "TIME", "INFO", "CONFIG", "SLOWLOG", "CLUSTER", "SCRIPT", "CLIENT", "FLUSHALL", "FLUSHDB"}
)


def _key_of(args: tuple[Encodable, ...]) -> Encodable | None:
    """Return the key that says which node has what a command is about."""
    if args[0] in _KEYLESS:
        return None
    return args[args.index("STREAMS") + 1] if args[0] == "XREAD" else args[1]
