"""What a user of schedules sees: written by a producer, ticked here in the place of a worker."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from msgspec import Struct
from tests.support.engine import CLOCK, START_MS
from tests.support.mail import MAIL, SEND, Receipt, Send, Settler

from jobs_core import (
    Codec,
    Codecs,
    Debounce,
    KeyRing,
    OptionError,
    PayloadError,
    Queue,
    RunAll,
    ScheduleEnded,
    ScheduleNotFound,
    ScheduleOptions,
    Unique,
)
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.store import Schedules as Store
from jobs_core.schedules.ticks import Ticker
from jobs_core.scripts import Scripts
from jobs_producer import Producer, SyncProducer

LETTER = Send("ada")
START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=START_MS)
HOUR = timedelta(hours=1)


class Clock:
    """The server's time, which stands still until a test moves it."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.now = START

    async def set(self, now: datetime) -> None:
        self.now = now
        micros = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        await self._producer._client.call("SET", "test-clock", micros)

    async def tick(self, after: timedelta = timedelta()) -> int:
        """Let time pass, and send what is due."""
        await self.set(self.now + after)
        return await Ticker(self._producer._scripts, "mail", self._producer._codecs).run()


@pytest.fixture
async def clock(producer: Producer) -> Clock:
    producer._scripts._clock = CLOCK
    clock = Clock(producer)
    await clock.set(START)
    return clock


@pytest.fixture
def settler(producer: Producer, clock: Clock) -> Settler:
    assert clock
    return Settler(producer._scripts)


async def test_a_job_is_sent_at_the_times_of_a_zone(producer: Producer, clock: Clock) -> None:
    daily = await producer.schedules.upsert("digest", SEND, LETTER, cron="0 9 * * *", timezone="Europe/Paris")
    assert (daily.id, daily.queue, daily.outcome) == ("digest", "mail", "created")
    record = daily.record
    assert (record.cron, record.timezone, record.name, record.state) == (
        "0 9 * * *",
        "Europe/Paris",
        "send",
        "active",
    )
    assert (record.payload, record.overlap, record.misfire) == (
        {"to": "ada", "body": "", "weight": None},
        "allow",
        "run_once",
    )
    times = await producer.schedules.next("mail", "digest", 3)
    assert record.next_at == times[0]
    assert [later - sooner for sooner, later in pairwise(times)] == [24 * HOUR] * 2
    await clock.set(times[0] - timedelta(milliseconds=1))
    assert await clock.tick() == 0
    assert await clock.tick(timedelta(milliseconds=41)) == 1
    record = await producer.schedules.get(MAIL, "digest")
    assert (record.fired, record.late, record.last_at, record.next_at) == (1, 0, times[0], times[1])
    assert record.last_job is not None
    job = await producer.status("mail", record.last_job)
    assert (job.schedule, job.scheduled_for, job.run_at) == ("digest", times[0], times[0])
    assert (job.payload, job.created_at - times[0]) == (record.payload, timedelta(milliseconds=40))


async def test_the_same_upsert_changes_nothing_and_another_payload_keeps_the_phase(
    producer: Producer, clock: Clock
) -> None:
    first = await producer.schedules.upsert("often", SEND, LETTER, every=600)
    await clock.tick(timedelta(minutes=4))
    again = await producer.schedules.upsert("often", SEND, LETTER, every=600)
    assert (again.outcome, again.record) == ("unchanged", first.record)
    other = await producer.schedules.upsert("often", SEND, Send("bob"), every=600)
    assert (other.outcome, other.record.next_at) == ("changed", START + timedelta(minutes=10))
    rarer = await producer.schedules.upsert("often", SEND, Send("bob"), every=1200)
    assert rarer.record.next_at == START + timedelta(minutes=24)


