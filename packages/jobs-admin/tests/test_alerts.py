"""Alerts: judged once a minute for the whole system, told once for each crossing, whoever judges and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from tests.support.engine import CLOCK, START_MS
from tests.support.seeding import Seeder

from jobs_admin import Admin, AlertRecord, alerting
from jobs_admin.alerting import Crossing, fires_now, judge_each_minute, judge_minute, remember
from jobs_core import Queue
from jobs_core.alerts import ALERTS, DEFAULTS
from jobs_core.connection import client_for, parse_address
from jobs_core.errors import ConnectionFailed, OptionError, UnknownQueue
from jobs_core.registry import QueueEntry, WorkerEntry, announce_queue, announce_worker, queue_entry
from jobs_core.scripts import HOMES, Scripts, Tally

if TYPE_CHECKING:
    from jobs_admin._alerts import Seen
    from jobs_core.alerts import AlertName


class System:
    """Queues whose minutes pass when a test says so."""

    def __init__(self, scripts: Scripts, admin: Admin) -> None:
        self.scripts = scripts
        self.admin = admin
        self.mail = Seeder(scripts, "mail")
        self.ms = START_MS

    async def minute(self) -> None:
        """Let a minute pass."""
        self.ms += 60_000
        await self.scripts.client.call("SET", "test-clock", self.ms * 1000)

    async def judge(self) -> list[Crossing] | None:
        """Judge the next minute."""
        await self.minute()
        return await judge_minute(self.scripts)

    async def fill(self, count: int) -> None:
        """Let so many jobs wait."""
        for at in range(0, count, 500):
            await self.mail.add(*(f"j{self.ms}-{n}" for n in range(at, min(at + 500, count))))

    async def told(self) -> list[str]:
        """Return what people are told, by jobs, in the order of their ids."""
        page = await self.admin.jobs("notifications", limit=500)
        return [
            cast("dict[str, str]", job.payload)["error"] for job in sorted(page.jobs, key=lambda job: job.id)
        ]

    async def alert(self, name: str) -> AlertRecord:
        """Return an alert."""
        return next(each for each in await self.admin.alerts("mail") if each.alert == name)


@pytest.fixture
async def system(redis_url: str, prefix: str) -> AsyncIterator[System]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    scripts = Scripts(client, prefix, clock=CLOCK)
    async with Admin(redis_url, prefix=prefix, timeout=30) as admin:
        system = System(scripts, admin)
        await system.minute()
        await announce_queue(client, prefix, QueueEntry(queue="notifications"))
        entry = WorkerEntry(
            id="w",
            host="h",
            pid=1,
            version="0",
            worker_type="light",
            queues=("mail", "notifications"),
            seen_ms=2**50,
        )
        await announce_worker(client, prefix, entry)
        yield system
    await client.close()


def tally(
    completed: int = 0, failed: int = 0, kept: int = 0, waiting: int = 0, wait_ms: int | None = None
) -> Tally:
    return Tally(
        sizes={**dict.fromkeys(HOMES, 0), "waiting": waiting, "failed": kept},
        paused_ms=None,
        pause_actor="",
        pause_reason="",
        longest_wait_ms=wait_ms,
        totals={"completed:send@1": completed, "failed:send@1": failed},
        parked={},
        used=True,
        peak=0,
        errors={},
    )


def passed(*minutes: Tally, workers: int = 1, start: int = 100, step: int = 1) -> list[Seen]:
    """Return what is remembered after each minute."""
    seen: list[Seen] = []
    for number, each in enumerate(minutes):
        seen.append(remember(seen[-1] if seen else None, start + number * step, each, workers))
    return seen


async def test_it_fires_above_its_threshold_and_recovers_well_below(system: System) -> None:
    await system.mail.add("first")
    await system.admin.set_alert("mail", "waiting", 10)
    await system.fill(10)
    (crossing,) = await system.judge() or []
    assert (crossing.queue, crossing.alert, crossing.fired, crossing.value) == ("mail", "waiting", True, 11)
    assert "11 jobs wait (alert above 10)" in crossing.message
    claim = await system.mail.claim(2)
    assert await system.judge() == []
    await system.mail.settle("complete", claim)
    record = await system.alert("waiting")
    assert (record.active, record.value, record.threshold) == (True, 9, 10)
    await system.mail.claim(1)
    (recovered,) = await system.judge() or []
    assert (recovered.alert, recovered.fired, recovered.value) == ("waiting", False, 8)
    assert await system.told() == ["mail: waiting fired", "mail: waiting recovered"]
    assert not (await system.alert("waiting")).active


async def test_what_is_over_is_told_as_it_is(system: System) -> None:
    post = system.mail.named("post")
    await system.mail.add("first")
    await post.add("lonely")
    await system.admin.set_alert("mail", "growing", 1)
    await system.admin.set_alert("post", "no_workers", 1)
    assert await system.judge() == []
    await system.fill(1)
    fired = [each.message for each in await system.judge() or []]
    assert sorted(fired) == [
        "queue mail: the backlog has grown for 1 minute running (alert from 1 minute on)",
        "queue post: jobs have waited for 1 minute and no worker serves them (alert from 1 minute on)",
    ]
    await system.admin.cancel("post", "lonely")
    over = [each.message for _ in range(3) for each in await system.judge() or []]
    assert over == [
        "queue post: no job waits without a worker (alert from 1 minute on)",
        "queue mail: the backlog grows no more (alert from 1 minute on)",
    ]


async def test_figures_are_told_in_full(system: System) -> None:
    await system.mail.add("a")
    told: list[str] = []
    for threshold in (0, 1_234_567):
        await system.admin.set_alert("mail", "waiting", threshold)
        told += [each.message for each in await system.judge() or []]
    assert told == [
        "queue mail: 1 job waits (alert above 0)",
        "queue mail: 1 job waits (alert above 1234567)",
    ]


async def test_of_many_processes_one_judges_and_one_job_tells(system: System) -> None:
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)
    await system.minute()
    judged = await asyncio.gather(*(judge_minute(system.scripts) for _ in range(20)))
    assert sum(each is not None for each in judged) == 1
    assert await system.told() == ["mail: waiting fired"]


@pytest.mark.parametrize("dies_before", ["enqueue", "alert_told"])
async def test_a_judge_who_dies_leaves_it_to_the_next(
    system: System, monkeypatch: pytest.MonkeyPatch, dies_before: str
) -> None:
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)

    async def die(*_: object, **__: object) -> None:
        raise ConnectionFailed("server", "it died")

    with monkeypatch.context() as patch:
        patch.setattr(system.scripts, dies_before, die)
        with pytest.raises(ConnectionFailed):
            await system.judge()
    assert (await system.alert("waiting")).active
    (told,) = await system.judge() or []
    assert (told.alert, told.fired) == ("waiting", True)
    assert await system.judge() == []
    assert await system.told() == ["mail: waiting fired"]


async def test_a_minute_that_fails_does_not_end_the_judging(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[Exception | Crossing] = asyncio.Queue()
    monkeypatch.setattr(alerting, "_SPREAD_S", 0.0)
    monkeypatch.setattr(alerting, "_MINUTE_S", 0.05)
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)

    async def fail(*_: object, **__: object) -> None:
        raise KeyError("unforeseen")

    with monkeypatch.context() as patch:
        patch.setattr(system.scripts, "alert_told", fail)
        await system.minute()
        judging = asyncio.create_task(judge_each_minute(system.scripts, told.put_nowait, told.put_nowait))
        assert repr(await told.get()) == "KeyError('unforeseen')"
    await system.minute()
    crossing = await told.get()
    assert isinstance(crossing, Crossing)
    assert (crossing.alert, crossing.fired) == ("waiting", True)
    judging.cancel()


async def test_without_anybody_for_notifications_nothing_is_enqueued(system: System) -> None:
    await system.scripts.client.call("HDEL", f"{system.scripts.prefix}:{{~}}:queues", "notifications")
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)
    (crossing,) = await system.judge() or []
    assert not crossing.sent
    assert [each.queue for each in await system.admin.queues()] == ["mail"]
    assert await system.judge() == []


async def test_one_that_is_turned_off_recovers(system: System) -> None:
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)
    await system.judge()
    await system.admin.set_alert("mail", "waiting", None)
    (crossing,) = await system.judge() or []
    assert (crossing.alert, crossing.fired) == ("waiting", False)


async def test_what_fired_in_a_queue_that_is_gone_is_over(system: System) -> None:
    await system.mail.add("a")
    await system.admin.set_alert("mail", "waiting", 0)
    await system.judge()
    await system.admin.obliterate("mail")
    (crossing,) = await system.judge() or []
    assert (crossing.queue, crossing.fired) == ("mail", False)


async def test_thresholds_are_declared_set_live_and_taken_back(system: System) -> None:
    declared = Queue("mail", alerts={"waiting": 5, "failed": None, "oldest": timedelta(minutes=2)})
    await announce_queue(system.scripts.client, system.scripts.prefix, queue_entry(declared))
    waiting, failed, oldest, rate = [
        await system.alert(name) for name in ("waiting", "failed", "oldest", "failure_rate")
    ]
    assert (waiting.declared, waiting.live, waiting.threshold, waiting.default) == (5, None, 5, 1000)
    assert (failed.declared, failed.threshold) == ("off", None)
    assert (oldest.threshold, rate.declared, rate.threshold) == (120, None, 0.5)
    assert await system.admin.set_alert("mail", "waiting", 50)
    assert not await system.admin.set_alert("mail", "waiting", 50)
    assert await system.admin.set_alert("mail", "oldest", None)
    assert ((await system.alert("waiting")).threshold, (await system.alert("waiting")).live) == (50, 50)
    assert ((await system.alert("oldest")).threshold, (await system.alert("oldest")).live) == (None, "off")
    assert await system.admin.set_alert("mail", "waiting", "declared")
    assert (await system.alert("waiting")).threshold == 5
    verbs = [(each.verb, each.filter, each.detail) for each in (await system.admin.audit()).changes]
    assert verbs[0] == ("alert", "waiting", "to declared")


@pytest.mark.parametrize(
    ("alert", "threshold"),
    [
        ("wating", 1),
        ("waiting", -1),
        ("waiting", 1.5),
        ("waiting", timedelta(1)),
        ("failure_rate", 1),
        ("growing", 0),
        ("oldest", -1),
    ],
)
async def test_what_is_no_threshold_is_refused(system: System, alert: str, threshold: float) -> None:
    await system.mail.add("a")
    with pytest.raises(OptionError):
        await system.admin.set_alert("mail", alert, threshold)
    with pytest.raises(OptionError):
        Queue("mail", alerts={cast("AlertName", alert): threshold})


async def test_an_unknown_queue_has_no_alerts(system: System) -> None:
    for call in (system.admin.alerts("mial"), system.admin.set_alert("mial", "waiting", 1)):
        with pytest.raises(UnknownQueue):
            await call


def test_a_backlog_that_grows_every_minute() -> None:
    sizes = [*range(10, 120, 10), 110, 105, 104, 103]
    seen = passed(*(tally(waiting=size) for size in sizes))
    assert [each.growing for each in seen] == [*range(11), 0, 0, 0, 0]
    active, fired = False, list[bool]()
    for each in seen:
        active = fires_now("growing", each, 10, active=active)
        fired.append(active)
    # It began at the tenth minute of growth, and went on for two minutes without.
    assert fired == [False] * 10 + [True] * 3 + [False] * 2


def test_minutes_that_nobody_judged_are_not_taken_for_growth() -> None:
    assert [each.growing for each in passed(*(tally(waiting=n) for n in (1, 2, 3)), step=2)] == [0, 2, 4]
    assert [each.growing for each in passed(*(tally(waiting=n) for n in (1, 2, 3)), step=30)] == [
        0,
        0,
        0,
    ]


def test_the_rate_is_that_of_the_last_ten_minutes() -> None:
    rates = [
        each.values["failure_rate"]
        for each in passed(
            tally(completed=1000),
            tally(completed=1010, failed=9),
            tally(completed=1010, failed=30),
            *[tally(completed=1110, failed=30)] * 11,
        )
    ]
    # Of 19 that ended nothing is said yet.
    assert rates[:4] == [0, 0, 0.75, 0.214]
    assert rates[-1] == 0


async def test_a_queue_that_came_and_failed_within_a_minute_is_told(system: System) -> None:
    await system.mail.finish("fail", *(f"old-{number}" for number in range(30)))
    assert [each.alert for each in await system.judge() or []] == []
    await system.mail.named("fresh").finish("fail", *(f"new-{number}" for number in range(30)))
    assert [(each.queue, each.alert) for each in await system.judge() or []] == [("fresh", "failure_rate")]


def test_totals_that_begin_anew_are_no_failures() -> None:
    assert passed(tally(completed=50, failed=50), tally(failed=1))[-1].values["failure_rate"] == 0


def test_jobs_that_wait_without_a_worker() -> None:
    alone = passed(tally(waiting=1), tally(waiting=1), tally(waiting=1), workers=0)
    assert [fires_now("no_workers", each, 2, active=False) for each in alone] == [False, False, True]
    served = remember(alone[-1], 103, tally(waiting=1), 1)
    assert not fires_now("no_workers", served, 2, active=True)
    assert remember(None, 1, tally(), 0).values["no_workers"] == 0


async def test_a_worker_inside_an_application_serves(system: System) -> None:
    await system.scripts.client.call("HDEL", f"{system.scripts.prefix}:{{~}}:workers", "w")
    await system.mail.add("a")
    await system.mail.claim(0)
    for _ in range(3):
        await system.judge()
    assert (await system.alert("no_workers")).value == 0


def test_every_alert_is_judged_by_a_figure() -> None:
    now = remember(None, 1, tally(kept=101, waiting=1001, wait_ms=3_600_001), 1)
    fires = {name for name in ALERTS if fires_now(name, now, DEFAULTS[name], active=False)}
    assert fires == {"waiting", "failed", "oldest"}
    assert now.values.keys() == set(ALERTS)
