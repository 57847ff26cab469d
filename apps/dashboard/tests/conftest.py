"""A dashboard on an empty server, asked over ASGI as from any address."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import httpx2
import pytest
from tests.support.dashboards import embedded
from tests.support.seeding import Seeder
from tests.support.visits import Visits, opened_visits
from tests.support.waiting import WITHIN

from jobs_admin import Admin
from jobs_core.connection import client_for, parse_address
from jobs_core.scripts import Scripts
from jobs_core.settings import DashboardSettings
from jobs_dashboard.app import create_app

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def dashboard(redis_url: str, prefix: str) -> Open:
    """Return what opens a client of a dashboard with tokens, from an address, under a host name."""

    @asynccontextmanager
    async def opened(
        *, client: str = "127.0.0.1", host: str = "127.0.0.1:3010", **tokens: object
    ) -> AsyncGenerator[httpx2.AsyncClient]:
        app = create_app(DashboardSettings(redis_url=redis_url, prefix=prefix, **tokens))  # pyright: ignore[reportArgumentType]
        transport = httpx2.ASGITransport(app=app, client=(client, 50_000))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as asked,
        ):
            yield asked

    return opened


@pytest.fixture
async def client(dashboard: Open) -> AsyncIterator[httpx2.AsyncClient]:
    async with dashboard() as asked:
        yield asked


@pytest.fixture
async def mail(redis_url: str, prefix: str) -> AsyncIterator[Seeder]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=WITHIN)
    yield Seeder(Scripts(client, prefix), "mail")
    await client.close()


@pytest.fixture
async def admin(redis_url: str, prefix: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, prefix=prefix) as admin:
        yield admin


@pytest.fixture
async def ada(admin: Admin, redis_url: str, prefix: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client of a dashboard that is a part of another application, which knows her as an admin."""
    async with embedded(admin, redis_url, prefix) as (_, client):
        yield client


@pytest.fixture(scope="module")
def visits() -> Iterator[Visits]:
    """Return a browser before a stage. Not for longer than a module: no other event loop can run beside the browser's."""
    yield from opened_visits()
