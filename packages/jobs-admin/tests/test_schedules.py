"""Schedules in the hands of operators: what they change is in the audit."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from tests.support.mail import SEND, Send
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.codecs import Codecs
from jobs_core.errors import OptionError, ScheduleNotFound
from jobs_core.schedules.book import Book
from jobs_core.schedules.fires import is_fire_of, make_definition
from jobs_core.schedules.options import ScheduleOptions, read_options
from jobs_core.schedules.recurrence import CronTimes
from jobs_core.schedules.store import Schedules
from jobs_core.schedules.ticks import Ticker


async def write(mail: Seeder, schedule_id: str, **options: object) -> None:
    given: ScheduleOptions = {"every": 60, **options}  # pyright: ignore[reportAssignmentType]
    definition = make_definition(schedule_id, SEND, Send("ada"), read_options(given))
    await Book(mail.scripts, Codecs()).upsert(definition)


async def test_they_are_listed_the_next_to_fire_first(admin: Admin, mail: Seeder) -> None:
    await write(mail, "often")
    await write(mail, "oftener", every=5)
    page = await admin.schedules.list("mail")
    assert (page.total, [each.id for each in page.schedules]) == (2, ["oftener", "often"])
    assert (await admin.schedules.list("mail", offset=1, limit=1)).schedules == page.schedules[1:]
    assert await admin.schedules.get("mail", "often") == page.schedules[1]
    assert (await admin.schedules.next("mail", "often", 1))[0] == page.schedules[1].next_at
    assert (await admin.schedules.list("nothing")).total == 0


async def test_what_is_changed_is_in_the_audit(admin: Admin, mail: Seeder) -> None:
    await write(mail, "often")
    acting = admin.acting(actor="ada", reason="ticket 7").schedules
    assert await acting.pause("mail", "often", reason="holidays") is True
    record = await admin.schedules.get("mail", "often")
    assert (record.state, record.paused_by, record.note) == ("paused", "ada", "holidays")
    assert await acting.resume("mail", "often") is True
    job_id = await acting.trigger("mail", "often")
    assert is_fire_of("often", job_id)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=4)
    end = start + timedelta(minutes=3, milliseconds=-1)
    assert await acting.backfill("mail", "often", start, end) == 3
    assert await acting.remove("mail", "often") is True
    changes = (await admin.audit("mail")).changes
    assert [(each.verb, each.filter, each.count) for each in reversed(changes)] == [
        ("schedule.pause", "often", 1),
        ("schedule.resume", "often", 1),
        ("schedule.trigger", "often", 1),
        ("schedule.backfill", "often", 3),
        ("schedule.remove", "often", 1),
    ]
    assert {each.actor for each in changes} == {"ada"}
    assert [each.detail for each in changes if each.verb == "schedule.trigger"] == [job_id]


async def test_what_is_not_there_is_refused(admin: Admin, mail: Seeder) -> None:
    await write(mail, "often")
    for verb in (admin.schedules.get, admin.schedules.pause, admin.schedules.trigger, admin.schedules.remove):
        with pytest.raises(ScheduleNotFound, match="nothing"):
            await verb("mail", "nothing")
    with pytest.raises(OptionError):
        await admin.schedules.next("mail", "often", 0)
    assert (await admin.audit("mail")).changes == ()


async def test_the_doctor_says_why_a_schedule_sends_nothing(admin: Admin, mail: Seeder) -> None:
    for each in ("often", "lunch"):
        await write(mail, each)
    assert not [each for each in await admin.doctor("mail") if each.code.startswith("schedule")]
    await admin.acting(actor="ada").schedules.pause("mail", "lunch", reason="closed")
    now = round(time.time() * 1000)
    schedules = Schedules(mail.scripts)
    late = make_definition("late", SEND, Send("ada"), read_options({"every": 60}))
    await schedules.put(late, seen=None, since_ms=now - 90_000, next_ms=now - 30_000)
    found = {each.code: each for each in await admin.doctor("mail") if each.code.startswith("schedule")}
    assert set(found) == {"schedule_late", "schedule_paused"}
    assert "schedule late is due since" in found["schedule_late"].text
    assert "schedule lunch is paused, lunch by ada: closed" in found["schedule_paused"].text
    assert found["schedule_paused"].mend == "jobsctl schedules resume mail lunch"
    # Another release knew this zone.
    strange = replace(late, id="strange", recurrence=CronTimes("* * * * *", "Mars/Phobos"))
    await schedules.put(strange, seen=None, since_ms=now - 90_000, next_ms=now - 30_000)
    await Ticker(mail.scripts, "mail", Codecs()).run()
    found = {each.code: each for each in await admin.doctor("mail") if each.code.startswith("schedule")}
    assert set(found) == {"schedule_put_off", "schedule_paused"}
    assert "Mars/Phobos" in found["schedule_put_off"].text
