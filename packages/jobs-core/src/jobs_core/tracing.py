"""Whether this program traces or measures by OpenTelemetry, and then what makes its spans.

A program that does has imported OpenTelemetry and set up its SDK, so whoever asks looks for that and imports nothing: where it
is off, a job costs the look into a dict.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs_core.telemetry import Telemetry

__all__ = ["create", "telemetry"]

_APIS = (
    ("opentelemetry.trace", "get_tracer_provider", "ProxyTracerProvider"),
    ("opentelemetry.metrics", "get_meter_provider", "_ProxyMeterProvider"),
)


# Asked for each job.
_modules = sys.modules


class _State:
    found: Telemetry | None = None


def telemetry() -> Telemetry | None:
    """Return what makes spans and counts messages; None while the program has set up no SDK."""
    if "opentelemetry.trace" not in _modules:
        return None
    return _State.found or _find()


def _find() -> Telemetry | None:
    if not any(_is_set_up(*api) for api in _APIS):
        return None
    from jobs_core.telemetry import Telemetry  # noqa: PLC0415 - only programs that trace pay for it

    _State.found = Telemetry()
    return _State.found


def create(queue: str, job: str, job_id: str) -> dict[str, str] | None:
    """Note that a job is made which is sent later, and return the context that travels with it; None where nothing is traced."""
    found = telemetry()
    return None if found is None else found.create(queue, job, job_id)


def _is_set_up(module: str, getter: str, stand_in: str) -> bool:
    api = sys.modules.get(module)
    # Until an SDK is set up the API has a stand-in for it.
    return api is not None and type(getattr(api, getter)()).__name__ not in {stand_in, _NOOP[module]}


_NOOP = {"opentelemetry.trace": "NoOpTracerProvider", "opentelemetry.metrics": "NoOpMeterProvider"}
