"""Whether this program traces or measures by OpenTelemetry, and then what makes its spans.

A program that does has imported OpenTelemetry and set up its SDK, so whoever asks looks for that and imports nothing: where it
is off, a job costs the look into a dict, and `python benchmarks/tracing.py` measures it.
"""

from __future__ import annotations

import sys
from time import monotonic
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


# Some library may have imported OpenTelemetry where nobody sets up an SDK: then it is looked for so often, since that takes
# as long as a fifth of an enqueue.
_AGAIN_S = 1.0


class _State:
    found: Telemetry | None = None
    looked_at: float = -_AGAIN_S


def telemetry() -> Telemetry | None:
    """Return what makes spans and counts messages; None while the program has set up no SDK."""
    if "opentelemetry.trace" not in _modules:
        return None
    if _State.found is None and monotonic() - _State.looked_at >= _AGAIN_S:
        _find()
    return _State.found


def _find() -> None:
    if not any(_is_set_up(*api) for api in _APIS):
        _State.looked_at = monotonic()
        return
    from jobs_core.telemetry import Telemetry  # noqa: PLC0415 - only programs that trace pay for it

    _State.found = Telemetry()


def create(queue: str, job: str, job_id: str) -> dict[str, str] | None:
    """Note that a job is made which is sent later, and return the context that travels with it; None where nothing is traced."""
    found = telemetry()
    return None if found is None else found.create(queue, job, job_id)


def _is_set_up(module: str, getter: str, stand_in: str) -> bool:
    api = sys.modules.get(module)
    # Until an SDK is set up the API has a stand-in for it.
    return api is not None and type(getattr(api, getter)()).__name__ not in {stand_in, _NOOP[module]}


_NOOP = {"opentelemetry.trace": "NoOpTracerProvider", "opentelemetry.metrics": "NoOpMeterProvider"}
