"""What a handler of chunks is given besides the payloads, and how large a chunk is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.wire import LogLine, Progress
from jobs_worker import logs
from jobs_worker.context import JobContext
from jobs_worker.handler_call import HandlerCall
from jobs_worker.job_logs import HANDLERS, OFF

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    import structlog

    from jobs_worker.time_limits import TimeLimit

T = TypeVar("T")

MAX_SIZE = 1000


class Chunk(msgspec.Struct, frozen=True):
    """How many jobs one call of a handler takes: up to `size`, or those that came until the first has waited for `wait` seconds.

    `by_key`: jobs of one chunk have one key. Raises OptionError.
    """

    size: int = 100
    wait: Duration = 0.2
    by_key: bool = False

    def __post_init__(self) -> None:
        """Check what was given."""
        if isinstance(self.size, bool) or not 1 <= self.size <= MAX_SIZE:
            raise OptionError("size", self.size, f"a chunk has 1 to {MAX_SIZE} jobs")
        to_ms(self.wait, name="wait")

    @property
    def wait_s(self) -> float:
        """For how long the first job of a chunk waits for others, in seconds."""
        return to_ms(self.wait, name="wait") / 1000


class ChunkContext(HandlerCall, msgspec.Struct, eq=False):
    """One call for a chunk of jobs. `jobs` are their contexts, in the order of the payloads; `key` is theirs, of chunks by key.

    `cancelled`: the call is to end, for its time is over or nobody waits for any of its jobs any more. Of one job that somebody
    cancelled its own context says so.
    """

    jobs: tuple[JobContext, ...]
    key: str = ""
    limit: TimeLimit | None = None
    cancelled: bool = False
    log_level: int = OFF
    _log: structlog.stdlib.BoundLogger | None = None

    def __repr__(self) -> str:
        """Tell how many jobs it has."""
        return f"ChunkContext({self.queue!r}, {self.name!r}, jobs={len(self.jobs)})"

    @classmethod
    def for_test(cls, *jobs: JobContext, key: str = "") -> Self:
        """Make a context for calling a handler directly, of contexts made by `JobContext.for_test`."""
        return cls(jobs, key)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the jobs."""
        return tuple(job.job_id for job in self.jobs)

    @property
    def queue(self) -> str:
        """The name of their queue."""
        return self.jobs[0].queue

    @property
    def name(self) -> str:
        """The name of the jobs, without their version."""
        return self.jobs[0].name

    @property
    def attempt(self) -> int:
        """The highest number of an attempt among them; each has its own."""
        return max(job.attempt for job in self.jobs)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger bound to the chunk: queue, name, how many jobs. What it writes is kept with each of them."""
        if self._log is None:
            self._log = logs.get_kept(HANDLERS).bind(queue=self.queue, job=self.name, jobs=len(self.jobs))
        return self._log

    def tell(self, told: Progress) -> None:
        """Hand on a report, as of each of the jobs; for the worker."""
        for job in self.jobs:
            job.tell(told)

    async def shared(self, factory: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """Return what `factory` makes, one for each worker child, as `JobContext.shared`."""
        return await self.jobs[0].shared(factory)

    def keep_line(self, line: LogLine, about: object) -> None:
        """Keep a line with the job that it is `about` (an id), where that is one of these, else with each; for the worker."""
        jobs = [job for job in self.jobs if job.job_id == about] or self.jobs
        for job in jobs:
            job.keep_line(LogLine(job.attempt, line.at_ms, line.level, line.logger, line.message), about)


__all__ = ["MAX_SIZE", "Chunk", "ChunkContext"]
