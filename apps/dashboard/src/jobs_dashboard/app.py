"""The dashboard as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from jobs_admin import Admin, Redaction
from jobs_core.discovery import load_features
from jobs_core.errors import JobsError
from jobs_core.settings import DashboardSettings
from jobs_dashboard import metrics, page
from jobs_dashboard.access import Gate, SecurityHeaders
from jobs_dashboard.openapi import document
from jobs_dashboard.problems import Refused, on_bug, on_http_error, on_jobs_error, on_refused
from jobs_dashboard.router import Router
from jobs_dashboard.services import Services
from jobs_dashboard.table import ROWS
from jobs_producer import Producer

__all__ = ["create_app"]

_log = logging.getLogger("jobs_dashboard")


def create_app(settings: DashboardSettings | None = None) -> Starlette:
    """Return the dashboard, by default as the environment says. Raises SettingsError or DeclarationError.

    It connects when it starts, and refuses a server that jobs must not be trusted to.
    """
    settings = settings or DashboardSettings.from_env()
    catalog = load_features(settings.features)
    admin = Admin(
        settings.redis_url,
        prefix=settings.prefix,
        declared=tuple(catalog.queues),
        redaction=Redaction(catalog),
    )
    producer = Producer(
        settings.redis_url, prefix=settings.prefix, default_job_options=settings.default_job_options
    )
    services = Services(admin, producer, catalog)
    services.openapi = document(ROWS, services.version)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(admin)
            for warning in await admin.check_server():
                _log.warning("%s", warning)
            await stack.enter_async_context(producer)
            yield

    app = Starlette(
        routes=[
            Route("/", page.show),
            Route("/metrics", metrics.serve),
            Mount("/", Router(ROWS, services)),
        ],
        middleware=[
            Middleware(SecurityHeaders, page.content_security_policy()),
            Middleware(Gate, settings),
        ],
        exception_handlers={
            JobsError: on_jobs_error,
            Refused: on_refused,
            HTTPException: on_http_error,
            Exception: on_bug,
        },
        lifespan=lifespan,
    )
    app.state.admin, app.state.scrapes = admin, {}
    return app
