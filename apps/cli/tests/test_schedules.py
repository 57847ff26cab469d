"""Schedules from the command line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

import pytest

from jobs_cli.output import cell

if TYPE_CHECKING:
    from conftest import Jobs

WARM = '{"urls": ["https://example.com/"]}'


def test_a_schedule_from_its_beginning_to_its_end(jobs: Jobs) -> None:
    assert jobs("schedules", "list").out == "no schedules\n"
    line = ["schedules", "add", "cache-warmup", "warm", "--payload", WARM, "--id", "pages"]
    ran = jobs(
        *line, "--cron", "30 9 * * *", "--timezone", "Europe/Paris", "--overlap", "skip", "--misfire", "3"
    )
    assert ran.code == 0, ran.err
    assert ran.out.startswith("cache-warmup/pages created, next 20")
    again = jobs(
        *line,
        "--cron",
        "30 9 * * *",
        "--timezone",
        "Europe/Paris",
        "--overlap",
        "skip",
        "--misfire",
        "3",
        "--json",
    )
    assert isinstance(again.json, dict)
    assert again.json["outcome"] == "unchanged"

    row = jobs("schedules", "list").out.splitlines()[1]
    assert "30 9 * * * (Europe/Paris)" in row
    assert row.endswith("active")
    (record,) = cast("list[dict[str, object]]", jobs("schedules", "list", "cache-warmup", "--json").json)
    assert (record["id"], record["overlap"], record["misfire_max"]) == ("pages", "skip", 3)
    shown = jobs("schedules", "show", "cache-warmup", "pages").out
    assert "Europe/Paris" in shown
    assert '{"urls":["https://example.com/"]}' in shown
    assert [
        each.split() for each in shown.splitlines() if each.startswith(("late", "skipped", "missed"))
    ] == [
        ["late", "0"],
        ["skipped", "0"],
        ["missed", "0"],
    ]
    assert shown.splitlines()[-1].startswith("next ")
    times = jobs("schedules", "next", "cache-warmup", "pages", "--count", "2").out.splitlines()
    assert len(times) == 2
    assert cell(datetime.fromisoformat(cast("str", record["next_at"]))) == times[0]

    assert (
        jobs("schedules", "pause", "cache-warmup", "pages", "--reason", "quiet", "--actor", "ada").code == 0
    )
    assert jobs("schedules", "list").out.splitlines()[1].endswith("paused")
    assert jobs("schedules", "pause", "cache-warmup", "pages", "--json").json == {
        "queue": "cache-warmup",
        "id": "pages",
        "changed": False,
    }
    job_id = jobs("schedules", "trigger", "cache-warmup", "pages").out.strip()
    assert jobs("show", "cache-warmup", job_id).code == 0
    assert jobs("schedules", "resume", "cache-warmup", "pages").out == "cache-warmup/pages is active\n"
    ran = jobs(
        "schedules",
        "backfill",
        "cache-warmup",
        "pages",
        "--start",
        "2026-01-10T00:00:00Z",
        "--end",
        "2026-01-13T00:00:00Z",
    )
    assert ran.out == "3 enqueued\n", ran.err
    assert jobs("schedules", "remove", "cache-warmup", "pages", "--json").code == 0
    assert jobs("schedules", "list").out == "no schedules\n"
    assert "quiet" in jobs("audit").out


def test_the_audit_tells_who_wrote_a_schedule(jobs: Jobs) -> None:
    line = ["schedules", "add", "cache-warmup", "warm", "--payload", WARM, "--id", "pages", "--every"]
    assert jobs(*line, "5m", "--actor", "ada", "--reason", "sales").code == 0
    assert jobs(*line, "5m", "--actor", "bob").code == 0
    changes = cast("dict[str, list[dict[str, object]]]", jobs("audit", "--json").json)["changes"]
    assert [(each["actor"], each["verb"], each["count"], each["reason"]) for each in changes] == [
        ("bob", "schedule.add", 0, ""),
        ("ada", "schedule.add", 1, "sales"),
    ]


def test_every_option_of_a_schedule_can_be_given(jobs: Jobs) -> None:
    line = ["schedules", "add", "cache-warmup", "warm", "--payload", WARM, "--json"]

    def written(*options: str) -> dict[str, object]:
        ran = jobs(*line, *options)
        assert ran.code == 0, ran.err
        return cast("dict[str, dict[str, object]]", ran.json)["schedule"]

    launch, later = "2040-01-31T09:00:00+01:00", "2040-02-01T00:00:00Z"
    once = written("--at", launch, "--at", later, "--id", "launch")
    assert (once["at"], once["next_at"]) == (["2040-01-31T08:00:00Z", later], "2040-01-31T08:00:00Z")
    assert "at 2 instants" in jobs("schedules", "list").out

    chained = written(
        *("--after-completion", "90s", "--start", launch, "--end", later, "--limit", "7", "--jitter", "1s"),
        *("--overlap", "buffer_one", "--misfire", "skip", "--catch-up-window", "2h", "--pause-on-failure"),
        *("--priority", "low", "--attempts", "9"),
        *(
            "--options",
            '{"tags": ["night"], "timeout": "20s", "priority": "high", "metadata": {"created_by": "ada"}}',
        ),
    )
    expected = {
        "id": "cache-warmup:warm:after 90000ms",
        "after_completion_ms": 90_000,
        "start": "2040-01-31T08:00:00Z",
        "end": later,
        "limit": 7,
        "jitter_ms": 1000,
        "overlap": "buffer_one",
        "misfire": "skip",
        "catch_up_window_ms": 7_200_000,
        "pause_on_failure": True,
        "priority": "low",
        "attempts": 9,
        "tags": ["night"],
        "metadata": {"created_by": "ada"},
    }
    assert {name: chained[name] for name in expected} == expected


def test_many_schedules_are_listed_all(jobs: Jobs) -> None:
    for number in range(3):
        jobs(
            "schedules",
            "add",
            "cache-warmup",
            "warm",
            "--payload",
            WARM,
            "--id",
            f"s{number}",
            "--every",
            "5m",
        )
    listed = cast("list[dict[str, str]]", jobs("schedules", "list", "--json").json)
    assert sorted(each["id"] for each in listed) == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show", "cache-warmup", "gone"], 3, "gone"),
        (["trigger", "cache-warmup", "gone"], 3, "gone"),
        (["add", "cache-warmup", "warm", "--payload", WARM], 2, "give one of cron"),
        (["add", "cache-warmup", "warm", "--payload", WARM, "--cron", "61 * * * *"], 2, "Option --cron="),
        (
            ["add", "cache-warmup", "warm", "--payload", WARM, "--cron", "@daily", "--timezone", "Mars"],
            2,
            "Option --timezone='Mars'",
        ),
        (["add", "email", "send-email", "--every", "5m"], 2, "--payload: "),
        (
            ["add", "email", "send-email", "--every", "5m", "--payload", '{"to": 7}'],
            2,
            "--payload: The payload",
        ),
        (
            ["add", "cache-warmup", "warm", "--payload", WARM, "--every", "5m", "--id", ""],
            2,
            "Option --id=''",
        ),
        (
            [
                *("add", "cache-warmup", "warm", "--payload", WARM, "--every", "5m"),
                *(
                    "--options",
                    '{"chain_to": [{"queue": "email", "job": "send-email", "payload": {"to": 7}}]}',
                ),
            ],
            2,
            "--options: The payload of job 'send-email'",
        ),
        (
            [
                "add",
                "cache-warmup",
                "warm",
                "--payload",
                WARM,
                "--every",
                "5m",
                "--options",
                '{"attempts": 0}',
            ],
            2,
            "--options: Option attempts=0: ",
        ),
        (
            ["add", "cache-warmup", "warm", "--payload", WARM, "--every", "5m", "--attempts", "0"],
            2,
            "Option --attempts=0: ",
        ),
        (["add", "cache-warmup", "wram", "--every", "5m"], 2, "warm"),
        (
            ["add", "cache-warmup", "warm", "--payload", WARM, "--every", "5m", "--misfire", "often"],
            2,
            "Option --misfire='often': ",
        ),
        (["add", "cache-warmup", "warm", "--at", "2040-01-31T09:00:00"], 2, "no time zone"),
        (["add", "cache-warmup", "warm", "--at", "2040-01-31T09:00:00Z", "--every", "5m"], 2, "give one of"),
        (
            ["add", "cache-warmup", "warm", "--payload", WARM, "--every", "5m", "--options", "[]"],
            2,
            "--options",
        ),
        (
            [
                "add",
                "cache-warmup",
                "warm",
                "--payload",
                WARM,
                "--every",
                "5m",
                "--options",
                '{"delay": "5s"}',
            ],
            2,
            "Option --options.delay=5.0: ",
        ),
        (["backfill", "cache-warmup", "gone", "--start", "yesterday", "--end", "now"], 2, "--start"),
        (["backfill", "cache-warmup", "gone", "--start", "2026-01-01", "--end", "now"], 2, "no time zone"),
    ],
)
def test_what_is_wrong_is_told(jobs: Jobs, arguments: list[str], code: int, told: str) -> None:
    ran = jobs("schedules", *arguments)
    assert (ran.code, told in ran.err) == (code, True), ran.err
