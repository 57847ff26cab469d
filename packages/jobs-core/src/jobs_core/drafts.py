"""Makes a new job of a job type, a payload and options: what is sent, by whomever."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from jobs_core.codecs import Codecs, Place
from jobs_core.flows.successors import check_record
from jobs_core.options import within_deadline
from jobs_core.tracing import create
from jobs_core.wire import EXPIRES, KEYED, OWN_ID, UNIQUE, Draft, Envelope, RecordHead, encode_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.options import MetaValue, Resolved
    from jobs_core.queue import JobType
    from jobs_core.wire import Flow, Waits

P = TypeVar("P")
R = TypeVar("R")

__all__ = ["derived_id", "make_draft"]

_head = lru_cache(maxsize=4096)(RecordHead)


def derived_id(queue: str, job_id: str, stamp_us: int, ordinal: int) -> str:
    """Return the id of the n-th job that follows from another: the same whenever that one runs again.

    The stamp tells jobs apart that had one id of their caller's after each other.
    """
    return sha256(f"{queue}\0{job_id}\0{stamp_us}\0{ordinal}".encode()).hexdigest()[:24]


def make_draft(
    job_type: JobType[P, R],
    payload: P,
    resolved: Resolved,
    *,
    job_id: str,
    metadata: Mapping[str, MetaValue] | None = None,
    deadline_ms: int = 0,
    codecs: Codecs | None = None,
    flow: Flow | None = None,
    waits: Waits | None = None,
) -> Draft:
    """Return a job whose id is remembered like one that a caller gave.

    Metadata and deadline are inherited: its own metadata go before them, and the earlier deadline holds. `flow` is what follows it,
    `waits` what it waits for.

    `codecs` have the keys and files of a job with a codec. Raises PayloadError, PayloadTooLarge or CodecError,
    ConfigurationError where keys are missing.
    """
    data = job_type.encode(payload)
    key = job_type.key_of(payload, resolved.key).encode()
    codec = None if job_type.format == "json" else job_type.format
    if job_type.seals:
        place = Place(job_type.queue.name, job_type.wire_name, job_id)
        data, codec = (codecs or Codecs()).seal(place, data, job_type.format, job_type.codec)
        job_type.check_size(len(data), "payload")
    merged = {**(metadata or {}), **(resolved.metadata or {})} or None
    policy = within_deadline(resolved.policy, deadline_ms) if deadline_ms else resolved.policy
    trace = create(job_type.queue.name, job_type.name, job_id)
    envelope = encode_envelope(
        Envelope(policy, data, merged, resolved.tags, trace, codec, flow=flow, waits=waits)
    )
    flags, unique = OWN_ID | (KEYED if key else 0), b""
    if resolved.decide:
        flags |= EXPIRES if resolved.expires else 0
        if resolved.rule is not None:
            flags, unique = flags | UNIQUE, resolved.rule.value(job_type.name, payload)
    head = _head(job_type.wire_name)
    alike = head.alike(
        flags,
        resolved.priority,
        resolved.cost if resolved.cost > 1 else 0,
        resolved.delay_ms,
        resolved.run_at_ms,
        resolved.decide,
    )
    body = head.body(envelope, key=key, unique=unique)
    if flow is not None:
        check_record(job_type.queue.name, job_type.name, len(body))
    return Draft(job_id, body, alike)
