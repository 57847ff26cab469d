from datetime import UTC, datetime

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin, Page
from jobs_core.errors import JobNotFound, OptionError, UnknownQueue
from jobs_core.states import State


def ids(page: Page) -> list[str]:
    return [job.id for job in page.jobs]


async def walk(admin: Admin, limit: int, **wanted: str) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = await admin.jobs("mail", limit=limit, cursor=cursor, **wanted)  # pyright: ignore[reportArgumentType]
        pages.append(ids(page))
        cursor = page.cursor
        if cursor is None:
            return pages


async def test_tells_a_waiting_job(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", data={"to": "ada"}, priority="high", tags=["welcome"], metadata={"user_id": 7})
    job = await admin.job("mail", "1")
    assert (job.id, job.queue, job.name, job.state, job.priority) == (
        "1",
        "mail",
        "send",
        State.WAITING,
        "high",
    )
    assert (job.payload, job.tags, job.metadata) == ({"to": "ada"}, ("welcome",), {"user_id": 7})


async def test_tells_a_job_that_was_removed_but_whose_result_is_kept(admin: Admin, mail: Seeder) -> None:
    await mail.finish("complete", "1", keep=0)
    job = await admin.job("mail", "1")
    assert (job.state, job.result, job.run_ms) == (State.COMPLETED, {"sent": True}, 2000.0)


async def test_a_job_that_never_was_is_not_found(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    with pytest.raises(JobNotFound):
        await admin.job("mail", "none")
    with pytest.raises(JobNotFound):
        await admin.job_detail("mail", "none")


async def test_detail_holds_the_attempts_that_failed(admin: Admin, mail: Seeder) -> None:
    await mail.add("1")
    await mail.settle("retry", await mail.claim(), delay_ms=60_000)
    detail = await admin.job_detail("mail", "1")
    assert (detail.state, detail.attempts_made, detail.attempts) == (State.DELAYED, 1, 3)
    (attempt,) = detail.history
    assert (attempt.error_type, attempt.error, attempt.run_ms) == ("ValueError", "no such mailbox", 2000.0)
    assert attempt.started_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert attempt.wait_ms == 1000.0


async def test_detail_of_a_failed_job_ends_with_the_attempt_that_ended_it(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "1")
    (attempt,) = (await admin.job_detail("mail", "1")).history
    assert (attempt.attempt, attempt.error, attempt.worker) == (1, "no such mailbox", "worker-1")
    assert (attempt.wait_ms, attempt.run_ms) == (1000.0, 2000.0)


async def test_lists_state_by_state(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "f")
    await mail.finish("complete", "c")
    await mail.add("a")
    await mail.claim()
    await mail.add("d", delay=60)
    await mail.add("w")
    assert ids(await admin.jobs("mail")) == ["a", "w", "d", "f", "c"]
    assert ids(await admin.jobs("mail", states=["delayed", "failed"])) == ["d", "f"]
    assert ids(await admin.jobs("mail", states=State.ACTIVE)) == ["a"]


async def test_pages_meet_every_job_once(admin: Admin, mail: Seeder) -> None:
    await mail.add(*(f"w{number}" for number in range(7)))
    await mail.add(*(f"d{number}" for number in range(4)), delay=60)
    expected = [f"w{number}" for number in range(7)] + [f"d{number}" for number in range(4)]
    for limit in (1, 2, 5, 7, 10, 11, 500):
        pages = await walk(admin, limit)
        assert [job for page in pages for job in page] == expected
        assert len(pages) == -(-len(expected) // limit)


async def test_active_jobs_of_several_workers_are_paged(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2", "3", "4", "5")
    await mail.claim(2, owner="b")
    await mail.claim(2, owner="a")
    await mail.claim(1, owner="c")
    assert await walk(admin, 2, states="active") == [["3", "4"], ["1", "2"], ["5"]]
    assert await walk(admin, 3, states="active") == [["3", "4", "1"], ["2", "5"]]


async def test_ended_jobs_come_newest_first_and_a_cursor_outlives_removal(admin: Admin, mail: Seeder) -> None:
    for job_id in ("1", "2", "3", "4"):
        await mail.finish("complete", job_id)
        # One of its own instant each: completed jobs are ordered by the millisecond they ended in.
        await mail.scripts.client.call("ZADD", mail.scripts.key("mail") + "completed", int(job_id), job_id)
    first = await admin.jobs("mail", limit=2)
    assert ids(first) == ["4", "3"]
    await admin.remove("mail", "3")
    assert ids(await admin.jobs("mail", limit=2, cursor=first.cursor)) == ["2", "1"]


async def test_many_jobs_of_one_instant_are_paged(admin: Admin, mail: Seeder) -> None:
    names = [f"{number:03}" for number in range(120)]
    await mail.finish("complete", *names)
    pages = await walk(admin, 50)
    assert [len(page) for page in pages] == [50, 50, 20]
    assert sorted(job for page in pages for job in page) == names


async def test_offset_passes_jobs_over_also_across_states_and_filters(admin: Admin, mail: Seeder) -> None:
    await mail.add("w1", "w2", "w3")
    await mail.add("d1", "d2", delay=60, tags=["late"])
    assert ids(await admin.jobs("mail", offset=2, limit=2)) == ["w3", "d1"]
    assert ids(await admin.jobs("mail", offset=4)) == ["d2"]
    assert ids(await admin.jobs("mail", offset=9)) == []
    assert ids(await admin.jobs("mail", offset=1, tag="late")) == ["d2"]


async def test_filters_by_name_with_or_without_version(admin: Admin, mail: Seeder) -> None:
    await mail.add(*(f"s{number}" for number in range(40)))
    await mail.add("x1", "x2", name="send-all")
    assert ids(await admin.jobs("mail", name="send-all")) == ["x1", "x2"]
    assert ids(await admin.jobs("mail", name="send-all@1")) == ["x1", "x2"]
    assert ids(await admin.jobs("mail", name="send-all@2")) == []
    assert len((await admin.jobs("mail", name="send")).jobs) == 40
    assert await walk(admin, 1, name="send-all") == [["x1"], ["x2"]]


async def test_filters_by_tag(admin: Admin, mail: Seeder) -> None:
    await mail.add(*(f"s{number}" for number in range(300)))
    await mail.add("t1", "t2", "t3", tags=["vip"])
    assert ids(await admin.jobs("mail", tag="vip")) == ["t1", "t2", "t3"]
    assert await walk(admin, 2, tag="vip") == [["t1", "t2"], ["t3"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 501},
        {"offset": -1},
        {"states": ["nonsense"]},
        {"cursor": "nonsense"},
        {"cursor": "bnVsbA"},
        {"name": "no spaces"},
    ],
)
async def test_refuses_what_no_listing_can_be(admin: Admin, mail: Seeder, wrong: dict[str, object]) -> None:
    await mail.add("1")
    with pytest.raises(OptionError) as caught:
        await admin.jobs("mail", **wrong)  # pyright: ignore[reportArgumentType] - wrong on purpose
    assert caught.value.option in {*wrong, "state", "job"}


async def test_a_cursor_belongs_to_its_listing(admin: Admin, mail: Seeder) -> None:
    await mail.add("1", "2")
    cursor = (await admin.jobs("mail", states="waiting", limit=1)).cursor
    with pytest.raises(OptionError, match="waiting"):
        await admin.jobs("mail", states="failed", cursor=cursor)
    with pytest.raises(OptionError, match="cursor"):
        await admin.jobs("mail", states="waiting", cursor=cursor, offset=1)


async def test_listing_an_unknown_queue_is_an_error(admin: Admin) -> None:
    with pytest.raises(UnknownQueue):
        await admin.jobs("mail")
