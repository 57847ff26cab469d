"""Handlers of threads and processes that enqueue further jobs; a process imports this module."""

from __future__ import annotations

from jobs_core import Queue
from jobs_worker import JobContext, processor

TARGET = Queue("effect-target")
FOLLOWING = TARGET.job("following", payload=int)
THREADS = Queue("effect-threads", executor="thread")
THREADED = THREADS.job("threaded", payload=int)
PROCESSES = Queue("effect-processes", executor="process")
FORKED = PROCESSES.job("forked", payload=int)


@processor(THREADED)
def in_thread(payload: int, ctx: JobContext) -> None:
    """Enqueue as many jobs as the payload says."""
    for i in range(payload):
        ctx.enqueue(FOLLOWING, i)


@processor(FORKED)
def in_process(payload: int, ctx: JobContext) -> None:
    """Enqueue as many jobs as the payload says."""
    for i in range(payload):
        ctx.enqueue(FOLLOWING, i)
