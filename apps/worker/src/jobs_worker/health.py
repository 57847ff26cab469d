"""The worker's HTTP endpoint: /healthz, /readyz, /status, /metrics. It is small on purpose, and it never touches the server of the queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT = 5.0
_MAX_LINE = 8192


class Answer(msgspec.Struct, frozen=True):
    """A status code and a body: text as it is, anything else as JSON."""

    code: int
    body: object
    media: str = "application/json"


async def serve(
    host: str, port: int, routes: dict[str, Callable[[], Answer]], *, may_move: bool
) -> tuple[asyncio.Server, int]:
    """Serve GET requests. A taken port gives way to a free one where `may_move`, else OSError is raised. Returns the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                request = (await reader.readline())[:_MAX_LINE].decode("latin-1").split()
                while (await reader.readline()).strip():
                    pass
            answer = _answer(request, routes)
            body = answer.body.encode() if isinstance(answer.body, str) else msgspec.json.encode(answer.body)
            head = f"HTTP/1.1 {answer.code} {_REASONS.get(answer.code, '')}\r\nContent-Type: {answer.media}\r\nContent-Length: {len(body)}\r\n"
            writer.write((head + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").encode() + body)
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(handle, host, port, limit=_MAX_LINE)
    except OSError:
        if not may_move:
            raise
        server = await asyncio.start_server(handle, host, 0, limit=_MAX_LINE)
    return server, server.sockets[0].getsockname()[1]


_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


def _answer(request: list[str], routes: dict[str, Callable[[], Answer]]) -> Answer:
    if len(request) != 3:
        return Answer(400, {"error": "not an HTTP request"})
    method, target, _ = request
    route = routes.get(target.partition("?")[0])
    if route is None:
        return Answer(404, {"error": "not found", "paths": sorted(routes)})
    if method not in ("GET", "HEAD"):
        return Answer(405, {"error": "only GET"})
    return route()
