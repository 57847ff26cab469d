"""What fails over and over is logged once when it begins, and once when it is over."""

from __future__ import annotations

import time

from jobs_worker import logs

_log = logs.get("jobs.worker")


class Outages:
    """Calls of one kind that fail: the first failure is logged as `KIND_failed`, their end as `KIND_recovered`."""

    def __init__(self, kind: str) -> None:
        """Begin with none."""
        self._kind = kind
        self._begun: dict[str, tuple[float, int]] = {}

    def failed(self, error: BaseException, queue: str = "") -> None:
        """Count a failure, and log it where it is the first of a queue ("": of no one queue) since a call succeeded."""
        begun, failures = self._begun.get(queue, (time.monotonic(), 0))
        self._begun[queue] = begun, failures + 1
        if not failures:
            _log.warning(f"{self._kind}_failed", **_of(queue), error=str(error) or "no answer in time")

    def succeeded(self, queue: str = "") -> None:
        """Log the end of what failed, if anything did: how long it lasted and how many calls failed."""
        if queue in self._begun:
            begun, failures = self._begun.pop(queue)
            lasted = round(time.monotonic() - begun, 1)
            _log.info(f"{self._kind}_recovered", **_of(queue), failures=failures, lasted_s=lasted)


def _of(queue: str) -> dict[str, str]:
    return {"queue": queue} if queue else {}
