"""The REST API that looks: queues, jobs, metrics and workers, with the keys of the records."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from jobs_core.durations import parse_duration
from jobs_core.errors import OptionError

if TYPE_CHECKING:
    from starlette.requests import Request

    from jobs_admin import Admin

_LISTING = frozenset({"state", "name", "tag", "cursor", "offset", "limit"})


def routes() -> list[Route]:
    """Return the routes of the API."""
    return [
        Route("/api/queues", _queues),
        Route("/api/metrics", _all_metrics),
        Route("/api/workers", _workers),
        Route("/api/scaler/{profile}", _scaler),
        Route("/api/queues/{queue}", _queue),
        Route("/api/queues/{queue}/metrics", _metrics),
        Route("/api/queues/{queue}/series", _series),
        Route("/api/queues/{queue}/history", _history),
        Route("/api/queues/{queue}/jobs", _jobs),
        Route("/api/queues/{queue}/jobs/{job_id:path}", _job),
    ]


def admin_of(request: Request) -> Admin:
    """Return the admin of the application."""
    return request.app.state.admin


def json_response(content: object, status: int = 200) -> Response:
    """Return a JSON document."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _queues(request: Request) -> Response:
    return json_response(await admin_of(request).queues())


async def _queue(request: Request) -> Response:
    return json_response(await admin_of(request).stats(request.path_params["queue"]))


async def _metrics(request: Request) -> Response:
    return json_response(await admin_of(request).metrics(request.path_params["queue"]))


async def _series(request: Request) -> Response:
    query = request.query_params
    _only(query.keys(), {"minutes"})
    minutes = _whole("minutes", query.get("minutes"), 60)
    return json_response(await admin_of(request).series(request.path_params["queue"], minutes))


async def _history(request: Request) -> Response:
    query = request.query_params
    _only(query.keys(), {"outcome", "name", "limit", "cursor"})
    page = await admin_of(request).history(
        request.path_params["queue"],
        outcome=query.get("outcome") or None,
        name=query.get("name"),
        limit=_whole("limit", query.get("limit"), 50),
        cursor=query.get("cursor"),
    )
    return json_response(page)


async def _all_metrics(request: Request) -> Response:
    return json_response(await admin_of(request).metrics())


async def _workers(request: Request) -> Response:
    return json_response(await admin_of(request).workers())


async def _scaler(request: Request) -> Response:
    query = request.query_params
    _only(query.keys(), {"within"})
    within = parse_duration(query.get("within") or "60", name="within")
    return json_response(await admin_of(request).scaler(request.path_params["profile"], within=within))


async def _jobs(request: Request) -> Response:
    query = request.query_params
    _only(query.keys(), _LISTING)
    states = [one for each in query.getlist("state") for one in each.split(",") if one]
    page = await admin_of(request).jobs(
        request.path_params["queue"],
        states=states,
        name=query.get("name"),
        tag=query.get("tag"),
        limit=_whole("limit", query.get("limit"), 50),
        offset=_whole("offset", query.get("offset"), 0),
        cursor=query.get("cursor"),
    )
    return json_response(page)


async def _job(request: Request) -> Response:
    detail = await admin_of(request).job_detail(request.path_params["queue"], request.path_params["job_id"])
    return json_response(detail)


def _whole(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise OptionError(name, text, "it must be a whole number")
    return int(text)


def _only(given: Collection[str], known: Collection[str]) -> None:
    """Refuse a parameter that does not exist: passed over in silence it would seem to filter."""
    for name in given:
        if name not in known:
            raise OptionError(name, "", f"there is no such parameter; there are {', '.join(sorted(known))}")
