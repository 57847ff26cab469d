"""Log lines of the standard library as `LOG_FORMAT` says: for programs that need no more of logging than that."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.settings import LogFormat

__all__ = ["configure", "fields"]

_FIELDS = "jobs_fields"


def configure(level: str, form: LogFormat) -> None:
    """Send all log lines to standard error: one JSON object each, with the keys of a worker's, or text for people."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def fields(**values: object) -> dict[str, object]:
    """Return what makes `extra=` of a line with fields of its own."""
    return {_FIELDS: values}


def _fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    return cast("Mapping[str, object]", getattr(record, _FIELDS, {}))


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told: dict[str, object] = {**_fields_of(record), "event": record.getMessage()}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        told |= {
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC),
        }
        return msgspec.json.encode(told, enc_hook=str).decode()


class _Text(logging.Formatter):
    """The message, and behind it the fields."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """Return the line but for the traceback."""
        told = "".join(f" {name}={value}" for name, value in _fields_of(record).items())
        return super().formatMessage(record) + told
