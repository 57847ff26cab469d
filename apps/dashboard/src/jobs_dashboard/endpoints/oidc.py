"""Where browsers go to sign in by an OpenID provider, and where they come back."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse, RedirectResponse, Response

from jobs_dashboard.access.oidc import CALLBACK
from jobs_dashboard.call import Call
from jobs_dashboard.problems import Refused

_COOKIE = "jobs_oidc"
# The next request comes from this page: a redirect would still count as one from the provider, and the
# session would not be sent along.
_ON = '<!doctype html><meta charset=utf-8><meta http-equiv=refresh content="0;url=../../"><title>Jobs</title>'


async def begin_oidc(call: Call) -> Response:
    """Send the browser to the provider."""
    try:
        where, cookie = await call.services.access.oidc.begin()
    except Refused as refused:
        return _told(call, refused, "../")
    response = RedirectResponse(where, 303)
    response.headers["Set-Cookie"] = _held(call, cookie)
    return response


async def finish_oidc(call: Call) -> Response:
    """Sign in who comes back from the provider."""
    access, request = call.services.access, call.request
    query = {name: request.query_params[name] for name in request.query_params}
    try:
        identity = await access.oidc.finish(query, request.cookies.get(_COOKIE, ""))
    except Refused as refused:
        return _told(call, refused, "../../")
    value, _ = access.sessions.make(identity)
    secure = access.is_secure(request)
    response = HTMLResponse(_ON)
    root = request.scope.get("root_path", "") or "/"
    response.headers.append("Set-Cookie", access.sessions.cookie(value, root, secure=secure))
    response.headers.append("Set-Cookie", _held(call, ""))
    return response


def _told(call: Call, refused: Refused, home: str) -> Response:
    """Answer somebody who came by a browser in words, and any other as everywhere."""
    if "text/html" not in call.request.headers.get("accept", ""):
        raise refused
    problem = refused.problem
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(problem.title)}</title>"
        f'<meta name=viewport content="width=device-width"><meta name=color-scheme content="light dark">'
        f"<h1>{escape(problem.title)}</h1><p>{escape(problem.detail)}</p>"
        f'<p><a href="{home}">Back to the dashboard</a></p></html>',
        problem.status,
    )


def _held(call: Call, value: str) -> str:
    """Return the cookie of a sign-in under way; it has to come along from the provider's page, so it is not strict."""
    path = call.request.scope.get("root_path", "") + CALLBACK
    secure = "; Secure" if call.services.access.is_secure(call.request) else ""
    age = 600 if value else 0
    return f"{_COOKIE}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
