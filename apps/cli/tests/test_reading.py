from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace

from jobs_cli.output import cell
from jobs_core import Queue
from jobs_core.registry import WorkerEntry
from jobs_producer import SyncProducer

if TYPE_CHECKING:
    from conftest import Jobs


WORKER = WorkerEntry(
    id="worker-1", host="host", pid=7, version="0.1.0", worker_type="light", queues=("mail",)
)


def rows(ran: object) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", ran)


def test_queues_of_an_empty_server(jobs: Jobs) -> None:
    assert jobs("queues", "--json").json == []
    assert "no queues" in jobs("queues").out
    assert jobs("workers", "list", "--json").json == []


def test_queues_and_stats_hold_the_keys_of_the_record(jobs: Jobs) -> None:
    jobs.add("mail", "1", "2")
    jobs.finish("mail", "complete", "3")
    (record,) = rows(jobs("queues", "--json").json)
    assert record == jobs("stats", "mail", "--json").json == rows(jobs("stats", "--json").json)[0]
    counts = ["waiting", "active", "delayed", "blocked", "unroutable"]
    totals = ["completed", "failed", "cancelled", "expired", "stalled"]
    kept = ["retained_completed", "retained_failed", "retained_cancelled", "retained_expired"]
    assert list(record)[:17] == ["queue", *counts, *totals, *kept, "paused", "total"]
    assert (record["queue"], record["paused"]) == ("mail", False)


