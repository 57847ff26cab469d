"""Structured logs: one line a transition, JSON or for the console, the same keys in both."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, cast

import orjson

from jobs_worker import job_logs

# structlog imports rich where it is installed, for tracebacks that no worker prints: half of what the start of a process costs.
_without_rich = "rich" not in sys.modules
if _without_rich:
    sys.modules["rich"] = cast("types.ModuleType", None)
import structlog  # noqa: E402 - see above

if _without_rich:
    del sys.modules["rich"]

if TYPE_CHECKING:
    import types

    from opentelemetry.trace import SpanContext
    from structlog.typing import EventDict, Processor


def configure(level: str, form: str) -> None:
    """Send structlog and the standard library's logging to standard error in one form (`json` or `console`)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _trace_ids,
    ]
    if form == "console":
        final: Processor = cast("Processor", structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    else:
        shared.append(structlog.processors.format_exc_info)
        final = _json
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _trace_ids(_: object, __: str, event: EventDict) -> EventDict:
    """Name the span that a line was logged in, where the process traces."""
    api = sys.modules.get("opentelemetry.trace")
    if api is not None and "trace_id" not in event:
        span = cast("SpanContext", api.get_current_span().get_span_context())
        if span.is_valid:
            event["trace_id"], event["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return event


def _json(_: object, __: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger of the worker."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


def get_kept(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines go through the standard library, also where a program does not configure structlog.

    There a program's level says what is written, and the queue's alone what is kept with a job.
    """
    if structlog.is_configured():
        return get(name)
    return cast(
        "structlog.stdlib.BoundLogger",
        structlog.wrap_logger(
            logging.getLogger(name),
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[_written, _step_aside, structlog.stdlib.render_to_log_kwargs],
        ),
    )


def _written(logger: logging.Logger, method: str, event: EventDict) -> EventDict:
    """Let lines through that the program writes; others are kept at most."""
    level = job_logs.level_of("error" if method == "exception" else method)
    if logger.isEnabledFor(level):
        return event
    job_logs.keep(logger.name, level, event)
    raise structlog.DropEvent


def _step_aside(_: object, __: str, event: EventDict) -> EventDict:
    """Add an underscore to names that a record of the standard library has itself, which it would refuse."""
    for name in job_logs.RESERVED & event.keys():
        event[f"{name}_"] = event.pop(name)
    return event


def enabled(level: int) -> bool:
    """Whether lines of a level are written: asked once, because a line costs more than a job."""
    return logging.getLogger("jobs.worker").isEnabledFor(level)
