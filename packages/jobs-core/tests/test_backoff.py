"""Backoffs: what they wait, what they refuse, how they travel."""

import math
import random
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from jobs_core.backoff import Backoff, Curve, Custom, Delays, Exponential, Fixed, Linear, as_backoff
from jobs_core.durations import Duration
from jobs_core.errors import OptionError


def waits(backoff: Curve, retries: int) -> list[int]:
    return [backoff.delay_ms(attempt, lambda: 0.5) for attempt in range(1, retries + 1)]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Exponential(), [1000, 2000, 4000, 8000]),
        (Exponential(0.5, max=1.5), [500, 1000, 1500, 1500]),
        (Exponential(timedelta(seconds=1.1)), [1100, 2200, 4400, 8800]),
        (Linear(2), [2000, 4000, 6000, 8000]),
        (Linear(2, max=timedelta(seconds=5)), [2000, 4000, 5000, 5000]),
        (Fixed(60), [60_000, 60_000, 60_000, 60_000]),
        (Delays([1, timedelta(seconds=10), 0.25]), [1000, 10_000, 250, 250]),
        (Delays([0]), [0, 0, 0, 0]),
    ],
)
def test_waits_before_each_retry(backoff: Curve, expected: list[int]) -> None:
    assert waits(backoff, 4) == expected


def test_default_cap_is_an_hour_at_any_attempt() -> None:
    assert Exponential(1).delay_ms(1000, random.random) == 3_600_000
    assert Linear(30).delay_ms(1000, random.random) == 3_600_000


@pytest.mark.parametrize("kind", [Exponential(8, jitter=0.25), Linear(8, jitter=0.25), Fixed(8, jitter=0.25)])
def test_jitter_draws_evenly_below_the_wait(kind: Curve) -> None:
    assert kind.delay_ms(1, lambda: 0.0) == 8000
    assert kind.delay_ms(1, lambda: 0.5) == 7000
    assert kind.delay_ms(1, lambda: 0.9999999) == 6000


def test_jitter_of_one_reaches_from_nothing_to_all() -> None:
    assert Delays([4], jitter=1).delay_ms(3, lambda: 1.0) == 0
    assert Delays([4], jitter=1).delay_ms(3, lambda: 0.0) == 4000


@pytest.mark.parametrize("base", [-1, math.nan, math.inf, True, "1", None])
def test_wrong_bases_are_refused(base: Duration) -> None:
    for kind in (Exponential, Linear, Fixed):
        with pytest.raises(OptionError, match=r"backoff\.base"):
            kind(base)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, math.nan, True, "0.5", None])
def test_wrong_jitter_is_refused(jitter: float) -> None:
    with pytest.raises(OptionError, match=r"backoff\.jitter"):
        Exponential(jitter=jitter)
    with pytest.raises(OptionError, match=r"backoff\.jitter"):
        Delays([1], jitter=jitter)


@pytest.mark.parametrize("delays", [[], "123", [1, -1], [1] * 1001])
def test_wrong_lists_are_refused(delays: Sequence[Duration]) -> None:
    with pytest.raises(OptionError, match="backoff"):
        Delays(delays)


@pytest.mark.parametrize(
    "backoff", [Exponential(1.5, max=60, jitter=0.1), Linear(3), Fixed(2), Delays([1, 2.5], jitter=0.5)]
)
def test_travels_and_comes_back_equal(backoff: Backoff) -> None:
    data = msgspec.msgpack.encode(backoff)
    assert msgspec.msgpack.decode(data, type=Backoff) == backoff
    assert len(data) < 30


def test_equal_durations_make_equal_backoffs() -> None:
    assert Exponential(1.0) == Exponential(1) == Exponential(timedelta(seconds=1))
    assert hash(Delays([1.0, 2])) == hash(Delays((1, timedelta(seconds=2))))


def test_a_list_of_durations_is_a_backoff() -> None:
    assert as_backoff([1, 5]) == Delays([1, 5])
    assert as_backoff(Fixed(1)) == Fixed(1)
    for wrong in (5, "exponential", None, {"type": "fixed"}):
        with pytest.raises(OptionError, match="backoff"):
            as_backoff(wrong)  # pyright: ignore[reportArgumentType]


def test_custom_names_a_function() -> None:
    assert as_backoff(Custom("bank")) == Custom("bank")
    for wrong in ("", "no name", 7):
        with pytest.raises(OptionError, match="name"):
            Custom(wrong)  # pyright: ignore[reportArgumentType]
