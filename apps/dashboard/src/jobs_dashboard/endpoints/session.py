"""Who asks, and the sessions of browsers."""

from __future__ import annotations

from jobs_dashboard.call import Answer, Call
from jobs_dashboard.problems import Refused
from jobs_dashboard.records import Session, SignIn


async def get_session(call: Call) -> Session:
    """Tell who asks, or how to sign in."""
    access = call.services.access
    held = await access.held(call.request)
    return Session(
        actor=call.actor,
        role=None if call.identity is None else call.identity.role.label,
        sign_in=access.ways,
        expires_at=None if held is None else held.expires_at,
    )


async def sign_in(call: Call, body: SignIn) -> Answer[Session]:
    """Sign in with a token, and get a cookie for the pages."""
    if not body.name.isprintable():
        detail = "A name is made of printable characters."
        raise Refused(422, "option_error", "Wrong parameter", detail, parameter="name")
    access = call.services.access
    identity = access.sign_in(call.request, body.token, body.name.strip())
    value, held = access.sessions.make(identity)
    session = Session(
        actor=identity.actor, role=identity.role.label, sign_in=access.ways, expires_at=held.expires_at
    )
    return Answer(session, headers={"Set-Cookie": _cookie(call, value)})


async def sign_out(call: Call) -> Answer[None]:
    """Sign out: the session is good for nothing any more, at no dashboard."""
    access = call.services.access
    held = await access.held(call.request)
    if held is not None:
        await call.admin.end_session(held.id, held.until)
        access.sessions.end(held)
    return Answer(None, headers={"Set-Cookie": _cookie(call, "")})


def _cookie(call: Call, value: str) -> str:
    access, request = call.services.access, call.request
    path = request.scope.get("root_path", "") or "/"
    return access.sessions.cookie(value, path, secure=access.is_secure(request))
