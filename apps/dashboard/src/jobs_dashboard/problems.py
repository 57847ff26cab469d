"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from jobs_admin import BulkNotFound, QueueBusy
from jobs_core.downloads import DownloadExpired, DownloadNotFound, DownloadRefused
from jobs_core.errors import (
    CodecError,
    ConnectionFailed,
    DuplicateJob,
    FlowNotFailed,
    FlowNotFound,
    JobNotFound,
    JobsError,
    OptionError,
    OutcomeUnknown,
    Overloaded,
    PayloadError,
    PayloadTooLarge,
    QueueFull,
    ScheduleEnded,
    ScheduleNotFound,
    ServerError,
    ServerFull,
    UnknownJob,
    UnknownQueue,
    WorkerNotFound,
    WorkerSilent,
    WrongState,
)

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["PROBLEM_TYPE", "Problem", "Refused", "answer", "codes_of", "problem_of"]

PROBLEM_TYPE = "application/problem+json"
_RETRY_AFTER = {"Retry-After": "1"}
_KINDS: Mapping[type[JobsError], tuple[int, str]] = {
    BulkNotFound: (404, "No such bulk action"),
    CodecError: (422, "Payload cannot be stored or read"),
    ConnectionFailed: (503, "Server unreachable"),
    DownloadExpired: (410, "Link expired"),
    DownloadNotFound: (404, "No such file"),
    DownloadRefused: (403, "Link not valid"),
    DuplicateJob: (409, "Job is there already"),
    FlowNotFailed: (409, "Flow has not failed"),
    FlowNotFound: (404, "No such flow"),
    JobNotFound: (404, "No such job"),
    OptionError: (422, "Wrong parameter"),
    OutcomeUnknown: (503, "Outcome unknown"),
    Overloaded: (503, "Too many jobs unsent"),
    PayloadError: (422, "Payload does not fit"),
    PayloadTooLarge: (413, "Payload too large"),
    QueueBusy: (409, "Jobs run"),
    QueueFull: (429, "Queue is full"),
    ScheduleEnded: (409, "Schedule has ended"),
    ScheduleNotFound: (404, "No such schedule"),
    ServerError: (502, "Server refused"),
    ServerFull: (503, "Server takes no writes"),
    UnknownJob: (404, "No such job type"),
    UnknownQueue: (404, "No such queue"),
    WorkerNotFound: (404, "No such worker"),
    WorkerSilent: (504, "Worker is silent"),
    WrongState: (409, "Wrong state"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, by a stable code (`type`), and in `detail` what to do.

    `parameter` is the parameter or field that is wrong, `path` where in a payload, `nearest` names that look alike.
    """

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = None
    path: str | None = None
    nearest: tuple[str, ...] = ()


class Refused(Exception):
    """A request that is not carried out, for a reason that no package knows of."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        parameter: str | None = None,
    ) -> None:
        """Say what is answered."""
        super().__init__(detail)
        self.problem = Problem(type=code, title=title, status=status, detail=detail, parameter=parameter)
        self.headers = dict(headers or {})


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a problem; one that passes says when to come again."""
    passing = _RETRY_AFTER if problem.status in {429, 503} else {}
    return Response(
        msgspec.json.encode(problem),
        problem.status,
        headers={**passing, **(headers or {})},
        media_type=PROBLEM_TYPE,
    )


def problem_of(error: JobsError) -> Problem:
    """Return the problem that an error of the packages is."""
    status, title = next((_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS), (500, "Failed"))
    nearest = error.nearest if isinstance(error, (UnknownQueue, UnknownJob)) else ()
    return Problem(
        type=error.code,
        title=title,
        status=status,
        detail=error.message,
        parameter=error.option if isinstance(error, OptionError) else None,
        path=error.path if isinstance(error, PayloadError) else None,
        nearest=tuple(nearest),
    )


def codes_of(errors: Iterable[type[JobsError]]) -> dict[int, list[str]]:
    """Return the codes of errors by the status that they are answered with."""
    codes: dict[int, list[str]] = {}
    for error in errors:
        status = next((_KINDS[kind][0] for kind in error.__mro__ if kind in _KINDS), 500)
        codes.setdefault(status, []).append(error.code)
    return codes


async def on_jobs_error(_request: Request, error: Exception) -> Response:
    """Answer an error of the packages."""
    if not isinstance(error, JobsError):
        raise error
    return answer(problem_of(error))


async def on_refused(_request: Request, error: Exception) -> Response:
    """Answer a refusal."""
    if not isinstance(error, Refused):
        raise error
    return answer(error.problem, error.headers)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer an error of routing: no such path, or a method that it does not take."""
    if not isinstance(error, HTTPException):
        raise error
    problem = Problem(type="http_error", title=error.detail, status=error.status_code, detail=error.detail)
    return answer(problem, error.headers)


async def on_bug(_request: Request, _error: Exception) -> Response:
    """Answer an error that nobody expected; only the log, which the web server writes, tells what it was."""
    detail = "The dashboard failed to answer. Its log says why."
    return answer(Problem(type="internal_error", title="Failed", status=500, detail=detail))
