"""A small HTTP server of a test: keeps what it got and answers what the test tells it to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """Answers in turn what `reply` was given, then 204."""

    def __init__(self) -> None:
        """Begin without requests and answers."""
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answers: list[Answer] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Its address on loopback."""
        return f"http://127.0.0.1:{self.port}"

    def reply(self, status: int, body: str | bytes = "", **headers: str) -> None:
        """Answer the next request so; `_` in the name of a header stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body.encode() if isinstance(body, str) else body

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=content, headers=named)

        self.answers.append(answer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keep the request and answer it."""
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answers.pop(0)(request) if self.answers else web.Response(status=204)


@asynccontextmanager
async def serving() -> AsyncGenerator[HttpServer]:
    """Serve until the end of the block."""
    server = HttpServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
