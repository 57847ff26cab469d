from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from conftest import Jobs


def letters(jobs: Jobs) -> list[str]:
    page = cast("dict[str, list[dict[str, str]]]", jobs("list", "dead-letter", "--json").json)
    return [each["id"] for each in page["jobs"]]


def fail(jobs: Jobs, *ids: str) -> list[str]:
    """Fail jobs whose letters arrived: retrying one more carries on what lies in the outbox."""
    jobs.finish("mail", "fail", *ids, "other")
    jobs("retry", "mail", "other")
    return letters(jobs)


def test_replay_by_letter_and_by_job(jobs: Jobs) -> None:
    first, second = sorted(fail(jobs, "1", "2"))
    ran = jobs("replay", first, "--priority", "high")
    assert (ran.code, ran.out) == (0, f"{first} replayed\n")
    assert jobs("replay", first).code == 3
    assert jobs("replay", "2", "--queue", "mail", "--dry-run").out == "2 would be replayed\n"
    assert jobs("replay", "2", "--queue", "mail").code == 0
    assert jobs("replay", "2", "--queue", "mail").code == 1
    assert jobs("replay", second).code == 3
    assert cast("dict[str, object]", jobs("show", "mail", "1", "--json").json)["priority"] == "high"


def test_replay_of_those_that_match(jobs: Jobs) -> None:
    fail(jobs, "1", "2", "3")
    assert jobs("replay", "--all", "--dry-run").out == "3 would be replayed\n"
    assert jobs("replay", "--of", "nowhere").out == "0 replayed\n"
    assert jobs("replay", "--of", "mail", "--rate", "100", "--limit", "2", "--json").json == {
        "count": 2,
        "dry_run": False,
    }
    assert len(letters(jobs)) == 1


def test_replay_with_another_payload(jobs: Jobs) -> None:
    (letter,) = fail(jobs, "1")
    ran = jobs("replay", letter, "--edit", '{"to": "ada"}')
    assert ran.code == 0, ran.err
    assert cast("dict[str, object]", jobs("show", "mail", "1", "--json").json)["payload"] == {"to": "ada"}
    ran = jobs("replay", letter, "--edit", "{")
    assert (ran.code, ran.err.startswith("jobs: --edit: The payload")) == (2, True), ran.err


def test_replay_says_what_is_missing(jobs: Jobs) -> None:
    assert jobs("replay").code == 2
    assert jobs("replay", "1", "--all").code == 2
    assert jobs("replay", "1", "2", "--edit", "{}").code == 2
    assert jobs("replay", "--of", "mail", "--queue", "mail").code == 2
