"""Lines that handlers log, by the standard library or by structlog, kept with their jobs besides being written as ever.

One handler on the root logger asks which job the line was logged in: a variable of the context, which tasks, threads of the
executor and `asyncio.to_thread` inherit. A job that logs nothing costs the setting of that variable.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, cast

from jobs_core.wire import LOG_BYTES, LOG_LINES, LogLine

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_CAP = 8000
# What a job keeps over all its attempts; older lines go first.
MAX_LINES = LOG_LINES
MAX_BYTES = LOG_BYTES
OFF = 100
_LEVELS = {"off": OFF, **{name.lower(): number for name, number in logging.getLevelNamesMapping().items()}}
_ENGINE = "jobs.worker"
HANDLERS = "jobs.handler"
# What a record of the standard library says itself, but for what structlog hands on to it.
RESERVED = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime"} - {"exc_info", "stack_info", "stacklevel"}
)
# What structlog and `ctx.log` put into each line, and the record of the job tells anyway.
_KNOWN = frozenset(
    {
        "event",
        "level",
        "logger",
        "timestamp",
        "queue",
        "job_id",
        "job",
        "attempt",
        "exception",
        "exc_info",
        "stack",
        "stack_info",
        "trace_id",
        "span_id",
    }
)


class Keeping(Protocol):
    """The context of a handler that runs: of one job, or of a chunk of them."""

    log_level: int

    @property
    def attempt(self) -> int:
        """The number of its attempt."""
        ...

    def keep_line(self, line: LogLine, about: object) -> None:
        """Keep a line that tells of the job `about`, or of none."""
        ...


current: ContextVar[Keeping | None] = ContextVar("jobs_worker_job", default=None)


def level_of(name: str) -> int:
    """Return the number of a level, higher than all for `off`."""
    return _LEVELS[name]


class _Keeper(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _resort(record)
        self.keep(record)

    def keep(self, record: logging.LogRecord) -> None:
        """Keep a record with the job that runs here, if one does, without writing it."""
        ctx = current.get()
        if ctx is None or record.levelno < ctx.log_level or record.name == _ENGINE:
            return
        try:
            line = LogLine(
                ctx.attempt,
                int(record.created * 1000),
                record.levelname.lower(),
                record.name,
                _message(record)[:MESSAGE_CAP].encode("utf-8", "backslashreplace").decode(),
            )
        except Exception:  # noqa: BLE001 - what is logged may have any __str__
            self.handleError(record)
        else:
            ctx.keep_line(line, _about(record))


_keeper = _Keeper()
_users = 0


def install() -> None:
    """Keep lines from now on; as often as this is called, `uninstall` is to be."""
    global _users  # noqa: PLW0603 - one root logger, one handler on it
    _users += 1
    root = logging.getLogger()
    if _keeper not in root.handlers:
        root.addHandler(_keeper)


def uninstall() -> None:
    """Keep no more lines, if nobody else does."""
    global _users  # noqa: PLW0603 - as above
    _users -= 1
    if _users <= 0:
        logging.getLogger().removeHandler(_keeper)


def keep(name: str, level: int, event: Mapping[str, object]) -> None:
    """Keep a line of structlog with the job that runs here, though it is too low to be written."""
    if not _users:
        return
    record = logging.makeLogRecord({"name": name, "levelno": level, "levelname": logging.getLevelName(level)})
    record.msg = dict(event)
    record.exc_info = sys.exc_info() if event.get("exc_info") else None
    _keeper.keep(record)


def _resort(record: logging.LogRecord) -> None:
    """Write a record as the standard library does for a program without any handler: this one is none that writes."""
    last, root = logging.lastResort, logging.getLogger()
    if root.handlers != [_keeper] or last is None or record.levelno < last.level:
        return
    logger = logging.getLogger(record.name)
    while logger is not root and logger.parent is not None:
        if logger.handlers:
            return
        logger = logger.parent
    last.handle(record)


def _about(record: logging.LogRecord) -> object:
    said: object = record.msg
    if isinstance(said, dict):
        return cast("Mapping[str, object]", said).get("job_id")
    return getattr(record, "job_id", None) if record.name == HANDLERS else None


def _message(record: logging.LogRecord) -> str:
    said: object = record.msg
    failure = ""
    if isinstance(said, dict):
        fields = cast("Mapping[str, object]", said)
        more = [f"{key}={value!r}" for key, value in fields.items() if key not in _KNOWN and key[:1] != "_"]
        text = " ".join([str(fields.get("event", "")), *more])
        failure = str(fields.get("exception") or "")
    else:
        text = record.getMessage()
        if record.name == HANDLERS:
            # What `ctx.log` was given besides, where a program does not configure structlog.
            more = [f"{key}={value!r}" for key, value in vars(record).items() if key not in RESERVED | _KNOWN]
            text = " ".join([text, *more])
    if not failure and record.exc_info and record.exc_info[1] is not None:
        failure = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
    # The end of a traceback tells more than its middle.
    return f"{text}\n{failure[-MESSAGE_CAP // 2 :]}" if failure else text
