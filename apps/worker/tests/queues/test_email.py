"""Mails, over a real SMTP server on loopback."""

import asyncio
import base64
import email
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as default_policy
from pathlib import Path
from typing import cast

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.support.seeding import Seeder

from jobs_core.connection import client_for, parse_address
from jobs_core.errors import SettingsError
from jobs_core.payloads import JsonValue
from jobs_core.queues.email import Attachment, DailyDigest, SendEmail
from jobs_core.scripts import Scripts
from jobs_worker import Fail, JobContext
from jobs_worker.queues.email import rendering
from jobs_worker.queues.email.message import make_message_id
from jobs_worker.queues.email.processor import daily_digest, send_email
from jobs_worker.queues.email.smtp import MailDeferred, SmtpPool, SmtpServer

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl command to make a certificate"
)

CONTEXTS: dict[str, dict[str, JsonValue]] = {
    "welcome": {},
    "order-confirmation": {
        "order": "A-1",
        "items": [{"name": "Tea", "quantity": 2, "price": "4.00 EUR"}],
        "total": "8.00 EUR",
    },
    "password-reset": {"link": "https://example.com/reset", "valid_minutes": 30},
    "report-ready": {"report": "Sales", "rows": 3, "download_url": "https://example.com/r"},
    "alert": {"title": "Backlog", "message": "It grows", "details": {"queue": "email"}},
    "daily-digest": {
        "hours": 24,
        "since": "2026-11-21 09:00 UTC",
        "until": "2026-11-22 09:00 UTC",
        "completed": 7,
        "failed": 1,
        "queues": [{"queue": "mail", "completed": 7, "failed": 1, "retried": 2, "waiting": 3, "kept": 1}],
    },
}


