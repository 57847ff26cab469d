"""Errors as logs and traces tell them: without what the payload of their job hides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from jobs_core.payloads import JsonValue, decode_any
from jobs_core.redaction import MASK, Mask

if TYPE_CHECKING:
    from jobs_core.job_type import JobType
    from jobs_core.wire import ErrorInfo
    from jobs_worker.delivery import Delivery

__all__ = ["shown_error"]


def shown_error(delivery: Delivery, error: ErrorInfo) -> ErrorInfo:
    """Return the error of a delivery with `***` for what its payload hides; without any text where that cannot be known."""
    job = None if delivery.route is None else delivery.route.job
    if job is None or not _mask(job).hides:
        return error
    try:
        secrets = _mask(job).secrets(_payload(delivery))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return replace(error, message=MASK, stack="")
    message, stack = error.message, error.stack
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        message, stack = message.replace(secret, MASK), stack.replace(secret, MASK)
    return replace(error, message=message, stack=stack)


@lru_cache(maxsize=1024)
def _mask(job: JobType[object, object]) -> Mask:
    # Of an earlier version the payload was taken through the steps to this one.
    return Mask.of(*(each.payload_type for each in job.queue.versions.values() if each.name == job.name))


def _payload(delivery: Delivery) -> JsonValue:
    """Return a payload as JSON. Raises what decoding raises, and ValueError for one that only its handler's process could read."""
    envelope = delivery.envelope
    if delivery.decoded is not None:
        return cast("JsonValue", msgspec.to_builtins(delivery.decoded))
    return decode_any(envelope.payload, envelope.codec or "json")
