"""What a handler raises to say more than "it failed": a small closed set."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Literal, get_args

from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError

Scope = Literal["job", "key", "queue"]


class Outcome(Exception):
    """How a handler ends its job without a result, and not by a mistake."""


class Fail(Outcome):
    """Fail for good: no further attempt is made, whatever the job's budget."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


class Discard(Outcome):
    """End the job as cancelled: it is not needed any more, which is no failure and goes to no dead letters."""

    def __init__(self, reason: str = "") -> None:
        """Say why."""
        super().__init__(reason or "the handler discarded the job")
        self.reason = reason


class Retry(Outcome):
    """Fail this attempt and run again after a time of the handler's choosing, where attempts are left."""

    def __init__(self, after: Duration | datetime = 0, reason: str = "") -> None:
        """Run again in `after` seconds, or at an instant. Raises OptionError for a negative, endless or naive time."""
        self.after_ms = _until_ms(after, "after")
        super().__init__(reason or f"asked to run again in {self.after_ms / 1000:g} s")
        self.reason = reason


class Snooze(Outcome):
    """Run again later. That is no attempt, and the job keeps its priority and its budgets."""

    def __init__(self, delay: Duration | datetime, reason: str = "") -> None:
        """Run again in `delay` seconds, or at an instant. Raises OptionError for a negative, endless or naive time."""
        self.after_ms = _until_ms(delay, "delay")
        super().__init__(reason or f"snoozed for {self.after_ms / 1000:g} s")
        self.reason = reason


class WaitForChildren(Outcome):
    """Wait for the children that this run added (`ctx.add_child`): the job runs again when they have ended. That is no attempt.

    It then finds them in `ctx.children`. Without new children it runs again at once.
    """

    def __init__(self, reason: str = "") -> None:
        """Say why, where that helps."""
        super().__init__(reason or "waits for its children")
        self.reason = reason


class RateLimited(Outcome):
    """Run again when somebody else's limit allows it. That is no attempt.

    `scope` says what has to wait: this job alone, all jobs of its key, or the whole queue.
    """

    def __init__(self, retry_after: Duration | datetime, scope: Scope = "job", reason: str = "") -> None:
        """Wait for `retry_after` seconds, or until an instant. Raises OptionError as `Snooze`, and for another scope."""
        if scope not in get_args(Scope):
            raise OptionError("scope", scope, f"it must be {', '.join(get_args(Scope))}")
        self.after_ms = _until_ms(retry_after, "retry_after")
        super().__init__(reason or f"rate limited for {self.after_ms / 1000:g} s")
        self.scope = scope
        self.reason = reason


def _until_ms(value: Duration | datetime, name: str) -> int:
    if not isinstance(value, datetime):
        return to_ms(value, name=name)
    if value.utcoffset() is None:
        raise OptionError(name, value, "it has no time zone, so it means another instant on each machine")
    return max(round((value.timestamp() - time.time()) * 1000), 0)


__all__ = ["Discard", "Fail", "Outcome", "RateLimited", "Retry", "Scope", "Snooze", "WaitForChildren"]
