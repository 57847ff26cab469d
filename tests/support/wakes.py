"""Hears which owners are woken, in the order of the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.keys import inbox_channel, wake_channel

if TYPE_CHECKING:
    from tests.support.engine import Engine


class Wakes:
    """Subscribes on the client of an engine, whose replies come after what was published before them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._heard: list[str] = []

    async def listen(self, owner: str) -> None:
        """Hear the wake-ups of an owner."""
        self._engine.client.subscribe(
            wake_channel(self._engine.key, owner), lambda _: self._heard.append(owner)
        )
        await self._engine.client.call("PING")

    async def listen_inbox(self, inbox: str) -> None:
        """Hear what is told to an inbox."""
        channel = inbox_channel(self._engine.key, inbox)
        self._engine.client.subscribe(channel, lambda body: self._heard.append(f"{inbox}: {body.decode()}"))
        await self._engine.client.call("PING")

    async def heard(self) -> list[str]:
        """Return what was heard since the last time."""
        await self._engine.client.call("PING")
        heard, self._heard = self._heard, []
        return heard
