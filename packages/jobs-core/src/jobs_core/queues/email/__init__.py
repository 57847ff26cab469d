"""Send e-mail over SMTP: what the jobs of this queue carry and answer."""

from jobs_core.queues.email.queue import EMAIL, SEND_EMAIL, Attachment, EmailReceipt, SendEmail

__all__ = ["EMAIL", "SEND_EMAIL", "Attachment", "EmailReceipt", "SendEmail"]
