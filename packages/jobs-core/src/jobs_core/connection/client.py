"""A client that outlives its connections.

It reconnects, subscribes and loads scripts again, and knows what may be sent twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import TYPE_CHECKING, cast

import hiredis
import msgspec

from jobs_core.connection.protocol import Disconnected, Encodable, Protocol, Reply
from jobs_core.connection.replies import classify, greeting_error, to_error
from jobs_core.errors import ConfigurationError, ConnectionFailed, JobsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs_core.connection.address import Address
    from jobs_core.loader import Script

READ_DEADLINE = 10.0
CONNECT_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 1.0
_BACKOFF_STEP = 0.05
_BACKOFF_CAP = 2.0
# A connection that ends sooner than this counts as another failure: whatever ended it may do so again.
_STEADY = 5.0
_log = logging.getLogger("jobs.connection")


class OutcomeLost(Exception):
    """The call was sent, perhaps applied, and no reply came in time. Producers make OutcomeUnknown of it."""


class ConnectionInfo(msgspec.Struct, frozen=True):
    """Where a client is connected to; never with the password."""

    address: str
    db: int
    tls: bool
    connected: bool
    server: str
    version: str
    role: str


class Client:
    """One connection to one server, made again whenever it is lost."""

    def __init__(self, address: Address, *, name: str = "jobs", read_deadline: float = READ_DEADLINE) -> None:
        """Prepare a client; `connect` opens the connection."""
        self.address = address
        self._name = name
        self._read_deadline = read_deadline
        self._protocol: Protocol | None = None
        # Set while there is a connection, and for ever once there will be none: refused, or closed.
        self._ready = asyncio.Event()
        self._closing = False
        self._refusal: JobsError | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._channels: dict[bytes, Callable[[bytes], None]] = {}
        self._on_connect: list[Callable[[], None]] = []
        self._failure = "not connected yet"
        self._server: dict[str, str] = {}

    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect, and stay connected until `close`.

        Raises ConnectionFailed when there is no connection after `timeout` seconds (None: try for ever), or
        the error of a server that refuses this client.
        """
        if self._keeper is None and not self._closing:
            self._keeper = asyncio.create_task(self._keep(), name="jobs-connection")
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        await self._connected(deadline, sent=False)

    async def close(self) -> None:
        """Close the connection for good.

        Whoever waits for it gets ConnectionFailed, or OutcomeLost for what was sent.
        """
        self._closing = True
        self._failure = "the client is closed"
        self._ready.set()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.close()
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await protocol.lost.wait()
            except TimeoutError:
                protocol.abort("closed")

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._protocol is not None

    @property
    def failure(self) -> str:
        """Why there is no connection."""
        return self._failure

    def info(self) -> ConnectionInfo:
        """Describe the connection without secrets."""
        return ConnectionInfo(
            address=self.address.display,
            db=self.address.db,
            tls=self.address.tls,
            connected=self.is_connected,
            server=self._server.get("server", ""),
            version=self._server.get("version", ""),
            role=self._server.get("role", ""),
        )

    def on_connect(self, callback: Callable[[], None]) -> None:
        """Call back after each time a connection was made, the first one included."""
        self._on_connect.append(callback)

    def subscribe(self, channel: str, handler: Callable[[bytes], None]) -> None:
        """Hear what is published on a shard channel, now and after every reconnect."""
        raw = channel.encode()
        self._channels[raw] = handler
        if self._protocol is not None:
            self._protocol.subscribe(raw, to=True)

    def unsubscribe(self, channel: str) -> None:
        """Hear no more of a shard channel."""
        raw = channel.encode()
        if self._channels.pop(raw, None) is not None and self._protocol is not None:
            self._protocol.subscribe(raw, to=False)

    async def call(self, *args: Encodable, deadline: float | None = None) -> Reply:
        """Send a command that may be sent twice (a read) and return its reply.

        Raises ConnectionFailed past `deadline` (loop time), or the typed error of an error reply.
        """
        try:
            return await self._send(args, None, deadline)
        except OutcomeLost as error:
            raise ConnectionFailed(address=self.address.display, reason=str(error)) from None

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
        return await self._send(("EVALSHA", script.sha, len(keys), *keys, *args), script, deadline, queue)

    async def _send(
        self, args: tuple[Encodable, ...], script: Script | None, deadline: float | None, queue: str = ""
    ) -> Reply:
        loop = asyncio.get_running_loop()
        sent, pause = False, _BACKOFF_STEP
        while True:
            if deadline is not None and loop.time() >= deadline:
                raise self._given_up("there was no time left to send it", sent=sent)
            protocol = self._protocol or await self._connected(deadline, sent=sent)
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
                protocol.abort(text)
            elif kind == "refuse" and sent:
                # The first sending may have been applied before the server began to refuse.
                raise OutcomeLost(text)
            elif kind in ("refuse", "fatal"):
                raise to_error(text, queue=queue)
            await self._pause(pause, deadline, sent=sent, reason=text)
            pause = min(pause * 2, _BACKOFF_CAP)

    async def _exchange(
        self, protocol: Protocol, args: tuple[Encodable, ...], script: Script | None, deadline: float | None
    ) -> Reply:
        """Send a command and return its reply; a script that the server does not have is loaded first."""
        if deadline is None:
            reply = await protocol.call(args)
        else:
            async with asyncio.timeout_at(deadline):
                reply = await protocol.call(args)
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

    async def _connected(self, deadline: float | None, *, sent: bool) -> Protocol:
        """Wait for a connection.

        Raises ConnectionFailed, OutcomeLost if the call was sent before, or the refusal.
        """
        while self._protocol is None:
            if self._refusal is not None and not sent:
                raise self._refusal.with_traceback(None)
            if self._refusal is not None or self._closing:
                raise self._given_up(self._failure, sent=sent)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._ready.wait()
            except TimeoutError:
                raise self._given_up(self._failure, sent=sent) from None
        return self._protocol

    def _given_up(self, reason: str, *, sent: bool) -> Exception:
        return OutcomeLost(reason) if sent else ConnectionFailed(address=self.address.display, reason=reason)

    async def _keep(self) -> None:
        """Connect, watch, and connect again: after 50 ms, 100 ms, … at most 2 s, jittered, for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    protocol = await self._open()
            except JobsError as error:
                # A refusal does not heal by trying again: whoever waits gets it.
                self._refuse(error)
                return
            except ValueError as error:
                self._refuse(ConfigurationError(f"{self.address.display} is no address: {error}"))
                return
            except (OSError, TimeoutError, Disconnected, hiredis.HiredisError) as error:
                self._failure = str(error) or type(error).__name__
            else:
                began = loop.time()
                await self._watch(protocol)
                if loop.time() - began > _STEADY:
                    failures = 0
            failures += 1
            wait = min(_BACKOFF_STEP * failures, _BACKOFF_CAP)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    def _refuse(self, error: JobsError) -> None:
        self._refusal = error
        self._failure = str(error)
        self._ready.set()

    async def _open(self) -> Protocol:
        loop = asyncio.get_running_loop()

        def make() -> Protocol:
            return Protocol(loop, self._pushed, self._connection_lost)

        address = self.address
        if address.path:
            _, protocol = await loop.create_unix_connection(make, address.path)
        else:
            context = address.ssl_context()
            transport, protocol = await loop.create_connection(make, address.host, address.port, ssl=context)
            _keep_alive(transport)
        try:
            await self._greet(protocol)
        except BaseException:
            protocol.abort("the greeting failed")
            raise
        # In this order and without a pause: who waits finds the subscriptions sent before whatever he sends.
        for channel in self._channels:
            protocol.subscribe(channel, to=True)
        self._protocol = protocol
        self._ready.set()
        for callback in self._on_connect:
            self._guarded(callback)
        return protocol

    async def _greet(self, protocol: Protocol) -> None:
        address = self.address
        hello: tuple[Encodable, ...] = ("HELLO", 3)
        if address.password:
            hello = (*hello, "AUTH", address.username or "default", address.password)
        greeting = await protocol.call((*hello, "SETNAME", self._name))
        if isinstance(greeting, hiredis.ReplyError):
            raise greeting_error(str(greeting))
        facts = cast("dict[bytes, bytes | int | list[bytes]]", greeting)
        self._server = {key.decode(): each.decode() for key, each in facts.items() if isinstance(each, bytes)}
        if address.db:
            selected = await protocol.call(("SELECT", address.db))
            if isinstance(selected, hiredis.ReplyError):
                raise greeting_error(str(selected))

    async def _watch(self, protocol: Protocol) -> None:
        """Wait until the connection is lost; drop it when a reply is owed for longer than the read deadline.

        A connection on which nothing happens is asked for a sign of life, so that who only listens is not
        deaf.
        """
        loop = asyncio.get_running_loop()
        while not protocol.lost.is_set():
            try:
                async with asyncio.timeout(self._read_deadline / 4):
                    await protocol.lost.wait()
            except TimeoutError:
                oldest = protocol.oldest()
                if oldest is not None and loop.time() - oldest > self._read_deadline:
                    protocol.abort("no reply within the read deadline")
                elif oldest is None and loop.time() - protocol.heard > self._read_deadline / 2:
                    protocol.ping()

    def _connection_lost(self, protocol: Protocol, reason: str) -> None:
        if protocol is self._protocol and not self._closing:
            self._failure = reason
            self._protocol = None
            self._ready.clear()

    def _pushed(self, kind: bytes, channel: bytes, body: bytes) -> None:
        if kind == b"refused":
            # Wake-ups and messages then do not arrive, and what polls behind them does their work, later.
            text = body.decode(errors="replace").split(" ", 1)[0]
            _log.warning(
                "the server refused a subscription (%s): the ACL of this user needs its channels",
                text,
            )
            return
        handler = self._channels.get(channel)
        if handler is not None:
            self._guarded(lambda: handler(body))

    def _guarded(self, callback: Callable[[], None]) -> None:
        """Call what others gave us: what it raises is theirs and does not end the connection."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - see above
            context = {"message": "a callback of the connection failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


def _keep_alive(transport: asyncio.Transport) -> None:
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
