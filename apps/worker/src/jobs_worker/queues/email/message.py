"""Build the message of a mail, and refuse what could smuggle a header into it."""

import base64
import hashlib
import quopri
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.generator import BytesGenerator
from email.headerregistry import Address, AddressHeader, BaseHeader
from email.message import EmailMessage, Message
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from functools import lru_cache
from io import BytesIO
from secrets import token_hex
from typing import NamedTuple, cast

from jobs_core.queues.email.queue import Attachment, SendEmail
from jobs_worker import Fail
from jobs_worker.queues.email.rendering import render


class _WritingPolicy(EmailPolicy):
    """Write headers as they were set, not parsed again at every look: that took most of the time."""

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002
        return value


# Seven bits reach every server; what needs more is encoded. A header that is a string is one already folded.
_POLICY = _WritingPolicy(linesep="\r\n", cte_type="7bit", refold_source="none")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_ADDRESS = re.compile(r"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,76}")
_CONTENT_TYPE = re.compile(r"([a-z0-9][a-z0-9!#$&^_.+-]{0,62})/([a-z0-9][a-z0-9!#$&^_.+-]{0,62})")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_SHORT_LINE = 76
_LONGEST_LINE = 900
# What the sender decides, and what the path of a mail is told by.
_OWN_HEADERS = frozenset(
    {"bcc", "cc", "date", "from", "message-id", "mime-version", "received", "reply-to", "return-path"}
    | {"sender", "subject", "to"}
)
_MAX_ATTACHED = 25 * 1024 * 1024


class Composed(NamedTuple):
    """A message ready for SMTP: its envelope, its bytes, and what the receipt tells."""

    sender: str
    recipients: Sequence[str]
    message_id: str
    email: str
    content: bytes


@lru_cache(maxsize=64)
def parse_sender(text: str) -> Address:
    """Read MAIL_FROM, which is the same for every mail. Raises ValueError."""
    return parse_address(text, "MAIL_FROM")


def parse_address(text: str, field: str) -> Address:
    """Read one address, with or without a display name; its domain comes back in ASCII.

    Raises ValueError.
    """
    # Most addresses are plain, and the parser for the others is slow.
    if (plain := _PLAIN_ADDRESS.fullmatch(text)) is not None:
        return Address("", plain[1], plain[2].encode("idna").decode())
    if _CONTROL.search(text):
        raise ValueError(f"{field} holds a line break or control character")
    parsed: BaseHeader = SMTP.header_factory("to", text)
    header = cast("AddressHeader", parsed)
    found = header.addresses[0] if len(header.addresses) == 1 else None
    named_group = any(group.display_name is not None for group in header.groups)
    if found is None or parsed.defects or named_group or not found.username or not found.domain:
        raise ValueError(f"{field} is not one e-mail address: {text!r}")
    if not found.username.isascii():
        raise ValueError(f"{field} has a mailbox name beyond ASCII, which few servers take: {text!r}")
    return Address(found.display_name, found.username, found.domain.encode("idna").decode())


def compose(
    payload: SendEmail, *, mail_from: Address, message_id: str, attached: Sequence[bytes]
) -> Composed:
    """Build the message; `attached` holds the bytes of the payload's attachments, in their order.

    Raises Fail for whatever no retry can mend.
    """
    to = _addresses([payload.to] if isinstance(payload.to, str) else payload.to, "to")
    cc = _addresses(payload.cc, "cc")
    bcc = _addresses(payload.bcc, "bcc")
    try:
        message = _body(payload, attached)
        _set(message, "From", str(mail_from))
        _set(message, "To", ", ".join(map(str, to)))
        if cc:
            _set(message, "Cc", ", ".join(map(str, cc)))
        if payload.reply_to is not None:
            _set(message, "Reply-To", str(_addresses([payload.reply_to], "reply_to")[0]))
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = message_id
        message["MIME-Version"] = "1.0"
        _add_headers(message, payload)
        content = BytesIO()
        BytesGenerator(content, policy=_POLICY).flatten(message)
    except (MessageError, ValueError) as error:
        raise Fail(f"the mail cannot be built: {error}") from error
    return Composed(
        sender=mail_from.addr_spec,
        # Who is named twice gets one mail.
        recipients=list(dict.fromkeys(address.addr_spec for address in (*to, *cc, *bcc))),
        message_id=message_id,
        email=", ".join(address.addr_spec for address in to),
        content=content.getvalue(),
    )


