"""The worker: runs the handlers of jobs.

    @processor(SEND_EMAIL)
    async def send_email(payload: SendEmail, ctx: JobContext) -> EmailReceipt: ...

A handler returns its result and raises the rest: `Fail` (for good), `Retry` (run again after), anything else (retry by policy).
"""

from jobs_worker.context import JobContext
from jobs_worker.outcomes import Fail, Retry
from jobs_worker.processors import processor
from jobs_worker.worker import Worker, WorkerMetrics

__all__ = ["Fail", "JobContext", "Retry", "Worker", "WorkerMetrics", "processor"]
