"""Send e-mail over SMTP: what the jobs of this queue carry and answer."""

from jobs_core.queues.email.queue import (
    DAILY_DIGEST,
    EMAIL,
    MAIL_REPORT,
    SEND_EMAIL,
    Attachment,
    DailyDigest,
    EmailReceipt,
    MailReport,
    SendEmail,
)

__all__ = [
    "DAILY_DIGEST",
    "EMAIL",
    "MAIL_REPORT",
    "SEND_EMAIL",
    "Attachment",
    "DailyDigest",
    "EmailReceipt",
    "MailReport",
    "SendEmail",
]
