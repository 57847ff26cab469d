"""What a tick does with the fires that are due."""

import msgspec
import pytest

from jobs_core.codecs import Codec
from jobs_core.schedules.definition import (
    GRACE_MS,
    Misfire,
    ScheduleDefinition,
    decode_definition,
    encode_definition,
)
from jobs_core.schedules.plan import Plan, first_fire, make_plan, upcoming
from jobs_core.schedules.recurrence import AfterCompletion, At, CronTimes, Every, Recurrence

HOUR = 3_600_000
NOON = 1_790_000_000_000 // HOUR * HOUR


def hourly(**changes: object) -> ScheduleDefinition:
    made = ScheduleDefinition(id="s", queue="mail", wire_name="send@1", recurrence=Every(HOUR, NOON))
    return msgspec.structs.replace(made, **changes)


def test_a_fire_on_time_is_sent() -> None:
    assert make_plan(hourly(), NOON, 0, NOON + 40) == Plan((NOON,), NOON + HOUR)


def test_nothing_is_due_yet() -> None:
    assert make_plan(hourly(), NOON, 0, NOON - 1) == Plan((), NOON)


@pytest.mark.parametrize(
    ("policy", "most", "sent", "skipped"),
    [
        ("run_once", 0, [3], 3),
        ("skip", 0, [], 4),
        ("run_all", 10, [0, 1, 2, 3], 0),
        ("run_all", 2, [2, 3], 2),
    ],
)
def test_three_hours_away(policy: Misfire, most: int, sent: list[int], skipped: int) -> None:
    plan = make_plan(hourly(misfire=policy, misfire_max=most), NOON, 0, NOON + 3 * HOUR + 60_000)
    times = tuple(NOON + each * HOUR for each in sent)
    assert plan == Plan(times, NOON + 4 * HOUR, late=len(sent), skipped=skipped)


def test_run_once_is_satisfied_by_a_fire_on_time() -> None:
    plan = make_plan(hourly(), NOON, 0, NOON + 3 * HOUR + GRACE_MS)
    assert plan == Plan((NOON + 3 * HOUR,), NOON + 4 * HOUR, skipped=3)


def test_what_is_older_than_the_window_is_missed() -> None:
    plan = make_plan(
        hourly(catch_up_ms=2 * HOUR, misfire="run_all", misfire_max=100), NOON, 0, NOON + 10 * HOUR + 60_000
    )
    assert plan == Plan((NOON + 9 * HOUR, NOON + 10 * HOUR), NOON + 11 * HOUR, late=2, missed=9)


def test_a_year_away_is_passed_over_at_once() -> None:
    seconds = hourly(recurrence=Every(1000, NOON), catch_up_ms=0)
    plan = make_plan(seconds, NOON, 0, NOON + 365 * 24 * HOUR)
    assert (plan.missed, plan.sent[-1]) == (365 * 24 * 3600 - 10, NOON + 365 * 24 * HOUR)


def test_very_many_are_worked_off_in_steps_and_run_once_runs_once() -> None:
    minutely = hourly(recurrence=CronTimes("* * * * *"), catch_up_ms=100 * HOUR)
    sent: list[int] = []
    at, skipped, now = NOON, 0, NOON + 40 * HOUR + 30_000
    while True:
        plan = make_plan(minutely, at, 0, now)
        sent += plan.sent
        skipped += plan.skipped
        assert plan.next_ms is not None
        at = plan.next_ms
        if at > now:
            break
    assert (sent, skipped) == ([NOON + 40 * HOUR], 2400)


@pytest.mark.parametrize("recurrence", [CronTimes("* * * * *"), Every(60_000, NOON)])
def test_very_many_are_worked_off_in_steps_and_run_all_sends_the_latest_alone(recurrence: Recurrence) -> None:
    minutely = hourly(recurrence=recurrence, catch_up_ms=100 * HOUR, misfire="run_all", misfire_max=50)
    sent: list[int] = []
    at, skipped, now = NOON, 0, NOON + 80 * HOUR + 30_000
    while at <= now:
        plan = make_plan(minutely, at, 0, now)
        sent += plan.sent
        skipped += plan.skipped
        assert plan.next_ms is not None
        assert plan.next_ms > at
        at = plan.next_ms
    assert sent == [NOON + 80 * HOUR - 60_000 * each for each in range(49, -1, -1)]
    assert skipped == 80 * 60 + 1 - 50


def test_a_limit_leaves_out_what_is_beyond_it() -> None:
    away = hourly(limit=5, misfire="run_all", misfire_max=10)
    plan = make_plan(away, NOON, 3, NOON + 3 * HOUR + 60_000)
    assert (plan.sent, plan.next_ms) == ((NOON, NOON + HOUR), NOON + 4 * HOUR)


def test_start_and_end_are_inclusive() -> None:
    bounded = hourly(start_ms=NOON + HOUR, end_ms=NOON + 3 * HOUR)
    assert first_fire(bounded, NOON - HOUR) == NOON + HOUR
    assert upcoming(bounded, NOON + HOUR, 10) == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert make_plan(bounded, NOON + 3 * HOUR, 0, NOON + 3 * HOUR).next_ms is None
    assert first_fire(bounded, NOON + 3 * HOUR + 1) is None


def test_jitter_delays_a_fire_and_never_doubles_it() -> None:
    spread_out = hourly(jitter_ms=HOUR // 2)
    sent: list[int] = []
    at: int | None = NOON
    for minute in range(5 * 60):
        assert at is not None
        plan = make_plan(spread_out, at, 0, NOON + minute * 60_000)
        sent += plan.sent
        at = plan.next_ms
    assert sent == [NOON + each * HOUR for each in range(5)][: len(sent)]
    assert len(sent) >= 4


def test_the_end_of_a_list_ends_it() -> None:
    assert make_plan(hourly(recurrence=At((NOON,))), NOON, 0, NOON) == Plan((NOON,), None)


def test_one_that_counts_from_the_end_of_its_runs_is_sent_however_late() -> None:
    again = hourly(
        recurrence=AfterCompletion(HOUR, NOON), misfire="skip", catch_up_ms=0, end_ms=NOON + 90 * HOUR
    )
    assert make_plan(again, NOON, 0, NOON - 1) == Plan((), NOON)
    assert make_plan(again, NOON, 0, NOON + 1) == Plan((NOON,), None)
    assert make_plan(again, NOON, 0, NOON + 80 * HOUR) == Plan((NOON,), None, late=1)
    assert make_plan(again, NOON + 91 * HOUR, 0, NOON + 91 * HOUR) == Plan((), None)


def test_a_definition_comes_back_as_it_was() -> None:
    made = hourly(recurrence=CronTimes("0 9 * * *", "Europe/Paris"), limit=3, seals=Codec(encrypt=True))
    assert decode_definition(encode_definition(made)) == made
    assert made != hourly(recurrence=CronTimes("0 9 * * *", "Europe/Rome"), limit=3)