async def test_who_is_overwritten_at_once_does_not_write_again(
    producer: Producer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Store.put
    others: list[Send] = [Send("bob")]

    async def overtaken(self: Store, definition: ScheduleDefinition, **how: object) -> int:
        version = await put(self, definition, **how)  # pyright: ignore[reportArgumentType]
        if others:
            await producer.schedules.upsert("s", SEND, others.pop(), every=60)
        return version

    monkeypatch.setattr(Store, "put", overtaken)
    made = await producer.schedules.upsert("s", SEND, LETTER, every=60)
    record = await producer.schedules.get("mail", "s")
    assert (made.outcome, made.record, record.payload) == (
        "created",
        record,
        {"to": "bob", "body": "", "weight": None},
    )
    assert clock


async def test_every_never_drifts(producer: Producer, clock: Clock) -> None:
    await producer.schedules.upsert("often", SEND, LETTER, every=60)
    sent: list[datetime | None] = []
    for _ in range(20):
        assert await clock.tick(timedelta(seconds=60.5)) == 1
        sent.append((await producer.schedules.get("mail", "often")).last_at)
        await clock.set(clock.now - timedelta(seconds=0.4))
    assert sent == [START + timedelta(minutes=n) for n in range(1, 21)]


async def test_an_id_left_out_is_queue_job_and_spec(producer: Producer, clock: Clock) -> None:
    for _ in range(2):
        made = await producer.schedules.upsert(None, SEND, LETTER, cron="*/5 * * * *", timezone="Asia/Tokyo")
        assert made.id == "mail:send:*/5 * * * * Asia/Tokyo"
    assert (await producer.schedules.list("mail")).total == 1
    assert (await producer.schedules.upsert(None, SEND, LETTER, every=30)).id == "mail:send:every 30000ms"
    assert clock


async def test_a_job_is_scheduled_by_its_name(producer: Producer, clock: Clock) -> None:
    await producer.schedule_recurring("mail", "send", {"to": "ada"}, "@daily", overlap="skip")
    made = await producer.schedule_recurring("mail", "send", {"to": "ada"}, "@daily", overlap="skip")
    assert (made.id, made.outcome, made.record.overlap) == ("mail:send:@daily", "unchanged", "skip")
    assert (await producer.schedule_recurring(MAIL, "send", {"to": "ada"}, "@hourly")).outcome == "created"
    assert clock


async def test_a_job_that_its_queue_declares_is_checked_by_its_name_too(
    producer: Producer, clock: Clock
) -> None:
    assert clock
    with pytest.raises(PayloadError, match="to"):
        await producer.schedule_recurring(MAIL, "send", {"nobody": 1}, "@hourly")
    typed = await producer.schedule_recurring(MAIL, "send", LETTER, "@hourly")
    same = await producer.schedule_recurring(MAIL, "send", {"to": "ada"}, "@hourly")
    assert (typed.outcome, same.outcome) == ("created", "unchanged")


async def test_start_end_limit_and_instants(producer: Producer, clock: Clock) -> None:
    upsert = producer.schedules.upsert
    bounded = await upsert("a", SEND, LETTER, every=60, start=START + HOUR, end=START + 2 * HOUR)
    assert bounded.record.next_at == START + HOUR
    limited = await upsert("b", SEND, LETTER, every=60, limit=2)
    assert len(await producer.schedules.next("mail", "b", 10)) == limited.record.limit == 2
    await upsert("c", SEND, LETTER, at=[START + 3 * HOUR, START + HOUR])
    assert await producer.schedules.next("mail", "c") == (START + HOUR, START + 3 * HOUR)
    for _ in range(5):
        await clock.tick(timedelta(minutes=1))
    ended = await producer.schedules.get("mail", "b")
    assert (ended.state, ended.fired, ended.next_at) == ("ended", 2, None)
    assert await producer.schedules.next("mail", "b") == ()
    with pytest.raises(ScheduleEnded):
        await producer.schedules.pause("mail", "b")
    longer = await upsert("b", SEND, LETTER, every=60, limit=3)
    assert (longer.record.state, longer.record.next_at) == ("active", START + timedelta(minutes=5))


async def test_the_next_run_counts_from_the_end_of_the_one_before(
    producer: Producer, clock: Clock, settler: Settler
) -> None:
    made = await producer.schedules.upsert("sync", SEND, LETTER, after_completion=300)
    assert made.record.next_at == START
    assert await clock.tick() == 1
    assert (await producer.schedules.get("mail", "sync")).next_at is None
    await clock.set(START + HOUR)
    assert (
        await producer.schedules.upsert("sync", SEND, LETTER, after_completion=300)
    ).outcome == "unchanged"
    await settler.complete()
    assert (await producer.schedules.get("mail", "sync")).next_at == START + HOUR + timedelta(minutes=5)


async def test_it_is_paused_resumed_triggered_and_removed(producer: Producer, clock: Clock) -> None:
    schedules = producer.schedules
    await schedules.upsert("often", SEND, LETTER, every=60, overlap="skip")
    assert await schedules.pause("mail", "often", reason="holidays", actor="ada") is True
    record = await schedules.get("mail", "often")
    assert (record.state, record.note, record.paused_by, record.paused_at) == (
        "paused",
        "holidays",
        "ada",
        START,
    )
    assert await clock.tick(HOUR + timedelta(seconds=1)) == 0
    assert await schedules.resume("mail", "often") is True
    assert (await schedules.get("mail", "often")).next_at == START + HOUR + timedelta(minutes=1)
    first, second = [await schedules.trigger("mail", "often") for _ in range(2)]
    assert (first.outcome, second.outcome, second.id) == ("created", "skipped", first.id)
    assert (await first.status()).scheduled_for == clock.now
    assert await schedules.remove("mail", "often") is True
    assert (await schedules.list("mail")).total == 0
    for gone in (schedules.get, schedules.pause, schedules.resume, schedules.trigger, schedules.next):
        with pytest.raises(ScheduleNotFound, match="often"):
            await gone("mail", "often")


async def test_a_range_of_the_past_is_backfilled(producer: Producer, clock: Clock) -> None:
    await producer.schedules.upsert("hourly", SEND, LETTER, cron="@hourly")
    day = START - 24 * HOUR
    assert await producer.schedules.backfill("mail", "hourly", day, START) == 24
    assert await producer.schedules.backfill("mail", "hourly", day - 24 * HOUR, START) == 24
    with pytest.raises(OptionError, match="future"):
        await producer.schedules.backfill("mail", "hourly", START, START + HOUR)
    with pytest.raises(OptionError, match=f"before the start, {START.year}-") as error:
        await producer.schedules.backfill("mail", "hourly", START, day)
    assert f"end={day.isoformat()}" in str(error.value)
    assert clock


@pytest.mark.parametrize(
    ("misfire", "fired", "skipped"), [("run_once", 1, 179), ("skip", 0, 180), (RunAll(50), 50, 130)]
)
async def test_a_server_away_for_three_hours(
    producer: Producer, clock: Clock, misfire: object, fired: int, skipped: int
) -> None:
    options: ScheduleOptions = {"cron": "* * * * *", "misfire": misfire}  # pyright: ignore[reportAssignmentType]
    await clock.set(datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC))
    await producer.schedules.upsert("minutely", SEND, LETTER, **options)
    await clock.set(datetime(2026, 5, 1, 15, 0, 45, tzinfo=UTC))
    assert await clock.tick() == fired
    record = await producer.schedules.get("mail", "minutely")
    assert (record.fired, record.late, record.skipped, record.missed) == (fired, fired, skipped, 0)
    # And then it goes on, on time.
    await clock.set(datetime(2026, 5, 1, 15, 1, tzinfo=UTC))
    assert await clock.tick() == 1


