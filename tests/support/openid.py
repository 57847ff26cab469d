"""An OpenID provider on a port: it signs in whoever it is told to, and checks what a client has to send."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote_plus, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.support.waiting import until

# What a form has to encode, the header has to encode, too.
CLIENT_ID, CLIENT_SECRET = "jobs", "s3:c%r+t"


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)}, private=True)


# To make one takes longer than most tests.
_first_key = cache(_new_key)


class OpenIdProvider:
    """Whoever comes is `claims`; `forged` changes the ID token, `signs` is the key that it is signed with,
    `told` what the answer holds."""

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: dict[str, Any] = {"sub": "1", "email": "ada@example.com", "email_verified": True}
        self.forged: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.key = _first_key()
        self.signs: Any = None
        self.told: list[str] = ["id_token", "access_token", "token_type"]
        self._codes: dict[str, dict[str, str]] = {}

    def change_keys(self) -> None:
        self.key = _new_key()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _discovery(self, _: Request) -> Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        told = {name: f"{self.issuer}/{path}" for name, path in names.items()}
        return JSONResponse({"issuer": self.issuer, **told})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        code = secrets.token_hex(8)
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        body = (await request.body()).decode()
        form = {name: value for name, _, value in (part.partition("=") for part in body.split("&"))}
        basic = base64.b64encode(f"{CLIENT_ID}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
        asked = self._codes.pop(form.get("code", ""), None)
        if request.headers.get("authorization") != f"Basic {basic}" or asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        digest = sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": now + 60,
            "iat": now,
            "nonce": asked["nonce"],
            **self.claims,
            **self.forged,
        }
        header = {"alg": self.algorithm, "kid": self.key.kid}
        algorithms = ["RS256", "HS256"]
        token = jwt.encode(header, claims, self.signs or self.key, algorithms=algorithms)
        whole = {"access_token": "x", "token_type": "Bearer", "id_token": token}
        return JSONResponse({name: whole[name] for name in self.told})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})


@asynccontextmanager
async def openid_provider() -> AsyncGenerator[OpenIdProvider]:
    """Yield a provider that is served."""
    provider = OpenIdProvider()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        provider.issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(provider.app(), log_config=None))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield provider
        server.should_exit = True
        await task
