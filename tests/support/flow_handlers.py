"""Handlers of threads and processes that wait for others; a process imports this module."""

from __future__ import annotations

from jobs_core import Queue
from jobs_worker import JobContext, WaitForChildren, processor

THREADS = Queue("flow-threads", executor="thread")
PROCESSES = Queue("flow-processes", executor="process")
LEAF = THREADS.job("leaf", payload=int, result=int, attempts=1)
SUM_IN_THREAD = THREADS.job("sum", payload=int, result=int)
SUM_IN_PROCESS = PROCESSES.job("sum", payload=int, result=int)
SPLIT_IN_PROCESS = PROCESSES.job("split", payload=int, result=list[int])


@processor(LEAF)
def leaf(payload: int, _: JobContext) -> int:
    """Return the double."""
    return 2 * payload


@processor(SUM_IN_THREAD)
def sum_in_thread(payload: int, ctx: JobContext) -> int:
    """Return what the children gave, and the payload."""
    return payload + sum(ctx.children.results(LEAF))


@processor(SUM_IN_PROCESS)
def sum_in_process(payload: int, ctx: JobContext) -> int:
    """Return what the children gave, and the payload."""
    return payload + sum(ctx.children.results(LEAF))


@processor(SPLIT_IN_PROCESS)
def split_in_process(payload: int, ctx: JobContext) -> list[int]:
    """Add children, wait for them, and return what they gave."""
    if not ctx.children:
        for i in range(payload):
            ctx.add_child(LEAF, i)
        raise WaitForChildren
    return ctx.children.results(LEAF)
