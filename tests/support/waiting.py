"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")

STEP = 0.01
# Far beyond what anything takes: a worker that starts beside many other programs has been seen to take 20 s.
WITHIN = 100.0


async def until(condition: Callable[[], T | Awaitable[T]], *, within: float = WITHIN, what: str = "") -> T:
    """Return the first true answer of a condition. Raises AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        found = await cast("Awaitable[T]", answer) if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_said(what, condition, within))
        await asyncio.sleep(STEP)


def wait_until(condition: Callable[[], T], *, within: float = WITHIN, what: str = "") -> T:
    """Do the same without an event loop."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_said(what, condition, within))
        time.sleep(STEP)
    return found


def _said(what: str, condition: Callable[[], object], within: float) -> str:
    return f"not within {within:g} s: {what or inspect.getsource(condition).strip()}"
