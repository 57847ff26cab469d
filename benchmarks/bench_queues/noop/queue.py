"""A job that does nothing, with the payload that the benchmark compares all peers with."""

import msgspec

from jobs_core import LIGHT, Queue


class BenchPayload(msgspec.Struct, frozen=True):
    """About 200 bytes of JSON."""

    id: int
    t: float
    user: str
    action: str
    body: str


BENCH = Queue("bench", profile=LIGHT)
NOOP = BENCH.job("noop", BenchPayload)
