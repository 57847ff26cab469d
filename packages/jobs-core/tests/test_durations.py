"""Durations in Python and as text."""

import math
from datetime import timedelta

import pytest

from jobs_core.durations import Duration, parse_duration, to_ms
from jobs_core.errors import OptionError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1, 1000),
        (0.5, 500),
        (1.1, 1100),
        (0.0001, 1),
        (timedelta(minutes=2), 120_000),
        (timedelta(milliseconds=7), 7),
        (timedelta(days=3650), 315_360_000_000),
    ],
)
def test_durations_become_milliseconds(value: Duration, expected: int) -> None:
    assert to_ms(value, name="delay") == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        math.nan,
        math.inf,
        -math.inf,
        True,
        "5",
        None,
        timedelta(seconds=-1),
        timedelta(days=3651),
        1e300,
    ],
)
def test_what_is_no_duration_is_refused_by_name(value: Duration) -> None:
    with pytest.raises(OptionError) as caught:
        to_ms(value, name="delay")
    assert caught.value.option == "delay"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 86400),
        ("30s", 30),
        ("500ms", 0.5),
        ("7d", 604800),
        ("2w", 1209600),
        ("15m", 900),
        ("1h30m", 5400),
        (" 2.5 ", 2.5),
        ("1.5H", 5400),
        ("0", 0),
    ],
)
def test_texts_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "5x", "-5s", "5 s", "1e3", "nan", "inf", "٣s", "4000d", "9" * 400])
def test_wrong_texts_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_duration(text)
