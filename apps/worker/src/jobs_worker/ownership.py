"""Under which name a lane claims: a new one whenever the server holds the last one for dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.keys import wake_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.scripts import Scripts


class Ownership:
    """The owner of one lane's jobs. `registered`: the server knows it, so its lease is renewed."""

    def __init__(
        self,
        scripts: Scripts,
        queue: str,
        child: str,
        *,
        on_owner: Callable[[str, str, bool], None],
        on_message: Callable[[bytes], None],
    ) -> None:
        """`on_owner(queue, owner, alive)` hears which lease is to be renewed, `on_message` what is told to the owner."""
        self.name = ""
        self.registered = False
        self._scripts = scripts
        self._queue = queue
        self._child = child
        self._on_owner = on_owner
        self._on_message = on_message
        self._incarnation = 0

    def renew(self) -> None:
        """Take a new name, which the server does not know yet."""
        client = self._scripts.client
        if self.name:
            client.unsubscribe(self._channel)
        self._incarnation += 1
        self.registered = False
        self.name = f"{self._child}.{self._incarnation}"
        client.subscribe(self._channel, self._on_message)

    def register(self) -> None:
        """Take note that the server knows the name."""
        self.registered = True
        self._on_owner(self._queue, self.name, True)  # noqa: FBT003 - (queue, owner, alive)

    def lose(self) -> None:
        """Take note that the server holds it for dead, and take a new name."""
        self._on_owner(self._queue, self.name, False)  # noqa: FBT003 - as above
        self.renew()

    async def release(self) -> None:
        """End it; what it still held waits again, uncharged."""
        self._scripts.client.unsubscribe(self._channel)
        if self.registered:
            left = 1
            while left:
                left = (await self._scripts.release(self._queue, owner=self.name)).left
            self._on_owner(self._queue, self.name, False)  # noqa: FBT003 - as above
            self.registered = False

    @property
    def _channel(self) -> str:
        return wake_channel(self._scripts.key(self._queue), self.name)
