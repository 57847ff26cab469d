"""What is known of a delivery when its handler begins."""

from __future__ import annotations

import msgspec

from jobs_core.options import MetaValue


class JobFacts(msgspec.Struct, array_like=True, frozen=True):
    """Times in ms of the server's clock; `scheduled_ms` 0: the job was to run as soon as it was there.

    `schedule_id` "": no schedule sent it.
    """

    job_id: str
    queue: str
    name: str
    attempt: int
    attempts: int
    fence: int
    metadata: dict[str, MetaValue]
    tags: tuple[str, ...]
    created_at_ms: float
    scheduled_ms: float
    deadline_ms: int = 0
    schedule_id: str = ""
