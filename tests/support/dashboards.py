"""A dashboard that is a part of another application, asked by somebody whom that knows, and what it declares."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import msgspec

from jobs_core import redact
from jobs_core.discovery import Catalog
from jobs_core.queue import Queue
from jobs_dashboard import Identity, Role, dashboard_app
from jobs_producer import Producer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from jobs_admin import Admin


class Mail(msgspec.Struct, omit_defaults=True):
    to: str
    copies: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0


class Login(msgspec.Struct):
    user: str
    password: Annotated[str, redact]
    kind: str = "plain"

    def __post_init__(self) -> None:
        if self.kind == "bad":
            raise ValueError(f"no such password {self.password}")


MAIL = Queue("mail")
MAIL.job("send", payload=Mail)
MAIL.job("login", payload=Login)
CATALOG = Catalog([(MAIL, "mail")])
JOBS = "/api/queues/mail/jobs"


@asynccontextmanager
async def embedded(
    admin: Admin, url: str, prefix: str
) -> AsyncGenerator[tuple[Starlette, httpx2.AsyncClient]]:
    """Yield a dashboard and its client; who asks is an admin named ada, or has the role of the header X-Role."""

    def authenticate(request: Request) -> Identity | None:
        role = request.headers.get("x-role", "admin")
        return None if role == "none" else Identity("ada", Role[role.upper()])

    async with Producer(url, prefix=prefix) as producer:
        app = dashboard_app(admin=admin, producer=producer, authenticate=authenticate, catalog=CATALOG)
        headers = {"Origin": "http://host.example"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://host.example", headers=headers
        ) as client:
            yield app, client
        await app.state.services.close()


async def sent(
    client: httpx2.AsyncClient, method: str, path: str, body: object = None, *, status: int = 200
) -> Any:  # noqa: ANN401 - whatever JSON says
    """Ask, make sure of the status, and return what the answer says."""
    given: dict[str, Any] = {} if body is None else {"json": body}
    response = await client.request(method, path, **given)
    assert response.status_code == status, response.text
    return response.json() if response.content else None
