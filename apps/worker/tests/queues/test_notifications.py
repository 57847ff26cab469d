"""Notifications, through the queues that carry them."""

from pathlib import Path

import msgspec
import pytest
from tests.support.runtime import InProcess, running
from tests.support.waiting import until

from jobs_core.errors import PayloadError
from jobs_core.queues.email import EMAIL, SendEmail
from jobs_core.queues.notifications import ALERT_ADMIN, NOTIFY, AlertAdmin, Channel, Notify
from jobs_core.queues.notifications.contacts import Contact, forget_contact, load_contact, save_contact
from jobs_core.queues.webhooks import WEBHOOKS, Deliver
from jobs_core.records import JobRecord, read_records
from jobs_producer import Producer, SyncProducer
from jobs_worker import Fail, JobContext
from jobs_worker.queues.notifications.processor import alert_admin, notify


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    monkeypatch.delenv("ALERT_EMAIL", raising=False)
    monkeypatch.delenv("ALERT_WEBHOOK", raising=False)


def context() -> JobContext:
    return JobContext.for_test("notifications", "notify")


def mails(ctx: JobContext) -> list[SendEmail]:
    return [each.payload for each in ctx.enqueued if isinstance(each.payload, SendEmail)]


def deliveries(ctx: JobContext) -> list[Deliver]:
    return [each.payload for each in ctx.enqueued if isinstance(each.payload, Deliver)]


async def test_a_mail_goes_to_the_address_given() -> None:
    ctx = context()
    receipt = await notify(Notify(user_id=7, message="Paid.", to="ada@example.com", subject="Order\n7"), ctx)
    (mail,) = mails(ctx)
    assert (mail.to, mail.subject, mail.text) == ("ada@example.com", "Order 7", "Paid.")
    assert receipt.channels == ("email",)
    assert receipt.jobs == (f"email/{ctx.enqueued[0].id}",)


@pytest.mark.parametrize(
    ("contact", "channel", "expected"),
    [
        (Contact(email="ada@example.com"), None, ("email", "ada@example.com")),
        (Contact(email="ada@example.com"), "email", ("email", "ada@example.com")),
        (
            Contact(channel="webhook", webhook="https://example.com/h"),
            None,
            ("webhook", "https://example.com/h"),
        ),
        (
            Contact(channel="log", email="ada@example.com", webhook="https://example.com/h"),
            "webhook",
            ("webhook", "https://example.com/h"),
        ),
        (Contact(channel="log"), None, ("log", None)),
        (None, None, ("log", None)),
    ],
    ids=repr,
)
async def test_the_stored_choice_counts_where_nothing_is_given(
    contact: Contact | None, channel: Channel | None, expected: tuple[str, str | None]
) -> None:
    if contact is not None:
        save_contact("7", contact)
    ctx = context()
    receipt = await notify(Notify(user_id=7, message="Paid.", channel=channel), ctx)
    assert receipt.channels == (expected[0],)
    sent = [
        each.payload.to if isinstance(each.payload, SendEmail) else each.payload.url
        for each in ctx.enqueued
        if isinstance(each.payload, SendEmail | Deliver)
    ]
    assert sent == [address for address in (expected[1],) if address is not None]


async def test_a_webhook_holds_what_there_is_to_say() -> None:
    ctx = context()
    payload = Notify(
        user_id=7, message="Paid.", channel="webhook", to="https://example.com/h", data={"order": 1}
    )
    await notify(payload, ctx)
    (delivered,) = deliveries(ctx)
    assert delivered.event == "notification"
    assert delivered.body == {"user_id": 7, "message": "Paid.", "data": {"order": 1}}


async def test_nobody_to_reach_fails_for_good() -> None:
    with pytest.raises(Fail, match="user 7 has no address for email"):
        await notify(Notify(user_id=7, message="Paid."), context())


async def test_a_damaged_choice_fails_for_good(tmp_path: Path) -> None:
    save_contact(7, Contact(email="ada@example.com"))
    (file,) = (tmp_path / "notifications/contacts").iterdir()
    file.write_bytes(b"{")
    with pytest.raises(Fail, match="cannot be read"):
        await notify(Notify(user_id=7, message="Paid."), context())


def test_choices_are_stored_replaced_and_forgotten() -> None:
    assert load_contact(7) is None
    save_contact(7, Contact(email="ada@example.com"))
    save_contact(7, Contact(channel="log"))
    assert load_contact("7") == Contact(channel="log")
    assert forget_contact(7)
    assert not forget_contact(7)
    with pytest.raises(ValueError, match="needs `webhook`"):
        Contact(channel="webhook")


async def test_the_administrators_are_told_by_all_ways_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = msgspec.convert({"error": "profile-creation-failed", "user_id": 123}, AlertAdmin)
    ctx = context()
    assert (await alert_admin(payload, ctx)).channels == ("log",)
    assert ctx.enqueued == ()

    monkeypatch.setenv("ALERT_EMAIL", "ops@example.com")
    monkeypatch.setenv("ALERT_WEBHOOK", "https://hooks.example.com/alerts")
    receipt = await alert_admin(payload, ctx)
    assert receipt.channels == ("log", "email", "webhook")
    (mail,) = mails(ctx)
    assert (mail.to, mail.template) == ("ops@example.com", "alert")
    assert mail.context["details"] == {"user_id": "123", "severity": "error"}
    (delivered,) = deliveries(ctx)
    assert delivered.body == {
        "error": "profile-creation-failed",
        "message": None,
        "user_id": 123,
        "severity": "error",
    }


async def test_a_notification_ends_in_the_queue_of_its_channel(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, notify, alert_admin, queues=(EMAIL, WEBHOOKS)) as here:
        job = await here.producer.enqueue_notification(7, "Paid.", to="ada@example.com", priority="high")
        receipt = await job.result(40)
        _, _, job_id = receipt.jobs[0].partition("/")
        # It follows at once, but after the completion.
        record = await until(lambda: _record(here, job_id), what="the mail")
        assert record is not None
        assert record.payload == {"to": "ada@example.com", "subject": "Notification", "text": "Paid."}


async def _record(here: InProcess, job_id: str) -> JobRecord | None:
    return (await read_records(here.scripts, "email", [job_id]))[0]


async def test_shortcuts_enqueue_typed_jobs(redis_url: str, prefix: str) -> None:
    async with Producer(redis_url, prefix=prefix) as producer:
        job = await producer.enqueue_notification(7, "Paid.", "log", tags=["paid"])
        record = await job.status()
        assert (job.queue, job.name, record.tags) == ("notifications", "notify", ("paid",))
        asked = await producer.enqueue_llm_request("small", "Why?", job_id="q-1")
        assert (asked.queue, asked.name, asked.id) == ("llm-requests", "complete", "q-1")
        with pytest.raises(PayloadError, match="needs `channel`"):
            await producer.enqueue_notification(7, "Paid.", "log", to="ada@example.com")


def test_shortcuts_of_programs_without_a_loop(redis_url: str, prefix: str) -> None:
    with SyncProducer(redis_url, prefix=prefix) as producer:
        assert producer.enqueue_notification("ada", "Paid.").queue == "notifications"
        assert producer.enqueue_llm_request("small", "Why?").name == "complete"


def test_both_jobs_are_declared() -> None:
    assert {NOTIFY.name, ALERT_ADMIN.name} == set(NOTIFY.queue.jobs)
    assert (NOTIFY.queue.weight, NOTIFY.queue.concurrency) == ("light", 20)
