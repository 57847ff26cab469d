"""The dashboard as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from jobs_admin import Admin
from jobs_core.errors import JobsError
from jobs_core.settings import DashboardSettings
from jobs_dashboard import api, page
from jobs_dashboard.access import Gate, SecurityHeaders
from jobs_dashboard.problems import on_bug, on_http_error, on_jobs_error

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["create_app"]

_log = logging.getLogger("jobs_dashboard")


def create_app(settings: DashboardSettings | None = None) -> Starlette:
    """Return the dashboard, by default as the environment says. Raises SettingsError.

    It connects when it starts, and refuses a server that jobs must not be trusted to.
    """
    settings = settings or DashboardSettings.from_env()
    admin = Admin(settings.redis_url, prefix=settings.prefix)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with admin:
            for warning in await admin.check_server():
                _log.warning("%s", warning)
            yield

    app = Starlette(
        routes=[
            Route("/", page.show),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            *api.routes(),
        ],
        middleware=[
            Middleware(SecurityHeaders, page.content_security_policy()),
            Middleware(Gate, settings),
        ],
        exception_handlers={JobsError: on_jobs_error, HTTPException: on_http_error, Exception: on_bug},
        lifespan=lifespan,
    )
    app.state.admin = admin
    return app


async def _healthz(_request: Request) -> Response:
    """Answer while the process serves requests. Anybody may ask, so it tells no more."""
    return api.json_response({"status": "ok"})


async def _readyz(request: Request) -> Response:
    """Answer 200 while the server answers us, else 503."""
    if await api.admin_of(request).is_connected():
        return api.json_response({"status": "ok"})
    return api.json_response({"status": "unreachable"}, 503)
