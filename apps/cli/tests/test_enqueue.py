from __future__ import annotations

import json
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from conftest import Jobs

MAIL = '{"to": "ada@example.com", "template": "welcome"}'


def show(jobs: Jobs, job_id: str) -> dict[str, object]:
    return cast("dict[str, object]", jobs("show", "email", job_id, "--json").json)


def test_enqueues_a_declared_job(jobs: Jobs) -> None:
    told = cast("dict[str, object]", jobs("enqueue", "email", "send-email", MAIL, "--json").json)
    assert (told["queue"], told["name"], told["created"]) == ("email", "send-email", True)
    job = show(jobs, str(told["id"]))
    assert (job["state"], job["attempts"], job["priority"]) == ("waiting", 5, "normal")


def test_options_reach_the_job(jobs: Jobs) -> None:
    options = ["--priority", "HIGH", "--delay", "2h", "--attempts", "9", "--id", "mine"]
    ran = jobs("enqueue", "email", "send-email", MAIL, *options)
    assert ran.out == "email/send-email mine\n"
    job = show(jobs, "mine")
    assert (job["state"], job["attempts"], job["priority"]) == ("delayed", 9, "high")
    again = jobs("enqueue", "email", "send-email", MAIL, "--id", "mine")
    assert (again.code, again.out) == (0, "email/send-email mine, known already: nothing was added\n")


def test_a_unique_key_adds_one_job_at_a_time(jobs: Jobs) -> None:
    first = jobs("enqueue", "email", "send-email", MAIL, "--unique", "ada", "--json").json
    again = jobs("enqueue", "email", "send-email", MAIL, "--unique", "ada", "--json").json
    one, two = (cast("dict[str, object]", each) for each in (first, again))
    assert (one["outcome"], two["outcome"], two["id"]) == ("created", "skipped", one["id"])
    ran = jobs("enqueue", "email", "send-email", MAIL, "--unique", "ada")
    assert "nothing was added" in ran.out


def test_an_instant_and_a_numbered_priority(jobs: Jobs) -> None:
    at = "2099-01-31T09:00:00+01:00"
    assert jobs("enqueue", "email", "send-email", MAIL, "--at", at, "--priority", "1", "--id", "x").code == 0
    assert (show(jobs, "x")["run_at"], show(jobs, "x")["priority"]) == ("2099-01-31T08:00:00Z", "critical")


