"""Declare the queue that keeps a cache of pages warm."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from jobs_core.queue import LIGHT, Queue

CACHE_WARMUP = Queue("cache-warmup", profile=LIGHT, concurrency=2)

Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=8192)]


class Warm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fetch pages into the cache.

    Without `urls` those of `CACHE_WARMUP_URLS` are fetched.
    `ttl` (seconds) is how long a page may be served; with a run every 5 minutes the default survives one that fails.
    `timeout` (seconds) holds for one page, with its redirects. A page over `max_bytes` is not cached.
    """

    urls: Annotated[Sequence[Url], Meta(max_length=500)] = ()
    ttl: Annotated[float, Meta(gt=0, le=604_800)] = 900.0
    timeout: Annotated[float, Meta(gt=0, le=120)] = 10.0
    max_bytes: Annotated[int, Meta(ge=1, le=16 * 1024 * 1024)] = 2 * 1024 * 1024


class NotWarmed(Struct, frozen=True, kw_only=True):
    """A page that is not in the cache anew, and why. What was there stays until its time is over."""

    url: str
    reason: str


class WarmResult(Struct, frozen=True, kw_only=True):
    """How many pages were stored, how many were unchanged and live on, their bytes, and what could not be fetched."""

    warmed: int
    unchanged: int
    bytes: int
    failed: Sequence[NotWarmed] = ()


WARM = CACHE_WARMUP.job("warm", payload=Warm, result=WarmResult, attempts=3, timeout=300)
CACHE_WARMUP.every(
    300,
    WARM,
    Warm(),
    schedule_id="warm",
    requires=("CACHE_URL", "CACHE_WARMUP_URLS"),
    overlap="skip",
    misfire="skip",
)
