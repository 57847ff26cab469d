import time
from collections.abc import Sequence

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin, Finding
from jobs_core import Unique
from jobs_core.errors import JobNotFound
from jobs_core.registry import QueueEntry, WorkerEntry, announce_queue, announce_worker


def codes(findings: Sequence[Finding]) -> list[str]:
    return [finding.code for finding in findings if finding.severity != "ok"]


def find(findings: Sequence[Finding], code: str) -> Finding:
    return next(finding for finding in findings if finding.code == code)


async def worker(
    mail: Seeder,
    *,
    worker_id: str = "worker-1",
    worker_type: str = "light",
    queues: Sequence[str] = ("mail",),
    jobs: Sequence[str] = ("mail/send@1",),
    slots: int = 5,
    running: int = 0,
    state: str = "running",
    age_ms: int = 0,
) -> None:
    """Enter a worker into the registry."""
    entry = WorkerEntry(
        id=worker_id,
        host="host",
        pid=1,
        version="0",
        worker_type=worker_type,
        queues=tuple(queues),
        jobs=tuple(jobs),
        slots=slots,
        running=running,
        state=state,
        seen_ms=round(time.time() * 1000) - age_ms,
    )
    await announce_worker(mail.scripts.client, mail.scripts.prefix, entry)


async def test_a_good_server_gives_no_error(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    # Also on a machine that is too busy to answer soon.
    monkeypatch.setattr("jobs_admin._doctor._SLOW_MS", 10_000.0)
    findings = await admin.doctor()
    assert not [finding for finding in findings if finding.severity == "error"]
    assert {"server_reached", "server_version", "eviction", "role", "clock"} <= {
        each.code for each in findings
    }
    assert find(findings, "persistence").severity == "warning"
    assert find(findings, "no_worker").severity == "info"


async def test_an_evicting_server_is_an_error_with_its_mend(admin: Admin, mail: Seeder) -> None:
    await mail.scripts.client.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        finding = find(await admin.doctor(), "eviction")
    finally:
        await mail.scripts.client.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert finding.severity == "error"
    assert "noeviction" in finding.mend


async def test_silent_workers_are_named(admin: Admin, mail: Seeder) -> None:
    await worker(mail)
    assert find(await admin.doctor(), "workers").severity == "ok"
    await worker(mail, worker_id="worker-2", age_ms=40_000)
    assert "worker-2" in find(await admin.doctor(), "worker_silent").text


async def test_a_mistyped_queue_shows_the_nearest(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    (finding,) = await admin.doctor("mial")
    assert finding.code == "queue_unknown"
    assert "mail" in finding.text


async def test_no_worker_of_its_class(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await announce_queue(mail.scripts.client, mail.scripts.prefix, QueueEntry(queue="mail", profile="heavy"))
    finding = find(await admin.doctor("mail"), "no_worker")
    assert finding.mend == "jobsctl worker --type heavy"
    await worker(mail, worker_type="heavy", queues=["images"])
    finding = find(await admin.doctor("mail"), "no_worker")
    assert "WORKER_QUEUES leaves it out, or their code does not declare it" in finding.text
    assert "JOBS_FEATURES" in finding.mend
    assert "mail" in finding.mend


async def test_a_queue_that_is_served_shows_nothing(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail)
    (finding,) = await admin.doctor("mail")
    assert (finding.code, finding.severity) == ("nothing_found", "ok")


async def test_paused(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail)
    await admin.pause("mail", reason="provider down", actor="ada")
    finding = find(await admin.doctor("mail"), "paused")
    assert "ada: provider down" in finding.text
    assert finding.mend == "jobsctl resume mail"
    assert codes(await admin.doctor("mail", "1")) == ["waiting", "paused"]


async def test_silent_and_quiet_workers_of_a_queue(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail, age_ms=40_000)
    assert "every worker" in find(await admin.doctor("mail"), "worker_silent").text
    await worker(mail, worker_id="worker-2", state="quiet")
    assert "worker-2 is quiet" in find(await admin.doctor("mail"), "worker_not_claiming").text


async def test_no_processor_of_the_name(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await mail.settle("unroutable", await mail.claim())
    await worker(mail, jobs=["mail/sent@1"])
    finding = find(await admin.doctor("mail"), "no_processor")
    assert "they know sent" in finding.text
    assert "no_processor" in codes(await admin.doctor("mail", "1"))


async def test_a_version_that_no_worker_knows(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await mail.settle("unroutable", await mail.claim())
    await worker(mail, jobs=["send@2"])
    assert "only send@2" in find(await admin.doctor("mail"), "unroutable_version").text
    assert codes(await admin.doctor("mail", "1")) == ["unroutable_version"]


async def test_a_declared_job_that_no_worker_can_run(admin: Admin, mail: Seeder) -> None:
    entry = QueueEntry(queue="mail", profile="light", jobs=("digest@1", "send@1"))
    await announce_queue(mail.scripts.client, mail.scripts.prefix, entry)
    await worker(mail, jobs=["mail/send@1"])
    assert "job digest@1" in find(await admin.doctor("mail"), "no_processor").text
    await worker(mail, jobs=[])
    assert codes(await admin.doctor("mail")) == ["no_processor", "no_processor"]


async def test_a_worker_of_the_whole_queue_knows_every_name(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail, jobs=["mail/*"])
    assert codes(await admin.doctor("mail", "1")) == ["waiting"]


async def test_all_slots_busy(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail, slots=3, running=3)
    assert codes(await admin.doctor("mail")) == ["slots_busy"]


async def test_not_yet_due(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", delay=4 * 3600)
    await worker(mail)
    assert "the next in 4.0 h" in find(await admin.doctor("mail"), "not_due").text
    finding = find(await admin.doctor("mail", "1"), "not_due")
    assert finding.mend == "To run it now: jobsctl promote mail 1"


async def test_a_retry_that_waits_says_why(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await worker(mail)
    await mail.settle("retry", await mail.claim(), delay_ms=60_000)
    assert "no such mailbox" in find(await admin.doctor("mail", "1"), "not_due").text


async def test_a_waiting_job_says_how_many_go_first(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2", "3")
    await worker(mail)
    assert "2 jobs before it" in find(await admin.doctor("mail", "3"), "waiting").text


async def test_a_running_job_says_where(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await mail.claim(owner="child-7")
    (finding,) = await admin.doctor("mail", "1")
    assert (finding.code, finding.severity) == ("running", "ok")
    assert "child-7" in finding.text


async def test_a_job_of_a_child_whose_lease_ran_out(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await mail.claim(owner="child-7")
    await mail.scripts.client.call("ZADD", mail.scripts.key("mail") + "owners", 1, "child-7")
    await mail.scripts.client.call("HSET", mail.scripts.key("mail") + "meta", "lease", 100)
    assert codes(await admin.doctor("mail", "1")) == ["worker_silent"]
    assert "child-7" in find(await admin.doctor("mail"), "worker_silent").text


async def test_jobs_that_ended(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "1")
    await mail.finish("complete", "2")
    (failed,) = await admin.doctor("mail", "1")
    assert (failed.code, failed.mend) == ("failed", "jobsctl retry mail 1")
    assert "no such mailbox" in failed.text
    assert [each.code for each in await admin.doctor("mail", "2")] == ["completed"]
    assert "failed_kept" in codes(await admin.doctor("mail"))


async def test_a_job_behind_another_one_says_behind_which(admin: Admin, mail: Seeder) -> None:
    newest = Unique(key="report", on_conflict="keep_last")
    await mail.add("first", unique=newest)
    await mail.claim()
    await mail.add("second", unique=newest)
    (finding,) = await admin.doctor("mail", "second")
    assert (finding.code, finding.mend) == ("blocked", "jobsctl doctor mail first")
    assert "until job first" in finding.text


async def test_a_job_that_is_not_there(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    with pytest.raises(JobNotFound):
        await admin.doctor("mail", "none")


async def test_a_paused_job_name_is_named(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await admin.pause("mail", job="send", reason="provider down", actor="ada")
    await admin.pause("mail", job="other")
    found = {each.code: each for each in await admin.doctor("mail", "1")}
    assert "job send of queue mail is paused by ada: provider down" in found["job_paused"].text
    assert found["job_paused"].mend == "jobsctl resume mail --job send"
    assert len([each for each in await admin.doctor("mail") if each.code == "job_paused"]) == 2


async def test_a_number_that_somebody_set_is_told(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await admin.scale("mail", 0)
    found = find(await admin.doctor("mail"), "scaled_to_zero")
    assert found.mend == "jobsctl workers scale mail auto"
    await admin.scale("mail", 3)
    assert "3 children" in find(await admin.doctor("mail"), "scaled").text
