"""The worker: runs the handlers of jobs.

    @processor(SEND_EMAIL)
    async def send_email(payload: SendEmail, ctx: JobContext) -> EmailReceipt: ...

A handler returns its result and raises the rest: `Fail` (for good), `Discard` (not needed any more), `Retry` (run again after),
`Snooze` and `RateLimited` (later, and no attempt), anything else (retry by policy).
"""

from jobs_worker.backoffs import backoff
from jobs_worker.children import ChildOutcome, Children, Results
from jobs_worker.chunk_context import Chunk, ChunkContext
from jobs_worker.chunks import ChunkMismatch
from jobs_worker.context import JobContext
from jobs_worker.following import Previous
from jobs_worker.hooks import HOOKS, HookEvent, Hooks
from jobs_worker.outcomes import Discard, Fail, RateLimited, Retry, Snooze, WaitForChildren
from jobs_worker.processors import processor
from jobs_worker.time_limits import JobTimeout
from jobs_worker.worker import Worker, WorkerMetrics

__all__ = [
    "HOOKS",
    "ChildOutcome",
    "Children",
    "Chunk",
    "ChunkContext",
    "ChunkMismatch",
    "Discard",
    "Fail",
    "HookEvent",
    "Hooks",
    "JobContext",
    "JobTimeout",
    "Previous",
    "RateLimited",
    "Results",
    "Retry",
    "Snooze",
    "WaitForChildren",
    "Worker",
    "WorkerMetrics",
    "backoff",
    "processor",
]
