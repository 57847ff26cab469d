"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from jobs_core.errors import (
    ConnectionFailed,
    JobNotFound,
    JobsError,
    OptionError,
    UnknownQueue,
    WrongState,
)

if TYPE_CHECKING:
    from starlette.requests import Request

_RETRY_AFTER = {"Retry-After": "1"}
_KINDS: Mapping[type[JobsError], tuple[int, str]] = {
    ConnectionFailed: (503, "Server unreachable"),
    JobNotFound: (404, "No such job"),
    OptionError: (422, "Wrong parameter"),
    UnknownQueue: (404, "No such queue"),
    WrongState: (409, "Wrong state"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong; `parameter` is the one of the query that is wrong."""

    type: str
    title: str
    status: int
    detail: str
    parameter: str | None = None


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response to a problem; one that passes says when to come again."""
    passing = _RETRY_AFTER if problem.status == 503 else {}
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
    status, title = next((_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS), (500, "Failed"))
    return answer(
        Problem(
            type=error.code,
            title=title,
            status=status,
            detail=error.message,
            parameter=error.option if isinstance(error, OptionError) else None,
        )
    )


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