async def test_what_is_older_than_the_window_is_missed(producer: Producer, clock: Clock) -> None:
    await producer.schedules.upsert(
        "minutely", SEND, LETTER, every=60, misfire=RunAll(1000), catch_up_window=HOUR
    )
    assert await clock.tick(3 * HOUR + timedelta(seconds=30)) == 60
    record = await producer.schedules.get("mail", "minutely")
    assert (record.late, record.missed, record.skipped) == (60, 120, 0)


async def test_the_options_of_the_job_are_those_of_all_levels(producer: Producer, clock: Clock) -> None:
    queue = Queue("mail2", default_job_options={"attempts": 7})
    job = queue.job("send", payload=Send, priority="high")
    made = await producer.schedules.upsert(
        "s",
        job,
        LETTER,
        every=60,
        options={"tags": ["nightly"], "metadata": {"user_id": 7}, "expires_in": 90},
    )
    assert (made.record.attempts, made.record.priority, made.record.tags) == (7, "high", ("nightly",))
    handle = await producer.schedules.trigger("mail2", "s")
    record = await handle.status()
    assert (record.attempts, record.priority, record.tags, record.metadata) == (
        7,
        "high",
        ("nightly",),
        {"user_id": 7},
    )
    assert clock


WRONG: list[tuple[ScheduleOptions, str]] = [
    ({}, "give one of cron"),
    ({"cron": "* * * * *", "every": 5}, "give one of cron"),
    ({"cron": "61 * * * *"}, "5 fields"),
    ({"cron": "0 9 30 2 *"}, "bad day-of-month"),
    ({"cron": "0 9 * * *", "timezone": "Europe/Pariss"}, "Europe/Paris"),
    ({"every": 0}, "at least"),
    ({"every": 60, "timezone": "Europe/Paris"}, "wall clock"),
    ({"at": []}, "1 to 1000"),
    ({"at": [datetime(2026, 5, 1)]}, "no time zone"),  # noqa: DTZ001 - what is to be refused
    ({"every": 60, "start": datetime(2026, 5, 1)}, "no time zone"),  # noqa: DTZ001
    ({"every": 60, "start": START, "end": START - HOUR}, "earlier than start"),
    ({"every": 60, "limit": 0}, "whole number"),
    ({"every": 60, "misfire": RunAll(0)}, "whole number"),
    ({"every": 60, "overlap": "skip", "options": {"unique": Unique()}}, "unique already"),
    ({"every": 60, "options": {"debounce": Debounce(5)}}, "sent at its time"),
    ({"every": 60, "misfire": "later"}, "run_once"),  # pyright: ignore[reportAssignmentType]
    ({"every": 60, "overlap": "never"}, "buffer_one"),  # pyright: ignore[reportAssignmentType]
    ({"every": 60, "delay": 3}, "no such option"),  # pyright: ignore[reportAssignmentType]
    ({"every": 60, "options": {"delay": 3}}, "sent at its time"),  # pyright: ignore[reportAssignmentType]
]