def make_message_id(job_id: str, created_at: datetime, domain: str) -> str:
    """Return the Message-ID of a job: the same for every attempt, another for a later job of the same id."""
    own = job_id if _PLAIN_ID.fullmatch(job_id) else hashlib.sha256(job_id.encode()).hexdigest()
    return f"<{own}.{int(created_at.timestamp() * 1000)}@{domain}>"


def _addresses(texts: Iterable[str], field: str) -> list[Address]:
    try:
        return [parse_address(text, field) for text in texts]
    except ValueError as error:
        raise Fail(str(error)) from error


def _body(payload: SendEmail, attached: Sequence[bytes]) -> Message:
    """Build the parts under their common header, which holds the subject so far."""
    subject, text, html = payload.subject, payload.text, payload.html
    if payload.template is not None:
        rendered = render(payload.template, payload.context)
        subject, text, html = subject or rendered.subject, rendered.text, rendered.html
    parts = [_text(part, kind) for part, kind in ((text, "plain"), (html, "html")) if part is not None]
    body = parts[0] if len(parts) == 1 else _multipart("alternative", parts)
    if attached:
        files = map(_file, payload.attachments, attached)
        body = _multipart("mixed", [body, *files])
    _set(body, "Subject", _one_line(subject or "", "subject"))
    return body


def _multipart(kind: str, parts: Iterable[Message]) -> Message:
    whole = Message()
    whole["Content-Type"] = f'multipart/{kind}; boundary="={token_hex(16)}"'
    for part in parts:
        whole.attach(part)
    return whole


def _text(text: str, kind: str) -> Message:
    part = Message()
    part["Content-Type"] = f'text/{kind}; charset="utf-8"'
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    encoding, payload = "7bit", text
    if not text.isascii() or max(map(len, text.split("\n"))) > _LONGEST_LINE:
        data = text.encode()
        quoted, armored = quopri.encodestring(data), base64.encodebytes(data)
        encoding, raw = ("base64", armored) if len(armored) < len(quoted) else ("quoted-printable", quoted)
        payload = raw.decode("ascii")
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(payload)
    return part


def _file(attachment: Attachment, content: bytes) -> Message:
    kind = _CONTENT_TYPE.fullmatch(attachment.content_type.lower())
    if kind is None or kind[1] in {"multipart", "message"}:
        raise Fail(f"{attachment.content_type!r} is no content type that a file can have")
    filename = _one_line(attachment.filename, "attachment filename")
    if "/" in filename or "\\" in filename:
        raise Fail("an attachment filename must not hold a path")
    part = EmailMessage(policy=_POLICY)
    part.set_content(content, maintype=kind[1], subtype=kind[2], disposition="attachment", filename=filename)
    del part["MIME-Version"]
    return part


def _add_headers(message: Message, payload: SendEmail) -> None:
    for name, value in payload.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Fail(f"{name!r} is not a header name")
        if name.lower() in _OWN_HEADERS or name.lower().startswith(("content-", "resent-")):
            raise Fail(f"header {name!r} is not the payload's to set")
        _set(message, name, _one_line(value, f"header {name}"), longest=_LONGEST_LINE)


def _set(message: Message, name: str, value: str, *, longest: int = _SHORT_LINE) -> None:
    """Set a header, encoded and folded where it is not short and ASCII already."""
    fits = value.isascii() and len(name) + 2 + len(value) <= longest
    message[name] = value if fits else _POLICY.header_factory(name, value)


def _one_line(text: str, field: str) -> str:
    if _CONTROL.search(text):
        raise Fail(f"{field} holds a line break or control character")
    return text


def check_size(total: int) -> None:
    """Raise Fail where the attachments of one mail are over 25 MiB together, `total` being in bytes."""
    if total > _MAX_ATTACHED:
        raise Fail(f"the attachments have {total:,} bytes, the limit is {_MAX_ATTACHED:,}")
