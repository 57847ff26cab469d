from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from conftest import Jobs


def stats(jobs: Jobs, queue: str = "mail") -> dict[str, object]:
    return cast("dict[str, object]", jobs("stats", queue, "--json").json)


def test_retry_of_one_and_of_several(jobs: Jobs) -> None:
    jobs.finish("mail", "fail", "1", "2", "3")
    ran = jobs("retry", "mail", "1")
    assert (ran.code, ran.out) == (0, "1 put back\n")
    ran = jobs("retry", "mail", "1")
    assert (ran.code, ran.out) == (1, "")
    assert "needs it to be failed" in ran.err
    ran = jobs("retry", "mail", "1", "2", "--json")
    assert ran.code == 1
    outcomes = cast("list[dict[str, object]]", ran.json)
    assert [(each["id"], each["done"], each["code"]) for each in outcomes] == [
        ("1", False, "wrong_state"),
        ("2", True, ""),
    ]
    assert jobs("retry", "mail", "none", "3").code == 3
    assert stats(jobs)["waiting"] == 3


def test_remove_refuses_a_running_job(jobs: Jobs) -> None:
    jobs.claim("mail", "1")
    jobs.add("mail", "2")
    ran = jobs("remove", "mail", "2", "1")
    assert (ran.code, ran.out) == (1, "2 removed\n")
    assert "is active" in ran.err


def test_promote(jobs: Jobs) -> None:
    jobs.add("mail", "1", delay=60)
    assert jobs("promote", "mail", "1").code == 0
    assert stats(jobs)["waiting"] == 1


def test_cancel(jobs: Jobs) -> None:
    jobs.add("mail", "1", delay=60)
    ran = jobs("cancel", "mail", "1", "none")
    assert (ran.code, ran.out) == (3, "1 cancelled\n")
    assert "none" in ran.err
    ran = jobs("cancel", "mail", "1", "--json")
    assert (ran.code, ran.out) == (0, '[{"id":"1","outcome":"already_finished"}]\n')


@pytest.mark.parametrize("verb", ["retry", "cancel", "remove", "promote"])
def test_ids_are_needed(jobs: Jobs, verb: str) -> None:
    assert jobs(verb, "mail").code == 2


def test_retry_failed_counts(jobs: Jobs) -> None:
    jobs.finish("mail", "fail", "1", "2", "3")
    assert jobs("retry-failed", "mail", "--dry-run").out == "3 would be put back\n"
    assert jobs("retry-failed", "mail", "--limit", "2").out == "2 put back\n"
    assert jobs("retry-failed", "mail", "--json").json == {"count": 1, "dry_run": False}


def test_clean_takes_states_and_an_age(jobs: Jobs) -> None:
    jobs.finish("mail", "complete", "1", "2")
    jobs.finish("mail", "fail", "3")
    assert jobs("clean", "mail", "--older-than", "24h").out == "0 removed\n"
    assert jobs("clean", "mail", "--dry-run").out == "2 would be removed\n"
    assert jobs("clean", "mail", "--state", "completed,failed", "--limit", "2").out == "2 removed\n"
    assert jobs("clean", "mail", "--state", "failed").out == "1 removed\n"
    assert jobs("clean", "mail", "--state", "waiting").code == 2
    assert jobs("clean", "mail", "--older-than", "soon").code == 2


def test_drain_leaves_active_and_delayed_jobs(jobs: Jobs) -> None:
    jobs.claim("mail", "1")
    jobs.add("mail", "2", "3")
    jobs.add("mail", "4", delay=60)
    assert jobs("drain", "mail").out == "2 removed\n"
    assert jobs("drain", "mail", "--delayed").out == "1 removed\n"
    assert (stats(jobs)["active"], stats(jobs)["total"]) == (1, 1)


def test_pause_and_resume(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    assert jobs("pause", "mail", "--reason", "provider down").out == "mail is paused\n"
    assert jobs("pause", "mail").out == "mail is paused already\n"
    assert stats(jobs)["paused"] is True
    changed = {"queue": "mail", "paused": False, "changed": True}
    assert jobs("resume", "mail", "--json").json == changed
    assert jobs("resume", "mail").out == "mail is running already\n"
