"""When schedules fire; all zones and years are in tests/chaos/test_all_zones.py."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from tests.support.wall_clocks import EXPRESSIONS, Expression, Minute, changes, expected, minutes

from jobs_core.errors import OptionError
from jobs_core.schedules.cron import Cron
from jobs_core.schedules.recurrence import (
    AfterCompletion,
    At,
    CronTimes,
    Every,
    explain,
    fires,
    next_fire,
    spread,
)
from jobs_core.schedules.zones import load_zone

DAY = 86_400
# North and south, half an hour of daylight saving, a month of it, offsets of 45 minutes, changes at midnight, none at all.
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "America/Santiago",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "UTC",
]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def walls(times: list[int], zone: str) -> list[str]:
    return [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat() for at in times]


@pytest.mark.parametrize("name", ZONES)
def test_fires_are_those_of_the_minutes_around_each_change(name: str) -> None:
    zone = ZoneInfo(name)
    starts = [at // DAY * DAY - DAY for at in changes(zone, 2026, 2026)] or [ms("2026-02-27T00:00Z") // 1000]
    for start in starts:
        of = list(minutes(zone, start, start + 3 * DAY))
        for each in EXPRESSIONS:
            found = [
                at // 1000
                for at in fires(CronTimes(each.text, name), start * 1000 - 1, (start + 3 * DAY) * 1000 - 1)
            ]
            assert found == expected(each, of), (name, each.text)


@pytest.fixture(scope="module")
def five_weeks() -> list[Minute]:
    """Return the minutes from the end of a leap year's February to the change of the clocks."""
    begin = ms("2028-02-26T00:00Z") // 1000
    return list(minutes(ZoneInfo("Europe/Paris"), begin, begin + 35 * DAY))


@pytest.mark.parametrize(
    "expression", [each for each in EXPRESSIONS if not each.repeats], ids=lambda e: e.text
)
def test_five_weeks_of_fixed_times(expression: Expression, five_weeks: list[Minute]) -> None:
    begin, end = five_weeks[0].at, five_weeks[-1].at + 60
    found = [
        at // 1000
        for at in fires(CronTimes(expression.text, "Europe/Paris"), begin * 1000 - 1, end * 1000 - 1)
    ]
    assert found == expected(expression, five_weeks)


def test_a_time_that_does_not_exist_comes_right_after_the_gap() -> None:
    times = list(
        fires(CronTimes("30 2 * * *", "Europe/Berlin"), ms("2026-03-28T12:00Z"), ms("2026-03-30T12:00Z"))
    )
    assert walls(times, "Europe/Berlin") == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_a_time_that_exists_twice_comes_once_for_fixed_hours_and_twice_for_any() -> None:
    day = (ms("2026-10-24T22:00Z") - 1, ms("2026-10-25T01:59Z"))
    fixed = list(fires(CronTimes("30 2 * * *", "Europe/Berlin"), *day))
    every = list(fires(CronTimes("30 * * * *", "Europe/Berlin"), *day))
    assert walls(fixed, "Europe/Berlin") == ["2026-10-25T02:30:00+02:00"]
    assert [wall[11:] for wall in walls(every, "Europe/Berlin")] == [
        "00:30:00+02:00",
        "01:30:00+02:00",
        "02:30:00+02:00",
        "02:30:00+01:00",
    ]


def test_seconds_come_first() -> None:
    times = fires(CronTimes("*/20 30 9 * * *"), ms("2026-05-01T00:00Z"), ms("2026-05-02T00:00Z"))
    assert walls(list(times), "UTC") == [
        "2026-05-01T09:30:00+00:00",
        "2026-05-01T09:30:20+00:00",
        "2026-05-01T09:30:40+00:00",
    ]


def test_the_rarest_day_is_found() -> None:
    assert walls([next_fire(CronTimes("0 0 29 2 *"), ms("2096-03-01T00:00Z")) or 0], "UTC") == [
        "2104-02-29T00:00:00+00:00"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 31 2 *",
        "0 0 0 * *",
        "@reboot",
        "a b c d e",
        "*/0 * * * *",
        "5-1 * * * *",
        "0 0 * * MON#6",
        "0 9 * * MON-",
        "\N{NO-BREAK SPACE}",
        "1" * 300,
        "0 0 30 2 *",
    ],
)
def test_a_wrong_expression_is_refused_with_the_reason(wrong: str) -> None:
    with pytest.raises(OptionError, match="cron"):
        Cron(wrong)


def test_a_day_that_its_month_never_has_is_told_as_such() -> None:
    with pytest.raises(OptionError, match="bad day-of-month for its month; it would never fire"):
        Cron("0 0 30 2 *")
    with pytest.raises(OptionError, match="bad day-of-month; give 5 fields"):
        Cron("0 0 32 2 *")
    with pytest.raises(OptionError, match="bad month; give 5 fields"):
        Cron("0 0 30 13 *")


@pytest.mark.parametrize(
    "wrong", ["Europe/Pariss", "", "CEST+1", "../etc/passwd", "/etc/localtime", "Mars/Base"]
)
def test_a_wrong_zone_is_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="timezone"):
        load_zone(wrong)


def test_a_near_zone_is_named() -> None:
    with pytest.raises(OptionError, match="Europe/Paris"):
        load_zone("Europe/Pariss")


@pytest.mark.parametrize(
    ("after", "expected_ms"), [(0, 500), (499, 500), (500, 1500), (1499, 1500), (1_000_500, 1_001_500)]
)
def test_every_counts_from_its_anchor(after: int, expected_ms: int) -> None:
    assert next_fire(Every(1000, 500), after) == expected_ms


def test_instants_come_in_order_and_end() -> None:
    at = At((5, 7, 9))
    assert list(fires(at, 5, 100)) == [7, 9]
    assert next_fire(at, 9) is None


def test_after_completion_begins_once() -> None:
    assert next_fire(AfterCompletion(1000, 50), 0) == 50
    assert next_fire(AfterCompletion(1000, 50), 50) is None


def test_spread_is_the_same_for_a_fire_and_within_bounds() -> None:
    found = {spread("nightly", fire, 60_000) for fire in range(0, 100_000, 1000)}
    assert spread("nightly", 0, 60_000) == spread("nightly", 0, 60_000)
    assert len(found) > 90
    assert all(0 <= each < 60_000 for each in found)
    assert spread("nightly", 0, 0) == 0


def test_it_explains_itself() -> None:
    assert "Friday" in Cron("0 9 * * FRI").explain()
    assert explain(CronTimes("30 2 * * *", "Europe/Paris")) == "At 02:30 every day, Europe/Paris"
    assert explain(CronTimes("every now and then")) == "every now and then, UTC"
    assert explain(Every(5_400_000, 0)) == "Every 1 h 30 min"
    assert explain(At((1, 2))) == "At 2 given times"
    assert explain(AfterCompletion(1500, 0)) == "1 s 500 ms after the run before has ended"


def test_the_year_ends_without_a_trace() -> None:
    assert next_fire(CronTimes("0 0 1 1 *", "Europe/Berlin"), ms("2026-12-31T22:59:59Z")) == ms(
        "2026-12-31T23:00:00Z"
    )
    assert datetime.fromtimestamp(0, UTC).year == 1970
