"""One connection to one server, made again whenever it is lost; it subscribes again, and notices a server that is silent."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import TYPE_CHECKING, cast

import hiredis

from jobs_core.connection.client import BACKOFF_CAP, BACKOFF_STEP, guarded
from jobs_core.connection.protocol import Disconnected, Encodable, Protocol
from jobs_core.connection.replies import greeting_error
from jobs_core.connection.tls import tls_context, tls_failure
from jobs_core.errors import ConfigurationError, JobsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobs_core.connection.address import Address

CONNECT_TIMEOUT = 5.0
# A server that speaks no TLS waits for more of what it takes for a command.
HANDSHAKE_TIMEOUT = 3.0
_CLOSE_TIMEOUT = 1.0
# A connection that ends sooner than this counts as another failure: whatever ended it may do so again.
_STEADY = 5.0
_log = logging.getLogger("jobs.connection")


class Node:
    """One connection to one server, made again whenever it is lost.

    `find`, where given, is asked for the address before each connection: then the server may be another each time, and
    one that is no primary is left again. A server that refuses this client at first ends the trying; one that did not, or
    any with `patient`, is tried again: its users or certificates are being changed. The callbacks are for the client:
    `on_connect` after each connection, `on_failure` when one was lost or could not be made, `on_moved(channel)` when the
    server hears for a channel no more.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        read_deadline: float,
        find: Callable[[], Awaitable[Address]] | None = None,
        patient: bool = False,
        on_connect: Callable[[], None] | None = None,
        on_failure: Callable[[], None] | None = None,
        on_moved: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare a connection; `start` makes it."""
        self.address = address
        self.facts: dict[str, str] = {}
        self.protocol: Protocol | None = None
        self.failure = "not connected yet"
        self.refusal: JobsError | None = None
        self.closing = False
        # Set while there is a connection, and for ever once there will be none: refused, or closed.
        self.ready = asyncio.Event()
        self._name = name
        self._read_deadline = read_deadline
        self._find = find
        self._patient = patient
        self._connected, self._failed, self._moved = on_connect, on_failure, on_moved
        self._keeper: asyncio.Task[None] | None = None
        self._channels: dict[bytes, Callable[[bytes], None]] = {}

    @property
    def display(self) -> str:
        """The address of the server, as it may be shown."""
        return self.address.display

    def start(self) -> None:
        """Connect, and stay connected until `close`."""
        if self._keeper is None and not self.closing:
            self._keeper = asyncio.create_task(self._keep(), name="jobs-connection")

    async def close(self) -> None:
        """Close the connection for good; what is owed fails."""
        self.closing = True
        self.failure = "the client is closed"
        self.ready.set()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.close()
            try:
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await protocol.lost.wait()
            except TimeoutError:
                protocol.abort("closed")

    def subscribe(self, channel: bytes, handler: Callable[[bytes], None]) -> None:
        """Hear what is published on a shard channel, now and after every reconnect."""
        self._channels[channel] = handler
        if self.protocol is not None:
            self.protocol.subscribe(channel, to=True)

    def unsubscribe(self, channel: bytes) -> None:
        """Hear no more of a shard channel."""
        if self._channels.pop(channel, None) is not None and self.protocol is not None:
            self.protocol.subscribe(channel, to=False)

    async def _keep(self) -> None:
        """Connect, watch, and connect again: after 50 ms, 100 ms, … at most 2 s, jittered, for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    protocol = await self._open()
                self._patient = True
                await self._watch(protocol)
            except (JobsError, OSError, ValueError, Disconnected, hiredis.HiredisError) as error:
                refusal = self._refusal_in(error)
                if refusal is not None and not self._patient:
                    # Whoever waits gets it: it does not heal by trying again.
                    self._refuse(refusal)
                    return
                named = "no answer" if isinstance(error, TimeoutError) else type(error).__name__
                failure = str(refusal or error) or named
                if refusal is not None and failure != self.failure:
                    _log.warning("no connection, and tried again: %s", failure)
                self.failure = failure
            except Exception as error:  # noqa: BLE001 - who waits for a connection would wait for ever without this loop
                _log.exception("the connection is made again after an error that nobody foresaw")
                if self.protocol is not None:
                    self.protocol.abort(str(error))
                self.failure = f"{type(error).__name__}: {error}"
            if loop.time() - began > CONNECT_TIMEOUT + _STEADY:
                failures = 0
            if self._failed is not None:
                self._failed()
            failures += 1
            wait = min(BACKOFF_STEP * failures, BACKOFF_CAP)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    def _refusal_in(self, error: Exception) -> JobsError | None:
        """Return what only people can mend; None for what passes."""
        if isinstance(error, JobsError):
            return error
        failed = tls_failure(self.address, error)
        if failed is None and isinstance(error, ValueError):
            return ConfigurationError(f"{self.address.display} is no address: {error}")
        return failed

    def _refuse(self, error: JobsError) -> None:
        self.refusal = error
        self.failure = str(error)
        self.ready.set()
        if self._failed is not None:
            self._failed()

    async def _open(self) -> Protocol:
        loop = asyncio.get_running_loop()

        def make() -> Protocol:
            return Protocol(loop, self._pushed, self._lost)

        if self._find is not None:
            self.address = await self._find()
        address = self.address
        if address.path:
            _, protocol = await loop.create_unix_connection(make, address.path)
        else:
            context = tls_context(address)
            patience = None if context is None else HANDSHAKE_TIMEOUT
            transport, protocol = await loop.create_connection(
                make, address.host, address.port, ssl=context, ssl_handshake_timeout=patience
            )
            _keep_alive(transport)
        try:
            await self._greet(protocol)
        except BaseException:
            protocol.abort("the greeting failed")
            raise
        if protocol.lost.is_set():
            raise Disconnected("the server closed the connection", sent=False)
        # In this order and without a pause: who waits finds the subscriptions sent before whatever he sends.
        for channel in self._channels:
            protocol.subscribe(channel, to=True)
        self.protocol = protocol
        self.ready.set()
        if self._connected is not None:
            self._connected()
        return protocol

    async def _greet(self, protocol: Protocol) -> None:
        address = self.address
        hello: tuple[Encodable, ...] = ("HELLO", 3)
        if address.password:
            hello = (*hello, "AUTH", address.username or "default", address.password)
        try:
            greeting = await protocol.call((*hello, "SETNAME", self._name))
        except Disconnected as error:
            if address.tls or address.path:
                raise
            # A server that listens for TLS hangs up on who speaks otherwise.
            raise Disconnected(f"{error} (if it wants TLS: rediss://)", sent=False) from error
        if isinstance(greeting, hiredis.ReplyError):
            raise greeting_error(str(greeting))
        if not isinstance(greeting, dict):
            raise Disconnected(f"{address.display} does not greet as Redis or Valkey does", sent=False)
        facts = cast("dict[bytes, bytes | int | list[bytes]]", greeting)
        self.facts = {key.decode(): each.decode() for key, each in facts.items() if isinstance(each, bytes)}
        if self._find is not None and self.facts.get("role") != "master":
            raise Disconnected(f"{address.display} is said to be the primary and is a replica", sent=False)
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

    def _lost(self, protocol: Protocol, reason: str) -> None:
        if protocol is self.protocol and not self.closing:
            self.failure = reason
            self.protocol = None
            self.ready.clear()

    def _pushed(self, kind: bytes, channel: bytes, body: bytes) -> None:
        if self._moved is not None and (
            kind == b"dropped" or (kind == b"refused" and body.startswith(b"MOVED "))
        ):
            self._channels.pop(channel, None)
            self._moved(channel.decode())
            return
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
            guarded(lambda: handler(body))


def _keep_alive(transport: asyncio.Transport) -> None:
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
