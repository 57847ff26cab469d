"""Declare the webhook queue."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from jobs_core.backoff import Exponential
from jobs_core.payloads import JsonValue
from jobs_core.queue import LIGHT, Queue

WEBHOOKS = Queue("webhooks", profile=LIGHT, concurrency=10)


class Deliver(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Post `body` as signed JSON to `url`.

    `event` goes out as the header `Webhook-Event`. `idempotency_key` (default: the job id) is the same
    for every attempt, so that the receiver can drop what it has already taken. `headers` reach the host
    of `url` only, never one it redirects to. `timeout` is in seconds and holds for one attempt, with its
    redirects.
    """

    url: Annotated[str, Meta(min_length=1, max_length=8192)]
    event: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
    body: JsonValue
    headers: Mapping[str, str] = {}
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    timeout: Annotated[float, Meta(gt=0, le=300)] = 10.0


class WebhookReceipt(Struct, frozen=True, kw_only=True):
    """The receiver's answer: its status, the attempts it took, and how long the last one ran."""

    delivered: bool
    status: int
    attempts: int
    duration_ms: int


DELIVER = WEBHOOKS.job(
    "deliver", payload=Deliver, result=WebhookReceipt, attempts=5, backoff=Exponential(1.0)
)