def test_a_payload_from_standard_input(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(MAIL))
    assert jobs("enqueue", "email", "send-email", "-", "--id", "x").code == 0
    assert cast("dict[str, object]", show(jobs, "x")["payload"])["template"] == "welcome"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["emial", "send-email", MAIL], "'email'"),
        (["email", "send-mail", MAIL], "'send-email'"),
        (["email", "send-email@7", MAIL], "send-email@1"),
        (["email", "send-email", '{"to": 7}'], "PAYLOAD: The payload of job 'send-email' in queue 'email' "),
        (["email", "send-email", "{"], "PAYLOAD: "),
        (["email", "send-email"], "PAYLOAD: "),
        (["email", "send-email", MAIL, "--priority", "urgent"], "Option --priority='urgent': "),
        (["email", "send-email", MAIL, "--delay", "soon"], "Option --delay='soon': "),
        (["email", "send-email", MAIL, "--at", "2099-01-31T09:00:00"], "Option --at="),
        (["email", "send-email", MAIL, "--at=tomorrow"], "Option --at='tomorrow': "),
        (["email", "send-email", MAIL, "--at", "2099-01-31T09:00:00Z", "--delay", "1s"], "Option --at="),
        (["email", "send-email", MAIL, "--attempts", "0"], "Option --attempts=0: "),
        (["email", "send-email", MAIL, "--id", "x" * 129], "Option --id="),
        (["email", "send-email", MAIL, "--unique", ""], "Option --unique.key='': "),
        (["email"], "name of a job"),
        ([], "QUEUE"),
    ],
)
def test_wrong_usage_exits_with_2_and_adds_nothing(jobs: Jobs, arguments: list[str], told: str) -> None:
    ran = jobs("enqueue", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert jobs("queues", "--json").json == []


def test_waiting_gives_the_time_limit(jobs: Jobs) -> None:
    ran = jobs("enqueue", "email", "send-email", MAIL, "--wait", "--timeout", "20ms")
    assert (ran.code, ran.out) == (1, "")
    assert "has not ended within 0.02 s" in ran.err
    told = cast(
        "dict[str, object]",
        jobs("enqueue", "email", "send-email", MAIL, "--wait", "--timeout", "20ms", "--json").json,
    )
    assert told["error"] == "result_timeout"


def write(path: Path, *lines: object) -> str:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_bulk_adds_a_job_for_each_line(jobs: Jobs, tmp_path: Path) -> None:
    payload = json.loads(MAIL)
    file = write(
        tmp_path / "mails.jsonl",
        {"payload": payload, "options": {"job_id": "a", "priority": "low"}},
        "\n",
        {"payload": payload, "job": "send-email", "options": {"delay": "1h", "job_id": "b"}},
        *({"payload": payload} for _ in range(2000)),
    )
    ran = jobs("enqueue", "email", "send-email", "--bulk", file, "--attempts", "2", "--json")
    assert ran.json == {"queue": "email", "created": 2002, "known": 0}
    assert (show(jobs, "a")["priority"], show(jobs, "a")["attempts"]) == ("low", 2)
    assert show(jobs, "b")["state"] == "delayed"
    file = write(
        tmp_path / "again.jsonl", {"payload": payload, "job": "send-email", "options": {"job_id": "a"}}
    )
    assert jobs("enqueue", "email", "--bulk", file).out == "0 enqueued, 1 known already\n"


def test_bulk_lines_name_what_is_to_follow(jobs: Jobs, tmp_path: Path) -> None:
    payload = json.loads(MAIL)
    follower = {"queue": "email", "job": "send-email", "payload": payload, "options": {"job_id": "b"}}
    line = {"payload": payload, "options": {"job_id": "a", "chain_to": [follower]}}
    file = write(tmp_path / "mails.jsonl", line)
    assert jobs("enqueue", "email", "send-email", "--bulk", file).out == "1 enqueued\n"
    flow = cast("dict[str, object]", show(jobs, "a")["flow"])
    assert (flow["chain"], flow["length"]) == ("a", 2)
    assert flow["next"] == [{"queue": "email", "name": "send-email", "id": "b"}]
    for wrong, told in (
        ({"payload": {"to": 7}}, "$.to"),
        ({"queue": "emial"}, "emial"),
        ({"job": "x"}, "'x'"),
    ):
        entry = {"payload": payload, "options": {"chain_to": [{**follower, **wrong}]}}
        ran = jobs("enqueue", "email", "send-email", "--bulk", write(tmp_path / "wrong.jsonl", entry))
        assert (ran.code, told in ran.err) == (2, True), ran.err


def test_bulk_from_standard_input(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"payload": json.loads(MAIL)}) + "\n"
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(line.encode() * 3)))
    assert jobs("enqueue", "email", "send-email", "--bulk", "-").out == "3 enqueued\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"payload": {"to": 7}}\n', "$.to"),
        (f'{{"payload": {MAIL}, "options": {{"delya": 1}}}}\n', "delay"),
        ('{"payload": {}, "optoins": {}}\n', "optoins"),
        ('{"payload": {}, "job": "send-mail"}\n', "'send-email'"),
        ("nonsense\n", "JSON is malformed"),
        (
            json.dumps({"payload": {"to": "ada@example.com", "subject": "x", "text": "x" * 1_100_000}}),
            "limit",
        ),
    ],
)
def test_bulk_checks_all_lines_first(jobs: Jobs, tmp_path: Path, line: str, told: str) -> None:
    file = write(tmp_path / "mails.jsonl", {"payload": json.loads(MAIL)}, line)
    ran = jobs("enqueue", "email", "send-email", "--bulk", file)
    assert (ran.code, ran.out) == (2, "")
    assert "line 2" in ran.err
    assert told in ran.err
    assert jobs("queues", "--json").json == []


def test_bulk_needs_its_file_and_takes_no_payload(jobs: Jobs, tmp_path: Path) -> None:
    assert "cannot read" in jobs("enqueue", "email", "send-email", "--bulk", str(tmp_path / "none")).err
    assert jobs("enqueue", "email", "send-email", MAIL, "--bulk", "x").code == 2
    assert jobs("enqueue", "email", "--bulk", write(tmp_path / "x", {"payload": {}})).code == 2
