"""One RESP3 connection: many callers, one write for all commands of a loop turn, replies in order, pushes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import hiredis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Reply = None | int | float | bool | bytes | str | list["Reply"] | dict["Reply", "Reply"] | hiredis.ReplyError
Encodable = bytes | str | int | float

# hiredis declares a tuple of exactly one argument; it takes any number.
_pack = cast(
    "Callable[[tuple[Encodable, ...]], bytes]",
    hiredis.pack_command,  # pyright: ignore[reportUnknownMemberType]
)


class Disconnected(Exception):
    """The connection ended before the reply came; `sent` tells whether the server may have the command."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Protocol(asyncio.Protocol):
    """The wire protocol over one transport; a lost connection fails every reply that is still owed.

    `on_push(kind, channel, body)` hears what is published, with the kind b"refused" why a subscription failed, and
    with b"dropped" that the server ended one; `on_lost(protocol, reason)` is called once, when the connection has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_push: Callable[[bytes, bytes, bytes], None],
        on_lost: Callable[[Protocol, str], None],
    ) -> None:
        self._loop = loop
        self._on_push = on_push
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        # What is owed, oldest first: a reply to a caller, or the push (or the error) that answers a
        # subscription.
        self._owed: deque[tuple[asyncio.Future[Reply] | bytes, float]] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self.lost = asyncio.Event()
        self.heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the caller that it belongs to."""
        self.heard = self._loop.time()
        reader = self._reader
        reader.feed(data)
        try:
            while not self.lost.is_set():
                reply = cast("Reply", reader.gets())
                # RESP3 booleans never come from our scripts or commands, so False means: more bytes are
                # needed.
                if reply is False:
                    return
                if isinstance(reply, hiredis.PushNotification):
                    self._pushed(cast("list[bytes]", reply))
                    continue
                waiting, _ = self._owed.popleft()
                if isinstance(waiting, bytes):
                    self._on_push(b"refused", waiting, str(reply).encode())
                elif not waiting.done():
                    waiting.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.abort(f"the server sent what is no RESP3 reply: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every call whose reply did not come."""
        if self.lost.is_set():
            return
        self._closed = True
        self.lost.set()
        reason = str(exc or "the server closed the connection")
        owed, self._owed = self._owed, deque()
        for waiting, _ in owed:
            if not isinstance(waiting, bytes) and not waiting.done():
                lost = Disconnected(reason, sent=True)
                lost.__cause__ = exc
                waiting.set_exception(lost)
        self._on_lost(self, reason)

    def call(self, args: tuple[Encodable, ...]) -> asyncio.Future[Reply]:
        """Send a command with the others of this turn of the loop; the future gives the reply, also an error.

        A caller that no longer wants it may cancel the future: the reply is dropped when it comes.
        Raises Disconnected at once where the connection is closed.
        """
        if self._closed:
            raise Disconnected("not connected", sent=False)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._owed.append((future, self._loop.time()))
        self._write(args)
        return future

    def ping(self) -> None:
        """Make the server owe a reply, so that a dead connection is noticed; does nothing on a closed one."""
        if not self._closed:
            self.call(("PING",)).add_done_callback(_ignore)

    def subscribe(self, channel: bytes, *, to: bool) -> None:
        """Subscribe to a shard channel, or unsubscribe from it; does nothing on a closed connection."""
        if not self._closed:
            self._owed.append((channel, self._loop.time()))
            self._write(("SSUBSCRIBE" if to else "SUNSUBSCRIBE", channel))

    def oldest(self) -> float | None:
        """Return when the command was sent whose reply has been owed longest, in loop time."""
        return self._owed[0][1] if self._owed else None

    def abort(self, reason: str) -> None:
        """Drop the connection now; what is owed fails with an unknown outcome."""
        if self._transport is not None:
            self._transport.abort()
        self.connection_lost(ConnectionAbortedError(reason))

    def close(self) -> None:
        """Close after what was written has left; what is owed then fails."""
        self._flush()
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def _pushed(self, message: Sequence[bytes]) -> None:
        kind, channel = message[0], message[1]
        if kind in (b"ssubscribe", b"sunsubscribe"):
            if self._owed and self._owed[0][0] == channel:
                self._owed.popleft()
            elif kind == b"sunsubscribe":
                # Nobody asked for it: the slot of the channel went to another node.
                self._on_push(b"dropped", channel, b"")
        elif kind == b"smessage":
            self._on_push(kind, channel, message[2])

    def _write(self, args: tuple[Encodable, ...]) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(_pack(args))

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None and not self._closed:
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])


def _ignore(future: asyncio.Future[Reply]) -> None:
    if not future.cancelled():
        future.exception()
