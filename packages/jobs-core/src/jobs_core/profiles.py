"""Weight classes of queues, each with its defaults, and where handlers run."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Executor: TypeAlias = Literal["auto", "async", "thread", "process"]
"""Where handlers run. `auto`: `async def` on the worker's loop, `def` in a thread."""

WEIGHT_CLASSES = ("light", "medium", "heavy")
EXECUTORS = ("auto", "async", "thread", "process")


class Profile(msgspec.Struct, frozen=True):
    """A weight class with its defaults; `WORKER_TYPE` selects queues by `name`. Durations are seconds."""

    name: str
    concurrency: int
    lock_duration: float
    stalled_interval: float
    executor: Executor


LIGHT = Profile("light", 50, 30.0, 30.0, "auto")
MEDIUM = Profile("medium", 10, 300.0, 30.0, "auto")
HEAVY = Profile("heavy", 1, 3600.0, 300.0, "process")
PLAIN = Profile("light", 1, 30.0, 30.0, "auto")
