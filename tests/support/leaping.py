"""Time that passes at once: a deadline may be as far away as a busy machine needs, and its end is not waited for."""

from __future__ import annotations

import asyncio


def leap(seconds: float, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Put the clock of an event loop (the running one) ahead for good: what is due by then is due now."""
    loop = loop or asyncio.get_running_loop()
    time = loop.time
    loop.time = lambda: time() + seconds
    # Another thread's may be asleep until what was due next.
    loop.call_soon_threadsafe(lambda: None)
