"""Runs a handler in a thread: one that must not be stopped is waited for, one that is to stop is told."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Protocol, TypeVar

from jobs_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from jobs_worker.time_limits import TimeLimit


class _Told(Protocol):
    """The context of a handler, by which it hears that it is to stop."""

    cancelled: bool


C = TypeVar("C", bound=_Told)
P = TypeVar("P")


async def in_thread(
    threads: ThreadPoolExecutor,
    handler: Callable[[P, C], object],
    payload: P,
    ctx: C,
    limit: TimeLimit | None,
) -> object:
    """Run in a thread. What runs past its timeout is told by `ctx.cancelled`, but cannot be stopped: its slot stays taken."""
    loop = asyncio.get_running_loop()
    timer = None

    def look() -> None:
        nonlocal timer
        if limit is None:
            return
        if limit.remaining:
            # The handler may have asked for more time meanwhile.
            timer = loop.call_later(limit.remaining, look)
        else:
            limit.expired = ctx.cancelled = True

    look()
    context = copy_context()

    def call() -> tuple[object, BaseException | None]:
        # Some exceptions (StopIteration) cannot be handed over by a future, so none is.
        try:
            return context.run(handler, payload, ctx), None
        except BaseException as error:  # noqa: BLE001 - it is raised again on the loop
            return None, error

    work = loop.run_in_executor(threads, call)
    try:
        result, error = await asyncio.shield(work)
    except asyncio.CancelledError:
        ctx.cancelled = True
        await asyncio.wait((work,))
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if limit is not None and limit.expired and not isinstance(error, Outcome):
        raise limit.error() from error
    if error is not None:
        raise error
    return result
