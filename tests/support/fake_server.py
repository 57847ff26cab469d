"""A server that answers what a test says: for errors that a real one gives only in rare states."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, cast

import hiredis

if TYPE_CHECKING:
    from types import TracebackType

HANG_UP = b"hang up"
HELLO = b"%2\r\n$6\r\nserver\r\n$4\r\nfake\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n"


class FakeServer:
    """Greets every client and answers each further command with the next of `replies`, or hangs up.

    When they are used up, the last one is given for ever. `commands` are what was received after the
    greeting.
    """

    def __init__(self, *replies: bytes, hello: bytes = HELLO) -> None:
        self._replies = list(replies)
        self._hello = hello
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.commands: list[list[bytes]] = []
        self.greetings = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    @property
    def url(self) -> str:
        """Return the address of the server."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def say(self, data: bytes) -> None:
        """Send something that nobody asked for."""
        self._writers[-1].write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := cast("list[bytes] | bool", parser.gets())) is not False:
                assert isinstance(command, list)
                if command[0] == b"HELLO":
                    self.greetings += 1
                    writer.write(self._hello)
                    continue
                self.commands.append(command)
                reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                if reply == HANG_UP:
                    writer.transport.abort()
                    return
                writer.write(reply)
