"""Answers requests by the table of routes: finds the route, asks for its role, reads, calls, writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from jobs_dashboard.call import Answer, Call
from jobs_dashboard.problems import Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from jobs_dashboard.roles import Identity
    from jobs_dashboard.row import Row
    from jobs_dashboard.services import Services

__all__ = ["IDENTITY", "REFUSAL", "Router", "request_path"]

IDENTITY: Final = "jobs.identity"
"""Where in the scope of a request it stands who asks."""
REFUSAL: Final = "jobs.refusal"
"""And where, why nobody is known."""

# A handler asks the server a bounded number of times, each within 5 s.
_HANDLER_S = 30.0
_BODY_S = 20.0
_encode = msgspec.json.Encoder().encode


class Router:
    """An ASGI application over the rows of a table, of which the first that fits a path answers."""

    def __init__(self, rows: Sequence[Row], services: Services) -> None:
        """Answer with these services."""
        self._services = services
        self._paths: dict[str, dict[str, Row]] = {}
        # An id may hold slashes, so a path that ends in one is tried behind those that go on.
        for row in sorted(rows, key=lambda each: each.path.endswith("}")):
            self._paths.setdefault(row.path, {})[row.method] = row

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        row, named = self._find(request)
        identity = cast("Identity | None", request.scope.get(IDENTITY))
        if row.role is not None:
            if identity is None:
                raise cast("Refused", request.scope[REFUSAL])
            if identity.role < row.role:
                who = (
                    f"you are {identity.role.label}"
                    if identity.actor
                    else "without a token one may look alone"
                )
                # Where the application says who it is, no token of ours would help.
                hint = "" if self._services.access.ways == ("host",) else "; see DASHBOARD_TOKEN"
                detail = f"This needs the role {row.role.label}, and {who}{hint}."
                raise Refused(403, "forbidden", "Not allowed", detail)
        call = Call(request, self._services, identity)
        arguments = row.read_path(named)
        given = request.query_params
        query = row.read_query({name: given.getlist(name) for name in given})
        if query is not None:
            arguments["query"] = query
        if row.body is not None and (body := await _read(request, row)):
            try:
                arguments["body"] = row.read_body(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refused(
                    400, "malformed_body", "Malformed body", f"The body is no JSON: {error}."
                ) from None
            except RecursionError:
                detail = "The body is nested too deep to be read."
                raise Refused(400, "malformed_body", "Malformed body", detail) from None
        try:
            async with asyncio.timeout(_HANDLER_S):
                content = await row.handler(call, **arguments)
        except TimeoutError:
            detail = f"It was not done within {_HANDLER_S:g} s. Ask for less at once, or again."
            raise Refused(504, "timeout", "Took too long", detail) from None
        return _respond(request, row, content)

    def _find(self, request: Request) -> tuple[Row, dict[str, str]]:
        path = request_path(request)
        for rows in self._paths.values():
            some = next(iter(rows.values()))
            if found := some.pattern.fullmatch(path):
                method = "GET" if request.method == "HEAD" else request.method
                if method not in rows:
                    methods = ", ".join([*rows, *(["HEAD"] if "GET" in rows else [])])
                    detail = f"{path} takes {methods}."
                    raise Refused(405, "method_not_allowed", "Method not allowed", detail, {"Allow": methods})
                return rows[method], found.groupdict()
        detail = "There is no such route; /api/openapi.json tells of those that there are."
        raise Refused(404, "no_such_route", "No such route", detail)


def request_path(request: Request) -> str:
    """Return the path of a request below where the application is mounted, as it was sent: still percent-encoded."""
    scope = request.scope
    raw = cast("bytes | None", scope.get("raw_path"))
    path = quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")
    return path.removeprefix(quote(scope.get("root_path", "")))


async def _read(request: Request, row: Row) -> bytes:
    """Return the body of a request. Raises Refused for one that is too large, too slow, missing, or no JSON by its type."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > row.body_limit:
                    detail = f"The body holds more than {row.body_limit:,} bytes. Send less at once."
                    raise Refused(413, "body_too_large", "Body too large", detail, {"Connection": "close"})
                chunks.append(chunk)
    except TimeoutError:
        detail = f"The body did not come within {_BODY_S:g} s."
        raise Refused(408, "body_too_slow", "Body too slow", detail, {"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refused(400, "body_cut_off", "Body cut off", "The body ended too early.") from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if size and kind != "application/json":
        detail = "Send the body as Content-Type: application/json."
        raise Refused(415, "media_type", "Wrong media type", detail)
    if not size and not row.body_optional:
        raise Refused(422, "body_missing", "Body missing", "Say what is wanted in a body of JSON.")
    return b"".join(chunks)


def _respond(request: Request, row: Row, content: object) -> Response:
    if isinstance(content, Response):
        return content
    status, headers = row.status, dict[str, str]()
    if isinstance(content, Answer):
        answer = cast("Answer[object]", content)
        content, status, headers = answer.content, answer.status or status, dict(answer.headers)
    if content is None and row.answers.get(status) is None:
        return Response(None, 204 if status == 200 else status, headers=headers)
    body = _encode(content)
    if row.method == "GET" and status == 200:
        tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
        headers["ETag"] = tag
        known = request.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return Response(None, 304, headers=headers)
    return Response(body, status, headers=headers, media_type=row.media)
