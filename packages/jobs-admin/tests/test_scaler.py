"""The scale signal of a weight class."""

import time

import pytest
from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core.errors import OptionError
from jobs_core.flow import RateLimit
from jobs_core.registry import QueueEntry, WorkerEntry, announce_queue, announce_worker


async def known(seeder: Seeder, queue: str, profile: str, concurrency: int) -> Seeder:
    """Announce a queue as a worker that serves it does."""
    scripts = seeder.scripts
    entry = QueueEntry(queue=queue, profile=profile, concurrency=concurrency)
    await announce_queue(scripts.client, scripts.prefix, entry)
    return seeder.named(queue)


async def test_nothing_to_do_needs_nobody(admin: Admin, mail: Seeder) -> None:
    await known(mail, "mail", "light", 5)
    signal = await admin.scaler("light")
    assert (signal.replicas, signal.waiting, signal.running, signal.workers) == (0, 0, 0, 0)
    assert [each.queue for each in signal.queues] == ["mail"]
    assert (await admin.scaler("heavy")).queues == ()


async def test_as_many_workers_as_do_it_in_time(admin: Admin, mail: Seeder) -> None:
    mails = await known(mail, "mail", "light", 2)
    # While no run was measured one is taken to last a second: 120 of them within a minute are 2 slots, one worker's.
    await mails.add(*(f"w{number}" for number in range(120)))
    signal = await admin.scaler("light")
    assert (signal.replicas, signal.waiting) == (1, 120)
    assert signal.oldest_waiting_ms is not None
    assert (await admin.scaler("light", within=10)).replicas == 6
    assert (await admin.scaler("light", within=0.001)).replicas == 60
    # What runs needs its slots too, and so does what comes due.
    await mails.claim()
    await mails.add(*(f"d{number}" for number in range(60)), delay=30)
    await mails.add("later", delay=3600)
    signal = await admin.scaler("light")
    (queue,) = signal.queues
    assert (queue.running, queue.waiting, queue.due_soon, queue.slots_wanted) == (100, 20, 60, 102)
    assert signal.replicas == 51


async def test_queues_have_slots_of_their_own(admin: Admin, mail: Seeder) -> None:
    mails, pictures = await known(mail, "mail", "light", 1), await known(mail, "sms", "light", 10)
    await mails.add(*(f"{number}" for number in range(3)))
    await pictures.add(*(f"{number}" for number in range(30)))
    assert (await admin.scaler("light", within=1)).replicas == 3
    # Heavy queues of one worker share three.
    for name in ("a", "b", "c", "d"):
        heavy = await known(mail, name, "heavy", 1)
        await heavy.add("1")
    assert (await admin.scaler("heavy")).replicas == 2


@pytest.mark.parametrize("held", ["pause", "max_active", "rate"])
async def test_what_is_held_back_is_no_reason_to_grow(admin: Admin, mail: Seeder, held: str) -> None:
    mails = await known(mail, "mail", "light", 1)
    await mails.add(*(f"{number}" for number in range(50)))
    assert (await admin.scaler("light", within=1)).replicas == 50
    if held == "pause":
        await admin.pause("mail")
    elif held == "max_active":
        await admin.limit("mail", max_active=3)
    else:
        await admin.limit("mail", rate_limit=RateLimit(2, per=1))
    assert (await admin.scaler("light", within=1)).replicas == {"pause": 0, "max_active": 3, "rate": 2}[held]


async def test_workers_that_run_are_counted(admin: Admin, mail: Seeder) -> None:
    mails = await known(mail, "mail", "light", 2)
    await mails.add("1", "2", "3", "4", "5")
    now = round(time.time() * 1000)
    for name, kind, state, seen in (
        ("a", "light,medium", "running", now),
        ("b", "light", "running", now),
        ("c", "heavy", "running", now),
        ("d", "light", "quiet", now),
        ("e", "light", "running", now - 60_000),
    ):
        entry = WorkerEntry(
            id=name,
            host="h",
            pid=1,
            version="0",
            worker_type=kind,
            queues=("mail",),
            slots=4,
            processes=2,
            state=state,
            seen_ms=seen,
        )
        await announce_worker(mails.scripts.client, mails.scripts.prefix, entry)
    signal = await admin.scaler("light", within=1)
    assert (signal.workers, signal.slots) == (2, 8)
    # Two children each, so four slots a worker.
    assert (signal.queues[0].slots_per_worker, signal.replicas) == (4, 2)


async def test_wrong_questions_are_refused(admin: Admin) -> None:
    with pytest.raises(OptionError, match="light, medium, heavy"):
        await admin.scaler("fat")
    with pytest.raises(OptionError, match="within"):
        await admin.scaler("light", within=0)
