"""What is told of an error that a handler raised: type, message and stack, each capped."""

from __future__ import annotations

import traceback

from jobs_core.wire import ErrorInfo
from jobs_worker.judging import BadPayload
from jobs_worker.outcomes import Outcome, Retry
from jobs_worker.process_pool import ProcessDied
from jobs_worker.time_limits import JobTimeout

MESSAGE_CAP = 2000
STACK_CAP = 8000


def describe(error: BaseException) -> ErrorInfo:
    """Return type, message and stack of an error, each capped."""
    stack = (
        ""
        if isinstance(error, Outcome) and not isinstance(error, Retry)
        else _clean("".join(traceback.format_exception(error)))
    )
    return ErrorInfo(type=_kind(error), message=_told(error)[:MESSAGE_CAP], stack=stack[-STACK_CAP:])


def _kind(error: BaseException) -> str:
    match error:
        case Outcome():
            return ""
        case BadPayload():
            return "payload"
        case JobTimeout():
            return "timeout"
        case ProcessDied():
            return "crash"
        case _:
            return type(error).__name__


def _told(error: BaseException) -> str:
    try:
        return _clean(str(error) or repr(error))
    except Exception as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its text cannot be shown: {type(broken).__name__})"


def _clean(text: str) -> str:
    """Make text storable: names of files may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
