"""What every request passes: it is found out who asks, and whether another site made a browser ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from jobs_dashboard.problems import Refused, answer
from jobs_dashboard.roles import Identity, Role
from jobs_dashboard.router import IDENTITY, REFUSAL, request_path

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from jobs_dashboard.access.access import Access

__all__ = ["Gate"]

_SESSION: Final = "/api/session"


class Gate:
    """Says in the scope of a request who asks, or why nobody is known; the routes decide what that is good for.

    Nobody is asked who they are at `open_` paths and those below `open_under`. `closed` ones are no routes of the table: only who
    is known may go there.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        *,
        open_: Collection[str] = (),
        open_under: Collection[str] = (),
        closed: Collection[str] = (),
    ) -> None:
        """Guard an application."""
        self._app = app
        self._access = access
        self._open = frozenset(open_)
        self._open_under = tuple(open_under)
        self._closed = frozenset(closed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            request = Request(scope)
            path = request_path(request)
            if path not in self._open and not path.startswith(self._open_under):
                try:
                    await self._judge(request, path)
                except Refused as refusal:
                    await answer(refusal.problem, refusal.headers)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _judge(self, request: Request, path: str) -> None:
        found = await self._access.identify(request)
        signs_in = path == _SESSION and request.method == "POST"
        # Who is known by nothing, since anybody here may look, can change nothing: that is what they are told.
        known = isinstance(found, Identity) and (found.actor != "" or found.role > Role.VIEWER)
        ambient = known and "authorization" not in request.headers and not signs_in
        self._access.check_origin(request, api=path.startswith("/api/"), ambient=ambient)
        if isinstance(found, Identity):
            request.scope[IDENTITY] = found
            return
        request.scope[REFUSAL] = found
        if path in self._closed:
            raise found
