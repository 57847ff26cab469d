"""Keeps two callers of one connection out of step.

Answers that arrive together would make both callers finish together, send together and wait together, for
ever: the server and this process would work by turns instead of side by side. So what the first answer brings
is worked off first, and what comes of it at once is on its way to the server before the second keeps this
process busy.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Turn:
    """Lets one answer at a time be worked off, a few turns of the loop apart."""

    _STEPS = 6

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give turns on a loop."""
        self._loop = loop
        self._taken = False
        self._next: deque[Callable[[], None]] = deque()

    def take(self, start: Callable[[], None]) -> None:
        """Start now, or when the one before has had its turn."""
        if self._taken:
            self._next.append(start)
            return
        self._taken = True
        start()
        self._loop.call_soon(self._pass, self._STEPS)

    def _pass(self, steps: int) -> None:
        if steps:
            self._loop.call_soon(self._pass, steps - 1)
            return
        self._taken = False
        if self._next:
            self.take(self._next.popleft())
