"""Declare the queue of what failed for good."""

from datetime import timedelta

from msgspec import UNSET, Raw, Struct, UnsetType

from jobs_core.options import Keep, MetaValue
from jobs_core.queue import LIGHT, Queue

_KEPT = Keep(count=10_000, age=timedelta(days=30))

DEAD_LETTERS = Queue(
    "dead-letter",
    profile=LIGHT,
    concurrency=1,
    dead_letter=False,
    default_job_options={"remove_on_complete": _KEPT, "remove_on_fail": _KEPT},
)


class DeadAttempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of a job that failed. Times in Unix ms, durations in ms."""

    attempt: int
    started_at_ms: int
    run_ms: float
    worker: str
    error_type: str
    error: str
    stack: str = ""
    wait_ms: float = 0


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job that failed for good, with all that is needed to understand it and to run it again.

    `payload` is what the job carried; where that is no JSON (encrypted, compressed) `payload_base64` holds its
    bytes, and where it was too large to be sent on `payload_left_out` says so. `group` is the kind of error it
    is counted under: type and place. `failed_at_ms` names this life of the job: it is replayed once. `head`
    and `envelope` (base64) are what else its record held, `edges` tell which flows hear of its end.
    """

    queue: str
    id: str
    name: str
    reason: str
    group: str
    failed_at_ms: int
    created_at_ms: int
    priority: int
    attempts: tuple[DeadAttempt, ...]
    stalled: int = 0
    payload: Raw | UnsetType = UNSET
    payload_base64: str = ""
    payload_left_out: bool = False
    metadata: dict[str, MetaValue] = {}
    tags: tuple[str, ...] = ()
    trace_id: str = ""
    head: str = ""
    envelope: str = ""
    edges: str = ""


DEAD_LETTER = DEAD_LETTERS.job("dead-letter", payload=DeadLetter)
