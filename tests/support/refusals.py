"""Why nobody gets in: what a producer is told that cannot connect."""

from __future__ import annotations

import pytest
from tests.support.waiting import WITHIN

from jobs_core import ConnectionFailed
from jobs_producer import Producer


async def refusal(url: str, prefix: str, words: str, *, patience: float = 0.3) -> str:
    """Connect with more and more patience (seconds, at first) until the reason has these words; return all that is said.

    On a busy machine a short time is over before the first try is, which tells of no reason.
    """
    while True:
        with pytest.raises(ConnectionFailed) as caught:
            await Producer(url, prefix=prefix, enqueue_timeout=patience).connect()
        if words in str(caught.value) or patience > WITHIN:
            break
        patience *= 2
    assert words in str(caught.value)
    return str(caught.value)
