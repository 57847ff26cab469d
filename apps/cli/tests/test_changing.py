from __future__ import annotations

import asyncio
import signal
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


def test_priority_and_reschedule(jobs: Jobs) -> None:
    jobs.add("mail", "1", "2")
    assert jobs("priority", "mail", "1", "--to", "high").out == "1 high now\n"
    assert jobs("priority", "mail", "2", "--to", "soon").code == 2
    assert jobs("reschedule", "mail", "2", "--delay", "10m").out == "2 rescheduled\n"
    assert jobs("reschedule", "mail", "2", "--at", "2027-01-31T09:00:00").code == 2
    assert jobs("reschedule", "mail", "2").code == 2
    assert jobs("reschedule", "mail", "none", "--delay", "1s").code == 3
    assert (stats(jobs)["waiting"], stats(jobs)["delayed"]) == (1, 1)


def test_obliterate_wants_a_yes(jobs: Jobs) -> None:
    jobs.claim("mail", "1")
    jobs.add("mail", "2")
    assert jobs("obliterate", "mail").code == 2
    ran = jobs("obliterate", "mail", "--yes")
    assert ran.code == 1
    assert "runs 1 job" in ran.err
    assert jobs("obliterate", "mail", "--dry-run", "--force").out == "2 would be removed\n"
    assert jobs("obliterate", "mail", "--yes", "--force", "--json").json == {"count": 2, "dry_run": False}
    assert jobs("queues", "--json").json == []


def test_a_job_name_and_a_key_are_paused(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    assert jobs("pause", "mail", "--job", "send", "--for", "10m").out == "job send of mail is paused\n"
    changed = {"queue": "mail", "paused": True, "changed": True, "key": "7"}
    assert jobs("pause", "mail", "--key", "7", "--json").json == changed
    assert (stats(jobs)["paused"], stats(jobs)["pauses"]) == (False, 2)
    assert jobs("resume", "mail", "--key", "7").out == "key 7 of mail is running\n"
    assert jobs("pause", "mail", "--key", "7", "--job", "send").code == 2


def test_the_audit_tells_who_changed_what(jobs: Jobs) -> None:
    jobs.add("mail", "1", "2")
    jobs("priority", "mail", "1", "2", "--to", "low", "--actor", "ada", "--reason", "not urgent")
    jobs("drain", "mail")
    changes = cast("dict[str, list[dict[str, object]]]", jobs("audit", "mail", "--json").json)["changes"]
    told = [(each["verb"], each["actor"], each["filter"], each["count"], each["reason"]) for each in changes]
    assert told[1] == ("priority", "ada", "id:1,2", 2, "not urgent")
    assert told[0][:1] + told[0][2:] == ("drain", "state:waiting", 2, "")
    assert "@" in str(told[0][1])
    first = cast("dict[str, object]", jobs("audit", "--limit", "1", "--json").json)
    rest = cast(
        "dict[str, list[object]]",
        jobs("audit", "--limit", "5", "--cursor", str(first["cursor"]), "--json").json,
    )
    assert len(rest["changes"]) == 1
    assert jobs("audit", "none").out == "no changes\n"


def test_a_query_stands_in_place_of_ids(jobs: Jobs) -> None:
    jobs.finish("mail", "fail", "1", "2", "3")
    assert jobs("retry", "mail", "--query", "error:mailbox", "--dry-run").out == "3 would be put back\n"
    ran = jobs("retry", "mail", "--query", "state:failed", "--limit", "2")
    assert ran.out == "2 put back\n"
    assert "more with --cursor" in ran.err
    record = jobs("priority", "mail", "--query", "name:send", "--to", "low", "--json").json
    assert record == {
        "verb": "priority",
        "query": "name:send",
        "count": 2,
        "dry_run": False,
        "cursor": None,
    }
    assert jobs("reschedule", "mail", "--query", "priority:low", "--delay", "1h").out == "2 rescheduled\n"
    assert jobs("promote", "mail", "--query", "state:delayed", "--rate", "500").out == "2 promoted\n"
    assert jobs("remove", "mail", "--query", "state:waiting").out == "2 removed\n"
    assert jobs("remove", "mail", "1", "--query", "state:waiting").code == 2
    assert jobs("remove", "mail", "--query", "stat:waiting").code == 2


def test_what_is_to_be_done_to_many_can_be_undone_for_a_while(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    wait = asyncio.sleep

    async def over(seconds: float) -> None:
        if seconds >= 10:
            waited.append(seconds)
        else:
            await wait(seconds)

    async def broken_off(seconds: float) -> None:
        if seconds >= 10:
            # As Ctrl-C does.
            signal.raise_signal(signal.SIGINT)
        await wait(seconds)

    jobs.finish("mail", "fail", "1", "2", "3")
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", broken_off)
        with pytest.raises(SystemExit, match="130"):
            jobs("remove", "mail", "--query", "state:failed", "--undo-window", "10m", "--reason", "oh")
        capsys.readouterr()
        with pytest.raises(SystemExit, match="130"):
            jobs("retry-failed", "mail", "--undo-window", "10m")
    told = "3 will be put back in 600 s; Ctrl-C undoes it.\nUndone: nothing was changed.\n"
    assert capsys.readouterr().err == told
    assert stats(jobs)["retained_failed"] == 3
    audit = cast("dict[str, list[dict[str, object]]]", jobs("audit", "mail", "--json").json)["changes"]
    assert [(each["verb"], each["detail"], each["filter"]) for each in audit] == [
        ("bulk undo", "retry", ""),
        ("bulk undo", "remove", "state:failed"),
    ]
    assert (audit[1]["count"], audit[1]["reason"]) == (0, "oh")
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", over)
        ran = jobs("remove", "mail", "--query", "state:failed", "--limit", "2", "--undo-window", "10s")
        assert (ran.out, ran.err.splitlines()[0]) == (
            "2 removed\n",
            "2 will be removed in 10 s; Ctrl-C undoes it.",
        )
        assert jobs("retry-failed", "mail", "--undo-window", "1m", "--json").json == {
            "count": 1,
            "dry_run": False,
        }
        assert jobs("drain", "mail", "--undo-window", "10s", "--dry-run").out == "1 would be removed\n"
    assert waited == [10, 60]
    assert jobs("remove", "mail", "1", "--undo-window", "10s").code == 2
    assert jobs("replay", "1", "--undo-window", "10s").code == 2
    assert "--undo-window" in jobs("drain", "mail", "--undo-window", "soon").err
