"""How often what took how long: histograms with fixed bounds, and the counts of every minute.

Workers sort their attempts into buckets and send counts; the server only adds. Both layouts are strings of fixed-width
numbers (see `docs/engine.md`, Measures), read here and nowhere else.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from operator import add
from sys import byteorder
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs_core.connection.protocol import Encodable

BOUNDS_MS: Final[tuple[float, ...]] = (
    *(step * 10**power for power in range(6) for step in (1, 1.5, 2, 3, 5, 7)),
    *(1_000_000, 1_500_000, 2_000_000, 3_000_000, 3_600_000),
)
"""Upper bounds of the buckets in ms, 1 ms to 1 h; behind the last one is a bucket for all that took longer."""

BUCKETS: Final = len(BOUNDS_MS) + 1
SLOTS: Final = 3 + 2 * BUCKETS
MINUTES_A_DAY: Final = 1440
KEPT_DAYS: Final = 90
_BOUNDS_US = [int(bound * 1000) for bound in BOUNDS_MS]
_MINUTE = struct.Struct(">IIIIqq")
_SLOT_NAMES = tuple(f"#{slot}" for slot in range(SLOTS))


class Histogram(msgspec.Struct, frozen=True):
    """How many attempts took how long. `counts` has one number for each bucket, not summed up; `sum_us` is all of them together."""

    counts: tuple[int, ...] = (0,) * BUCKETS
    sum_us: int = 0

    @property
    def total(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def percentile_ms(self, share: float) -> float | None:
        """Return how many ms the given share (0 to 1) took at most; None without any.

        Within a bucket the attempts count as evenly spread, so the error is less than the bucket is wide.
        """
        total = self.total
        if not total:
            return None
        rank, before = share * total, 0
        for bucket, count in enumerate(self.counts):
            if count and before + count >= rank:
                low = BOUNDS_MS[bucket - 1] if bucket else 0.0
                high = BOUNDS_MS[bucket] if bucket < len(BOUNDS_MS) else BOUNDS_MS[-1]
                return round(low + (high - low) * max(rank - before, 0.0) / count, 3)
            before += count
        return BOUNDS_MS[-1]

    def __add__(self, other: Histogram) -> Histogram:
        """Return both together."""
        return Histogram(tuple(map(add, self.counts, other.counts)), self.sum_us + other.sum_us)


class Minute(msgspec.Struct, frozen=True):
    """One minute of a queue. `run_us` and `wait_us` are summed over the attempts that ended in it."""

    added: int = 0
    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait_us: int = 0
    run_us: int = 0


def measure_items(runs: Sequence[int], waits: Sequence[int]) -> list[Encodable]:
    """Return the operations that add attempts, by how many us they ran and waited, to the histograms of their name."""
    items: list[Encodable] = ["INCRBY", "i64", "#0", len(runs)]
    for first, durations in ((1, runs), (1 + BUCKETS, waits)):
        # Sorted, so that each bucket is looked for once and not each attempt.
        ordered = sorted(durations)
        at, count = 0, len(ordered)
        while at < count:
            bucket = bisect_left(_BOUNDS_US, ordered[at])
            end = count if bucket == len(_BOUNDS_US) else bisect_right(ordered, _BOUNDS_US[bucket], at)
            items += ("INCRBY", "i64", _SLOT_NAMES[first + bucket], end - at)
            at = end
    items += ("INCRBY", "i64", _SLOT_NAMES[-2], sum(runs), "INCRBY", "i64", _SLOT_NAMES[-1], sum(waits))
    return items


def parse_histograms(packed: bytes | None) -> tuple[Histogram, Histogram]:
    """Return the histograms of run and wait of a job name."""
    packed = (packed or b"").ljust(8 * SLOTS, b"\0")[: 8 * SLOTS]
    counts = struct.unpack(f">{SLOTS}q", packed)
    waits = 1 + BUCKETS
    return Histogram(counts[1:waits], counts[-2]), Histogram(counts[waits:-2], counts[-1])


def parse_minutes(packed: bytes, count: int) -> list[Minute]:
    """Return `count` minutes that follow one another; what was never written is zero."""
    return [Minute(*each) for each in _MINUTE.iter_unpack(filled(packed, _MINUTE.size * count))]


def filled(packed: bytes, size: int) -> bytes:
    """Return so many bytes of packed minutes, those that were never written included."""
    return packed.ljust(size, b"\0")[:size]


def added_minutes(queues: Iterable[bytes], count: int) -> bytes:
    """Return the packed minutes of several queues together; each of them holds `count`.

    They are added as one number each, which is a hundred times faster than field by field: no field comes near the size at
    which its sum over all queues would carry into the next one.
    """
    total = sum(int.from_bytes(packed, "big") for packed in queues)
    return total.to_bytes(_MINUTE.size * count, "big")


def failed_in(packed: bytes) -> int:
    """Return how many jobs failed for good in packed minutes."""
    counts = array("I", packed)[2 :: _MINUTE.size // 4]
    if byteorder == "little":
        counts.byteswap()
    return sum(counts)


def minute_parts(first: int, count: int) -> list[tuple[int, int, int]]:
    """Return where minutes lie, counted since 1970: (day, first byte, last byte) for each day that they touch."""
    found: list[tuple[int, int, int]] = []
    while count > 0:
        day, minute = divmod(first, MINUTES_A_DAY)
        here = min(count, MINUTES_A_DAY - minute)
        found.append((day, minute * _MINUTE.size, (minute + here) * _MINUTE.size - 1))
        first += here
        count -= here
    return found


def merged(histograms: Mapping[str, Histogram]) -> Histogram:
    """Return the histograms of several names together."""
    total = Histogram()
    for each in histograms.values():
        total += each
    return total
