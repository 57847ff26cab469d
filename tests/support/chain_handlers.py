"""Handlers of threads and processes that stand in chains; a process imports this module."""

from __future__ import annotations

from jobs_core import Queue
from jobs_worker import JobContext, processor

THREADS = Queue("chain-threads", executor="thread")
THREADED = THREADS.job("threaded", payload=int, result=int)
PROCESSES = Queue("chain-processes", executor="process")
FORKED = PROCESSES.job("forked", payload=int, result=str)
TOLD = PROCESSES.job("told", payload=str, result=list[str])


@processor(THREADED)
def in_thread(payload: int, _: JobContext) -> int:
    """Return the double."""
    return 2 * payload


@processor(FORKED)
def in_process(payload: int, ctx: JobContext) -> str:
    """Return the payload, and what the job before said of it."""
    before = ctx.previous
    return f"{payload} after {None if before is None else before.result(THREADED)}"


@processor(TOLD)
def tell(payload: str, ctx: JobContext) -> list[str]:
    """Return the payload and the result of the job before."""
    before = ctx.previous
    return [payload, "" if before is None else f"{before.queue}/{before.name}: {before.value}"]
