"""A TCP proxy before a server, which a test makes lose replies, swallow everything, or hang up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Proxy:
    """Listens on a free port of the loopback interface; `url` is where clients go.

    `drop_replies`: what the server answers is read and thrown away. `black_hole`: nothing passes in either
    direction, and the connections stay. `refuse`: new connections are closed at once.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._dropped = asyncio.Event()
        self._held = asyncio.Event()
        self.drop_replies = False
        self.refuse = False
        self.connections = 0
        self._came = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._open.set()
        self._server.close()
        self.reset()
        await asyncio.gather(*(_closed(writer) for writer in self._writers))

    @property
    def url(self) -> str:
        """Return the address of the proxy."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    @property
    def black_hole(self) -> bool:
        """Whether nothing passes."""
        return not self._open.is_set()

    @black_hole.setter
    def black_hole(self, on: bool) -> None:
        if on:
            self._open.clear()
            self._held.clear()
        else:
            self._open.set()

    async def connected(self, times: int) -> None:
        """Wait until clients have connected so many times."""
        async with self._came:
            await self._came.wait_for(lambda: self.connections >= times)

    async def reply_dropped(self) -> None:
        """Wait until a reply has been thrown away: the server has done what it was asked."""
        await self._dropped.wait()
        self._dropped.clear()

    async def swallowed(self) -> None:
        """Wait until something came that does not pass."""
        await self._held.wait()

    def reset(self) -> None:
        """Hang up on everybody."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._came:
            self.connections += 1
            self._came.notify_all()
        if self.refuse:
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_unix_connection(self._target.removeprefix("unix://"))
        self._writers |= {writer, to_server}
        await asyncio.gather(
            self._pass(reader, to_server, replies=False), self._pass(from_server, writer, replies=True)
        )
        self._writers -= {writer, to_server}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.black_hole:
                    self._held.set()
                await self._open.wait()
                if replies and self.drop_replies:
                    self._dropped.set()
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await writer.wait_closed()
