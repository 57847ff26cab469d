"""A client of one server, or of whichever server Sentinel names as the primary."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobs_core.connection.client import READ_DEADLINE, Client
from jobs_core.connection.node import Node

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from jobs_core.connection.address import Address
    from jobs_core.connection.protocol import Encodable, Protocol


class SingleClient(Client):
    """One connection to one server, made again whenever it is lost."""

    def __init__(
        self,
        address: Address,
        *,
        name: str = "jobs",
        read_deadline: float = READ_DEADLINE,
        find: Callable[[], Awaitable[Address]] | None = None,
    ) -> None:
        """Prepare a client; `connect` opens the connection. `find` is asked which server it is, before each connection."""
        super().__init__(address)
        self._node = Node(
            address, name=name, read_deadline=read_deadline, find=find, on_connect=self._connected
        )

    async def connect(self, *, timeout: float | None = None) -> None:
        """Connect, and stay connected until `close`. Raises as the base says."""
        self._node.start()
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        await self._wait_at(None, deadline, sent=False)

    async def close(self) -> None:
        """Close the connection for good."""
        await self._node.close()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._node.protocol is not None

    @property
    def failure(self) -> str:
        """Why there is no connection."""
        return self._node.failure

    def nodes(self) -> list[Node]:
        """Return the one connection."""
        return [self._node]

    def subscribe(self, channel: str, handler: Callable[[bytes], None]) -> None:
        """Hear what is published on a shard channel, now and after every reconnect."""
        self._node.subscribe(channel.encode(), handler)

    def unsubscribe(self, channel: str) -> None:
        """Hear no more of a shard channel."""
        self._node.unsubscribe(channel.encode())

    def together(self, keys: Sequence[Encodable]) -> list[list[int]]:
        """Say that one call may name all keys."""
        return [list(range(len(keys)))]

    def _at(self, where: Node | Encodable | None) -> Protocol | None:  # noqa: ARG002 - there is one place for all
        return self._node.protocol

    async def _wait_at(
        self,
        where: Node | Encodable | None,  # noqa: ARG002 - as above
        deadline: float | None,
        *,
        sent: bool,
    ) -> Protocol:
        node = self._node
        while node.protocol is None:
            if node.refusal is not None and not sent:
                raise node.refusal.with_traceback(None)
            if node.refusal is not None or node.closing:
                raise self._given_up(node.failure, sent=sent)
            try:
                async with asyncio.timeout_at(deadline):
                    await node.ready.wait()
            except TimeoutError:
                raise self._given_up(node.failure, sent=sent) from None
        return node.protocol

    def _elsewhere(self, protocol: Protocol, text: str) -> None:
        protocol.abort(text)
