"""The states of a job and the priorities it can have."""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = ["CancelOutcome", "Priority", "State"]


class State(StrEnum):
    """Where a job is. Every job has exactly one state; `paused` is a property of queues."""

    WAITING = "waiting"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    DELAYED = "delayed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNROUTABLE = "unroutable"

    @property
    def final(self) -> bool:
        """Tell whether a job in this state has ended."""
        return self in _FINAL


_FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})


class CancelOutcome(StrEnum):
    """What a cancellation did: ended the job, asked the worker that runs it to stop, or found nothing to do."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    ALREADY_FINISHED = "already_finished"
    NOT_FOUND = "not_found"


class Priority(IntEnum):
    """How urgent a job is; a lower number goes first."""

    CRITICAL = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4
    BACKGROUND = 5
