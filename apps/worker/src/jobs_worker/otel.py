"""OpenTelemetry in the processes that run jobs, set up by the standard OTEL_* variables; where none asks for it nothing is imported."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from jobs_core.errors import ConfigurationError, SettingsError
from jobs_core.tracing import telemetry
from jobs_worker import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

    Signal = Literal["traces", "metrics"]

T = TypeVar("T")

# A supervisor gives its children 3 s beyond the grace.
FLUSH_WITHIN = 2.0
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_log = logs.get("jobs.worker")


class _Provider(Protocol):
    def shutdown(self) -> None: ...


def wanted(env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment asks for traces or metrics."""
    return bool(_names("traces", env) or _names("metrics", env))


def configure(env: Mapping[str, str] = os.environ) -> None:
    """Set the SDK up as far as the environment asks for it and nobody else did. Raises ConfigurationError."""
    spans, measures = _names("traces", env), _names("metrics", env)
    if not (spans or measures) or telemetry() is not None:
        return
    from opentelemetry import metrics, trace  # noqa: PLC0415 - a worker that does not trace does not pay for it
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = env.get("OTEL_SERVICE_NAME") or "service.name=" in env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": "jobs-worker"})
    if spans:
        provider = TracerProvider(resource=resource)
        for name in spans:
            make = cast("Callable[[], SpanExporter]", _exporter("traces", name, env))
            provider.add_span_processor(BatchSpanProcessor(_made(make, "traces", name)))
        trace.set_tracer_provider(provider)
    if measures:
        makers = [
            (name, cast("Callable[[], MetricExporter]", _exporter("metrics", name, env))) for name in measures
        ]
        readers = [PeriodicExportingMetricReader(_made(make, "metrics", name)) for name, make in makers]
        metrics.set_meter_provider(MeterProvider(readers, resource=resource))


def flush() -> None:
    """Send what was traced and measured and not sent yet, within 2 s; nothing is traced afterwards."""
    if telemetry() is None:
        return
    providers = [
        cast("_Provider", getattr(sys.modules[module], getter)())
        for module, getter in (
            ("opentelemetry.trace", "get_tracer_provider"),
            ("opentelemetry.metrics", "get_meter_provider"),
        )
    ]
    threads = [
        threading.Thread(target=provider.shutdown, daemon=True, name="jobs-flush")
        for provider in providers
        # That of a signal which nobody set up has none.
        if hasattr(provider, "shutdown")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FLUSH_WITHIN)
    if any(thread.is_alive() for thread in threads):
        _log.warning("telemetry_lost", error=f"the collector did not take it within {FLUSH_WITHIN:g} s")


def _names(signal: Signal, env: Mapping[str, str]) -> list[str]:
    """Return which exporters a signal is to have: those that are named, or OTLP's where it has an endpoint."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    told = env.get(f"OTEL_{signal.upper()}_EXPORTER", "")
    if not told.strip():
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        told = "otlp" if any(env.get(name) for name in endpoints) else ""
    names = [name.strip() for name in told.split(",")]
    return [name for name in names if name not in {"", "none"}]


def _exporter(signal: Signal, name: str, env: Mapping[str, str]) -> object:
    """Find an exporter among what is installed. Raises SettingsError."""
    variable, allowed = f"OTEL_{signal.upper()}_EXPORTER", "otlp, console, none or another that is installed"
    installed = name
    if name == "otlp":
        own = env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        protocol = own or env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        if protocol not in _OTLP:
            raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, " or ".join(_OTLP))
        installed = _OTLP[protocol]
        allowed = f"none, unless the exporter for {protocol} is installed (the extra otlp of jobs-worker brings that of http/protobuf)"
    found = [*entry_points(group=f"opentelemetry_{signal}_exporter", name=installed)]
    if not found:
        raise SettingsError(variable, name, allowed)
    return found[0].load()


def _made(make: Callable[[], T], signal: Signal, name: str) -> T:
    try:
        return make()
    except Exception as error:
        # Its own variables are wrong, whatever it makes of them.
        raise ConfigurationError(
            f"The exporter {name} of {signal} cannot be made of the OTEL_* variables: {error}"
        ) from error
