"""Histograms and minutes: sorted by workers, added by the server, read by people."""

import random
from itertools import pairwise
from typing import cast

import pytest

from jobs_core.measures import (
    BOUNDS_MS,
    BUCKETS,
    SLOTS,
    Histogram,
    Minute,
    measure_items,
    minute_parts,
    parse_histograms,
    parse_minutes,
)


def buckets_of(durations: list[int]) -> dict[int, int]:
    """Return how many attempts are counted in which buckets, by how long (us) they ran."""
    items = iter(measure_items(durations, [])[4:-8])
    return {
        int(str(slot)[1:]) - 1: cast("int", n)
        for _, _, slot, n in zip(items, items, items, items, strict=True)
    }


def test_bounds_grow_from_a_millisecond_to_an_hour() -> None:
    assert (BOUNDS_MS[0], BOUNDS_MS[-1]) == (1, 3_600_000)
    assert all(low < high <= 2 * low for low, high in pairwise(BOUNDS_MS))


@pytest.mark.parametrize(
    ("us", "bucket"),
    [(0, 0), (1000, 0), (1001, 1), (3_600_000_000, BUCKETS - 2), (3_600_000_001, BUCKETS - 1)],
)
def test_a_bound_belongs_to_the_bucket_below_it(us: int, bucket: int) -> None:
    assert buckets_of([us]) == {bucket: 1}


def test_attempts_are_sent_as_counts() -> None:
    assert measure_items([500, 900, 2500], [0, 2000, 0]) == [
        *("INCRBY", "i64", "#0", 3),
        *("INCRBY", "i64", "#1", 2),
        *("INCRBY", "i64", "#4", 1),
        *("INCRBY", "i64", f"#{1 + BUCKETS}", 2),
        *("INCRBY", "i64", f"#{1 + BUCKETS + 2}", 1),
        *("INCRBY", "i64", f"#{SLOTS - 2}", 3900),
        *("INCRBY", "i64", f"#{SLOTS - 1}", 2000),
    ]


def test_nothing_measured_has_no_percentile() -> None:
    run, wait = parse_histograms(None)
    assert (run.total, run.percentile_ms(0.5), wait.percentile_ms(0.99)) == (0, None, None)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_is_right_within_its_bucket(share: float) -> None:
    durations = sorted(random.Random(7).lognormvariate(12, 2) for _ in range(5000))
    found_in = buckets_of([int(us) for us in durations])
    counts = [found_in.get(bucket, 0) for bucket in range(BUCKETS)]
    exact = durations[int(share * len(durations))] / 1000
    found = Histogram(tuple(counts)).percentile_ms(share)
    assert found is not None
    assert found / 2 <= exact <= found * 2


def test_what_takes_longer_than_an_hour_counts_as_an_hour() -> None:
    counts = [0] * BUCKETS
    counts[-1] = 4
    assert Histogram(tuple(counts)).percentile_ms(0.5) == 3_600_000


def test_histograms_of_another_release_are_read_as_far_as_they_go() -> None:
    run, _ = parse_histograms((7).to_bytes(8, "big") + (3).to_bytes(8, "big"))
    assert run.counts[0] == 3
    assert parse_histograms(b"\0" * 8 * (SLOTS + 4))[0].total == 0


def test_minutes_that_were_never_written_are_zero() -> None:
    assert parse_minutes(b"\0\0\0\1", 2) == [Minute(added=1), Minute()]


def test_minutes_of_two_days_are_read_from_two_strings() -> None:
    assert minute_parts(1439, 3) == [(0, 1439 * 32, 1440 * 32 - 1), (1, 0, 63)]
