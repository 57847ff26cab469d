"""All ways in which somebody can be known, tried one after the other."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from starlette.requests import Request

from jobs_core.errors import ConnectionFailed
from jobs_dashboard.access.addresses import asked_by, host_name, host_of, is_loopback, is_trusted
from jobs_dashboard.access.oidc import Oidc
from jobs_dashboard.access.people import People
from jobs_dashboard.access.sessions import COOKIE, Held, Sessions
from jobs_dashboard.access.tokens import Attempts, Tokens
from jobs_dashboard.problems import Refused
from jobs_dashboard.roles import Identity, Role

if TYPE_CHECKING:
    from jobs_core.settings import DashboardSettings
    from jobs_dashboard.records import SignInWay

__all__ = ["Access", "Authenticate"]

Authenticate: TypeAlias = Callable[[Request], "Identity | Awaitable[Identity | None] | None"]
"""Says who asks, where an application that the dashboard is part of knows it; None: nobody that may look."""

_ASK_S = 1.0
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Access:
    """Knows who asks. By settings, or by what the application says that the dashboard is part of."""

    def __init__(
        self,
        settings: DashboardSettings | None = None,
        authenticate: Authenticate | None = None,
        *,
        is_ended: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Take either; `is_ended` tells whether somebody signed out of a session, by its id, at whichever dashboard."""
        self._is_ended = is_ended
        self._settings = settings
        self._authenticate = authenticate
        self._people = None if settings is None else People(settings)
        self._tokens = Tokens(settings)
        self.attempts = Attempts()
        self._oidc: Oidc | None = None
        secret = self._tokens.secret if self._tokens else secrets.token_bytes(32)
        if settings is not None and self._people is not None and settings.oidc_issuer:
            self._oidc = Oidc(settings, self._people)
            secret = self._tokens.secret + (settings.oidc_client_secret or "").encode()
        self.sessions = Sessions(secret, 0 if settings is None else settings.session)

    @property
    def ways(self) -> tuple[SignInWay, ...]:
        """How somebody can sign in."""
        settings = self._settings
        if settings is None:
            return ("host",)
        ways: list[SignInWay] = []
        if self._tokens:
            ways.append("token")
        if settings.oidc_issuer:
            ways.append("oidc")
        if settings.proxy_header:
            ways.append("proxy")
        return tuple(ways)

    @property
    def oidc(self) -> Oidc:
        """The OpenID provider. Raises Refused where there is none."""
        if self._oidc is None:
            detail = "This dashboard has no OpenID provider; see DASHBOARD_OIDC_ISSUER."
            raise Refused(404, "no_provider", "No provider", detail)
        return self._oidc

    async def identify(self, request: Request) -> Identity | Refused:
        """Return who asks, or why nobody is known. Raises Refused for who guessed too often."""
        if self._authenticate is not None:
            found = self._authenticate(request)
            known = await found if inspect.isawaitable(found) else found
            return known or _nobody("Sign in to the application that this dashboard is part of.")
        if "authorization" in request.headers:
            return self._by_token(request)
        held = await self.held(request)
        if held is not None:
            return held.identity
        by_proxy = self._by_proxy(request)
        if by_proxy is not None:
            return by_proxy
        if self.ways:
            return _nobody("Send a token of this dashboard as Authorization: Bearer, or sign in.")
        return self._unknown(request)

    def sign_in(self, request: Request, token: str, name: str) -> Identity:
        """Return whose token it is. Raises Refused."""
        if not self._tokens:
            detail = "This dashboard has no tokens; DASHBOARD_TOKEN sets one."
            raise Refused(404, "no_tokens", "No tokens", detail)
        role = self._role(request, token.encode())
        who = f"{role.label} token"
        return Identity(f"{name} ({who})" if name else who, role)

    async def held(self, request: Request) -> Held | None:
        """Return the session that a request brings along, unless somebody signed out of it."""
        cookie = request.cookies.get(COOKIE)
        held = None if cookie is None else self.sessions.read(cookie)
        if held is None or self._is_ended is None:
            return held
        try:
            async with asyncio.timeout(_ASK_S):
                return None if await self._is_ended(held.id) else held
        except (TimeoutError, ConnectionFailed):
            # While the server is away there is nothing to be seen or changed but the pages that say so.
            return held

    def is_secure(self, request: Request) -> bool:
        """Tell whether the browser asks over TLS, so that its cookie may be kept to that."""
        settings = self._settings
        if request.url.scheme == "https" or (
            settings is not None and (settings.url or "").startswith("https:")
        ):
            return True
        client = request.client.host if request.client else ""
        trusted = settings is not None and is_trusted(client, settings.proxy_trusted)
        return trusted and request.headers.get("x-forwarded-proto") == "https"

    def check_origin(self, request: Request, *, api: bool, ambient: bool) -> None:
        """Refuse what another site made a browser send; only pages may be come to from elsewhere. Raises Refused.

        `ambient`: what tells who asks goes along with whatever the browser sends, so a change has to say where it comes from.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        looks = request.method in {"GET", "HEAD"}
        if site not in {None, "same-origin", "none"} and (api or not looks):
            raise _foreign("a page elsewhere")
        if looks:
            return
        if origin is not None and host_of(origin) not in self._own_hosts(request):
            raise _foreign(f"the origin {origin[:100]}")
        if ambient and site is None and origin is None:
            detail = (
                "A change by a session says where it comes from: send Origin or Sec-Fetch-Site, or a token."
            )
            raise Refused(403, "origin_missing", "Origin missing", detail)

    def _own_hosts(self, request: Request) -> set[str]:
        hosts = {request.headers.get("host", "").lower()}
        if self._settings is not None and self._settings.url:
            hosts.add(host_of(self._settings.url))
        return hosts

    def _by_token(self, request: Request) -> Identity | Refused:
        scheme, _, token = request.headers["authorization"].partition(" ")
        if scheme.lower() != "bearer":
            return _nobody("Send a token of this dashboard as Authorization: Bearer.")
        if not self._tokens:
            return _nobody("This dashboard has no tokens; DASHBOARD_TOKEN sets one.")
        try:
            # Headers come as Latin-1, whatever they are: this gives back the bytes that were sent.
            role = self._role(request, token.strip().encode("latin-1"))
        except Refused as error:
            if error.problem.status == 429:
                raise
            return error
        return Identity(f"{role.label} token", role)

    def _role(self, request: Request, token: bytes) -> Role:
        address = asked_by(request.scope, () if self._settings is None else self._settings.proxy_trusted)
        self.attempts.check(address)
        role = self._tokens.role(token)
        if role is None:
            self.attempts.wrong(address, token)
            raise _nobody("This is no token of this dashboard.")
        return role

    def _by_proxy(self, request: Request) -> Identity | Refused | None:
        settings = self._settings
        if settings is None or self._people is None or not settings.proxy_header:
            return None
        name = request.headers.get(settings.proxy_header, "").strip()
        client = request.client.host if request.client else ""
        # Anybody can send the header: only those who are listed are believed.
        if not name or not is_trusted(client, settings.proxy_trusted):
            return None
        groups = request.headers.get(settings.proxy_groups_header or "", "")
        known = self._people.identity(name, [each.strip() for each in groups.split(",") if each.strip()])
        detail = f"{name[:100]} is on none of the lists DASHBOARD_ADMINS, DASHBOARD_OPERATORS and DASHBOARD_VIEWERS."
        return known or Refused(403, "not_listed", "Not listed", detail)

    def _unknown(self, request: Request) -> Identity | Refused:
        """Let this machine look, where nobody can be known."""
        client = request.client
        headers = request.headers
        if client is None or not is_loopback(client.host) or any(name in headers for name in _FORWARDED):
            detail = "Set DASHBOARD_TOKEN to let other machines, or a proxy, look."
            return Refused(403, "access_refused", "Not from here", detail)
        # Some other site can make a browser on this machine ask us under a name that its owner chose.
        own = "" if self._settings is None else self._settings.host.lower().strip("[]")
        if host_name(headers.get("host", "")) not in _LOCAL_NAMES | {own}:
            detail = "Ask for localhost or 127.0.0.1, or set DASHBOARD_TOKEN."
            return Refused(421, "access_refused", "Wrong host", detail)
        return Identity("", Role.VIEWER)


def _nobody(detail: str) -> Refused:
    return Refused(401, "not_signed_in", "Sign in", detail, {"WWW-Authenticate": "Bearer"})


def _foreign(whence: str) -> Refused:
    detail = f"This request comes from {whence}, not from a page of this dashboard."
    return Refused(403, "cross_site", "From another site", detail)
