"""Answer errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobs_core.downloads import DownloadExpired, DownloadNotFound, DownloadRefused
from jobs_core.errors import (
    ConnectionFailed,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobsError,
    OptionError,
    OutcomeUnknown,
    Overloaded,
    PayloadError,
    PayloadTooLarge,
    ResultExpired,
    ResultNotKept,
)

_RETRY_AFTER_SECONDS = 1
_KINDS: Mapping[type[JobsError], tuple[int, str]] = {
    ConnectionFailed: (503, "Queue unreachable"),
    OutcomeUnknown: (503, "Outcome unknown"),
    Overloaded: (503, "Too many jobs at once"),
    PayloadError: (422, "Payload does not fit"),
    PayloadTooLarge: (413, "Payload too large"),
    OptionError: (422, "Wrong option"),
    DownloadExpired: (410, "Link expired"),
    DownloadNotFound: (404, "No such file"),
    DownloadRefused: (403, "Link not valid"),
    JobNotFound: (404, "No such job"),
    JobFailed: (409, "Job failed"),
    JobCancelled: (409, "Job cancelled"),
    JobExpired: (409, "Job expired"),
    ResultNotKept: (409, "No result kept"),
    ResultExpired: (410, "Result no longer kept"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong.

    `path` is a JSON path into the payload, `parameter` one of the query, and `job_id` the job that may exist
    although its outcome is unknown: whoever sends it again with `?job_id=` of his own is safe.
    """

    type: str
    title: str
    status: int
    detail: str
    path: str | None = None
    parameter: str | None = None
    job_id: str | None = None


def problem_of(error: JobsError) -> Problem:
    """Describe an error of the packages."""
    known = (_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS)
    status, title = next(known, (500, "Internal error"))
    if isinstance(error, PayloadError) and _is_malformed(error):
        status, title = 400, "Malformed JSON"
    return Problem(
        type=error.code,
        title=title,
        status=status,
        detail=error.message,
        path=error.path if isinstance(error, PayloadError) else None,
        parameter=error.option if isinstance(error, OptionError) else None,
        job_id=error.job_id if isinstance(error, OutcomeUnknown) else None,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a problem; one that passes says when to come again."""
    passing = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if problem.status == 503 else {}
    return Response(
        msgspec.json.encode(problem),
        problem.status,
        headers={**passing, **(headers or {})},
        media_type="application/problem+json",
    )


async def on_jobs_error(_request: Request, error: Exception) -> Response:
    """Answer an error of the packages."""
    if not isinstance(error, JobsError):
        raise error
    return answer(problem_of(error))


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer an error of the routes, or of routing: 400, 404, 405, 413."""
    if not isinstance(error, HTTPException):
        raise error
    status, phrase = error.status_code, HTTPStatus(error.status_code).phrase
    problem = Problem(type="http_error", title=phrase, status=status, detail=error.detail)
    return answer(problem, error.headers)


def _is_malformed(error: PayloadError) -> bool:
    """Tell whether the payload was no JSON at all, rather than JSON of a wrong shape."""
    cause = error.__cause__
    return isinstance(cause, msgspec.DecodeError | UnicodeDecodeError) and not isinstance(
        cause, msgspec.ValidationError
    )
