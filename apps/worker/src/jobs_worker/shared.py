"""Things that the jobs of one worker child share."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.scripts import Scripts

T = TypeVar("T")


class Shared:
    """Things that jobs of one worker child share (clients, pools): entered at first use, closed when the child ends."""

    def __init__(self, scripts: Scripts | None = None) -> None:
        """Begin with nothing; `scripts` are those of the child's own connection."""
        self.scripts = scripts
        self._stack = AsyncExitStack()
        self._made: dict[object, object] = {}
        self._locks: dict[object, asyncio.Lock] = {}

    async def get(self, factory: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return the one instance that the factory makes."""
        if factory not in self._made:
            lock = self._locks.setdefault(factory, asyncio.Lock())
            async with lock:
                if factory not in self._made:
                    self._made[factory] = await self._stack.enter_async_context(factory())
        return cast("T", self._made[factory])

    async def close(self) -> None:
        """Close all of them, the last one first."""
        self._made.clear()
        await self._stack.aclose()
