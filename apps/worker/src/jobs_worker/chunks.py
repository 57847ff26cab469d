"""Gathers jobs of a lane for handlers that take many at a time, and tells each of them what became of it.

To all else each job runs for itself: it has a task, which waits here for the call that it is part of. So whatever ends, follows or
stops a job does so to each of these.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias, cast

from jobs_core.errors import JobsError
from jobs_core.queue import MAX_CONCURRENCY
from jobs_worker.chunk_context import ChunkContext
from jobs_worker.in_thread import in_thread
from jobs_worker.job_logs import current
from jobs_worker.suspects import is_suspect
from jobs_worker.time_limits import TimeLimit, in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from types import TracebackType

    from jobs_worker.chunk_context import Chunk
    from jobs_worker.context import JobContext
    from jobs_worker.delivery import Delivery
    from jobs_worker.page import Page
    from jobs_worker.routes import QueueRoutes, Route

    AsyncHandler = Callable[[list[object], ChunkContext], Coroutine[object, object, object]]
    ThreadHandler = Callable[[list[object], ChunkContext], object]

# A result, or the exception that ended a job and where it was raised, if it was.
_Told: TypeAlias = "tuple[object, BaseException | None, TracebackType | None]"

MAX_BYTES = 8 * 1024 * 1024
"""Payloads of so many bytes, as they came from the server, make a chunk however few they are."""


class ChunkMismatch(JobsError):
    """A handler of chunks did not return one result for each job."""

    code = "chunk_mismatch"

    def __init__(self, job: str, jobs: int, returned: str) -> None:
        self.job = job
        self.jobs = jobs
        self.returned = returned
        super().__init__(
            f"the handler of {job} was called for {jobs} jobs and returned {returned}; it must return a list with one result, "
            "or exception, for each, in their order"
        )


class _Member:
    """A job in a chunk."""

    __slots__ = ("ctx", "delivery", "joined", "payload", "told")

    def __init__(self, delivery: Delivery, payload: object, ctx: JobContext) -> None:
        self.delivery = delivery
        self.payload = payload
        self.ctx = ctx
        self.joined = monotonic()
        self.told: asyncio.Future[_Told] = asyncio.get_running_loop().create_future()

    @property
    def bytes(self) -> int:
        return len(self.delivery.envelope.payload)

    def limit(self) -> TimeLimit | None:
        """Begin to measure the time that it has from now on, as the call begins; its deadline does not wait for that."""
        deadline, timeout_ms = self.delivery.deadline_in_s, self.delivery.policy.timeout_ms
        if not timeout_ms and deadline is None:
            return None
        left = None if deadline is None else deadline - (monotonic() - self.joined)
        return TimeLimit(timeout_ms / 1000, left)


class _Group:
    """Jobs of one call, while they gather and while it runs. `left` counts those that nobody waits for any more."""

    def __init__(self, name: tuple[str, str, bool], route: Route, key: str) -> None:
        self.name = name
        self.route = route
        self.chunk = cast("Chunk", route.chunk)
        self.key = key
        self.members: dict[Delivery, _Member] = {}
        self.bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.call: asyncio.Task[list[_Told]] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.left = 0
        self.ctx: ChunkContext | None = None

    def stop(self, call: asyncio.Task[list[_Told]]) -> None:
        """Let the call end, which nobody waits for."""
        if self.ctx is not None:
            self.ctx.cancelled = True
        call.cancel()

    @property
    def is_full(self) -> bool:
        return len(self.members) >= self.chunk.size or self.bytes >= MAX_BYTES


class Chunks:
    """The chunks of one lane: gathered by job, and by key where that is asked for; at most so many calls at a time."""

    def __init__(
        self, routes: QueueRoutes, calls: int, *, threads: ThreadPoolExecutor, page: Page | None
    ) -> None:
        """Allow so many `calls` at a time; `threads` run handlers that are no `async def`."""
        self.calls = calls
        self._per_call = routes.per_slot
        self._queue = routes.queue.name
        self._threads = threads
        self._page = page
        self._open: dict[tuple[str, str, bool], _Group] = {}
        # In the order in which they are to be called for; those above are in one of these, unless they are called.
        self._unripe: dict[_Group, None] = {}
        self._ripe: dict[_Group, None] = {}
        self._calling: Counter[str] = Counter()
        self._bytes = 0
        self._hurried = False
        self._held = 0

    @property
    def slots(self) -> int:
        """How many jobs may be here at once."""
        return min(self.calls * self._per_call, MAX_CONCURRENCY)

    @property
    def is_full(self) -> bool:
        """Whether payloads of so many bytes are here that more would not be called for soon."""
        return self._bytes >= (self.calls + 1) * MAX_BYTES

    def flush_if(self, jobs: int) -> None:
        """Call for what has gathered if all of so many jobs are here, and none is on its way."""
        if self._held == jobs:
            self.flush()

    def flush(self) -> None:
        """Call for what has gathered, as soon as a call is free."""
        for group in list(self._unripe):
            self._ripen(group)

    def hurry(self, *, on: bool) -> None:
        """Let nothing wait for more jobs while `on`, for none come."""
        self._hurried = on
        if on:
            self.flush()

    async def run(self, delivery: Delivery, payload: object, ctx: JobContext) -> object:
        """Return the result of a job, or raise what ended it, when the call that it is part of has ended."""
        member = _Member(delivery, payload, ctx)
        self._held += 1
        group = self._join(member)
        try:
            result, error, raised_at = await member.told
        except asyncio.CancelledError:
            if group.call is None:
                self._take_out(group, delivery)
                raise
            group.left += 1
            if group.left == len(group.members):
                group.stop(group.call)
            # The others go on, and what the call does for this job too: its slot stays taken.
            await asyncio.wait((group.ended,))
            raise
        finally:
            self._held -= 1
        if error is not None:
            # One exception may end many jobs: the stack of each is that of the handler.
            raise error.with_traceback(raised_at)
        return result

    def _join(self, member: _Member) -> _Group:
        delivery = member.delivery
        route = cast("Route", delivery.route)
        chunk = cast("Chunk", route.chunk)
        key = delivery.key if chunk.by_key else ""
        # What was in a crash runs alone, so that it takes no others along once more.
        alone = is_suspect(delivery)
        name = (route.wire_name, delivery.id if alone else key, alone)
        group = self._open.get(name)
        if group is None:
            group = self._open[name] = _Group(name, route, key)
            self._unripe[group] = None
            wait = 0.0 if alone or self._hurried else chunk.wait_s
            loop = asyncio.get_running_loop()
            group.timer = loop.call_later(wait, self._ripen, group)
        group.members[delivery] = member
        group.bytes += member.bytes
        self._bytes += member.bytes
        if group.is_full:
            del self._open[name]
            self._ripen(group)
        if self._held >= self.slots or self.is_full:
            # Nothing more is claimed, so nothing comes for those that wait.
            self.flush()
        return group

    def _take_out(self, group: _Group, delivery: Delivery) -> None:
        """Let a job go that no call has begun for."""
        size = group.members.pop(delivery).bytes
        group.bytes -= size
        self._bytes -= size
        if not group.members:
            self._close(group)

    def _close(self, group: _Group) -> None:
        """Let nothing more into a chunk."""
        if group.timer is not None:
            group.timer.cancel()
        if self._open.get(group.name) is group:
            del self._open[group.name]
        self._unripe.pop(group, None)
        self._ripe.pop(group, None)

    def _ripen(self, group: _Group) -> None:
        """Let a call begin for a chunk; until one is free, it still grows."""
        if group in self._unripe:
            del self._unripe[group]
            self._ripe[group] = None
            self._begin()

    def _begin(self) -> None:
        for group in list(self._ripe):
            if self._calling.total() >= self.calls:
                return
            own = group.route.concurrency
            if own is None or self._calling[group.route.wire_name] < own:
                self._call(group)

    def _call(self, group: _Group) -> None:
        self._close(group)
        self._calling[group.route.wire_name] += 1
        ids = [delivery.id for delivery in group.members]
        if self._page is not None:
            self._page.calling(f"{self._queue}\0".encode(), ids)
        group.call = asyncio.create_task(self._handle(group), name=f"{self._queue}\0{ids[0]}")
        group.call.add_done_callback(partial(self._end, group))

    async def _handle(self, group: _Group) -> list[_Told]:
        members = list(group.members.values())
        try:
            returned = await self._run(group, members)
            return _each(group.route, len(members), returned)
        except BaseException as error:  # noqa: BLE001 - the boundary around other people's code; it is raised again for each
            return [(None, error, error.__traceback__)] * len(members)

    async def _run(self, group: _Group, members: list[_Member]) -> object:
        route, limit = group.route, _longest([member.limit() for member in members])
        ctx = group.ctx = ChunkContext(tuple(member.ctx for member in members), group.key, limit)
        for member in members:
            member.ctx.limit = limit
        ctx.log_level = members[0].ctx.log_level
        current.set(ctx)
        payloads = [member.payload for member in members]
        if not route.is_async:
            handler = cast("ThreadHandler", route.handler)
            return await in_thread(self._threads, handler, payloads, ctx, limit)
        running = cast("AsyncHandler", route.handler)(payloads, ctx)
        return await (running if limit is None else in_time(running, limit))

    def _end(self, group: _Group, call: asyncio.Task[list[_Told]]) -> None:
        self._calling[group.route.wire_name] -= 1
        self._bytes -= group.bytes
        if not call.cancelled():
            for member, told in zip(group.members.values(), call.result(), strict=True):
                if not member.told.done():
                    member.told.set_result(told)
        # One that was cancelled before its first step was so because nobody waits for it any more.
        group.ended.set_result(None)
        self._begin()


def _each(route: Route, jobs: int, returned: object) -> list[_Told]:
    """Return what was said of each job. Raises ChunkMismatch."""
    if not isinstance(returned, (list, tuple)):
        raise ChunkMismatch(route.wire_name, jobs, f"no list but {type(returned).__qualname__}")
    results = cast("Sequence[object]", returned)
    if len(results) != jobs:
        raise ChunkMismatch(route.wire_name, jobs, f"{len(results)} results")
    return [
        (None, each, each.__traceback__) if isinstance(each, BaseException) else (each, None, None)
        for each in results
    ]


def _longest(limits: list[TimeLimit | None]) -> TimeLimit | None:
    """Return the limit of a call: that of the job which has the most time."""
    given = [limit for limit in limits if limit is not None]
    return max(given, key=lambda limit: limit.remaining) if len(given) == len(limits) else None


__all__ = ["MAX_BYTES", "ChunkMismatch", "Chunks"]
