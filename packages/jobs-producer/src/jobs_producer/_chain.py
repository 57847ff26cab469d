"""A chain that was enqueued: its links, of which each appears when the one before it completed, and the last one's result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar, cast

from jobs_core.errors import (
    ChainFailed,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    ResultError,
    ResultTimeout,
)
from jobs_core.flows.successors import follower_id
from jobs_core.options import resolve
from jobs_core.outbox import STALE_MS
from jobs_core.wire import parse_finish
from jobs_producer._handle import JobHandle, failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.flows.calls import Step
    from jobs_core.options import DefaultJobOptions
    from jobs_core.queue import JobType
    from jobs_core.scripts import Located
    from jobs_producer._handle import Link
    from jobs_producer._submission import Outcome

R = TypeVar("R")

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.5
# After this long a link that is not there was left behind by a worker that died, or will never come.
_PATIENCE = 10.0
_PAGE = 128


class _Reaches(Protocol):
    """What a link asks of its chain."""

    @property
    def created(self) -> bool: ...
    async def reach(self, at: int, deadline: float | None) -> None: ...


class ChainHandle(Generic[R]):
    """A typed handle on a chain, made by the producer. `id` is that of its first link, and `links` are handles on all of them.

    `outcome` says what the enqueue did with the first link, as that of a JobHandle; "" where the handle was made otherwise.
    """

    def __init__(
        self,
        link: Link,
        links: Sequence[tuple[JobType[object, object], str, bytes]],
        outcome: Outcome | Literal[""] = "",
    ) -> None:
        """Made by the producer: `links` are job type, id and policy of each."""
        self._link = link
        self.outcome = outcome
        self.id = links[0][1]
        self.links: tuple[JobHandle[object], ...] = tuple(
            ChainLink(link, job, own, outcome if at == 0 else "", policy, _chain=self, _at=at)
            for at, (job, own, policy) in enumerate(links)
        )

    @property
    def created(self) -> bool:
        """Whether this call added the chain."""
        return self.outcome == "created"

    def __repr__(self) -> str:
        """Name the chain."""
        return f"ChainHandle({self.id}, {len(self.links)} links)"

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the last link to complete and return its result; `timeout` in seconds for all of them.

        Raises ChainFailed for a link that did not complete, otherwise as `JobHandle.result` does for the last link.
        """
        last = self.links[-1]
        try:
            return cast("R", await last.result(timeout))
        except (JobFailed, JobCancelled, JobExpired) as error:
            raise self._failed(len(self.links) - 1, error) from error

    async def reach(self, at: int, deadline: float | None) -> None:
        """Wait until a link is there, so until all before it completed.

        Raises ChainFailed, TimeoutError at the deadline (loop time), or JobNotFound where it will never be there.
        """
        if await self._is_there(at):
            return
        known = 0
        while known < at:
            known = await self._pass(known, at, deadline)

    async def _pass(self, at: int, goal: int, deadline: float | None) -> int:
        """Wait until a link ended and one behind it is there; returns which."""
        handle, follower = self.links[at], self.links[at + 1]
        found, _ = await self._link.inbox.wait(handle.queue, handle.id, deadline)
        failure = await failure_of(self._link, handle.queue, handle.id, found)
        if failure is not None:
            raise self._failed(at, failure) from failure
        info = parse_finish(found.info)
        if info is not None:
            following = info.flow.next if info.flow is not None else ()
            if all((queue, own) != (follower.queue, follower.id) for queue, _, own in following):
                # What stands for the first link of this call, say, is a job without this chain.
                raise JobNotFound(follower.queue, follower.id)
        return await self._arrival(at, goal, deadline)

    async def _arrival(self, at: int, goal: int, deadline: float | None) -> int:
        """Wait until a link behind one that ended is there; returns which.

        Effects are carried within milliseconds, and within seconds where a worker died between the two.
        """
        loop = self._link.here()
        patience, pause, looks = loop.time() + _PATIENCE, _FIRST_PAUSE, 0
        while True:
            # One that keeps no result may have come and gone: then one behind it is there.
            for each in {at + 1, at + 1 + looks % (goal - at)}:
                if await self._is_there(each):
                    return each
            if deadline is not None and loop.time() >= deadline:
                raise TimeoutError
            if loop.time() >= patience:
                if not await self._is_under_way(at):
                    follower = self.links[at + 1]
                    raise JobNotFound(follower.queue, follower.id)
                patience = loop.time() + _PATIENCE
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            looks += 1

    async def _is_there(self, at: int) -> bool:
        handle = self.links[at]
        return bool((await self._link.inbox.look(handle.queue, handle.id)).state)

    async def _is_under_way(self, at: int) -> bool:
        """Tell whether the outbox of a link's queue holds something for the queue of the next one that was not applied in good time."""
        page = await self._link.scripts.outbox(self.links[at].queue, age_ms=STALE_MS)
        target = self.links[at + 1].queue
        return len(page.entries) >= _PAGE or any(entry.target == target for entry in page.entries)

    def _failed(self, at: int, failure: ResultError) -> ChainFailed:
        return ChainFailed(self.links[at].name, failure, position=at + 1, length=len(self.links))


class ChainLink(JobHandle[R], Generic[R]):
    """A handle on one link: what waits for it waits for those before it first, and raises ChainFailed where one did not complete."""

    _chain: _Reaches | None = None
    _at: int = 0

    async def _wait(self, timeout: float | None, *, check: bool) -> tuple[Located, str]:
        chain = self._chain
        if chain is None or not self._at:
            return await super()._wait(timeout, check=check)
        if check and chain.created:
            self._check_kept(self._policy)
        loop = self._link.here()
        deadline = None if timeout is None else loop.time() + timeout
        try:
            await chain.reach(self._at, deadline)
        except TimeoutError:
            raise ResultTimeout(self.queue, self.id, timeout or 0.0) from None
        left = None if deadline is None else max(deadline - loop.time(), 0.0)
        return await super()._wait(left, check=check)


def links_of(
    first: tuple[JobType[object, object], str, bytes],
    steps: Sequence[Step],
    service: DefaultJobOptions,
) -> list[tuple[JobType[object, object], str, bytes]]:
    """Return job type, id and policy of all links of a chain."""
    links = [first]
    for step in steps:
        before, before_id, _ = links[-1]
        resolved = resolve(step.job, step.options, service)
        own = resolved.job_id or follower_id(before.queue.name, before_id)
        links.append((step.job, own, resolved.policy))
    return links
