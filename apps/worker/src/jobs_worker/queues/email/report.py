"""The mail that carries the file of the job before it."""

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

import msgspec

from jobs_core.payloads import JsonValue
from jobs_core.queues.email.queue import Attachment, MailReport, SendEmail
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail
from jobs_worker.following import Previous
from jobs_worker.queues.email.recipients import recipients

_TYPES: Final = {
    ".csv": "text/csv",
    ".pdf": "application/pdf",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_NOT_IN_NAMES = re.compile(r"[/\\]")


class _Written(msgspec.Struct):
    """What is read of the result of the job before: its file under FILES_URL, how many rows that has, and a link to it."""

    file: str
    rows: int
    download_url: str | None = None
    expires_at: datetime | None = None


def write_report_mail(payload: MailReport, previous: Previous | None) -> SendEmail:
    """Make the mail with the file. Raises Fail where nobody is to get it, or no report came before it."""
    to = recipients(payload.to or FeatureSettings.from_env().summary_to, "SUMMARY_TO", "the report")
    if previous is None:
        raise Fail(
            "no job came before this one: let it follow one of `reports`, by `chain_to` or `on_success`"
        )
    try:
        written = msgspec.convert(previous.value, _Written)
    except msgspec.ValidationError as error:
        raise Fail(f"the result of {previous.queue}/{previous.name} names no report: {error}") from error
    context: dict[str, JsonValue] = {"report": payload.title, "rows": written.rows}
    if written.download_url is not None:
        context["download_url"] = written.download_url
    if written.expires_at is not None:
        context["expires_at"] = f"{written.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    suffix = PurePosixPath(written.file).suffix.lower()
    return SendEmail(
        to=to,
        template="report-ready",
        context=context,
        attachments=[
            Attachment(
                filename=_NOT_IN_NAMES.sub("-", payload.title) + suffix,
                content_type=_TYPES.get(suffix, "application/octet-stream"),
                path=written.file,
            )
        ],
    )