class Mailbox:
    """A server that keeps what it took, and refuses what a test tells it to."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refusals: dict[str, str] = {}
        self.data_replies: list[str] = []
        self.mail_replies: list[str] = []
        self.connections = 0
        self.live: list[SMTP] = []
        self.logins: list[bytes] = []
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.tls_from_start = False
        self.encrypted = 0

    @property
    def messages(self) -> list[EmailMessage]:
        return [
            email.message_from_bytes(cast("bytes", one.content), policy=default_policy)
            for one in self.envelopes
        ]

    def encrypt(self, folder: Path, *, from_start: bool) -> None:
        """Speak TLS with a certificate of its own for 127.0.0.1, from the start or after STARTTLS."""
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
        )
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.tls_from_start = from_start

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mail_replies:
            return self.mail_replies.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_replies:
            return self.data_replies.pop(0)
        self.envelopes.append(envelope)
        assert server.transport is not None
        self.encrypted += server.transport.get_extra_info("ssl_object") is not None
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, way: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        return AuthResult(success=data.password == b"p@ss/word", handled=False)

    def make(self) -> SMTP:
        self.connections += 1
        server = SMTP(
            self,
            hostname="localhost",
            authenticator=self.authenticate,
            auth_require_tls=False,
            tls_context=None if self.tls_from_start else self.tls,
            require_starttls=self.tls is not None and not self.tls_from_start,
        )
        self.live.append(server)
        return server

    def hang_up(self) -> None:
        for server in self.live:
            if server.transport is not None:
                server.transport.close()


@pytest.fixture
async def mailbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(box.make, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{box.port}")
    monkeypatch.setenv("MAIL_FROM", "Our Shop <shop@example.com>")
    yield box
    server.close()
    box.hang_up()
    await server.wait_closed()


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as one:
        # It is held, so that nobody else listens there; connections to it are refused.
        one.bind(("127.0.0.1", 0))
        yield int(one.getsockname()[1])


@asynccontextmanager
async def job() -> AsyncGenerator[JobContext]:
    async with JobContext.for_test(queue="email", name="send-email") as ctx:
        yield ctx


def direct(**changes: object) -> SendEmail:
    values = {"to": "ada@example.com", "subject": "Hello", "text": "Plain", "html": "<b>Rich</b>"} | changes
    return msgspec.convert(values, SendEmail)


async def test_mail_holds_plain_text_and_html(mailbox: Mailbox) -> None:
    payload = direct(
        to=["ada@example.com", "Grace Hopper <grace@example.com>"],
        cc=["cc@example.com"],
        bcc=["hidden@example.com"],
        reply_to="help@example.com",
        subject="Grüße an alle",
        text="Schöne Grüße",
        headers={"List-Unsubscribe": "<https://example.com/u>"},
    )
    async with job() as ctx:
        receipt = await send_email(payload, ctx)

    (message,) = mailbox.messages
    assert mailbox.envelopes[0].mail_from == "shop@example.com"
    assert mailbox.envelopes[0].rcpt_tos == [
        "ada@example.com",
        "grace@example.com",
        "cc@example.com",
        "hidden@example.com",
    ]
    assert message["From"] == "Our Shop <shop@example.com>"
    assert message["To"] == "ada@example.com, Grace Hopper <grace@example.com>"
    assert message["Cc"] == "cc@example.com"
    assert message["Bcc"] is None
    assert message["Reply-To"] == "help@example.com"
    assert message["Subject"] == "Grüße an alle"
    assert message["List-Unsubscribe"] == "<https://example.com/u>"
    assert abs((message["Date"].datetime - datetime.now(UTC)).total_seconds()) < 60
    assert message.get_content_type() == "multipart/alternative"
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert plain.get_content().strip() == "Schöne Grüße"
    assert html is not None
    assert html.get_content().strip() == "<b>Rich</b>"
    assert receipt.sent
    assert receipt.email == "ada@example.com, grace@example.com"
    assert receipt.message_id == message["Message-ID"]


async def test_html_alone_is_one_part(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(SendEmail(to="ada@example.com", subject="Hi", html="<p>x</p>"), ctx)
    assert mailbox.messages[0].get_content_type() == "text/html"


@pytest.mark.parametrize("template", sorted(CONTEXTS))
async def test_template_brings_subject_and_both_parts(mailbox: Mailbox, template: str) -> None:
    async with job() as ctx:
        await send_email(
            SendEmail(
                to="ada@example.com", template=template, context={**CONTEXTS[template], "name": "Ada & Co"}
            ),
            ctx,
        )
    (message,) = mailbox.messages
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert message["Subject"]
    assert plain is not None
    assert html is not None
    assert plain.get_content().strip()
    if template not in {"alert", "daily-digest"}:
        assert "Ada & Co" in plain.get_content()
        assert "Ada &amp; Co" in html.get_content()


def test_every_template_is_tested() -> None:
    assert rendering.names() == sorted(CONTEXTS)


async def test_the_digest_tells_what_the_queues_did(
    mailbox: Mailbox, redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    shop = Seeder(Scripts(client, prefix), "shop")
    await shop.finish("complete", "a", "b")
    await shop.finish("fail", "c")
    await shop.finish("retry", "d")
    await shop.add("e", "f")
    await shop.named("idle").add()
    await client.close()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("JOBS_PREFIX", prefix)
    monkeypatch.setenv("DIGEST_TO", "Ada <ada@example.com>, eve@example.com")
    async with job() as ctx:
        receipt = await daily_digest(DailyDigest(), ctx)
        monkeypatch.delenv("DIGEST_TO")
        with pytest.raises(Fail, match="DIGEST_TO"):
            await daily_digest(DailyDigest(), ctx)
    assert (receipt.sent, receipt.email) == (True, "ada@example.com, eve@example.com")
    (message,) = mailbox.messages
    assert message["Subject"] == "Jobs of the last 24 hours: 2 completed, 1 failed"
    plain = message.get_body(("plain",))
    assert plain is not None
    lines = [each for each in plain.get_content().splitlines() if ": " in each][1:]
    assert lines == ["shop: 2 completed, 1 failed, 1 attempts retried; 2 wait now, 1 failed ones are kept"]


async def test_given_subject_replaces_that_of_the_template(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(SendEmail(to="ada@example.com", template="welcome", subject="Come in"), ctx)
    assert mailbox.messages[0]["Subject"] == "Come in"


async def test_context_is_escaped_and_never_rendered(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(
            SendEmail(to="ada@example.com", template="welcome", context={"name": "<b>{{ 7 * 7 }}</b>"}), ctx
        )
    html = mailbox.messages[0].get_body(("html",))
    assert html is not None
    assert "&lt;b&gt;{{ 7 * 7 }}&lt;/b&gt;" in html.get_content()


@pytest.mark.parametrize(
    ("template", "context", "told"),
    [
        ("nonsense", {}, "welcome"),
        ("../processor", {}, "no mail template"),
        ("_layout", {}, "no mail template"),
        ("welcome.subject", {}, "no mail template"),
        ("password-reset", {"valid_minutes": 5}, "'link' is undefined"),
        ("password-reset", {"link": "javascript:alert(1)", "valid_minutes": 5}, "http"),
        ("order-confirmation", {"order": 1, "total": 2, "items": 3}, "not iterable"),
        ("alert", {"title": "a\r\nBcc: x@example.com", "message": "m"}, "line break"),
    ],
)
async def test_template_error_fails_for_good(
    mailbox: Mailbox, template: str, context: dict[str, JsonValue], told: str
) -> None:
    async with job() as ctx:
        with pytest.raises(Fail, match=told):
            await send_email(SendEmail(to="ada@example.com", template=template, context=context), ctx)
    assert mailbox.envelopes == []


async def test_attachments_come_from_bytes_and_from_files(
    mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jobs_worker.files")
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    (tmp_path / "table.csv").write_bytes(b"a,b\n")
    payload = direct(
        attachments=[
            {"filename": "Grüße.bin", "content": base64.b64encode(bytes(range(256))).decode()},
            {"filename": "table.csv", "content_type": "text/csv", "path": "table.csv"},
        ]
    )
    async with job() as ctx:
        await send_email(payload, ctx)
        for path in ("missing.csv", "../outside", "/etc/hostname"):
            with pytest.raises(Fail, match="attach"):
                await send_email(direct(attachments=[{"filename": "x", "path": path}]), ctx)

    (message,) = mailbox.messages
    first, second = message.iter_attachments()
    assert (first.get_filename(), first.get_content_type()) == ("Grüße.bin", "application/octet-stream")
    assert first.get_content() == bytes(range(256))
    assert (second.get_filename(), second.get_content_type()) == ("table.csv", "text/csv")
    assert second.get_payload(decode=True) == b"a,b\n"


@pytest.mark.parametrize(
    "attachment",
    [
        {"filename": "a\r\nX: y", "content": ""},
        {"filename": "../a", "content": ""},
        {"filename": "a", "content": "", "content_type": "text/plain\r\nX: y"},
        {"filename": "a", "content": "", "content_type": "multipart/mixed"},
        {"filename": "a", "content": base64.b64encode(bytes(26 * 1024 * 1024)).decode()},
    ],
    ids=["newline", "path", "type-newline", "multipart", "too-large"],
)
async def test_unfit_attachment_fails_for_good(mailbox: Mailbox, attachment: dict[str, object]) -> None:
    async with job() as ctx:
        with pytest.raises(Fail):
            await send_email(direct(attachments=[attachment]), ctx)
    assert mailbox.envelopes == []


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hello\r\nBcc: evil@example.com"},
        {"subject": "Hello\nBcc: evil@example.com"},
        {"to": "ada@example.com\r\nBcc: evil@example.com"},
        {"to": "Ada\n <ada@example.com>"},
        {"to": "ada@example.com, evil@example.com"},
        {"to": "friends: ada@example.com;"},
        {"to": "nobody"},
        {"to": "ädä@example.com"},
        {"cc": ["a@example.com\n"]},
        {"bcc": ["<a@example.com> b@example.com"]},
        {"reply_to": "a@example.com\r\nX: y"},
        {"headers": {"X-Own": "a\r\nBcc: evil@example.com"}},
        {"headers": {"X-Own: a\r\nBcc": "evil@example.com"}},
        {"headers": {"Bcc": "evil@example.com"}},
        {"headers": {"Content-Type": "text/plain"}},
    ],
    ids=repr,
)
async def test_header_injection_fails_for_good(mailbox: Mailbox, changes: dict[str, object]) -> None:
    async with job() as ctx:
        with pytest.raises(Fail):
            await send_email(direct(**changes), ctx)
    assert mailbox.envelopes == []


async def test_international_domain_is_sent_in_ascii(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(direct(to="ada@bücher.example"), ctx)
    assert mailbox.envelopes[0].rcpt_tos == ["ada@xn--bcher-kva.example"]


async def test_text_of_dots_and_long_lines_arrives_whole(mailbox: Mailbox) -> None:
    text = ".\r\n..\r\nFrom here\r\n" + "x" * 5000 + "é\r\n"
    async with job() as ctx:
        await send_email(SendEmail(to="ada@example.com", subject="Hi", text=text), ctx)
    assert mailbox.messages[0].get_content().splitlines() == text.splitlines()


async def test_message_id_stays_over_attempts(mailbox: Mailbox) -> None:
    mailbox.data_replies = ["451 Try later"]
    async with job() as ctx:
        with pytest.raises(MailDeferred, match="451 Try later"):
            await send_email(direct(), ctx)
        first = await send_email(direct(), ctx)
        second = await send_email(direct(), ctx)
        assert ctx.job_id in first.message_id
    assert first.message_id == second.message_id
    assert first.message_id.endswith("@example.com>")
    assert mailbox.connections == 1


def test_message_id_is_safe_for_any_job_id() -> None:
    now = datetime.now(UTC)
    plain = make_message_id("order-1", now, "example.com")
    odd = make_message_id("a> <b@c ü", now, "example.com")
    assert plain.startswith("<order-1.")
    assert odd.count("<") == odd.count(">") == odd.count("@") == 1
    assert odd.isascii()
    assert " " not in odd
    assert make_message_id("order-1", now.replace(year=2001), "example.com") != plain


@pytest.mark.parametrize("code", [450, 451, 452])
async def test_recipient_deferred_is_retried(mailbox: Mailbox, code: int) -> None:
    mailbox.refusals["ada@example.com"] = f"{code} Greylisted"
    async with job() as ctx:
        with pytest.raises(MailDeferred, match="Greylisted"):
            await send_email(direct(), ctx)
        mailbox.refusals.clear()
        assert (await send_email(direct(), ctx)).sent


async def test_refused_recipient_fails_for_good_and_nobody_gets_the_mail(mailbox: Mailbox) -> None:
    mailbox.refusals["gone@example.com"] = "550 No such user"
    async with job() as ctx:
        with pytest.raises(Fail, match=r"gone@example\.com: 550 No such user"):
            await send_email(direct(to=["ada@example.com", "gone@example.com"]), ctx)
        assert mailbox.envelopes == []
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 1


async def test_refused_content_fails_for_good(mailbox: Mailbox) -> None:
    mailbox.data_replies = ["554 Spam"]
    async with job() as ctx:
        with pytest.raises(Fail, match="554 Spam"):
            await send_email(direct(), ctx)


async def test_unreachable_server_is_retried(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{unused_port}")
    async with job() as ctx:
        with pytest.raises(MailDeferred, match="no delivery through"):
            await send_email(direct(), ctx)


async def test_credentials_of_the_url_log_in(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://us%40er:p%40ss%2Fword@127.0.0.1:{mailbox.port}")
    async with job() as ctx:
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.logins == [b"us@er"]


async def test_wrong_password_is_retried_and_not_shown(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://user:canary@127.0.0.1:{mailbox.port}")
    async with job() as ctx:
        with pytest.raises(MailDeferred, match="does not let us in: 535") as caught:
            await send_email(direct(), ctx)
    assert "canary" not in str(caught.value)


async def encrypted(mailbox: Mailbox, folder: Path, *, from_start: bool) -> asyncio.Server:
    mailbox.encrypt(folder, from_start=from_start)
    loop = asyncio.get_running_loop()
    return await loop.create_server(mailbox.make, "127.0.0.1", 0, ssl=mailbox.tls if from_start else None)


@needs_openssl
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_encrypted_connection_checks_the_certificate(
    mailbox: Mailbox, scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = await encrypted(mailbox, tmp_path, from_start=scheme == "smtps")
    monkeypatch.setenv("SMTP_URL", f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with job() as ctx:
        with pytest.raises(MailDeferred, match=r"(?i)certificate"):
            await send_email(direct(), ctx)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with job() as ctx:
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.encrypted == len(mailbox.envelopes) == 1
    server.close()


async def test_starttls_never_falls_back_to_plain(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp+starttls://user:pw@127.0.0.1:{mailbox.port}")
    async with job() as ctx:
        with pytest.raises(MailDeferred):
            await send_email(direct(), ctx)
    assert (mailbox.envelopes, mailbox.logins) == ([], [])


async def test_connections_are_used_again(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await asyncio.gather(*(send_email(direct(), ctx) for _ in range(100)))
    assert len(mailbox.envelopes) == 100
    assert 1 <= mailbox.connections <= 5


async def test_connection_closed_while_idle_is_replaced(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(direct(), ctx)
        mailbox.hang_up()
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 2


async def test_idle_connection_that_the_server_gives_up_is_replaced(mailbox: Mailbox) -> None:
    async with job() as ctx:
        await send_email(direct(), ctx)
        mailbox.mail_replies = ["421 Too many mails here"]
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 2


async def test_refused_sender_is_judged_by_its_code(mailbox: Mailbox) -> None:
    async with job() as ctx:
        for reply, expected in (
            ("550 Not you", Fail),
            ("530 Log in", MailDeferred),
            ("451 Later", MailDeferred),
        ):
            mailbox.mail_replies = [reply]
            with pytest.raises(expected, match=reply):
                await send_email(direct(), ctx)
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 1


async def test_setup_trouble_at_a_recipient_is_retried(mailbox: Mailbox) -> None:
    mailbox.refusals = {"ada@example.com": "530 Log in first", "bob@example.com": "450 Later"}
    async with job() as ctx:
        with pytest.raises(MailDeferred, match="530 Log in first"):
            await send_email(direct(to=["ada@example.com", "bob@example.com"]), ctx)


async def test_connection_lost_with_the_content_on_its_way_is_retried(mailbox: Mailbox) -> None:
    async def hang_up(server: SMTP, session: Session, envelope: Envelope) -> str:
        mailbox.hang_up()
        return "250 OK"

    original = mailbox.handle_DATA
    async with job() as ctx:
        mailbox.handle_DATA = hang_up  # type: ignore[method-assign]
        with pytest.raises(MailDeferred, match="no delivery through"):
            await send_email(direct(), ctx)
        mailbox.handle_DATA = original  # type: ignore[method-assign]
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 2


async def test_connection_is_given_up_after_a_hundred_mails(mailbox: Mailbox) -> None:
    async with SmtpPool(SmtpServer(host="127.0.0.1", port=mailbox.port), size=1) as pool:
        for _ in range(101):
            await pool.send("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\nx\r\n")
    assert mailbox.connections == 2


async def test_cancelled_mail_costs_its_connection_alone(mailbox: Mailbox) -> None:
    reached, release = asyncio.Event(), asyncio.Event()
    original = mailbox.handle_DATA

    async def held(server: SMTP, session: Session, envelope: Envelope) -> str:
        reached.set()
        await release.wait()
        return await original(server, session, envelope)

    async with job() as ctx:
        mailbox.handle_DATA = held  # type: ignore[method-assign]
        task = asyncio.ensure_future(send_email(direct(), ctx))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        mailbox.handle_DATA = original  # type: ignore[method-assign]
        assert (await send_email(direct(), ctx)).sent
    assert mailbox.connections == 2


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtp://mail.example.com", 25, "plain"),
        ("smtps://mail.example.com", 465, "tls"),
        ("smtp+starttls://mail.example.com", 587, "starttls"),
        ("smtp+starttls://mail.example.com:2525/", 2525, "starttls"),
    ],
)
def test_scheme_of_the_url_decides_port_and_encryption(url: str, port: int, security: str) -> None:
    server = SmtpServer.parse(url)
    assert (server.host, server.port, server.security) == ("mail.example.com", port, security)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "http://user:canary@mail.example.com",
        "smtp://user:canary@",
        "smtp://user:canary@mail.example.com:99999",
        "smtp://user:can/canary@mail.example.com",
        "smtp://mail.example.com/path",
        "user:canary@mail.example.com",
    ],
)
def test_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="SMTP_URL") as caught:
        SmtpServer.parse(url)
    assert "canary" not in str(caught.value)


def test_server_does_not_show_its_password() -> None:
    assert "canary" not in repr(SmtpServer.parse("smtp://user:canary@mail.example.com"))


async def test_wrong_sender_names_the_variable(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_FROM", "nobody")
    async with job() as ctx:
        with pytest.raises(SettingsError, match="MAIL_FROM"):
            await send_email(direct(), ctx)


@pytest.mark.parametrize(
    "values",
    [
        {"to": "", "template": "welcome"},
        {"to": [], "template": "welcome"},
        {"to": "a@example.com"},
        {"to": "a@example.com", "text": "x"},
        {"to": "a@example.com", "text": "x", "template": "welcome"},
        {"to": "a@example.com", "template": "welcome", "attachments": [{"filename": "x"}]},
        {
            "to": "a@example.com",
            "template": "welcome",
            "attachments": [{"filename": "x", "path": "x", "content": ""}],
        },
    ],
    ids=repr,
)
def test_payload_that_no_worker_could_send_is_refused_at_once(values: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, SendEmail)


def test_bytes_travel_as_base64() -> None:
    wire = msgspec.json.encode(direct(attachments=[{"filename": "x", "content": "AAE="}]))
    assert b'"AAE="' in wire
    back = msgspec.json.decode(wire, type=SendEmail)
    assert list(back.attachments) == [Attachment(filename="x", content=b"\x00\x01")]
