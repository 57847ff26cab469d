"""Spans and measures of jobs by OpenTelemetry, named as its conventions for messaging name them.

Imported only in programs that have set up an SDK: see `tracing`. The context of a span travels with a job as W3C Trace Context.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

__all__ = ["Run", "Sending", "Telemetry"]

SYSTEM = "jobs"
# The bounds that the conventions advise, in seconds.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Those that the conventions for language models advise.
_TOKENS = tuple(4**power for power in range(14))
_MOST_METADATA = 16
# In what travels with a job: it was one of many, so its run is linked with the span that sent them and no child of it.
_MANY = "many"
_w3c = TraceContextTextMapPropagator()


class Telemetry:
    """Makes the spans of producers and workers, and counts and times what they do."""

    def __init__(self) -> None:
        """Use the providers that the program has set."""
        self.tracer = trace.get_tracer("jobs")
        meter = metrics.get_meter("jobs")
        self.sent = meter.create_counter(
            "messaging.client.sent.messages", unit="{message}", description="Jobs that were sent to a queue."
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            unit="{message}",
            description="Runs of jobs that a worker began.",
        )
        self.operation = meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="How long sending took.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )
        self.process = meter.create_histogram(
            "messaging.process.duration",
            unit="s",
            description="How long attempts ran.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens that language models took and gave.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def send(self, queue: str, job: str, *, many: bool = False) -> Sending:
        """Begin to send a job, or many of them."""
        return Sending(self, queue, job, many=many)

    def create(self, queue: str, job: str, job_id: str) -> dict[str, str] | None:
        """Note that a job is made which is sent later, and return the context that travels with it."""
        attributes = {**_attributes("create", "create", queue, job), "messaging.message.id": job_id}
        span = self.tracer.start_span(f"create {queue}", kind=SpanKind.PRODUCER, attributes=attributes)
        span.end()
        return carrier_of(span)

    def run(
        self,
        carrier: Mapping[str, str] | None,
        *,
        queue: str,
        job: str,
        job_id: str,
        attempt: int,
        worker: str,
        later: bool,
        metadata: Mapping[str, object],
    ) -> Run:
        """Begin a run of a job, which is current from now on in this context.

        A run that follows at once is a child of what sent the job; one of a job that was to run `later`, or that was sent with many
        others, begins a trace of its own that is linked with it.
        """
        attributes = _attributes("process", "process", queue, job)
        attributes |= {
            "messaging.message.id": job_id,
            "messaging.client.id": worker,
            "jobs.job.attempt": attempt,
        }
        for name in [*metadata][:_MOST_METADATA]:
            value = metadata[name]
            attributes[f"jobs.metadata.{name}"] = (
                value if isinstance(value, (str, bool, int, float)) else str(value)
            )
        if "correlation_id" in metadata:
            attributes["messaging.message.conversation_id"] = str(metadata["correlation_id"])
        parent, links = _w3c.extract(dict(carrier or {}), context.Context()), list[Link]()
        if later or (carrier and _MANY in carrier):
            sender = trace.get_current_span(parent).get_span_context()
            parent, links = context.Context(), [Link(sender)] if sender.is_valid else []
        span = self.tracer.start_span(
            f"process {queue}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes, links=links
        )
        # It ends with the task or the process that runs the job.
        context.attach(trace.set_span_in_context(span))
        return Run(self, span, queue, job)

    def go_on(self, carrier: Mapping[str, str]) -> None:
        """Go on with a run that began in another process: what this context traces from now on belongs to it."""
        context.attach(_w3c.extract(dict(carrier), context.Context()))


class Sending:
    """A call that sends one job or many: its span and what is measured of it. `carrier` travels with the jobs."""

    __slots__ = ("_begun", "_job", "_queue", "_span", "_telemetry", "carrier")

    def __init__(self, telemetry: Telemetry, queue: str, job: str, *, many: bool) -> None:
        """Begin now."""
        self._telemetry = telemetry
        self._queue = queue
        self._job = job
        self._begun = perf_counter()
        self._span = telemetry.tracer.start_span(
            f"send {queue}", kind=SpanKind.PRODUCER, attributes=_attributes("send", "send", queue, job)
        )
        self.carrier = carrier_of(self._span)
        if many and self.carrier is not None:
            self.carrier[_MANY] = "1"

    def sent(self, job_id: str, outcome: str) -> None:
        """End with what became of the one job."""
        self._span.set_attributes({"messaging.message.id": job_id, "jobs.outcome": outcome})
        self._end(1, "")

    def sent_many(self, count: int) -> None:
        """End with how many jobs were sent."""
        self._span.set_attribute("messaging.batch.message_count", count)
        self._end(count, "")

    def failed(self, error: BaseException, count: int = 0) -> None:
        """End with an error, after `count` jobs were sent."""
        kind = type(error).__name__
        self._span.record_exception(error)
        _fail(self._span, kind, str(error))
        self._end(count, kind)

    def _end(self, count: int, error: str) -> None:
        self._span.end()
        attributes = _measured("send", self._queue, error)
        self._telemetry.operation.record(perf_counter() - self._begun, attributes)
        if count or error:
            self._telemetry.sent.add(max(count, 1), attributes)


class Run:
    """A run of a job: its span and what is measured of it."""

    __slots__ = ("_begun", "_queue", "_span", "_telemetry", "carrier")

    def __init__(self, telemetry: Telemetry, span: Span, queue: str, job: str) -> None:
        """Begin now; `carrier` is for what belongs to this run in other processes."""
        self._telemetry = telemetry
        self._span = span
        self._queue = queue
        self._begun = perf_counter()
        self.carrier = carrier_of(span)
        telemetry.consumed.add(1, {**_measured("process", queue, ""), "jobs.job.name": job})

    def end(self, outcome: str, error_type: str = "", message: str = "", stack: str = "") -> None:
        """End with what became of it; an error is told with its type, or without one where there was none."""
        self._span.set_attribute("jobs.outcome", outcome)
        if error_type:
            self._span.add_event(
                "exception",
                {"exception.type": error_type, "exception.message": message, "exception.stacktrace": stack},
            )
            _fail(self._span, error_type, message)
        self._span.end()
        self._telemetry.process.record(
            perf_counter() - self._begun, _measured("process", self._queue, error_type)
        )


def carrier_of(span: Span) -> dict[str, str] | None:
    """Return the context of a span as it travels; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span, context.Context()))
    return carrier or None


def _attributes(name: str, kind: str, queue: str, job: str) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": queue,
        "jobs.job.name": job,
    }
    return found


def _measured(operation: str, queue: str, error: str) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.destination.name": queue,
    }
    if error:
        found["error.type"] = error
    return found


def _fail(span: Span, kind: str, message: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message))
