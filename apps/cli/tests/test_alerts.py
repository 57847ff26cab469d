"""`jobs alerts`: thresholds listed and set."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from conftest import Jobs


@pytest.fixture
def jobs_with_queue(jobs: Jobs) -> Jobs:
    jobs.add("mail", "a")
    return jobs


def test_thresholds_are_listed_and_set(jobs_with_queue: Jobs) -> None:
    jobs = jobs_with_queue
    changes = ("--set", "waiting=5", "--set", "oldest=30m", "--set", "failed=none")
    found = cast("list[dict[str, object]]", jobs("alerts", "mail", *changes, "--json").json)
    told = {each["alert"]: (each["threshold"], each["live"]) for each in found}
    assert told["waiting"] == (5, 5)
    assert told["oldest"] == (1800, 1800)
    assert told["failed"] == (None, "off")
    assert told["failure_rate"] == (0.5, None)
    back = jobs("alerts", "mail", "--set", "waiting=declared").out
    (line,) = [line for line in back.splitlines() if "waiting" in line]
    assert line.split()[2:] == ["ok", "-", "-", "1000", "-", "-"]
    assert jobs("alerts", "--active").out == "no alert fires\n"
    assert "alert" in jobs("audit", "mail").out


@pytest.mark.parametrize(
    "wrong", ["waiting", "wating=1", "waiting=x", "waiting=-1", "oldest=soon", "failure_rate=2"]
)
def test_what_is_no_threshold_is_wrong_usage(jobs_with_queue: Jobs, wrong: str) -> None:
    assert jobs_with_queue("alerts", "mail", "--set", wrong).code == 2


def test_a_threshold_belongs_to_a_queue(jobs: Jobs) -> None:
    assert jobs("alerts", "--set", "waiting=1").code == 2
