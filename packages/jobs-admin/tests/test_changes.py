from datetime import UTC, datetime

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin, QueueBusy
from jobs_core.errors import JobNotFound, OptionError, UnknownQueue, WrongState
from jobs_core.states import CancelOutcome, State


async def test_retry_puts_a_failed_job_back(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "1")
    (outcome,) = await admin.retry("mail", "1")
    assert outcome.done
    job = await admin.job("mail", "1")
    assert (job.state, job.attempts_made) == (State.WAITING, 0)


async def test_a_mistyped_queue_is_told_and_not_made_one(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    for call in (
        admin.retry("mial", "1"),
        admin.promote("mial", "1"),
        admin.priority("mial", "1", to="high"),
        admin.reschedule("mial", "1", delay=1),
        admin.remove("mial", "1"),
        admin.cancel("mial", "1"),
        admin.job("mial", "1"),
    ):
        with pytest.raises(UnknownQueue, match="Did you mean 'mail'"):
            await call
    assert [each.queue for each in await admin.queues()] == ["mail"]
    with pytest.raises(UnknownQueue):
        await admin.stats("mial")


async def test_retry_of_one_job_raises_its_error(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    with pytest.raises(WrongState) as caught:
        await admin.retry("mail", "1")
    assert (caught.value.state, caught.value.expected) == ("waiting", ["failed"])
    with pytest.raises(JobNotFound):
        await admin.retry("mail", "none")


async def test_retry_of_several_tells_what_became_of_each(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "1")
    await mail.add("2")
    outcomes = await admin.retry("mail", "1", "2", "none")
    assert [(each.id, each.done, each.code) for each in outcomes] == [
        ("1", True, ""),
        ("2", False, "wrong_state"),
        ("none", False, "job_not_found"),
    ]
    assert "failed" in outcomes[1].message


async def test_remove_takes_jobs_out_of_every_home_but_active(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "failed")
    await mail.finish("complete", "completed")
    await mail.finish("complete", "result", keep=0)
    await mail.add("active")
    await mail.claim()
    await mail.add("waiting")
    await mail.add("delayed", delay=60)
    gone = ["failed", "completed", "result", "waiting", "delayed"]
    outcomes = await admin.remove("mail", *gone, "active")
    assert [each.done for each in outcomes] == [True] * 5 + [False]
    assert outcomes[5].code == "wrong_state"
    record = await admin.stats("mail")
    assert (record.total, record.active, record.retained_failed, record.retained_completed) == (1, 1, 0, 0)
    for job_id in gone:
        with pytest.raises(JobNotFound):
            await admin.job("mail", job_id)
    with pytest.raises(WrongState):
        await admin.remove("mail", "active")


async def test_cancel_tells_of_each_job_what_it_did(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "failed")
    await mail.add("active")
    await mail.claim()
    await mail.add("waiting")
    outcomes = await admin.cancel("mail", "failed", "active", "waiting", "none")
    assert [(each.id, each.outcome) for each in outcomes] == [
        ("failed", CancelOutcome.ALREADY_FINISHED),
        ("active", CancelOutcome.REQUESTED),
        ("waiting", CancelOutcome.CANCELLED),
        ("none", CancelOutcome.NOT_FOUND),
    ]
    assert (await admin.job("mail", "waiting")).state is State.CANCELLED
    assert (await admin.stats("mail")).cancelled == 1


async def test_promote_lets_delayed_jobs_run_now(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2", delay=60)
    await mail.add("3")
    outcomes = await admin.promote("mail", "1", "3")
    assert [each.done for each in outcomes] == [True, False]
    assert (await admin.job("mail", "1")).state == State.WAITING
    assert (await admin.job("mail", "2")).state == State.DELAYED
    with pytest.raises(WrongState):
        await admin.promote("mail", "3")
    with pytest.raises(JobNotFound):
        await admin.promote("mail", "none")


async def test_more_ids_than_one_call_takes(admin: Admin, mail: Seeder) -> None:
    names = [f"{number:03}" for number in range(300)]
    await mail.add(*names)
    assert all(each.done for each in await admin.remove("mail", *names))
    assert (await admin.stats("mail")).waiting == 0


async def test_retry_failed_puts_all_back_and_counts(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", *(f"{number}" for number in range(100)))
    await mail.finish("fail", *(f"x{number}" for number in range(100)))
    told: list[tuple[int, int | None]] = []
    assert await admin.retry_failed("mail", dry_run=True) == 200
    assert (
        await admin.retry_failed("mail", limit=150, progress=lambda done, total: told.append((done, total)))
        == 150
    )
    assert told == [(128, 150), (150, 150)]
    assert (await admin.stats("mail")).waiting == 150
    assert await admin.retry_failed("mail") == 50
    assert await admin.retry_failed("mail") == 0


async def test_retry_failed_ends_though_jobs_fail_again(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", *(f"{number:03}" for number in range(100)))
    await mail.finish("fail", *(f"x{number:03}" for number in range(100)))
    until = await admin._calls.server_ms()
    assert await admin._calls.count("mail", "failed", until) == 200
    assert await admin._calls.count("mail", "failed", until - 60_000) == 0
    assert await admin.retry_failed("mail") == 200


async def test_clean_removes_what_is_old_enough(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "old", "young")
    await mail.scripts.client.call("ZADD", mail.scripts.key("mail") + "completed", 1, "old")
    await mail.finish("fail", "failed")
    assert await admin.clean("mail", older_than=3600, dry_run=True) == 1
    assert await admin.clean("mail", older_than=3600) == 1
    assert [job.id for job in (await admin.jobs("mail")).jobs] == ["failed", "young"]
    assert await admin.clean("mail", ["completed", "failed"]) == 2


async def test_clean_goes_on_beyond_one_call_and_stops_at_its_limit(admin: Admin, mail: Seeder) -> None:
    for start in range(0, 200, 100):
        await mail.finish("complete", *(f"{number}" for number in range(start, start + 100)))
    told: list[tuple[int, int | None]] = []
    assert (
        await admin.clean("mail", limit=100, progress=lambda done, total: told.append((done, total))) == 100
    )
    # In small steps, so that others hardly wait.
    assert told == [(32, 100), (64, 100), (96, 100), (100, 100)]
    assert (await admin.stats("mail")).retained_completed == 100


async def test_clean_refuses_states_that_jobs_leave_again(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    with pytest.raises(OptionError, match="only ended jobs"):
        await admin.clean("mail", "waiting")
    with pytest.raises(OptionError):
        await admin.clean("mail", limit=-1)
    with pytest.raises(UnknownQueue):
        await admin.clean("mial")


async def test_drain_removes_waiting_jobs_and_never_active_ones(admin: Admin, mail: Seeder) -> None:
    await mail.add("active")
    await mail.claim()
    for start in range(0, 600, 100):
        await mail.add(*(f"{number}" for number in range(start, start + 100)))
    await mail.add("later", delay=60)
    assert await admin.drain("mail", dry_run=True) == 600
    assert await admin.drain("mail") == 600
    record = await admin.stats("mail")
    assert (record.waiting, record.active, record.delayed) == (0, 1, 1)
    assert await admin.drain("mail", delayed=True) == 1
    assert (await admin.stats("mail")).total == 1


async def test_drain_leaves_nothing_behind(admin: Admin, mail: Seeder) -> None:
    await mail.add("big", data="x" * 100_000)
    await mail.add("small")
    assert await admin.drain("mail") == 2
    scripts = mail.scripts
    assert await scripts.client.call("HLEN", scripts.key("mail") + "rec") == 0
    assert await scripts.client.call("EXISTS", scripts.key("mail") + "big:big") == 0


async def test_priority_and_due_time_change_while_a_job_has_not_started(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2")
    await mail.claim(1)
    outcomes = await admin.priority("mail", "1", "2", to="high")
    assert [(each.done, each.code) for each in outcomes] == [(False, "wrong_state"), (True, "")]
    assert (await admin.job("mail", "2")).priority == "high"
    at = datetime.fromtimestamp(4_000_000_000, UTC)
    await admin.reschedule("mail", "2", run_at=at)
    job = await admin.job("mail", "2")
    assert (job.state, job.run_at) == (State.DELAYED, at)
    await admin.reschedule("mail", "2", delay=0)
    assert (await admin.job("mail", "2")).state == State.WAITING
    with pytest.raises(WrongState):
        await admin.priority("mail", "1", to=1)
    with pytest.raises(OptionError):
        await admin.reschedule("mail", "2")


async def test_obliterate_leaves_a_queue_that_can_be_used(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "f")
    await mail.add("a")
    await mail.claim()
    await mail.add(*(f"{number:03}" for number in range(700)))
    with pytest.raises(QueueBusy):
        await admin.obliterate("mail")
    told: list[tuple[int, int | None]] = []
    count = await admin.obliterate(
        "mail", force=True, progress=lambda done, total: told.append((done, total))
    )
    assert (count, told[-1]) == (702, (702, 702))
    record = await admin.stats("mail")
    assert (record.total, record.failed, record.retained_failed) == (0, 0, 0)
    await mail.add("a")
    assert (await admin.job("mail", "a")).state == State.WAITING


async def test_pauses_are_listed_with_their_reasons_until_they_end(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await admin.pause("mail", job="send", reason="provider down", actor="ada")
    await admin.pause("mail", key="tenant-7", for_=60)
    await admin.pause("mail", key="over", for_=0.001)
    job, key = [each for each in await admin.pauses("mail") if each.name != "over"]
    assert (job.scope, job.name, job.paused_by, job.pause_reason) == ("job", "send", "ada", "provider down")
    assert job.paused_until is None
    assert (key.scope, key.name, key.paused_until is not None) == ("key", "tenant-7", True)
    assert await admin.resume("mail", job="send") is True
    assert await admin.resume("mail", job="send") is False


async def test_changes_are_told_in_the_name_of_who_made_them(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "1")
    await admin.acting(actor="ada", reason="fixed").retry("mail", "1")
    await admin.pause("mail")
    pause, retry = (await admin.audit("mail")).changes
    assert (retry.actor, retry.verb, retry.filter, retry.count, retry.reason) == (
        "ada",
        "retry",
        "id:1",
        1,
        "fixed",
    )
    assert (pause.verb, pause.reason) == ("pause", "")
    assert (await admin.audit("other")).changes == ()
