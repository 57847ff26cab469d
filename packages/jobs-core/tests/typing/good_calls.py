# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Calls that a type checker must accept."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypedDict, assert_type

from msgspec import Struct

from jobs_core import (
    HEAVY,
    LIGHT,
    Delays,
    Exponential,
    Fixed,
    JobOptions,
    JobType,
    JsonValue,
    Keep,
    Linear,
    Priority,
    Queue,
    upcast,
)
from jobs_core.options import resolve


class SendEmail(Struct, frozen=True, kw_only=True):
    """A payload."""

    to: str


class EmailReceipt(Struct, frozen=True):
    """A result."""

    sent: bool


class Order(TypedDict):
    """A payload as a typed dict."""

    number: int


EMAIL = Queue(
    "email",
    profile=LIGHT,
    concurrency=5,
    lock_duration=timedelta(minutes=1),
    stalled_interval=30,
    max_stalled=1,
    timeout=2.5,
    executor="thread",
    strict=False,
    priority_offsets={Priority.HIGH: timedelta(hours=1), Priority.LOW: -600},
    default_job_options={"attempts": 5, "backoff": [1, 10, timedelta(minutes=1)]},
)
SEND = EMAIL.job(
    "send-email", payload=SendEmail, result=EmailReceipt, attempts=5, backoff=Exponential(1.0, jitter=0.2)
)
NOTE = EMAIL.job("note", SendEmail, version=2, remove_on_complete=Keep(age=timedelta(days=1)), tags=["a"])
COUNTS = Queue("counts", profile=HEAVY).job("count", dict[str, int], list[str], remove_on_fail=100)
ORDER = EMAIL.job("order", Order, int, metadata={"created_by": "system", "n": 1, "x": None}, priority="high")
PLAIN = EMAIL.dynamic_job("anything")


@upcast(EMAIL.job("note", Order), NOTE)
def to_note(old: Order) -> SendEmail:
    """Bring an early note to the version of now."""
    return SendEmail(to=str(old["number"]))


assert_type(to_note({"number": 1}), SendEmail)
assert_type(SEND, JobType[SendEmail, EmailReceipt])
assert_type(NOTE, JobType[SendEmail, None])
assert_type(COUNTS, JobType[dict[str, int], list[str]])
assert_type(PLAIN, JobType[JsonValue, JsonValue])
assert_type(SEND.decode(b'{"to":"ada"}'), SendEmail)
assert_type(SEND.decode_result(b'{"sent":true}'), EmailReceipt)
assert_type(COUNTS.payload_type, type[dict[str, int]])

SEND.encode(SendEmail(to="ada@example.com"))
SEND.encode_result(EmailReceipt(sent=True))
NOTE.encode_result(None)
COUNTS.encode({"a": 1})
ORDER.encode({"number": 17})
PLAIN.encode({"list": [1, 2.5, None, {"deep": True}], "text": "x"})

counts: Mapping[str, list[int]] = {"a": [1]}
PLAIN.encode(counts)

options: JobOptions = {
    "priority": Priority.CRITICAL,
    "delay": timedelta(seconds=5),
    "attempts": 2,
    "backoff": Linear(2, max=timedelta(minutes=5)),
    "job_id": "order-17",
    "result_ttl": 60.0,
}
resolve(SEND, options, {"backoff": Fixed(60), "timeout": 30})
resolve(PLAIN, {"run_at": datetime(2030, 1, 1, tzinfo=UTC), "backoff": Delays([1, 2], jitter=0.5)})
