"""Serve an HTTP API that puts work into queues and tells what became of it.

It imports the producer and the declarations alone: no handler, nor what a handler needs, is installed here.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from jobs_api_example.endpoints import Endpoint, Served, status_url
from jobs_api_example.problems import on_http_error, on_jobs_error
from jobs_core import log_lines
from jobs_core.downloads import open_download
from jobs_core.durations import parse_duration
from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    JobNotFound,
    JobsError,
    OptionError,
    ResultTimeout,
    SettingsError,
)
from jobs_core.queues.cache_warmup import WARM
from jobs_core.queues.cache_warmup.pages import PageCache
from jobs_core.queues.email import SEND_EMAIL
from jobs_core.queues.images import PROCESS_IMAGE
from jobs_core.queues.notifications import NOTIFY
from jobs_core.queues.reports import EXPORT
from jobs_core.queues.webhooks import DELIVER
from jobs_core.records import JobRecord
from jobs_core.settings import CommonSettings, FeatureSettings
from jobs_core.states import State
from jobs_producer import Producer

MAX_IDS = 500
MAX_WAIT_SECONDS = 60.0
_FETCH_SECONDS = 5.0
_UNREACHABLE = 4
_RETRY_AFTER = {"Retry-After": "1"}

_ENDPOINTS: tuple[Served, ...] = (
    Endpoint("/emails", SEND_EMAIL),
    Endpoint("/webhooks", DELIVER),
    Endpoint("/images", PROCESS_IMAGE),
    Endpoint("/reports", EXPORT),
    Endpoint("/notifications", NOTIFY),
    Endpoint("/warmups", WARM),
)
_BY_QUEUE = {endpoint.queue: endpoint for endpoint in _ENDPOINTS}


class Shared(TypedDict):
    """What the lifespan gives to requests."""

    producer: Producer
    cache: PageCache | None


class Jobs(msgspec.Struct, frozen=True):
    """The records asked for, and the ids of which there is none."""

    jobs: Sequence[JobRecord]
    missing: Sequence[str]


class Pending(msgspec.Struct, frozen=True):
    """A job that had not ended, and its state when it was asked about."""

    id: str
    queue: str
    state: State
    status_url: str


def create_app(open_producer: Callable[[], Producer] = Producer.from_env) -> Starlette:
    """Return the service. One producer lives as long as it runs."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[Shared]:
        async with AsyncExitStack() as stack:
            producer = await stack.enter_async_context(open_producer())
            cache = None
            if FeatureSettings.from_env().cache_url is not None:
                cache = await stack.enter_async_context(PageCache.from_env())
            yield {"producer": producer, "cache": cache}

    return Starlette(
        routes=[
            *(Route(endpoint.path, endpoint.post, methods=["POST"]) for endpoint in _ENDPOINTS),
            Route("/jobs/{queue}", _statuses),
            Route("/jobs/{queue}/{job_id:path}/result", _result),
            Route("/jobs/{queue}/{job_id:path}", _status),
            Route("/pages", _page),
            Route("/download/{path:path}", _download),
            Route("/healthz", _health),
        ],
        exception_handlers={JobsError: on_jobs_error, HTTPException: on_http_error},
        lifespan=lifespan,
    )


async def _status(request: Request) -> Response:
    """Give the record of one job."""
    return _json(await _producer(request).status(_endpoint(request).queue, request.path_params["job_id"]))


async def _statuses(request: Request) -> Response:
    """Give the records of many: `?id=…&id=…`, at most 500."""
    queue = _endpoint(request).queue
    ids = request.query_params.getlist("id")
    if not 1 <= len(ids) <= MAX_IDS:
        raise OptionError("id", f"{len(ids)} ids", f"give 1 to {MAX_IDS}, each as id=…")
    producer = _producer(request)
    found = await asyncio.gather(*(_status_or_none(producer, queue, job_id) for job_id in ids))
    records = [record for record in found if record is not None]
    missing = [job_id for job_id, record in zip(ids, found, strict=True) if record is None]
    return _json(Jobs(records, missing))


