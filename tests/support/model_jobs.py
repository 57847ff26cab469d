"""Jobs of the model: what is known of one, who holds its unique key, and its dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.support.model_flows import Batch, Waits

DAY_MS = 86_400_000
OFFSETS_MS = {1: DAY_MS, 2: 1_800_000, 3: 0, 4: -600_000, 5: -7_200_000}
MAX_STALLED = 3
LIVE = ("waiting", "delayed", "unroutable", "blocked")
ENDED = ("completed", "failed", "cancelled", "expired")
# How long what was cancelled or expired is kept, unless the queue says otherwise.
KEPT_MS = 7 * DAY_MS

Conflict = Literal["skip", "replace", "keep_last", "extend", "error", "debounce"]


@dataclass
class Asked:
    """What a caller wants of one job: how it counts as unique, in ms."""

    key: str
    mode: Literal["s", "d", "t"] = "d"
    conflict: Conflict = "skip"
    ttl: int = 0
    max_wait: int = 0


@dataclass
class Job:
    """One job. `ready_us` is where its place among the waiting comes from, `again_ms` when it was ready last after its first delivery."""

    id: str
    payload: int
    state: str
    stamp_us: int
    priority: int = 3
    key: str = ""
    own: bool = False
    due_ms: int = 0
    wakes_ms: int = 0
    ready_us: int = 0
    again_ms: int = 0
    lasts_ms: int = 0
    expires_ms: int = 0
    asked: Asked | None = None
    waits: Waits | None = None
    attempts: int = 3
    backoff_ms: int = 0
    keep_done: int = 0
    keep_failed: int = -1
    result_ttl: int = 0
    made: int = 0
    crashes: int = 0
    releases: int = 0
    owner: str = ""
    fence: int = 0
    stopping: bool = False
    finished_ms: int = 0
    error: str = ""

    @property
    def place(self) -> tuple[int, str]:
        """Where it waits: as if it had come by its head start earlier."""
        return self.ready_us - OFFSETS_MS[self.priority] * 1000, self.id

    def ready_at(self) -> int:
        """When it was ready last."""
        if self.again_ms:
            return self.again_ms * 1000
        return self.due_ms * 1000 if self.due_ms else self.stamp_us


@dataclass
class Holder:
    """Who has a unique key, until when at the latest (0: no time), and who waits behind it."""

    id: str
    due_ms: int = 0
    behind: str = ""


@dataclass
class Letter:
    """A failure for good that may be replayed."""

    job: Job
    failed_ms: int
    followers: list[str | Batch]
