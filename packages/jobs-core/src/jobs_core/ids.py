"""Ids of jobs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from itertools import count
from time import time_ns

__all__ = ["new_job_id"]

_COUNTER_BITS = 52


def _seeded() -> Callable[[], int]:
    # One bit less than the counter has, so that it never wraps and ids of one process stay in order.
    return count(secrets.randbits(_COUNTER_BITS - 1)).__next__


_next = _seeded()
_latest = 0
_prefix = ""


def new_job_id() -> str:
    """Return a new id of 24 hex digits that sorts by time: 11 digits Unix milliseconds, 13 digits counter.

    Ids of one process stay in order when its clock is set back: jobs of one call wait in the order of their ids.
    """
    global _latest, _prefix
    now = time_ns() // 1_000_000
    if now > _latest:
        # Many ids are made in a millisecond, so its digits are made once.
        _latest, _prefix = now, f"{now:011x}"
    return f"{_prefix}{_next():013x}"


def _reseed() -> None:
    global _next  # noqa: PLW0603 - a forked child would repeat the ids of its parent
    _next = _seeded()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)
