"""Send mails."""

import asyncio
import os
from collections.abc import Sequence
from email.headerregistry import Address

from jobs_core.errors import SettingsError
from jobs_core.queues.email.queue import (
    DAILY_DIGEST,
    MAIL_REPORT,
    SEND_EMAIL,
    Attachment,
    DailyDigest,
    EmailReceipt,
    MailReport,
    SendEmail,
)
from jobs_worker import Fail, JobContext, processor
from jobs_worker.queue_totals import open_admin
from jobs_worker.queues.email.digest import write_digest
from jobs_worker.queues.email.message import check_size, compose, make_message_id, parse_sender
from jobs_worker.queues.email.report import write_report_mail
from jobs_worker.queues.email.smtp import MailRefused, SmtpPool, SmtpServer


@processor(SEND_EMAIL, requires=("SMTP_URL", "MAIL_FROM"))
async def send_email(payload: SendEmail, ctx: JobContext) -> EmailReceipt:
    """Send one mail; fail for good where trying again cannot help."""
    return await _send(payload, ctx)


@processor(DAILY_DIGEST, requires=("SMTP_URL", "MAIL_FROM"))
async def daily_digest(payload: DailyDigest, ctx: JobContext) -> EmailReceipt:
    """Mail what the queues did in the last hours."""
    return await _send(await write_digest(payload, await ctx.shared(open_admin)), ctx)


@processor(MAIL_REPORT, requires=("SMTP_URL", "MAIL_FROM"))
async def mail_report(payload: MailReport, ctx: JobContext) -> EmailReceipt:
    """Mail the file that the job before wrote."""
    return await _send(write_report_mail(payload, ctx.previous), ctx)


async def _send(payload: SendEmail, ctx: JobContext) -> EmailReceipt:
    mail_from = _mail_from()
    message_id = make_message_id(ctx.job_id, ctx.created_at, mail_from.domain)
    if payload.attachments:
        # Files are read and encoded aside, so that a large one does not hold up the other mails.
        attached = await asyncio.to_thread(_read_attachments, payload.attachments)
        composed = await asyncio.to_thread(
            compose, payload, mail_from=mail_from, message_id=message_id, attached=attached
        )
    else:
        composed = compose(payload, mail_from=mail_from, message_id=message_id, attached=())
    pool = await ctx.shared(open_pool)
    try:
        await pool.send(composed.sender, composed.recipients, composed.content)
    except MailRefused as error:
        raise Fail(str(error)) from error
    ctx.log.debug("email.sent", message_id=message_id, recipients=len(composed.recipients))
    return EmailReceipt(sent=True, email=composed.email, message_id=message_id)


def open_pool() -> SmtpPool:
    """Open the SMTP connections that all mails of a worker child share."""
    return SmtpPool(SmtpServer.parse(os.environ.get("SMTP_URL", "").strip()))


def _mail_from() -> Address:
    value = os.environ.get("MAIL_FROM", "").strip()
    try:
        return parse_sender(value)
    except ValueError as error:
        raise SettingsError("MAIL_FROM", value, "one address, with or without a display name") from error


def _read_attachments(attachments: Sequence[Attachment]) -> list[bytes]:
    contents: list[bytes] = []
    total = 0
    for attachment in attachments:
        path = attachment.path
        content = (attachment.content or b"") if path is None else _read_file(path, total)
        total += len(content)
        check_size(total)
        contents.append(content)
    return contents


def _read_file(path: str, before: int) -> bytes:
    # Only here: a worker that attaches no files need not have the file store installed.
    from jobs_worker import files  # noqa: PLC0415

    store = files.store()
    try:
        check_size(before + store.size(path))
        with store.open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise Fail(f"there is no file {path!r} under FILES_URL to attach") from error
    except ValueError as error:
        raise Fail(f"the attachment {path!r} is refused: {error}") from error
