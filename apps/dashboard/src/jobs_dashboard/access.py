"""Who may ask what: a token for every request, or without any token the same machine alone, to look only."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from jobs_core.errors import ConfigurationError
from jobs_dashboard.problems import Problem, answer
from jobs_dashboard.roles import Identity, Role
from jobs_dashboard.router import IDENTITY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from jobs_core.settings import DashboardSettings

_PUBLIC = frozenset({"/healthz", "/readyz", "/api/openapi.json"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def is_loopback(host: str) -> bool:
    """Tell whether a host, given by address or as localhost, is this machine and no other."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(settings: DashboardSettings) -> None:
    """Raise ConfigurationError where others could reach the dashboard and there is no token."""
    if not is_loopback(settings.host) and not _tokens(settings):
        tokens = "DASHBOARD_TOKEN, DASHBOARD_OPERATOR_TOKEN or DASHBOARD_VIEWER_TOKEN"
        message = (
            f"DASHBOARD_HOST={settings.host} lets other machines in, and no token is set. "
            f"Set {tokens}, or DASHBOARD_HOST=127.0.0.1."
        )
        raise ConfigurationError(message)


class Gate:
    """Lets a request through to the application, or answers it."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        """Guard an application."""
        self._app = app
        self._tokens = _tokens(settings)
        self._public = _PUBLIC | {"/metrics"} if settings.metrics_public else _PUBLIC
        self._names = _LOCAL_NAMES | {settings.host.lower().strip("[]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        problem = self._judge(scope)
        if isinstance(problem, Identity):
            scope[IDENTITY] = problem
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
        await answer(problem, headers)(scope, receive, send)

    def _judge(self, scope: Scope) -> Problem | Identity:
        headers = Headers(scope=scope)
        if self._tokens:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            role = self._role(token.strip()) if scheme.lower() == "bearer" else None
            if role is not None:
                return Identity(role.label, role)
            return _problem(401, "Sign in", "Send a token of this dashboard as Authorization: Bearer.")
        client = scope.get("client")
        if client is None or not is_loopback(client[0]) or any(name in headers for name in _FORWARDED):
            return _problem(
                403, "Not from here", "Set DASHBOARD_TOKEN to let other machines, or a proxy, look."
            )
        # Some other site can make a browser on this machine ask us under a name that its owner chose.
        if _host_name(headers.get("host", "")) not in self._names:
            return _problem(421, "Wrong host", "Ask for localhost or 127.0.0.1, or set DASHBOARD_TOKEN.")
        if scope["method"] not in _READING:
            return _problem(403, "Read-only", "Set DASHBOARD_TOKEN: nothing can be changed without a token.")
        return Identity("", Role.VIEWER)

    def _role(self, token: str) -> Role | None:
        """Return whose token it is, in the same time whichever it is and however much of it is right."""
        # Headers come as Latin-1, whatever they are: this gives back the bytes that were sent.
        given = token.encode("latin-1")
        matches = [role for role, known in self._tokens.items() if hmac.compare_digest(known, given)]
        return max(matches, default=None)


class SecurityHeaders:
    """Tells browsers to run, frame, guess and keep nothing."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        """Add to every response of an application the headers, among them its Content-Security-Policy."""
        self._app = app
        self._added = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._added]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _tokens(settings: DashboardSettings) -> dict[Role, bytes]:
    named = {
        Role.ADMIN: settings.token,
        Role.OPERATOR: settings.operator_token,
        Role.VIEWER: settings.viewer_token,
    }
    return {role: token.encode() for role, token in named.items() if token}


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _problem(status: int, title: str, detail: str) -> Problem:
    return Problem(type="access_refused", title=title, status=status, detail=detail)
