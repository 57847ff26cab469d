"""Limits, dead letters, plans and the measure of a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.workers import write_package

if TYPE_CHECKING:
    from conftest import Jobs


def test_limits_are_listed_set_lifted_and_taken_back(jobs: Jobs) -> None:
    jobs.add("mail", "a")
    assert jobs("limit", "mail").out.splitlines()[1].split() == ["max_active", "-", "-", "-"]
    ran = jobs(
        "limit", "mail", "--max-active", "20", "--rate", "100/1m/20", "--actor", "ada", "--reason", "asked"
    )
    lines = [line.split("  ") for line in ran.out.splitlines()]
    assert [part.strip() for part in lines[1] if part] == ["max_active", "-", "20", "20"]
    assert "100 in 60 s, burst 20" in ran.out
    ran = jobs("limit", "mail", "--max-active", "none", "--rate", "declared", "--json")
    assert isinstance(ran.json, dict)
    assert ran.json["changed"] is True
    assert ran.json["limits"] == [
        {"limit": "max_active", "declared": None, "live": None, "lifted": True},
        {"limit": "rate_limit", "declared": None, "live": None, "lifted": False},
        {"limit": "key_concurrency", "declared": None, "live": None, "lifted": False},
        {"limit": "key_rate", "declared": None, "live": None, "lifted": False},
    ]
    assert "asked" in jobs("audit").out


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--max-active", "many"),
        ("--rate", "10"),
        ("--rate", "10/s/x"),
        ("--rate", "x/s"),
        ("--key-rate", "1/soon"),
    ],
)
def test_a_limit_that_is_none_is_refused(jobs: Jobs, flag: str, value: str) -> None:
    jobs.add("mail", "a")
    ran = jobs("limit", "mail", flag, value)
    assert (ran.code, flag in ran.err) == (2, True)


def test_dead_letters_are_counted(jobs: Jobs) -> None:
    assert jobs("dead-letters").out == "no dead letters\n"
    jobs.finish("mail", "fail", "1", "other")
    jobs("retry", "mail", "other")
    assert jobs("dead-letters").out.splitlines()[1].split()[:2] == ["mail", "send@1"]
    assert jobs("dead-letters", "--json").json
    letter = jobs("list", "dead-letter", "--json").out.split('"id":"')[1].split('"')[0]
    jobs("replay", letter, "--actor", "ada", "--reason", "mended")
    assert "mended" in jobs("audit").out


def test_a_plan_says_what_code_would_change(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from jobs_core import LIGHT, Queue\nQ = Queue('clips', profile=LIGHT)\nJ = Q.job('cut', payload=int)\n"
    write_package(tmp_path, "planned_shop", {"clips/queue.py": source})
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("JOBS_FEATURES", "planned_shop")
    jobs.add("old", "a")
    ran = jobs("plan")
    assert ran.code == 0
    assert "new         clips (light, 50 at once)" in ran.out
    assert "undeclared  old (no profile, 0 at once)" in ran.out
    assert ran.out.splitlines()[-1] == "2 new, 0 changed, 0 same"
    assert jobs("queues").out.count("\n") == 2


def test_a_bench_measures_and_leaves_nothing(jobs: Jobs) -> None:
    ran = jobs("bench", "--jobs", "40", "--concurrency", "10", "--json")
    assert ran.code == 0, ran.err
    assert isinstance(ran.json, dict)
    assert (ran.json["jobs"], ran.json["concurrency"]) == (40, 10)
    figures = [ran.json[name] for name in ("enqueue_per_s", "drain_per_s", "pickup_p50_ms", "pickup_p99_ms")]
    assert all(isinstance(each, float) and each > 0 for each in figures)
    assert jobs("queues", "--json").json == []
    assert jobs("bench", "--jobs", "0").code == 2
