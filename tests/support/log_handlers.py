"""Handlers that log and leave checkpoints, in all three executors."""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct

from jobs_core import Fixed, JobType, Queue
from jobs_worker import JobContext, processor

LOUD = Queue("loud", default_job_options={"backoff": Fixed(0), "result_ttl": 60})
ON_LOOP = LOUD.job("on-loop", int, str)
IN_THREAD = LOUD.job("in-thread", int, str)
IN_PROCESS = LOUD.job("in-process", int, str)
JOBS: tuple[JobType[int, str], ...] = (ON_LOOP, IN_THREAD, IN_PROCESS)
_log = logging.getLogger("shop.mails")


class Place(Struct):
    """Where an attempt came to."""

    done: int


def _work(payload: int, ctx: JobContext) -> str:
    """Do a part of the work at each attempt, and fail until it is done."""
    place = ctx.load_checkpoint(Place) or Place(0)
    ctx.log.info("at work", done=place.done)
    ctx.checkpoint(Place(place.done + 1))
    if place.done + 1 < payload:
        _log.warning("only %d of %d", place.done + 1, payload)
        raise ValueError("not done")
    return f"done in {ctx.attempt}"


@processor(ON_LOOP)
async def on_loop(payload: int, ctx: JobContext) -> str:
    await asyncio.to_thread(_log.info, "from a thread of its own")
    return _work(payload, ctx)


@processor(IN_THREAD)
def in_thread(payload: int, ctx: JobContext) -> str:
    return _work(payload, ctx)


@processor(IN_PROCESS, executor="process")
def in_process(payload: int, ctx: JobContext) -> str:
    return _work(payload, ctx)
