"""What admin tells of a queue over time: percentiles, errors, minutes, and the jobs that ended."""

import time
from collections.abc import Sequence

import pytest
from tests.support.engine import group
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.errors import OptionError, UnknownQueue
from jobs_core.measures import measure_items
from jobs_core.schedules.fires import hand_id
from jobs_core.scripts import Group
from jobs_core.told import Batch, pack_batches
from jobs_core.wire import OWN_ID


async def tell(mail: Seeder, *groups: Group) -> None:
    """Settle nothing, and tell what a worker would tell besides."""
    await mail.add("seen")
    for seq, each in enumerate(groups):
        await mail.scripts.settle(mail.queue, session="teller", seq=seq, owner="w", groups=[each])


def ended(*names: str, outcome: str = "completed", ids: Sequence[str] = ()) -> Group:
    batches = [
        Batch(
            outcome, name, [ids[i] if ids else f"{i}"], [1], [1_000_000], [2_000_000], [1_500_000], [500_000]
        )
        for i, name in enumerate(names)
    ]
    return Group("tell", "", [len(names), pack_batches("w7", batches), 0, ""])


async def test_metrics_have_percentiles_and_errors(admin: Admin, mail: Seeder) -> None:
    runs, waits = [2_000] * 98 + [6_000_000] * 2, [100] * 98 + [60_000] * 2
    await tell(
        mail,
        Group("measure", "send@1", measure_items(runs, waits)),
        Group("error", "send@1", ["timeout", 2, "", "", "ValueError", 3, "", ""]),
        Group("error", "other@1", ["timeout", 9, "", ""]),
    )
    for record in (await admin.metrics("mail"), await admin.metrics()):
        assert record.run_p50_ms is not None
        assert 1.5 < record.run_p50_ms <= 2
        assert record.run_p99_ms is not None
        assert 5000 < record.run_p99_ms <= 7000
        assert record.wait_p95_ms is not None
        assert record.wait_p95_ms <= 1
        assert record.errors == {"timeout": 11, "ValueError": 3}


