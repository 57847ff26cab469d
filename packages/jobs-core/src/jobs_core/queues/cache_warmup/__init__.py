"""Keep a cache of pages warm: what the jobs of this queue carry and answer."""

from jobs_core.queues.cache_warmup.queue import CACHE_WARMUP, WARM, NotWarmed, Warm, WarmResult

__all__ = ["CACHE_WARMUP", "WARM", "NotWarmed", "Warm", "WarmResult"]
