"""The one error that only the admin has."""

from __future__ import annotations

from jobs_core.errors import ConnectionFailed

__all__ = ["Unanswered"]


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
