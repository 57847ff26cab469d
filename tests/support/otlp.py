"""What receives OTLP over HTTP, as a collector does, and keeps the spans and measures."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
Value = str | int | float | bool | None


class Span(msgspec.Struct, frozen=True):
    """A span as it arrived; `links` are (trace id, span id), `events` attributes by name."""

    name: str
    kind: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Value]
    links: tuple[tuple[str, str], ...]
    events: dict[str, dict[str, Value]]
    error: str | None

    @property
    def place(self) -> tuple[str, str]:
        """What a link to it holds."""
        return self.trace_id, self.span_id


class Point(msgspec.Struct, frozen=True):
    """A measure: the count of a histogram, or the sum of a counter."""

    name: str
    unit: str
    count: float
    attributes: dict[str, Value]


class Collector:
    """Receives on a free port of loopback until the end of the `with`."""

    def __init__(self) -> None:
        """Prepare."""
        self.spans: list[Span] = []
        self.points: list[Point] = []
        take: dict[str, Callable[[bytes], None]] = {"/v1/traces": self._traces, "/v1/metrics": self._metrics}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                take[self.path](body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        """Begin to receive."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def named(self, name: str, **attributes: Value) -> list[Span]:
        """Return the spans of a name that have these attributes (`_` for a dot), in the order of their arrival."""
        wanted = {key.replace("__", ".").replace("_", "."): value for key, value in attributes.items()}
        return [
            span
            for span in self.spans
            if span.name == name and all(span.attributes.get(key) == value for key, value in wanted.items())
        ]

    def _traces(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = str(_plain(resource.resource.attributes).get("service.name"))
            for scope in resource.scope_spans:
                self.spans += [_span(each, service) for each in scope.spans]

    def _metrics(self, body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.points += _points(metric)


def _span(sent: Sent, service: str) -> Span:
    return Span(
        sent.name,
        KINDS[sent.kind],
        service,
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.parent_span_id.hex(),
        _plain(sent.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in sent.links),
        {event.name: _plain(event.attributes) for event in sent.events},
        sent.status.message if sent.status.code == sent.status.STATUS_CODE_ERROR else None,
    )


def _points(metric: Metric) -> Iterable[Point]:
    for each in metric.histogram.data_points:
        yield Point(metric.name, metric.unit, each.count, _plain(each.attributes))
    for each in metric.sum.data_points:
        yield Point(metric.name, metric.unit, each.as_int or each.as_double, _plain(each.attributes))


def _plain(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = getattr(each.value, kind) if kind else None
    return found


def environment(collector: Collector) -> Mapping[str, str]:
    """Return the variables of a program that sends what it traced only when it ends."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OTEL_METRIC_EXPORT_INTERVAL": "600000",
    }
