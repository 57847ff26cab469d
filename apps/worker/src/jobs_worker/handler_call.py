"""What all calls of handlers have, for one job or for a chunk: a time that can be extended, and progress to report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.durations import Duration, to_ms
from jobs_core.wire import Progress

if TYPE_CHECKING:
    from jobs_worker.time_limits import TimeLimit


class HandlerCall:
    """One call of a handler, as its context shows it."""

    __slots__ = ()

    limit: TimeLimit | None

    @property
    def remaining(self) -> float | None:
        """Seconds until the call is over, by its timeout or a deadline; None where it has all the time.

        A chunk has the longest time that one of its jobs has.
        """
        return None if self.limit is None else self.limit.remaining

    def extend(self, seconds: Duration) -> None:
        """Give this call so much more time, in any executor; never beyond the deadline, and too late once its time is over.

        Raises OptionError for a negative or endless time.
        """
        more = to_ms(seconds, name="seconds") / 1000
        if self.limit is not None:
            self.limit.extend(more)

    def progress(
        self,
        percent: float | None = None,
        *,
        current: int | None = None,
        total: int | None = None,
        message: str | None = None,
    ) -> None:
        """Report how far the call is: `percent` from 0 to 100, or `current` of `total`. Never blocks; the newest report wins.

        Of a chunk it is told of each of its jobs.
        """
        if percent is None and current is not None and total:
            percent = round(100 * current / total, 2)
        if percent is not None:
            percent = min(max(float(percent), 0.0), 100.0)
        if message is not None:
            message = message[:1000].encode("utf-8", "backslashreplace").decode()
        self.tell(Progress(percent, current, total, message))

    def tell(self, told: Progress) -> None:
        """Hand on a report; for the worker."""
        raise NotImplementedError
