"""What code would change on a server."""

from tests.support.seeding import Seeder

from jobs_admin import Admin
from jobs_core import LIGHT, MEDIUM, Queue, RateLimit
from jobs_core.registry import QueueEntry, announce_queue


async def announced(mail: Seeder, queue: Queue) -> None:
    """Do what a worker does that declares a queue."""
    scripts = mail.scripts
    await scripts.declare(queue.name, definition=queue.definition_hash, fields=queue.definition())
    entry = QueueEntry(
        queue=queue.name,
        profile=queue.weight,
        jobs=tuple(sorted(queue.versions)),
        concurrency=queue.concurrency,
    )
    await announce_queue(scripts.client, scripts.prefix, entry)


def declared(concurrency: int, rate: int, *jobs: str, medium: bool = False) -> Queue:
    queue = Queue(
        "mail", profile=MEDIUM if medium else LIGHT, concurrency=concurrency, rate_limit=RateLimit(rate)
    )
    for name in jobs:
        queue.job(name, payload=int)
    return queue


async def test_what_is_new_changed_gone_and_the_same(admin: Admin, mail: Seeder) -> None:
    queue = declared(5, 10, "send", "digest")
    (record,) = await admin.plan([queue])
    assert (record.change, record.jobs, record.fields) == ("new", ("digest@1", "send@1"), ())

    await announced(mail, queue)
    (record,) = await admin.plan([queue])
    assert (record.change, record.fields, record.jobs_added, record.jobs_gone) == ("same", (), (), ())

    (record,) = await admin.plan([declared(8, 20, "send", "sms", medium=True)])
    assert record.change == "changed"
    assert {field.field: (field.before, field.after) for field in record.fields} == {
        "rate": ("10 1000 10", "20 1000 20"),
        "profile": ("light", "medium"),
        "concurrency": ("5", "8"),
    }
    assert (record.jobs_added, record.jobs_gone) == (("sms@1",), ("digest@1",))

    (record,) = await admin.plan([])
    assert (record.change, record.queue) == ("undeclared", "mail")


async def test_what_operators_set_is_no_change(admin: Admin, mail: Seeder) -> None:
    queue = declared(5, 10, "send")
    await announced(mail, queue)
    await admin.limit("mail", rate_limit=RateLimit(1))
    await admin.pause("mail")
    (record,) = await admin.plan([queue])
    assert record.change == "same"
