"""Listeners: every one hears every event, from a cursor on, across lost connections, and knows when something was cut off."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.seeding import Seeder

from jobs_admin import EVENT_KINDS, Admin, Event, EventListener, _events
from jobs_core.errors import OptionError, UnknownQueue
from jobs_core.scripts import Group
from jobs_core.told import Batch, More, pack_batches, pack_more

RETRIED = pack_batches("w", [Batch("retrying", "send@1", ["a"], [1], [1], [2], [3], [4])])


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(40):
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


def named(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.event, event.id) for event in events]


async def test_a_listener_hears_what_happens_from_now_on(admin: Admin, mail: Seeder) -> None:
    await mail.add("before")
    async with admin.listener("mail") as one, admin.listener("mail") as other:
        await mail.add("a")
        await mail.settle("complete", await mail.claim())
        for listener in (one, other):
            heard = named(await take(aiter(listener), 3))
            assert heard == [("added", "a"), ("active", "before"), ("active", "a")]


async def test_events_go_on_behind_a_cursor(admin: Admin, mail: Seeder) -> None:
    for job_id in ("a", "b", "c"):
        await mail.add(job_id)
    first = await take(admin.events("mail", since="0"), 2)
    assert named(first) == [("added", "a"), ("added", "b")]
    assert named(await take(admin.events("mail", since=first[-1].cursor), 1)) == [("added", "c")]


async def test_within_a_batch_nothing_is_missed(admin: Admin, mail: Seeder) -> None:
    await mail.add("a", "b", "c")
    await mail.add("d")
    events = await take(admin.events("mail", since="0"), 4)
    again = await take(admin.events("mail", since=events[1].cursor), 4)
    assert named(again)[-1] == ("added", "d")
    assert {"c", "d"} <= {event.id for event in again}
    assert named(await take(admin.events("mail", since=events[2].cursor), 1)) == [("added", "d")]


async def test_all_queues_are_heard_those_to_come_too(
    admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_admin._events._LOOK_EVERY", 0.0)
    monkeypatch.setattr("jobs_admin._events._BLOCK_MS", 50)
    await mail.add("a")
    async with admin.listener() as listener:
        await mail.add("b")
        await mail.named("later").add("c")
        heard = await take(aiter(listener), 2)
    assert {(event.queue, event.id) for event in heard} == {("mail", "b"), ("later", "c")}


async def test_each_queue_has_its_own_cursor(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    (first,) = await take(admin.events("mail", since="0"), 1)
    await mail.named("later").add("x")
    await mail.add("b")
    events = admin.events("mail", "later", since={"mail": first.cursor, "later": "0"})
    assert {event.id for event in await take(events, 2)} == {"x", "b"}


async def test_handlers_hear_their_kind_and_a_star_all(admin: Admin, mail: Seeder) -> None:
    heard: list[str] = []
    done = asyncio.Event()

    async def added(event: Event) -> None:
        heard.append(f"added {event.id}")

    def broken(event: Event) -> None:
        raise RuntimeError("not my day")

    def every(event: Event) -> None:
        heard.append(f"* {event.event}")
        if event.event == "active":
            done.set()

    async with admin.listener("mail") as listener:
        listener.on("added", broken)
        listener.on("added", added)
        listener.on("*", every)
        listener.start()
        await mail.add("a")
        await mail.claim()
        await asyncio.wait_for(done.wait(), 40)
        with pytest.raises(RuntimeError, match="was started"):
            aiter(listener)
    assert heard == ["added a", "* added", "* active"]


async def test_an_unknown_kind_is_refused(admin: Admin) -> None:
    listener = admin.listener("mail")
    with pytest.raises(OptionError, match="compelted"):
        listener.on("compelted", print)
    assert "completed" in EVENT_KINDS


@pytest.mark.parametrize("since", ["x", "-1", "1-0", {"mail": "now"}])
async def test_a_cursor_that_is_none_is_refused(admin: Admin, since: str | dict[str, str]) -> None:
    with pytest.raises(OptionError, match="since"):
        admin.listener("mail", since=since)


async def test_events_of_a_queue_that_is_not_there(admin: Admin) -> None:
    with pytest.raises(UnknownQueue):
        await anext(admin.events("nowhere"))


async def test_nothing_is_missed_over_a_lost_connection(admin: Admin, mail: Seeder) -> None:
    async with admin.listener("mail") as listener:
        events = aiter(listener)
        await mail.add("a")
        assert named(await take(events, 1)) == [("added", "a")]
        waiting = asyncio.create_task(take(aiter(listener), 2))
        await asyncio.sleep(0)
        for number in range(2):
            await mail.scripts.client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await mail.add(f"b{number}")
        assert named(await waiting) == [("added", "b0"), ("added", "b1")]


async def test_a_listener_that_is_too_slow_is_told(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    (first,) = await take(admin.events("mail", since="0"), 1)
    for number in range(60):
        told = Group("tell", "", [0, RETRIED, 1, pack_more([More("x" * 100_000, None, left_out=False)])])
        await mail.scripts.settle("mail", session="teller", seq=number, owner="w", groups=[told])
    trimmed, next_one = await take(admin.events("mail", since=first.cursor), 2)
    assert (trimmed.event, trimmed.queue, trimmed.id, next_one.event) == ("trimmed", "mail", "", "retrying")


async def test_a_queue_made_anew_is_heard_with_a_gap(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    async with admin.listener("mail") as listener:
        await mail.scripts.client.call("FLUSHALL")
        await mail.add("b")
        assert named(await take(aiter(listener), 2)) == [("trimmed", ""), ("added", "b")]


async def test_an_entry_that_cannot_be_read_is_passed_over(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    async with admin.listener("mail", since="0") as listener:
        broken = Group("tell", "", [0, b"\xc1", 1, ""])
        await mail.scripts.settle("mail", session="teller", seq=1, owner="w", groups=[broken])
        await mail.add("b")
        assert named(await take(aiter(listener), 2)) == [("added", "a"), ("added", "b")]


async def test_data_that_a_codec_wrote_is_left_out(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    more = pack_more([More("", b"\x00\xff", left_out=False)])
    await mail.scripts.settle(
        "mail", session="t", seq=1, owner="w", groups=[Group("tell", "", [0, RETRIED, 1, more])]
    )
    _, event = await take(admin.events("mail", since="0"), 2)
    assert (event.data, event.left_out) == (None, True)


async def test_a_pause_is_told_with_who_and_why(admin: Admin, mail: Seeder) -> None:
    await mail.add("a")
    await admin.pause("mail", actor="ada", reason="to look")
    _, event = await take(admin.events("mail", since="0"), 2)
    assert (event.event, event.id, event.data) == ("paused", "", {"by": "ada", "reason": "to look"})


async def test_a_listener_is_made_by_the_admin(admin: Admin) -> None:
    assert isinstance(admin.listener(), EventListener)


async def test_who_reads_seldom_and_falls_behind_goes_on_with_what_happens_now(
    admin: Admin, mail: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_events, "_ENTRIES", 2)
    for number in range(5):
        await mail.add(str(number))
    async with admin.listener("mail", since="0") as listener:
        batches = listener.batches(0.01)
        first = await anext(batches)
        assert [(each.event, each.id) for each in first] == [("added", "0"), ("added", "1"), ("trimmed", "")]
        await mail.add("5")
        assert [each.id for each in await anext(batches)] == ["5"]
        assert set(listener.cursors) == {"mail"}
