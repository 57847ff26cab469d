"""What a handler raises to say more than "it failed": a small closed set."""

from __future__ import annotations

from jobs_core.durations import Duration, to_ms


class Fail(Exception):
    """Fail for good: no further attempt is made, whatever the job's budget."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Fail this attempt and run again after a time of the handler's choosing, where attempts are left."""

    def __init__(self, after: Duration = 0, reason: str = "") -> None:
        """Run again in `after` seconds. Raises OptionError for a negative or endless time."""
        super().__init__(reason or f"asked to run again in {after} s")
        self.after_ms = to_ms(after, name="after")
        self.reason = reason
