"""What the decorator accepts, and what it refuses while the module is imported: with the file and the reason."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest

from jobs_core import DeclarationError, OptionError, Queue
from jobs_core.payloads import JsonValue
from jobs_worker import Fail, JobContext, Retry, processor
from jobs_worker.processors import marks_of


class Send(msgspec.Struct):
    to: str


class Receipt(msgspec.Struct):
    sent: bool


MAIL = Queue("mail", concurrency=4)
SEND = MAIL.job("send", payload=Send, result=Receipt)
PING = MAIL.job("ping", payload=Send)
RING = MAIL.job("ring", payload=Send)

here = re.escape(__file__)


def refused(reason: str) -> "pytest.RaisesExc[DeclarationError]":
    """Expect an error that names this file, a line, and the reason."""
    return pytest.raises(DeclarationError, match=f"{here}:\\d+.*{reason}")


def test_function_stays_what_it_is() -> None:
    async def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=payload.to == "ada" and ctx.queue == "mail")

    assert processor(SEND)(send) is send


async def test_decorated_function_is_called_directly_in_tests() -> None:
    @processor(SEND)
    async def send(payload: Send, ctx: JobContext) -> Receipt:
        ctx.progress(50, message="half")
        return Receipt(sent=True)

    async with JobContext.for_test(queue="mail", name="send") as ctx:
        assert await send(Send(to="ada"), ctx) == Receipt(sent=True)
        assert [(each.percent, each.message) for each in ctx.progress_log] == [(50, "half")]


def test_mark_says_what_the_decorator_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    @processor(SEND, concurrency=2, executor="process", requires=("SMTP_URL", "MAIL_FROM"))
    def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    (spec,) = marks_of(send)
    assert (spec.queue, spec.job, spec.concurrency, spec.executor, spec.is_async) == (
        MAIL,
        SEND,
        2,
        "process",
        False,
    )
    monkeypatch.delenv("SMTP_URL", raising=False)
    monkeypatch.setenv("MAIL_FROM", " ")
    assert spec.missing() == ["SMTP_URL", "MAIL_FROM"]
    monkeypatch.setenv("MAIL_FROM", "jobs@example.com")
    assert spec.missing() == ["SMTP_URL"]


def test_one_function_serves_several_jobs() -> None:
    @processor(RING)
    @processor(PING)
    async def both(payload: Send, ctx: JobContext) -> None: ...

    assert {spec.job for spec in marks_of(both)} == {RING, PING}


def test_processor_of_a_whole_queue_takes_any_json() -> None:
    @processor(MAIL)
    async def anything(payload: JsonValue, ctx: JobContext) -> JsonValue:
        return payload

    (spec,) = marks_of(anything)
    assert (spec.queue, spec.job) == (MAIL, None)


def test_unannotated_and_object_fit_every_type() -> None:
    @processor(SEND)
    async def bare(payload, ctx):  # noqa: ANN001, ANN202 # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        return Receipt(sent=True)

    @processor(SEND)
    async def loose(payload: object, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    assert len(marks_of(bare)) == len(marks_of(loose)) == 1  # pyright: ignore[reportUnknownArgumentType]


def test_annotation_must_be_the_payload_type() -> None:
    async def send(payload: Receipt, ctx: JobContext) -> Receipt:
        return payload

    with refused("mail/send takes Receipt, but the job is declared with payload Send"):
        processor(SEND)(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_annotation_must_be_the_result_type() -> None:
    async def send(payload: Send, ctx: JobContext) -> Send:
        return payload

    with refused("mail/send returns Send, but the job is declared with result Receipt"):
        processor(SEND)(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize(
    ("declared", "annotated", "fits"),
    [
        (dict, dict[str, int], True),
        (dict[str, int], Mapping[str, int], True),
        (dict[str, int], dict[str, str], False),
        (list[int], list[float], True),
        (list[int], tuple[int, ...], False),
        (int, int | None, True),
        (int, str | None, True),
        (int, Any, True),
        (int, None, False),
        (Receipt, str, False),
    ],
)
def test_only_what_cannot_be_is_refused(declared: type[object], annotated: object, fits: bool) -> None:  # noqa: FBT001
    job = Queue("types").job("job", payload=Send, result=declared)

    async def handler(payload: Send, ctx: JobContext) -> object: ...

    handler.__annotations__["return"] = annotated
    if fits:
        processor(job)(handler)
    else:
        with refused("types/job returns"):
            processor(job)(handler)


def test_annotation_that_exists_for_the_type_checker_alone_hides_no_other() -> None:
    async def send(payload: Receipt, ctx: "OnlyForTheTypeChecker") -> Receipt:  # noqa: F821 # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        return payload

    with refused("mail/send takes Receipt"):
        processor(SEND)(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_handler_takes_payload_and_context() -> None:
    async def send(payload: Send) -> Receipt:
        return Receipt(sent=True)

    with refused(r"mail/send must take \(payload, ctx\)"):
        processor(SEND)(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_handler_with_its_parameters_the_wrong_way_round_is_refused() -> None:
    async def send(ctx, payload):  # noqa: ANN001, ANN202 # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]
        return payload  # pyright: ignore[reportUnknownVariableType]

    with refused(r"mail/send must take \(payload, ctx\)"):
        processor(SEND)(send)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def test_decorator_without_a_job_is_refused() -> None:
    def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    with refused(r"@processor needs the job or the queue that this handles"):
        processor(send)  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(DeclarationError, match="'mail': @processor needs the job or the queue"):
        processor("mail")  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_handler_with_a_third_parameter_is_refused() -> None:
    async def send(payload: Send, ctx: JobContext, extra: int) -> Receipt:
        return Receipt(sent=True)

    with refused(r"mail/send must take \(payload, ctx\)"):
        processor(SEND)(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_defaults_beyond_payload_and_context_are_fine() -> None:
    @processor(SEND)
    async def send(payload: Send, ctx: JobContext, retries: int = 3, *, loud: bool = False) -> Receipt:
        return Receipt(sent=True)

    assert len(marks_of(send)) == 1


def test_async_handler_cannot_run_in_a_thread() -> None:
    async def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    with refused("mail/send is an `async def`"):
        processor(SEND, executor="thread")(send)


def test_sync_handler_cannot_run_on_the_loop() -> None:
    def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    with refused("mail/send is no `async def`"):
        processor(SEND, executor="async")(send)


def test_unknown_executor_is_refused() -> None:
    def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    with refused("executor of mail/send must be one of auto, async, thread, process, not 'fork'"):
        processor(SEND, executor="fork")(send)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.mark.parametrize("concurrency", [0, 5, True])
def test_concurrency_lies_within_that_of_the_queue(concurrency: int) -> None:
    async def send(payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)

    with refused("concurrency of mail/send must be 1 to 4"):
        processor(SEND, concurrency=concurrency)(send)


@dataclass
class Sender:
    host: str

    async def __call__(self, payload: Send, ctx: JobContext) -> Receipt:
        return Receipt(sent=True)


async def _send(host: str, payload: Send, ctx: JobContext) -> Receipt:
    return Receipt(sent=True)


@pytest.mark.parametrize("handler", [Sender("localhost"), partial(_send, "localhost"), 5, Sender])
def test_what_is_no_function_is_refused(
    handler: Callable[[Send, JobContext], Awaitable[Receipt]],
) -> None:
    with pytest.raises(DeclarationError, match="mail/send must be a function"):
        processor(SEND)(handler)


def test_retry_takes_seconds_and_says_so() -> None:
    assert Retry(after=1.5).after_ms == 1500
    assert str(Retry(after=2)) == "asked to run again in 2 s"
    assert str(Retry(2, "busy")) == "busy"
    with pytest.raises(OptionError):
        Retry(after=-1)


def test_fail_carries_its_reason() -> None:
    assert str(Fail("no such address")) == "no such address"
