"""How long an attempt may run, and how that is enforced on the loop; threads and processes see to it by their own means."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

GRACE = 2.0
"""Seconds between the `JobTimeout` that a handler may catch and what it cannot."""


class JobTimeout(asyncio.CancelledError):
    """The attempt ran longer than the job allows. Raised inside the handler, where its `finally` blocks run.

    It is a kind of `CancelledError`, so that whatever cleans up after a cancellation (task groups, timeouts, `gather`) does so
    here, and `except Exception` does not swallow it by mistake.
    """

    def __init__(self, allowed_s: float = 0, *, deadline: bool = False) -> None:
        """Say how long that is, or that the deadline of the job passed."""
        told = (
            "still ran at its deadline"
            if deadline
            else f"ran longer than its timeout of {round(allowed_s, 3):g} s"
        )
        super().__init__(told)


class TimeLimit:
    """Until when an attempt may run (`monotonic`): its timeout, which may be extended, and never beyond its deadline."""

    __slots__ = ("_allowed", "_changed", "_ends", "_latest", "_started", "expired")

    def __init__(
        self, timeout_s: float, deadline_in_s: float | None, changed: Callable[[float], None] | None = None
    ) -> None:
        """Begin now; a timeout of 0 is none. `changed` is told by how much the limit was extended."""
        self._started = monotonic()
        self._allowed = timeout_s or float("inf")
        self._latest = float("inf") if deadline_in_s is None else self._started + deadline_in_s
        self._changed = changed
        self._ends = min(self._started + self._allowed, self._latest)
        self.expired = False

    @property
    def remaining(self) -> float:
        """Seconds that are left, 0 when it is over."""
        return max(self._ends - monotonic(), 0.0)

    def extend(self, seconds: float) -> None:
        """Allow so much more time; too late once the time is over."""
        if self.expired or not self.remaining:
            return
        self._allowed += seconds
        self._ends = min(self._started + self._allowed, self._latest)
        if self._changed is not None:
            self._changed(seconds)

    def error(self) -> JobTimeout:
        """Return what is raised when it is over."""
        return JobTimeout(self._allowed, deadline=self._ends >= self._latest)


class _Watch:
    """Interrupts a task when its limit is over, and again after each grace that it lets pass."""

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] = asyncio.current_task()  # pyright: ignore[reportAttributeAccessIssue] - it runs in one
        self._due = False
        self._timer = self._loop.call_later(limit.remaining, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def instead_of(self, error: asyncio.CancelledError) -> asyncio.CancelledError:
        """Return what is thrown into the handler: its timeout if this was ours, else the cancellation as it is."""
        if not self._due:
            return error
        self._due = False
        self._task.uncancel()
        return self._limit.error()

    def _look(self) -> None:
        if self._limit.remaining and not self._limit.expired:
            # It was extended.
            self._timer = self._loop.call_later(self._limit.remaining, self._look)
            return
        self._due = not self._limit.expired
        self._limit.expired = True
        self._task.cancel()
        self._timer = self._loop.call_later(GRACE, self._look)


async def in_time(handler: Coroutine[object, object, T], limit: TimeLimit) -> T:
    """Await a handler, and raise JobTimeout inside it when its time is over; one that catches that may still return."""
    watch = _Watch(limit)
    try:
        return await _driven(handler, watch)  # pyright: ignore[reportGeneralTypeIssues] - a generator that may be awaited
    except asyncio.CancelledError as error:
        if limit.expired and not isinstance(error, JobTimeout):
            raise limit.error() from None
        raise
    finally:
        watch.stop()


@types.coroutine
def _driven(handler: Coroutine[object, object, T], watch: _Watch) -> Generator[object, None, T]:
    thrown: BaseException | None = None
    while True:
        try:
            awaited = handler.send(None) if thrown is None else handler.throw(thrown)
        except StopIteration as done:
            return done.value
        thrown = None
        try:
            yield awaited
        except GeneratorExit:
            handler.close()
            raise
        except asyncio.CancelledError as error:
            thrown = watch.instead_of(error)
        except BaseException as error:  # noqa: BLE001 - whatever was awaited raised it, so it goes to who awaits
            thrown = error


__all__ = ["GRACE", "JobTimeout", "TimeLimit", "in_time"]
