"""Deliver webhooks: sign, post, and read the receiver's answer."""

import os
import re
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import msgspec
from yarl import URL

from jobs_core.errors import JobsError, SettingsError
from jobs_core.queues.webhooks.queue import DELIVER, Deliver, WebhookReceipt
from jobs_core.queues.webhooks.signature import signature_header
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail, JobContext, Retry, processor
from jobs_worker.http import AddressRefused, AllowedHosts, GuardedSession, Reply, guarded_session

_RETRIED = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_SUCCESS = range(200, 300)
_LONGEST_WAIT = 3600.0
_SHOWN = 200
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
# Ours to set, or of the connection and not of the request.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class DeliveryFailed(JobsError):
    """The receiver did not take the webhook this time. `status` is 0 where no answer came."""

    code = "delivery_failed"

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


@processor(DELIVER, requires=("WEBHOOK_SECRET",))
async def deliver(payload: Deliver, ctx: JobContext) -> WebhookReceipt:
    """Post one webhook; fail for good where trying again cannot help."""
    secrets = _secrets()
    started = time.monotonic()
    body = msgspec.json.encode(payload.body)
    headers = _headers(payload, ctx.job_id, secrets, body)
    session = await ctx.shared(open_session)
    try:
        reply = await session.request(
            "POST",
            payload.url,
            body=body,
            headers=headers,
            origin_headers=payload.headers,
            timeout=payload.timeout,
        )
    except AddressRefused as error:
        raise Fail(f"{error} (WEBHOOK_ALLOW_HOSTS)") from error
    except TimeoutError as error:
        raise DeliveryFailed(0, f"{_host(payload)} did not answer within {payload.timeout:g} s") from error
    duration_ms = round((time.monotonic() - started) * 1000)
    ctx.log.debug("webhook.answered", status=reply.status, duration_ms=duration_ms, host=_host(payload))
    if reply.status not in _SUCCESS:
        _refuse(reply, [*secrets, *payload.headers.values()])
    return WebhookReceipt(delivered=True, status=reply.status, attempts=ctx.attempt, duration_ms=duration_ms)


def open_session() -> AbstractAsyncContextManager[GuardedSession]:
    """Open the HTTP session that all deliveries of a worker child share."""
    return guarded_session(AllowedHosts(FeatureSettings.from_env().webhook_allow_hosts))


def _secrets() -> list[str]:
    found = [part.strip() for part in os.environ.get("WEBHOOK_SECRET", "").split(",") if part.strip()]
    if not found:
        raise SettingsError("WEBHOOK_SECRET", "", "one or several secrets, separated by commas")
    return found


def _headers(payload: Deliver, job_id: str, secrets: Sequence[str], body: bytes) -> dict[str, str]:
    for name, value in payload.headers.items():
        if name.lower() in _RESERVED or name.lower().startswith("webhook-"):
            raise Fail(f"header {name!r} is not the payload's to set")
        if not _TOKEN.fullmatch(name) or not _PRINTABLE.fullmatch(value):
            raise Fail(f"header {name!r} is not one line of printable ASCII")
    # A job id may hold any printable character, a header may not.
    webhook_id = payload.idempotency_key or quote(job_id, safe="!#$&'()*+,/:;=?@[]~")
    for field, value in (("idempotency_key", webhook_id), ("event", payload.event)):
        if not _PRINTABLE.fullmatch(value) or value != value.strip():
            raise Fail(f"{field} is not one line of printable ASCII")
    timestamp = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": "jobs-webhooks/1",
        "Webhook-Event": payload.event,
        "Webhook-Id": webhook_id,
        "Idempotency-Key": webhook_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": signature_header(secrets, webhook_id=webhook_id, timestamp=timestamp, body=body),
    }


def _refuse(reply: Reply, hidden: Sequence[str]) -> None:
    """Raise what the status means: another attempt, later or by the backoff, or none."""
    text = reply.body.decode(errors="replace")
    for value in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(value, "***")
    text = " ".join(text.split())[:_SHOWN]
    reason = f"the receiver answered {reply.status}" + (f": {text}" if text else "")
    if reply.status in _RETRIED or reply.status >= _SERVER_ERROR:
        after = _retry_after(reply.headers.get("Retry-After", ""))
        if after is not None:
            raise Retry(after=after, reason=reason)
        raise DeliveryFailed(reply.status, reason)
    if "Location" in reply.headers:
        reason = f"the receiver answered {reply.status}: only 307 and 308 are followed, at most 3 times"
    raise Fail(reason)


def _retry_after(value: str) -> float | None:
    """Read Retry-After, in seconds or as a date; None where it asks for no wait or cannot be read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value[:12])
    else:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        # A date without zone is in UTC by RFC 9110.
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return min(seconds, _LONGEST_WAIT) if seconds > 0 else None


def _host(payload: Deliver) -> str:
    return URL(payload.url).host or "the receiver"
