"""The dashboard as an ASGI application: of its own, or as a part of another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import Lifespan

from jobs_admin import Admin, Redaction
from jobs_core.discovery import Catalog, load_features
from jobs_core.errors import JobsError
from jobs_core.payloads import JsonValue
from jobs_core.settings import DashboardSettings, check_trace_url
from jobs_dashboard import alerting, downloads, metrics, page
from jobs_dashboard.access import Access, Authenticate, Gate, check_exposure
from jobs_dashboard.headers import SecurityHeaders
from jobs_dashboard.openapi import document
from jobs_dashboard.pages import PLAIN, POLICY, Pages
from jobs_dashboard.problems import Refused, on_bug, on_http_error, on_jobs_error, on_refused
from jobs_dashboard.router import Router
from jobs_dashboard.services import Services
from jobs_dashboard.table import ROWS
from jobs_producer import Producer

__all__ = ["create_app", "dashboard_app"]

_OPEN = ("/healthz", "/readyz")
_log = logging.getLogger("jobs_dashboard")


def create_app(settings: DashboardSettings | None = None) -> Starlette:
    """Return the dashboard, by default as the environment says. Raises ConfigurationError.

    It connects when it starts, and refuses a server that jobs must not be trusted to.
    """
    settings = settings or DashboardSettings.from_env()
    check_exposure(settings)
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

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(admin)
            for warning in await admin.check_server():
                _log.warning("%s", warning)
            await stack.enter_async_context(producer)
            stack.push_async_callback(services.close)
            judging = asyncio.create_task(alerting.watch(admin), name="jobs-alerts")
            stack.push_async_callback(_end, judging)
            yield

    access = Access(settings, is_ended=admin.is_session_ended)
    services = Services(admin, producer, catalog, access, settings.trace_url)
    open_ = (*_OPEN, "/metrics") if settings.metrics_public else _OPEN
    return _application(services, open_, lifespan)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def dashboard_app(
    *,
    admin: Admin,
    producer: Producer,
    authenticate: Authenticate,
    catalog: Catalog | None = None,
    trace_url: str | None = None,
) -> Starlette:
    """Return the dashboard as a part of another ASGI application, to be mounted under any path.

    `authenticate` gets each request and returns an `Identity`, or None for who may not look; it may be asynchronous. The
    application connects and closes admin and producer, which belong to one event loop. `catalog` is what code declares, by default
    the built-in features: it checks what is enqueued, and says what is never shown, unless the admin has a redaction of its own.
    `trace_url` is where traces are shown, such as `https://traces.example/trace/{trace_id}`. Raises SettingsError for another form.
    """
    if trace_url is not None:
        check_trace_url("trace_url", trace_url)
    declared = load_features() if catalog is None else catalog
    admin = admin.redacting(Redaction(declared))
    services = Services(admin, producer, declared, Access(authenticate=authenticate), trace_url)
    return _application(services, _OPEN, None)


def _application(
    services: Services, open_: tuple[str, ...], lifespan: Lifespan[Starlette] | None
) -> Starlette:
    services.openapi = _document(services.version)
    app = Starlette(
        routes=[
            *Pages().routes,
            Route(PLAIN, page.show),
            Route("/metrics", metrics.serve),
            Route(f"{downloads.UNDER}{{path:path}}", downloads.serve),
            Mount("/", Router(ROWS, services)),
        ],
        middleware=[
            Middleware(SecurityHeaders, POLICY),
            Middleware(
                Gate,
                services.access,
                open_=open_,
                open_under=(downloads.UNDER,),
                closed=(PLAIN, "/metrics"),
            ),
        ],
        exception_handlers={
            JobsError: on_jobs_error,
            Refused: on_refused,
            HTTPException: on_http_error,
            Exception: on_bug,
        },
        lifespan=lifespan,
    )
    app.state.admin = services.admin
    app.state.scrapes = metrics.Scrapes(services.admin)
    app.state.services = services
    return app


@cache
def _document(version: str) -> dict[str, JsonValue]:
    return document(ROWS, version)
