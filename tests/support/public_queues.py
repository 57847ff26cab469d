"""The kinds of queues that the public API is tried on, and their models."""

from __future__ import annotations

from tests.support.engine import START_MS
from tests.support.model_limits import Limit, Limits, Turns
from tests.support.public_model import Model

from jobs_core import (
    KeyLimits,
    Queue,
    RateLimit,
)


def modelled(
    queue: Queue, *, weights: dict[str, int] | None = None, **declared: Limit
) -> tuple[Queue, Model]:
    limits = Limits(declared, fifo=queue.definition().get("fifo") == "1")
    letters = queue.definition().get("dead_letter") != "0"
    model = Model(
        START_MS * 1000, letters_kept=letters, keyed=queue.keyed, limits=limits, turns=Turns(weights or {})
    )
    return queue, model


def plain() -> tuple[Queue, Model]:
    return modelled(Queue("mail", max_depth=50))


def gated() -> tuple[Queue, Model]:
    rate = RateLimit(4, 2, burst=2)
    return modelled(Queue("mail", max_active=3, rate_limit=rate), max_active=3, rate_limit=rate)


def keyed() -> tuple[Queue, Model]:
    limits = KeyLimits(concurrency=2)
    queue = Queue("mail", key="key", key_limits=limits, max_active=4, dead_letter=False)
    return modelled(queue, key_concurrency=2, max_active=4)


def weighed() -> tuple[Queue, Model]:
    rate, weights = RateLimit(4, 1, burst=5), {"a": 3}
    queue = Queue("mail", key="key", key_limits=KeyLimits(rate=rate, weights=weights))
    return modelled(queue, weights=weights, key_rate=rate)


def fifo() -> tuple[Queue, Model]:
    return modelled(Queue("mail", key="key", key_limits=KeyLimits(fifo=True)))


QUEUES = {"plain": plain, "gated": gated, "keyed": keyed, "weighed": weighed, "fifo": fifo}
