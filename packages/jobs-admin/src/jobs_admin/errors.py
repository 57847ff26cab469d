"""The errors that only the admin has."""

from __future__ import annotations

from jobs_core.errors import ConnectionFailed, JobsError

__all__ = ["BulkNotFound", "QueueBusy", "Unanswered"]


class Unanswered(ConnectionFailed):
    """The server did not answer a change in time, so it may have been applied. Calling again is safe."""

    code = "unanswered"

    def __init__(self, address: str, timeout: float) -> None:
        """Say how long was waited, in seconds."""
        super().__init__(address, f"no answer within {timeout:g} s")
        message = (
            f"The server at {address} did not answer within {timeout:g} s. The change may have been applied. "
            f"Check that it runs and that REDIS_URL is right, then call again: that is safe."
        )
        self.args = (message,)


class QueueBusy(JobsError):
    """A queue cannot be obliterated while its jobs run, unless that is forced."""

    code = "queue_busy"

    def __init__(self, queue: str, active: int) -> None:
        """Say how many jobs run."""
        self.queue = queue
        self.active = active
        super().__init__(
            f"Queue {queue!r} runs {active:,} job{'' if active == 1 else 's'}. Pause it and wait for them to end, "
            f"or force it: then their handlers are cancelled, and what they still report is refused."
        )


class BulkNotFound(JobsError):
    """No bulk action of this id is remembered."""

    code = "bulk_not_found"

    def __init__(self, action_id: str) -> None:
        """Say which."""
        self.action_id = action_id
        super().__init__(
            f"No bulk action {action_id!r} is remembered: the last 200 are. What was changed is in the audit."
        )
