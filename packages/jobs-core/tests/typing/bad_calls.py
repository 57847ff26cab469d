# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Calls that a type checker must refuse, each by the rule in its comment; a comment too many is an error."""

from typing import assert_type

from msgspec import Struct

from jobs_core import LIGHT, Exponential, JobOptions, JobType, Keep, Priority, Queue, upcast
from jobs_core.options import resolve


class SendEmail(Struct, frozen=True, kw_only=True):
    """A payload."""

    to: str


class EmailReceipt(Struct, frozen=True):
    """A result."""

    sent: bool


EMAIL = Queue("email", profile=LIGHT)
SEND = EMAIL.job("send-email", payload=SendEmail, result=EmailReceipt)
COUNT = EMAIL.job("count", dict[str, int])
PLAIN = EMAIL.dynamic_job("anything")


def payloads() -> None:
    """Pass what is not of the declared type."""
    SEND.encode({"to": "ada"})  # pyright: ignore[reportArgumentType]
    SEND.encode(EmailReceipt(sent=True))  # pyright: ignore[reportArgumentType]
    SEND.encode_result(SendEmail(to="ada"))  # pyright: ignore[reportArgumentType]
    COUNT.encode({"a": "b"})  # pyright: ignore[reportArgumentType]
    COUNT.encode_result(5)  # pyright: ignore[reportArgumentType]
    PLAIN.encode({1, 2})  # pyright: ignore[reportArgumentType]
    PLAIN.encode(SendEmail(to="ada"))  # pyright: ignore[reportArgumentType]
    SendEmail(to=5)  # pyright: ignore[reportArgumentType]
    SEND.decode("text")  # pyright: ignore[reportArgumentType]
    assert_type(SEND.decode(b""), EmailReceipt)  # pyright: ignore[reportAssertTypeFailure]
    wrong: JobType[EmailReceipt, None] = SEND  # pyright: ignore[reportAssignmentType]
    wrong.encode(EmailReceipt(sent=True))


def declarations() -> None:
    """Declare with wrong options."""
    Queue(5)  # pyright: ignore[reportArgumentType]
    Queue("q", LIGHT)  # pyright: ignore[reportCallIssue]
    Queue("q", concurrency="5")  # pyright: ignore[reportArgumentType]
    Queue("q", executor="fork")  # pyright: ignore[reportArgumentType]
    Queue("q", colour="red")  # pyright: ignore[reportCallIssue]
    Queue("q", default_job_options={"atempts": 3})  # pyright: ignore[reportArgumentType]
    EMAIL.job("a", SendEmail(to="ada"))  # pyright: ignore[reportArgumentType]
    EMAIL.job("a", SendEmail, attempts="3")  # pyright: ignore[reportArgumentType]
    EMAIL.job("a", SendEmail, delay=5)  # pyright: ignore[reportCallIssue]
    EMAIL.concurrency = 5  # pyright: ignore[reportAttributeAccessIssue]
    Exponential(1.0, 60)  # pyright: ignore[reportCallIssue]
    Exponential("1s")  # pyright: ignore[reportArgumentType]
    Keep(5)  # pyright: ignore[reportCallIssue]


def upcasts() -> None:
    """Lead from or to another type than is declared."""
    upcast(SEND, COUNT)(lambda old: EmailReceipt(sent=bool(old.to)))  # pyright: ignore[reportArgumentType]

    @upcast(COUNT, SEND)  # pyright: ignore[reportArgumentType]
    def _(old: SendEmail) -> SendEmail:
        return old

    upcast(SEND, "send-email@2")  # pyright: ignore[reportArgumentType]
    Queue("q", format="xml")  # pyright: ignore[reportArgumentType]


def options() -> None:
    """Set wrong options at the call."""
    resolve(SEND, {"priority": 1.5})  # pyright: ignore[reportArgumentType]
    resolve(SEND, {"delay": "5s"})  # pyright: ignore[reportArgumentType]
    resolve(SEND, {"run_at": 5})  # pyright: ignore[reportArgumentType]
    resolve(SEND, {"metadata": {"a": [1]}})  # pyright: ignore[reportArgumentType]
    resolve("send-email")  # pyright: ignore[reportArgumentType]
    misspelt: JobOptions = {"priorty": Priority.HIGH}  # pyright: ignore[reportAssignmentType]
    resolve(SEND, misspelt)
