"""The daily summary from its schedule to the mail, over a real SMTP server on loopback."""

import asyncio
import csv
import email
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default as default_policy
from io import BytesIO, StringIO
from pathlib import Path
from typing import cast

import pypdf
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.support.runtime import Run
from tests.support.seeding import Seeder
from tests.support.waiting import until

from jobs_core.connection import client_for, parse_address
from jobs_core.queues.email import MAIL_REPORT, SEND_EMAIL, EmailReceipt, MailReport
from jobs_core.queues.reports import (
    DAILY_SUMMARY,
    EXPORT,
    DailySummary,
    ExportReport,
    ReportResult,
    SummaryResult,
)
from jobs_core.scripts import Scripts
from jobs_worker import Fail, JobContext
from jobs_worker.files import job_path, store
from jobs_worker.following import Previous
from jobs_worker.processors import marks_of
from jobs_worker.queues.email.processor import mail_report
from jobs_worker.queues.reports.processor import export
from jobs_worker.queues.reports.summary import daily_summary


class Mailbox:
    """A server that keeps what it took."""

    def __init__(self) -> None:
        self.recipients: list[list[str]] = []
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = cast("bytes", envelope.content)
        self.recipients.append(envelope.rcpt_tos)
        self.messages.append(email.message_from_bytes(content, policy=default_policy))
        return "250 OK"


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FILES_URL", str(tmp_path / "files"))


@pytest.fixture
async def mailbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mailbox]:
    box = Mailbox()
    connections: list[SMTP] = []

    def make() -> SMTP:
        connections.append(SMTP(box, hostname="localhost"))
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("MAIL_FROM", "jobs@example.com")
    yield box
    server.close()
    for each in connections:
        if each.transport is not None:
            each.transport.close()
    await server.wait_closed()


@pytest.fixture
async def shop(redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a queue have done something."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("JOBS_PREFIX", prefix)
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    shop = Seeder(Scripts(client, prefix), "shop")
    await shop.finish("complete", "a", "b")
    await shop.finish("fail", "c")
    await shop.named("idle").add()
    await client.close()


def attached(message: EmailMessage) -> tuple[str | None, str, bytes]:
    (part,) = message.iter_attachments()
    return part.get_filename(), part.get_content_type(), cast("bytes", part.get_payload(decode=True))


@pytest.mark.usefixtures("shop")
async def test_the_schedule_generates_the_summary_and_mails_it_as_a_chain(
    run: Run, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUMMARY_TO", "Ada <ada@example.com>, eve@example.com")
    monkeypatch.setenv("DOWNLOAD_SECRET", "s3cret-of-the-shop-1")
    async with run(daily_summary, mail_report) as worker:
        schedule = await worker.producer.schedules.get("reports", "daily-summary")
        assert schedule.next_at is not None
        assert (schedule.next_at.hour, schedule.next_at.minute, schedule.from_code) == (6, 0, True)
        assert schedule.next_at - datetime.now(UTC) <= timedelta(days=1)
        sent = await worker.producer.schedules.trigger("reports", "daily-summary")
        await sent.done(timeout=30)
        await until(lambda: mailbox.messages)
        file = job_path("reports", sent.id, ".pdf")
        assert store().size(file) > 0
    (message,) = mailbox.messages
    assert mailbox.recipients == [["ada@example.com", "eve@example.com"]]
    assert message["Subject"] == "Report ready: Daily summary"
    name, kind, content = attached(message)
    assert (name, kind) == ("Daily summary.pdf", "application/pdf")
    words = cast("EmailMessage", message.get_body(("plain",))).get_content()
    assert f"http://localhost:3010/download/{file}?expires=" in words
    text = pypdf.PdfReader(BytesIO(content)).pages[0].extract_text()
    assert "Jobs of the last 24 hours" in text
    assert "shop" in text
    assert "idle" not in text


@pytest.mark.usefixtures("shop")
async def test_the_summary_has_a_row_for_each_queue_that_did_something() -> None:
    async with JobContext.for_test("reports", "daily-summary", job_id="day") as ctx:
        result = await daily_summary(DailySummary(hours=2, format="csv"), ctx)
    content = store().read_bytes("reports/day.csv")
    assert result == SummaryResult(
        file="reports/day.csv", rows=1, completed=2, failed=1, format="csv", bytes=len(content)
    )
    assert list(csv.reader(StringIO(content.decode("utf-8-sig"), newline=""))) == [
        ["queue", "completed", "failed", "retried", "waiting now", "failed, kept"],
        ["shop", "2", "1", "0", "0", "1"],
    ]


async def test_an_export_is_mailed_by_the_same_job(
    run: Run, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPORT_SOURCES", f"shop=sqlite:///{tmp_path}/shop.db")
    (tmp_path / "shop.db").touch()
    async with run(export, mail_report) as worker:
        await worker.producer.enqueue(
            EXPORT,
            ExportReport(source="shop", query="SELECT 1 AS one", format="csv"),
            chain_to=[MAIL_REPORT.call(MailReport(to=["ada@example.com"], title="Sales 3/4"))],
        )
        await until(lambda: mailbox.messages)
    name, kind, content = attached(mailbox.messages[0])
    assert (name, kind) == ("Sales 3-4.csv", "text/csv")
    assert content.decode("utf-8-sig").split() == ["one", "1"]


def written(file: str) -> Previous:
    result = ReportResult(
        file=file, rows=1, truncated=False, columns=["a"], format="csv", bytes=1, duration_ms=1
    )
    return Previous.of(EXPORT, result)


@pytest.mark.parametrize(
    ("previous", "to", "reason"),
    [
        (None, ["ada@example.com"], "no job came before"),
        (written("reports/gone.csv"), ["ada@example.com"], "no file 'reports/gone.csv'"),
        (written("../secret.csv"), ["ada@example.com"], "refused"),
        (written("reports/gone.csv"), [], "SUMMARY_TO"),
        (
            Previous.of(SEND_EMAIL, EmailReceipt(sent=True, email="a@example.com", message_id="1")),
            ["ada@example.com"],
            "email/send-email names no report",
        ),
    ],
)
@pytest.mark.usefixtures("mailbox")
async def test_what_cannot_be_mailed_fails_for_good(
    previous: Previous | None, to: list[str], reason: str
) -> None:
    async with JobContext.for_test("email", "mail-report", previous=previous) as ctx:
        with pytest.raises(Fail, match=reason):
            await mail_report(MailReport(to=to), ctx)


def test_three_summaries_run_at_a_time() -> None:
    (spec,) = marks_of(daily_summary)
    assert (spec.job, spec.concurrency, spec.requires) == (DAILY_SUMMARY, 3, ())
