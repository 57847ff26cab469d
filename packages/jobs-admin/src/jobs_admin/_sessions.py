"""Which sessions of browsers were signed out of, remembered beside the queues so that every dashboard refuses them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from jobs_core.keys import system_prefix

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

_MOST: Final = 10_000


async def end(calls: Calls, prefix: str, session_id: str, until: float) -> None:
    """Remember one until it would have ended by itself, Unix s. Beyond 10,000 those that end first are forgotten."""
    key, call = _key(prefix), calls.client.call
    await calls.change(call("ZADD", key, until, session_id))
    await calls.change(call("ZREMRANGEBYSCORE", key, "-inf", time.time()))
    await calls.change(call("ZREMRANGEBYRANK", key, 0, -_MOST - 1))


async def has_ended(calls: Calls, prefix: str, session_id: str) -> bool:
    """Tell whether one is remembered."""
    return await calls.read(calls.client.call("ZSCORE", _key(prefix), session_id)) is not None


def _key(prefix: str) -> str:
    return system_prefix(prefix) + "signed_out"
