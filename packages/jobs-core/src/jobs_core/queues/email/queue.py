"""Declare the e-mail queue."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from jobs_core.backoff import Exponential
from jobs_core.payloads import JsonValue
from jobs_core.queue import LIGHT, Queue

EMAIL = Queue("email", profile=LIGHT, concurrency=5)


class Attachment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Attach a file, either its bytes (base64 on the wire) or a path under `FILES_URL`.

    Raises ValueError unless exactly one of `content` and `path` is given.
    """

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content_type: Annotated[str, Meta(max_length=127)] = "application/octet-stream"
    content: bytes | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        """Refuse an attachment without a source, or with two."""
        if (self.content is None) == (self.path is None):
            raise ValueError("an attachment has either content or path")


class SendEmail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Send one mail to all its recipients, from a template or from the text and HTML given.

    `template` names one of the worker's templates and brings the subject, which `subject` replaces;
    `context` holds its variables. Without a template `subject` and at least one of `text` and `html` are
    needed. An address is `ada@example.com` or `Ada Lovelace <ada@example.com>`.

    Raises ValueError when no recipient is given, or when template and direct text are mixed.
    """

    to: str | Sequence[str]
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: str | None = None
    subject: Annotated[str, Meta(max_length=998)] | None = None
    template: str | None = None
    context: Mapping[str, JsonValue] = {}
    text: str | None = None
    html: str | None = None
    attachments: Sequence[Attachment] = ()
    headers: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        """Refuse what no worker could send."""
        direct = self.text is not None or self.html is not None
        reason = None
        if not self.to:
            reason = "`to` names nobody"
        elif self.template is not None and direct:
            reason = "give either `template` or `text` and `html`, not both"
        elif self.template is None and not direct:
            reason = "give a `template`, or `text`, `html` or both"
        elif self.template is None and self.subject is None:
            reason = "a mail without template needs a `subject`"
        if reason is not None:
            raise ValueError(reason)


class EmailReceipt(Struct, frozen=True, kw_only=True):
    """What the SMTP server took over: `email` holds the addresses of `to`, separated by commas."""

    sent: bool
    email: str
    message_id: str


class DailyDigest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Mail what the queues did in the last hours; `to` nobody means the addresses of `DIGEST_TO`."""

    to: Sequence[str] = ()
    hours: Annotated[int, Meta(ge=1, le=24 * 31)] = 24


class MailReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Mail the file that the job before it wrote, as those of `reports` do: this job follows one of them.

    `to` nobody means the addresses of `SUMMARY_TO`. `title` is what subject and file name call it.
    """

    to: Sequence[str] = ()
    title: Annotated[str, Meta(min_length=1, max_length=200)] = "Report"


SEND_EMAIL = EMAIL.job(
    "send-email",
    payload=SendEmail,
    result=EmailReceipt,
    attempts=5,
    backoff=Exponential(1.0, max=3600, jitter=0.2),
)
DAILY_DIGEST = EMAIL.job(
    "daily-digest",
    payload=DailyDigest,
    result=EmailReceipt,
    attempts=5,
    backoff=Exponential(1.0, max=3600, jitter=0.2),
)
MAIL_REPORT = EMAIL.job(
    "mail-report",
    payload=MailReport,
    result=EmailReceipt,
    attempts=5,
    backoff=Exponential(1.0, max=3600, jitter=0.2),
)
EMAIL.cron(
    "0 9 * * *",
    DAILY_DIGEST,
    DailyDigest(),
    schedule_id="daily-digest",
    requires=("SMTP_URL", "MAIL_FROM", "DIGEST_TO"),
    overlap="skip",
)
