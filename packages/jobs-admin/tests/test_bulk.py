"""Listing by a query, and changing all that it means."""

import asyncio

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.errors import OptionError
from jobs_core.states import State


async def ids(admin: Admin, query: str, limit: int = 50) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await admin.jobs("mail", query=query, cursor=cursor, limit=limit)
        found += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            return found


async def test_a_listing_by_query(admin: Admin, mail: Seeder) -> None:
    await mail.finish("fail", "f1")
    await mail.add("w1", data={"user": {"id": 7}})
    await mail.add("w2", data={"user": {"id": 8}}, tags=["vip"])
    await mail.add("d1", delay=60, data={"user": {"id": 7}})
    assert await ids(admin, "payload.user.id=7") == ["w1", "d1"]
    assert await ids(admin, "payload.user.id=7 state:delayed") == ["d1"]
    assert await ids(admin, "error:mailbox") == ["f1"]
    assert await ids(admin, "tag:vip") == ["w2"]
    assert await ids(admin, "name:send -tag:vip state:waiting,delayed", limit=1) == ["w1", "d1"]


async def test_ages_of_ended_jobs_are_found_by_their_place(admin: Admin, mail: Seeder) -> None:
    now = await admin._calls.server_ms()
    for number, job_id in enumerate(("new", "mid", "old")):
        await mail.finish("complete", job_id)
        at = now - number * 3_600_000
        await mail.scripts.client.call("ZADD", mail.scripts.key("mail") + "completed", at, job_id)
    # The seeded jobs say that they ended long ago; their place in the home is what the walk goes by.
    assert await ids(admin, "state:completed age>30m") == ["mid", "old"]
    assert await ids(admin, "state:completed age<30m") == []


async def test_a_page_looks_at_so_many_and_says_where_to_go_on(admin: Admin, mail: Seeder) -> None:
    for start in range(0, 2500, 500):
        await mail.add(*(f"{number:04}" for number in range(start, start + 500)))
    await mail.add("last", tags=["vip"])
    first = await admin.jobs("mail", query="tag:vip")
    assert first.jobs == ()
    assert first.cursor is not None
    assert await ids(admin, "tag:vip") == ["last"]


async def test_a_query_is_counted_first_and_then_changed(admin: Admin, mail: Seeder) -> None:
    for start in range(0, 300, 100):
        await mail.finish("fail", *(f"f{number:03}" for number in range(start, start + 100)))
    await mail.finish("fail", *(f"g{number:03}" for number in range(20)))
    counted = await admin.bulk("retry", "mail", "id:f001,f002,g003", dry_run=True)
    assert (counted.count, counted.dry_run, counted.cursor) == (3, True, None)
    told: list[tuple[int, int | None]] = []
    done = await admin.bulk(
        "retry", "mail", "error:mailbox", progress=lambda n, total: told.append((n, total))
    )
    assert (done.count, done.cursor) == (320, None)
    assert told[-1] == (320, None)
    assert (await admin.stats("mail")).waiting == 320
    (entry,) = (await admin.audit()).changes
    assert (entry.verb, entry.filter, entry.count) == ("retry", "error:mailbox", 320)


async def test_it_stops_at_its_limit_and_goes_on_from_there(admin: Admin, mail: Seeder) -> None:
    await mail.add(*(f"w{number:03}" for number in range(300)))
    first = await admin.bulk("remove", "mail", "state:waiting", limit=200)
    assert (first.count, first.cursor is not None) == (200, True)
    rest = await admin.bulk("remove", "mail", "state:waiting", cursor=first.cursor)
    assert (rest.count, rest.cursor) == (100, None)


async def test_what_is_moved_on_is_not_met_again(admin: Admin, mail: Seeder) -> None:
    await mail.add(*(f"w{number:03}" for number in range(150)))
    await mail.add(*(f"d{number:03}" for number in range(150)), delay=5)
    assert (await admin.bulk("reschedule", "mail", "name:send", delay=60)).count == 300
    assert (await admin.stats("mail")).delayed == 300
    assert (await admin.bulk("priority", "mail", "name:send", to="low")).count == 300
    assert (await admin.bulk("priority", "mail", "name:send", to="low")).count == 0
    assert (await admin.bulk("promote", "mail", "state:delayed")).count == 300
    assert (await admin.bulk("priority", "mail", "name:send", to="background")).count == 300
    assert (await admin.job("mail", "w000")).priority == "background"


async def test_jobs_are_cancelled_wherever_they_are(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    await mail.claim()
    await mail.add("w", "x")
    await mail.add("d", delay=60)
    assert (await admin.bulk("cancel", "mail", "-id:x")).count == 3
    record = await admin.stats("mail")
    assert (record.waiting, record.delayed, record.active, record.retained_cancelled) == (1, 0, 1, 2)


async def test_a_rate_is_kept(admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("jobs_admin._where.asyncio.sleep", sleep)
    await mail.add(*(f"{number}" for number in range(50)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await admin.bulk("remove", "mail", "state:waiting", rate=20)
    assert len(waits) == 2
    # Less what the work itself took.
    assert 2 - (loop.time() - began) <= waits[1] <= 2


@pytest.mark.parametrize(
    ("verb", "query", "options"),
    [
        ("retry", "state:waiting", {}),
        ("retry", "", {}),
        ("priority", "tag:x", {}),
        ("reschedule", "tag:x", {}),
        ("retry", "tag:x", {"rate": 0}),
        ("retry", "tag:x", {"limit": -1}),
    ],
)
async def test_what_cannot_be_done_is_refused(
    admin: Admin, mail: Seeder, verb: str, query: str, options: dict[str, object]
) -> None:
    await mail.add("1")
    with pytest.raises(OptionError):
        await admin.bulk(verb, "mail", query, **options)  # pyright: ignore[reportArgumentType]
    assert (await admin.job("mail", "1")).state == State.WAITING