async def test_nothing_measured_is_told_as_nothing(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    record = await admin.metrics("mail")
    assert (record.run_p50_ms, record.wait_p99_ms, record.errors, record.peak_concurrency) == (
        None,
        None,
        {},
        0,
    )


async def test_the_peak_of_a_queue(admin: Admin, mail: Seeder) -> None:
    await mail.add("a", "b")
    await mail.settle("complete", await mail.claim())
    record = await admin.metrics("mail")
    assert (record.current_concurrency, record.peak_concurrency) == (0, 2)


async def test_the_last_minutes(admin: Admin, mail: Seeder) -> None:
    await mail.add("a", "b")
    (job, _) = (await mail.claim()).jobs
    done = group("complete", job, name="send@1", arg=OWN_ID, run_us=3_000, wait_us=1_000)
    await mail.scripts.settle("mail", session="s", seq=1, owner=mail.owner, groups=[done])
    minutes = await admin.series("mail", 2000)
    assert len(minutes) == 2000
    assert sum(each.added for each in minutes) == 2
    (last,) = [each for each in minutes if each.completed]
    assert (last.avg_processing_ms, last.avg_wait_ms) == (3, 1)


@pytest.mark.parametrize("minutes", [0, -1, 129_601])
async def test_as_many_minutes_as_are_kept(admin: Admin, mail: Seeder, minutes: int) -> None:
    await mail.add("a")
    with pytest.raises(OptionError, match="minutes"):
        await admin.series("mail", minutes)


async def test_jobs_that_ended_are_listed_newest_first(admin: Admin, mail: Seeder) -> None:
    await tell(mail, ended("send@1", "send@1", "other@1"), ended("send@2", outcome="failed"))
    rows = (await admin.history("mail")).rows
    assert [(row.id, row.name, row.outcome.value) for row in rows] == [
        ("0", "send", "failed"),
        ("2", "other", "completed"),
        ("1", "send", "completed"),
        ("0", "send", "completed"),
    ]
    assert (rows[0].worker, rows[0].wait_ms, rows[0].run_ms, rows[0].queue) == ("w7", 500, 1500, "mail")


async def test_pages_of_history_meet(admin: Admin, mail: Seeder) -> None:
    names = [f"n{number}@1" for number in range(70)]
    await tell(mail, *(ended(*names[at : at + 7]) for at in range(0, 70, 7)))
    found: list[str] = []
    cursor = None
    while True:
        page = await admin.history("mail", limit=9, cursor=cursor)
        found += [row.name for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [each.removesuffix("@1") for each in reversed(names)]


async def test_history_by_outcome_and_name(admin: Admin, mail: Seeder) -> None:
    await tell(mail, ended("send@1", "other@1"), ended("send@2", outcome="failed"))
    assert len((await admin.history("mail", name="send")).rows) == 2
    assert len((await admin.history("mail", name="send@2")).rows) == 1
    assert [row.name for row in (await admin.history("mail", outcome="completed")).rows] == ["other", "send"]


async def test_history_of_a_schedule(admin: Admin, mail: Seeder) -> None:
    by_hand = hand_id("day")
    ids = ("day:170", "day:171", "day:x", "day:late:170", "172", by_hand)
    await tell(mail, ended(*["send@1"] * 6, ids=ids))
    rows = (await admin.history("mail", schedule="day")).rows
    assert [row.id for row in rows] == [by_hand, "day:171", "day:170"]
    assert [row.id for row in (await admin.history("mail", schedule="day:late")).rows] == ["day:late:170"]


async def test_history_says_what_it_does_not_take(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    for wrong in ({"outcome": "waiting"}, {"cursor": "x"}, {"cursor": "9"}, {"limit": 501}):
        with pytest.raises(OptionError):
            await admin.history("mail", **wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownQueue):
        await admin.history("nowhere")


async def test_what_fails_is_grouped_by_its_error(admin: Admin, mail: Seeder) -> None:
    now_ms = int(time.time() * 1000)
    old_ms = now_ms - 7_200_000

    def failure(job_id: str, error: str, at_ms: int, name: str = "send@1") -> Batch:
        return Batch("failed", name, [job_id], [1], [at_ms * 1000], [at_ms * 1000], [1000], [1000], [error])

    told = [
        *(failure(f"t{n}", "TimeoutError smtp.py:send", now_ms - 60_000 * n) for n in range(3)),
        failure("v", "ValueError mail.py:parse", now_ms - 1_000, "parse@2"),
        failure("old", "OSError disk.py:write", old_ms),
        Batch("completed", "send@1", ["good"], [1], [now_ms * 1000], [now_ms * 1000], [1000], [1000]),
    ]
    await tell(mail, Group("tell", "", [len(told), pack_batches("w", told), 0, ""]))
    await mail.finish("fail", "counted")
    # Many that completed one by one since do not hide what failed before them.
    good = Group("tell", "", [1, pack_batches("w", told[-1:]), 0, ""])
    await tell(mail, *[good] * 150)
    found = await admin.errors(60)
    assert [(each.error, each.count) for each in found.groups] == [
        ("TimeoutError smtp.py:send", 3),
        ("ValueError mail.py:parse", 1),
    ]
    first, second = found.groups
    assert (first.queues, first.names, first.last_queue, first.last_id) == (
        ("mail",),
        ("send",),
        "mail",
        "t0",
    )
    assert second.names == ("parse",)
    assert (first.last_at - first.first_at).total_seconds() == pytest.approx(120, abs=1)
    assert (len(first.trend), sum(first.trend), first.trend[-1]) == (12, 3, 3)
    assert (found.looked_at, found.complete) == (4, True)
    sms = mail.named("sms")
    await tell(sms, Group("tell", "", [1, pack_batches("w", told[:1]), 0, ""]))
    await sms.finish("fail", "there")
    assert [each.trend for each in (await admin.errors(queue="mail")).groups] == [first.trend, second.trend]
    assert (await admin.errors(queue="sms")).looked_at == 1
    with pytest.raises(UnknownQueue):
        await admin.errors(queue="nobody")


async def test_nothing_that_failed_is_no_group(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "a")
    found = await admin.errors()
    assert (found.groups, found.complete) == ((), True)
    for wrong in (0, 1441):
        with pytest.raises(OptionError, match="minutes"):
            await admin.errors(wrong)


async def test_the_minutes_of_all_queues_together(admin: Admin, mail: Seeder) -> None:
    await mail.add("a", "b")
    await mail.named("sms").finish("complete", "c")
    minutes = await admin.series(minutes=5)
    assert len(minutes) == 5
    assert sum(each.added for each in minutes) == 3
    (last,) = [each for each in minutes if each.completed]
    assert (last.avg_processing_ms, last.avg_wait_ms) == (2000, 1000)
