"""What becomes of a job that waits for another, by how that one ends."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

from jobs_core.errors import OptionError

__all__ = ["STATES", "EdgePolicy", "Mode", "Sign", "policy_mode"]


class Mode(StrEnum):
    """What an edge does when its job ends otherwise than by completing.

    The first four are the policies of a parent's edge to a child. `AFTER_SUCCESS`, `AFTER_FAILURE` and `AFTER_ALL` are
    conditions of a workflow's step: where one does not come true, the step is skipped. `COUNTED` and `TOLERATED` are edges to a
    flow that has no job of its own, and `TOP` that of the parent of all its jobs, with which it is cancelled.
    """

    FAIL_PARENT = "f"
    IGNORE = "i"
    CONTINUE = "c"
    REMOVE = "r"
    AFTER_SUCCESS = "s"
    AFTER_FAILURE = "x"
    AFTER_ALL = "a"
    COUNTED = "n"
    TOLERATED = "o"
    TOP = "p"

    @property
    def is_own(self) -> bool:
        """Whether the edge leads to a flow that has no job of its own."""
        return self in {Mode.COUNTED, Mode.TOLERATED, Mode.TOP}


class Sign(StrEnum):
    """How a job ended that a flow follows."""

    COMPLETED = "c"
    FAILED = "f"
    CANCELLED = "x"
    EXPIRED = "e"
    REMOVED = "r"
    SKIPPED = "s"
    MISSING = "m"


EdgePolicy: TypeAlias = Literal["fail_parent", "ignore", "continue", "remove"]
"""What becomes of a job that waits for another which does not complete.

It fails; it runs when all others have ended, with what is known of the failure; it runs at once, whatever the others do; or it
runs as if that one had never been.
"""
_POLICIES: dict[str, Mode] = {
    "fail_parent": Mode.FAIL_PARENT,
    "ignore": Mode.IGNORE,
    "continue": Mode.CONTINUE,
    "remove": Mode.REMOVE,
}


def policy_mode(policy: str) -> Mode:
    """Return the mode of an edge with this policy. Raises OptionError for one that there is not."""
    mode = _POLICIES.get(policy)
    if mode is None:
        raise OptionError("policy", policy, f"it must be {', '.join(_POLICIES)}")
    return mode


STATES = {
    Sign.COMPLETED: "completed",
    Sign.FAILED: "failed",
    Sign.CANCELLED: "cancelled",
    Sign.EXPIRED: "expired",
    Sign.REMOVED: "removed",
    Sign.SKIPPED: "skipped",
    Sign.MISSING: "missing",
}
"""The words for how a job ended."""