async def _result(request: Request) -> Response:
    """Give the result, waiting `?timeout=` seconds for it (0, at most 60); 202 while there is none."""
    endpoint = _endpoint(request)
    job_id: str = request.path_params["job_id"]
    wait = parse_duration(request.query_params.get("timeout", "0"), name="timeout")
    record = await _producer(request).status(endpoint.queue, job_id)
    pending = _json(
        Pending(job_id, endpoint.queue, record.state, status_url(endpoint.queue, job_id)), 202, _RETRY_AFTER
    )
    if record.state.final:
        wait = _FETCH_SECONDS
    elif not wait:
        return pending
    try:
        result = await endpoint.result(_producer(request), job_id, wait=min(wait, MAX_WAIT_SECONDS))
    except ResultTimeout:
        return pending
    return _json({"id": job_id, "queue": endpoint.queue, "result": msgspec.Raw(result)})


async def _page(request: Request) -> Response:
    """Serve a page that was fetched into the cache: `?url=…`; 404 for one that is not there."""
    cache: PageCache | None = request.state.cache
    url = request.query_params.get("url", "")
    page = await cache.get(url) if cache is not None else None
    if page is None:
        raise HTTPException(404, "This page is not in the cache; POST its URL to /warmups.")
    # It is somebody else's page: it must not act as one of this service.
    headers = {
        "Age": str(int(page.age)),
        "Cache-Control": f"max-age={int(page.ttl)}",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(page.body, headers=headers, media_type=page.content_type)


async def _download(request: Request) -> Response:
    """Send a file that a signed link names; DOWNLOAD_URL says that links lead here."""
    found = await asyncio.to_thread(open_download, request.path_params["path"], request.query_params)
    return StreamingResponse(found.chunks(), headers=found.headers, media_type=found.media_type)


async def _health(request: Request) -> Response:
    """Answer 200 while jobs can be enqueued. Anybody may ask, so it tells no more."""
    if await _producer(request).is_connected():
        return _json({"status": "ok"})
    return _json({"status": "unreachable"}, 503, _RETRY_AFTER)


async def _status_or_none(producer: Producer, queue: str, job_id: str) -> JobRecord | None:
    try:
        return await producer.status(queue, job_id)
    except JobNotFound:
        return None


def _endpoint(request: Request) -> Served:
    """Return the endpoint of the queue in the path; other queues are not this service's to show."""
    queue: str = request.path_params["queue"]
    if queue not in _BY_QUEUE:
        raise HTTPException(404, f"This service has no queue {queue!r}; it has {', '.join(_BY_QUEUE)}.")
    return _BY_QUEUE[queue]


def _producer(request: Request) -> Producer:
    return request.state.producer


def _json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), status, headers=headers, media_type="application/json")


def main() -> None:
    """Run the service on API_HOST and API_PORT.

    Exits with 2 if it is configured wrongly or the server is one to refuse, with 4 if that cannot be reached.
    """
    try:
        host = os.environ.get("API_HOST") or "127.0.0.1"
        port = _port(os.environ.get("API_PORT") or "8000")
        # What is wrong is told here in a sentence; from the lifespan it would come as a traceback.
        FeatureSettings.from_env()
        settings = CommonSettings.from_env()
        asyncio.run(_try_out())
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - whoever starts the program reads it there
        sys.exit(error.exit_code)
    except ConnectionFailed as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        sys.exit(_UNREACHABLE)
    level = settings.log_level
    log_lines.configure(level, settings.log_format)
    uvicorn.run(
        create_app(), host=host, port=port, log_config=None, log_level=level, access_log=level == "debug"
    )


async def _try_out() -> None:
    """Connect once, which audits the server."""
    async with Producer.from_env():
        pass


def _port(text: str) -> int:
    if text.isdecimal() and len(text) < 6 and 1 <= int(text) <= 65535:
        return int(text)
    raise SettingsError("API_PORT", text, "a port from 1 to 65535")
