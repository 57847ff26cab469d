"""A part of a file whose worker dies once, just when all of it is written."""

from __future__ import annotations

import os
import signal

from jobs_core.queues.data_processing import PROCESS_PART, FilePart, ProcessedPart
from jobs_worker import JobContext, processor
from jobs_worker.queues.data_processing.processor import process_part


@processor(PROCESS_PART, executor="process")
def dying_part(payload: FilePart, ctx: JobContext) -> ProcessedPart:
    done = process_part(payload, ctx)
    if payload.number == 1 and ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