def test_tables_are_plain_where_there_is_no_terminal(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    head, row = jobs("queues").out.splitlines()
    assert head.split()[:3] == ["QUEUE", "WAITING", "ACTIVE"]
    assert row.split()[:3] == ["mail", "1", "0"]
    assert "waiting" in jobs("stats", "mail").out


def test_metrics(jobs: Jobs) -> None:
    jobs.finish("mail", "complete", "1")
    one = cast("dict[str, object]", jobs("metrics", "mail", "--json").json)
    assert (one["queue"], one["total_processed"], one["success_rate"]) == ("mail", 1, 1.0)
    assert "queues" not in one
    every = cast("dict[str, object]", jobs("metrics", "--json").json)
    assert every["queue"] is None
    assert rows(every["queues"]) == [one]
    assert "100.00%" in jobs("metrics").out


def test_a_declared_queue_is_zero_before_its_first_use(jobs: Jobs) -> None:
    assert cast("dict[str, object]", jobs("stats", "email", "--json").json)["total"] == 0


def test_an_unknown_queue_is_wrong_usage_with_the_nearest_names(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    for arguments in (["stats", "emial"], ["list", "emial"], ["metrics", "emial"], ["pause", "emial"]):
        ran = jobs(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "'email'" in ran.err


def test_list_pages_filters_and_states(jobs: Jobs) -> None:
    jobs.add("mail", "1", "2", "3")
    jobs.add("mail", "4", delay=60, tags=["vip"])
    page = cast("dict[str, object]", jobs("list", "mail", "--limit", "2", "--json").json)
    assert [job["id"] for job in rows(page["jobs"])] == ["1", "2"]
    following = jobs("list", "mail", "--cursor", str(page["cursor"]), "--json").json
    assert [job["id"] for job in rows(cast("dict[str, object]", following)["jobs"])] == ["3", "4"]
    for arguments in (
        ["--state", "delayed,failed"],
        ["--state", "delayed"],
        ["--tag", "vip"],
        ["--offset", "3"],
    ):
        found = cast("dict[str, object]", jobs("list", "mail", *arguments, "--json").json)
        assert [job["id"] for job in rows(found["jobs"])] == ["4"]
    assert jobs("list", "mail", "--name", "other").out == "no jobs\n"
    assert "--cursor" in jobs("list", "mail", "--limit", "1").err


@pytest.mark.parametrize(
    "wrong", [["--limit", "0"], ["--limit", "501"], ["--state", "lost"], ["--cursor", "x"]]
)
def test_list_refuses_what_is_wrong(jobs: Jobs, wrong: list[str]) -> None:
    jobs.add("mail", "1")
    ran = jobs("list", "mail", *wrong)
    assert (ran.code, ran.out) == (2, "")


def test_show_has_the_job_and_its_attempts(jobs: Jobs) -> None:
    jobs.finish("mail", "retry", "1")
    job = cast("dict[str, object]", jobs("show", "mail", "1", "--json").json)
    assert (job["id"], job["queue"], job["name"], job["state"]) == ("1", "mail", "send", "delayed")
    assert (job["payload"], job["attempts_made"], job["attempts"]) == ({"to": "ada"}, 1, 3)
    assert rows(job["history"])[0]["error"] == "no such mailbox"
    text = jobs("show", "mail", "1").out
    assert "ValueError: no such mailbox" in text
    assert "    Traceback" in text


def test_a_job_that_is_not_there_exits_with_3(jobs: Jobs) -> None:
    jobs.add("mail", "1")
    for arguments in (["show", "mail", "none"], ["retry", "mail", "none"], ["doctor", "mail", "none"]):
        ran = jobs(*arguments)
        assert (ran.code, ran.out) == (3, "")
        assert "'none'" in ran.err


def test_what_a_job_says_cannot_steer_the_terminal(jobs: Jobs) -> None:
    jobs.finish("mail", "fail", "1")
    assert "\x1b" not in jobs("list", "mail").out
    assert cell("red \x1b[31m\nline") == "red  [31m line"


def test_workers_list(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.add("mail", "1")
    now = round(time.time() * 1000)
    entry = replace(
        WORKER,
        slots=5,
        running=2,
        memory_bytes=180 * 2**20,
        lag_ms=2.5,
        started_ms=now - 2 * 3_600_000,
        seen_ms=now,
    )
    jobs.announce(entry)
    (worker,) = rows(jobs("workers", "list", "--json").json)
    assert (worker["id"], worker["queues"], worker["silent"]) == ("worker-1", ["mail"], False)
    told = jobs("workers", "list").out
    assert [each in told for each in ("2.0 h", "180 MiB", "2.5 ms")] == [True] * 3


def test_workers_running(jobs: Jobs) -> None:
    jobs.claim("mail", "1", "2", owner="host-8-ab.1")
    jobs.claim("mail", "of another", owner="host-9-cd.1")
    jobs.add("mail", "3")
    now = round(time.time() * 1000)
    jobs.announce(replace(WORKER, queues=("mail", "other"), children=("host-8-ab",), seen_ms=now))
    running = rows(jobs("workers", "running", "worker-1", "--json").json)
    assert [(each["queue"], each["id"], each["name"]) for each in running] == [
        ("mail", "1", "send"),
        ("mail", "2", "send"),
    ]
    assert all(each["started_at"] for each in running)
    told = jobs("workers", "running", "worker-1").out.splitlines()
    assert (told[0].split(), len(told)) == (["QUEUE", "ID", "NAME", "FOR"], 3)
    assert jobs("workers", "running", "worker-2").code == 3


def test_doctor_of_the_server_and_of_a_queue(jobs: Jobs) -> None:
    ran = jobs("doctor")
    assert ran.code == 0
    assert "eviction: maxmemory-policy is noeviction" in ran.out
    jobs.add("mail", "1")
    jobs("pause", "mail", "--reason", "provider down")
    findings = rows(jobs("doctor", "mail", "1", "--json").json)
    assert [each["code"] for each in findings] == ["waiting", "paused", "no_worker"]
    assert "-> jobsctl resume mail" in jobs("doctor", "mail").out


def test_doctor_exits_with_1_for_what_makes_a_worker_refuse_to_start(jobs: Jobs) -> None:
    jobs.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        ran = jobs("doctor")
    finally:
        jobs.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert ran.code == 1
    assert "error    eviction" in ran.out


@pytest.mark.damages
def test_check_names_what_is_broken_and_exits_with_1(jobs: Jobs) -> None:
    jobs.add("mail", "1", "2")
    ran = jobs("check", "mail")
    assert (ran.code, ran.out) == (0, "1 queue, 2 jobs: all invariants hold\n")
    jobs.command("ZADD", f"{jobs.prefix}:{{mail}}:waiting", "1", "nobody")
    ran = jobs("check")
    assert ran.code == 1
    assert ran.out.splitlines()[0] == "mail  ghost: an id without a record (1): nobody (waiting)"
    ran = jobs("check", "mail", "--json")
    assert ran.code == 1
    assert isinstance(ran.json, dict)
    assert ran.json["queues"] == ["mail"]
    ran = jobs("check", "mail", "--repair")
    assert ran.code == 0
    assert "-> 1 mended" in ran.out
    assert jobs("check").code == 0


def test_top_prints_once_where_there_is_no_terminal(jobs: Jobs) -> None:
    jobs.finish("mail", "fail", "1")
    jobs.add("mail", "2", "3")
    jobs.add("quiet", "4", delay=60)
    ran = jobs("top")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["QUEUE", "mail", "quiet"]
    rows = cast("list[dict[str, object]]", jobs("top", "--json").json)
    assert (rows[0]["queue"], rows[0]["waiting"], rows[0]["failed"], rows[0]["done_per_s"]) == (
        "mail",
        2,
        1,
        None,
    )


def test_health_judges_one_queue_or_all(jobs: Jobs) -> None:
    jobs.add("mail", "a", "b")
    jobs.finish("audit", "fail", "c")
    ran = jobs("health", "mail")
    assert (ran.code, ran.out.startswith("ok         queue mail: healthy; waiting 2")) == (0, True)
    ran = jobs("health", "--max-failed", "0")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.out.splitlines()] == ["unhealthy", "ok"]
    ran = jobs("health", "mail", "--max-waiting", "1", "--max-age", "1h", "--json")
    assert ran.code == 1
    assert isinstance(ran.json, dict)
    assert (ran.json["healthy"], ran.json["waiting"]) == (False, 2)
    assert jobs("health", "mial").code == 2


def test_stats_name_what_is_paused(jobs: Jobs) -> None:
    jobs.add("mail", "a")
    jobs("pause", "mail", "--job", "digest", "--for", "1h", "--reason", "too many", "--actor", "ada")
    out = jobs("stats", "mail").out
    assert "paused: job digest until 20" in out
    assert "(ada, too many)" in out
    ran = jobs("stats", "mail", "--json")
    assert isinstance(ran.json, dict)
    assert '"name":"digest"' in json.dumps(ran.json["paused_parts"], separators=(",", ":"))


def test_a_job_of_a_chain_tells_where_it_stands(jobs: Jobs) -> None:
    queue = Queue("mail")
    first, second = queue.job("first", int, int), queue.job("second", int)
    with SyncProducer(jobs.url, prefix=jobs.prefix) as producer:
        handle = producer.enqueue_chain(first.then(second), 1, on_success=[second.call(2, job_id="other")])
    shown = jobs("show", "mail", handle.id).out
    assert f"1 of 2, {handle.id}" in shown
    assert f"mail/second {handle.links[1].id}" in shown
    assert "mail/second other" in shown
    job = cast("dict[str, dict[str, object]]", jobs("show", "mail", handle.id, "--json").json)
    assert (job["flow"]["chain"], job["flow"]["length"], job["flow"]["previous"]) == (handle.id, 2, None)