@pytest.mark.parametrize(("options", "reason"), WRONG)
async def test_what_cannot_be_meant_is_refused_with_the_reason(
    producer: Producer, options: ScheduleOptions, reason: str
) -> None:
    with pytest.raises(OptionError, match=reason):
        await producer.schedules.upsert("s", SEND, LETTER, **options)
    with pytest.raises(ScheduleNotFound):
        await producer.schedules.get("mail", "s")


@pytest.mark.parametrize("schedule_id", ["", "x" * 101, "two\nlines"])
async def test_an_id_that_cannot_be_one_is_refused(producer: Producer, schedule_id: str) -> None:
    with pytest.raises(OptionError, match="printable"):
        await producer.schedules.upsert(schedule_id, SEND, LETTER, every=60)


async def test_a_payload_that_does_not_fit_is_refused(producer: Producer) -> None:
    with pytest.raises(PayloadError):
        await producer.schedules.upsert("s", SEND, Send(to=7), every=60)  # pyright: ignore[reportArgumentType]


class Secret(Struct, frozen=True):
    pin: str


SAFE = MAIL.job("safe", payload=Secret, result=Receipt, codec=Codec(encrypt=True, compress=1))


async def test_an_encrypted_payload_stays_so_and_is_sealed_for_each_job(
    make: Callable[..., Producer], scripts: Scripts
) -> None:
    codecs = Codecs(keys=KeyRing({"k1": b"k" * 32}), prefix=scripts.prefix)
    producer = make(codecs=codecs)
    await producer.connect()
    for outcome in ("created", "unchanged"):
        made = await producer.schedules.upsert("s", SAFE, Secret("1234"), every=60)
        assert made.outcome == outcome
    changed = await producer.schedules.upsert("s", SAFE, Secret("4321"), every=60)
    assert (changed.outcome, changed.record.payload) == ("changed", {"pin": "4321"})
    raw = await scripts.client.call("HGETALL", scripts.key("mail") + "sched.rows")
    assert b"4321" not in repr(raw).encode()
    handle = await producer.schedules.trigger("mail", "s")
    key = scripts.key("mail") + "rec"
    assert b"4321" not in repr(await scripts.client.call("HGET", key, handle.id)).encode()
    assert (await handle.status()).payload == {"pin": "4321"}


def test_programs_without_a_loop_have_them_too(sync: SyncProducer) -> None:
    with sync as producer:
        made = producer.schedules.upsert("often", SEND, LETTER, every=60)
        assert producer.schedules.get("mail", "often") == made.record
        assert producer.schedules.list(MAIL).schedules == (made.record,)
        assert producer.schedules.pause("mail", "often") is True
        assert producer.schedules.resume("mail", "often") is True
        assert len(producer.schedules.next("mail", "often", 4)) == 4
        now = datetime.now(UTC)
        assert producer.schedules.backfill("mail", "often", now - HOUR, now) in {60, 61}
        handle = producer.schedules.trigger("mail", "often")
        assert handle.status().schedule == "often"
        assert producer.schedules.remove("mail", "often") is True
