"""What may happen to a queue, how often, and with what."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.model_flows import Policy
from tests.support.model_jobs import Asked
from tests.support.model_limits import Limit

from jobs_core import (
    RateLimit,
)

OWNERS: tuple[str, ...] = ("w1", "w2")
UNIQUE_KEYS = ("red", "blue")
OWN_IDS = ("mine-1", "mine-2", "mine-3")
LIMITS: dict[str, tuple[Limit | str, ...]] = {
    "max_active": (1, 3, 5, None, None, "declared", "declared"),
    "rate_limit": (RateLimit(8, 1, burst=5), RateLimit(1, 5), None, None, "declared", "declared"),
    "key_concurrency": (1, 2, 3, None, None, "declared", "declared"),
    "key_rate": (RateLimit(5, 1), RateLimit(1, 60), RateLimit(2, 1), None, None, "declared", "declared"),
}
KEPT = {0: True, -1: False}
POLICIES: tuple[Policy, ...] = ("fail_parent", "ignore", "continue", "remove")
PICK = tuple(range(12))
ASKED = (
    *(None,) * 160,
    *(
        Asked(key, mode, conflict, ttl)
        for key in UNIQUE_KEYS
        for mode in ("s", "d", "t")
        for conflict in ("skip", "replace", "keep_last", "extend", "error")
        for ttl in (1000, 8000)
    ),
    *(Asked(key, ttl=-1, max_wait=max_wait) for key in UNIQUE_KEYS * 8 for max_wait in (0, 600)),
)
# What becomes of a job that waits for so many others, where one of them does not complete. (Of two that end in one step either may
# be heard first, so none is to go on at once for one of them and to fail for the other.)
AFTER: tuple[tuple[Policy, ...], ...] = (
    *((),) * 4,
    *((each,) for each in POLICIES),
    *((each, "ignore") for each in POLICIES),
    *((each, "fail_parent") for each in POLICIES if each != "continue"),
)
# What can happen: how often, and what is chosen from.
MOVES: dict[str, tuple[float, dict[str, Sequence[object]]]] = {
    "enqueue": (
        9,
        {
            "priority": (1, 2, 3, 4, 5),
            "delay_ms": (0, 0, 0, 0, 0, 0, 0, 1, 700, 20_000),
            "lasts_ms": (0, 0, 0, 0, 0, 0, 100, 5000),
            "own": (*("",) * 9, *OWN_IDS),
            "key": ("", "a", "a", "b"),
            "attempts": (1, 2, 3),
            "backoff_ms": (0, 300),
            "keep_done": (0, 0, 2, -1),
            "keep_failed": (-1, -1, 0, 2),
            "result_ttl": (0, 5000),
            "asked": ASKED,
            "after": AFTER,
            "pick": PICK,
        },
    ),
    "flood": (2.5, {"keys": ("aaaaabbb", "bbbaaaaa", "aaabbb--", "aaaaaaabbb---")}),
    "claim": (10, {"name": OWNERS, "want": (0, 1, 1, 2, 2, 3, 5, 8, 12)}),
    "settle": (
        18,
        {
            "pick": PICK,
            "outcome": (
                *("return", "return", "return", "raise", "raise", "raise", "fail", "fail", "discard"),
                *("return", "return", "return", "return", "snooze", "release", "park"),
                *("limit job", "limit key", "limit queue", "stopped"),
            ),
            "delay_ms": (300, 9000),
        },
    ),
    "time_passes": (
        4,
        {"seconds": (0.001, 0.001, 0.3, 0.3, 0.3, 0.5, 0.5, 2, 2, 2, 9, 9, 25, 3600, 400_000)},
    ),
    "change": (
        4,
        {
            "pick": PICK,
            "verb": ("priority", "reschedule", "promote", "remove", "retry", "retry", "retry"),
            "priority": (1, 2, 3, 4, 5),
            "delay_ms": (0, 1, 4000),
        },
    ),
    "cancel": (1, {"pick": PICK, "other": PICK}),
    "replay": (2, {"pick": PICK}),
    "pause": (
        1,
        {
            "what": ("", "key:a", "job:send"),
            "for_ms": (0, 2000, 2000),
            "on": (False, False, True),
        },
    ),
    "clean": (1, {"state": ("completed", "failed", "cancelled", "expired"), "limit": (1, 2, 3)}),
    "die": (1, {"name": OWNERS, "charged": (False, True)}),
    "drain": (0.2, {}),
    "trim": (1, {}),
    "know_more_names": (1, {}),
    "limit": (2, {"name": tuple(LIMITS), "pick": PICK}),
    "batch": (1, {"count": (1, 2, 2, 3), "attempts": (1, 2), "keep_failed": (-1, 0), "close": (True, False)}),
    "fill": (0.5, {"pick": PICK, "close": (True, True, False)}),
    "look": (2, {"pick": PICK}),
}
MOVING = {"change", "cancel", "drain", "replay", "pause", "know_more_names", "trim"}
STEADY = {"enqueue", "flood", "claim", "settle", "time_passes", "limit", "batch", "fill", "look"}
NAMES, WEIGHTS = list(MOVES), [weight for weight, _ in MOVES.values()]
