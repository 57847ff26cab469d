"""Sign-in by an OpenID provider: the code flow, with PKCE, state and nonce, and an ID token that is verified."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote_plus, urlencode

import msgspec

from jobs_core.errors import ConfigurationError
from jobs_dashboard.problems import Refused

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

    from jobs_core.settings import DashboardSettings
    from jobs_dashboard.access.people import People
    from jobs_dashboard.roles import Identity

__all__ = ["CALLBACK", "Oidc", "check_libraries"]

CALLBACK: Final = "/sign-in/oidc/callback"
# None of the secrets that both sides know: whoever has ours could make tokens.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT_S = 10.0
_KEPT_S = 3600.0
_AGAIN_S = 30.0
_PENDING_S = 600
_LEEWAY_S = 60
_MOST_BYTES = 1024 * 1024


def check_libraries() -> None:
    """Raise ConfigurationError where the libraries for it are not installed."""
    if any(find_spec(name) is None for name in ("httpx2", "joserfc")):
        raise ConfigurationError(
            "DASHBOARD_OIDC_ISSUER is set, and the libraries for it are not there. Install jobs-dashboard[oidc]."
        )


class Provider(msgspec.Struct, frozen=True):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in under way, as its cookie holds it. `until` is in Unix s."""

    state: str
    nonce: str
    verifier: str
    until: int


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class Oidc:
    """The provider of the settings. What it says of itself, and its keys, are fetched when somebody signs in."""

    def __init__(self, settings: DashboardSettings, people: People) -> None:
        """Take the settings, which name issuer, client and the address of this dashboard."""
        self._settings = settings
        self._people = people
        self._issuer = settings.oidc_issuer or ""
        self._client_id = settings.oidc_client_id or ""
        self._secret = settings.oidc_client_secret or ""
        self._key = hmac.digest(self._secret.encode(), b"jobs oidc sign-in", sha256)
        self._provider: tuple[float, Provider] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def begin(self) -> tuple[str, str]:
        """Return where to send the browser, and the value of the cookie that it has to bring back. Raises Refused."""
        provider = await self._discovered()
        pending = Pending(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            int(time.time()) + _PENDING_S,
        )
        challenge = base64.urlsafe_b64encode(sha256(pending.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect,
            "scope": self._settings.oidc_scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return f"{provider.authorization_endpoint}{joint}{urlencode(asked)}", self._signed(pending)

    async def finish(self, query: Mapping[str, str], cookie: str) -> Identity:
        """Return who came back from the provider. Raises Refused."""
        pending = self._read(cookie)
        if pending is None or not hmac.compare_digest(
            pending.state.encode(), query.get("state", "").encode("utf-8", "replace")
        ):
            raise _refused("This sign-in was not begun in this browser, or too long ago. Begin again.")
        if "error" in query:
            raise _refused(f"The provider refused: {query['error'][:100]}.")
        claims = await self._claims(query.get("code", ""), pending)
        name = claims.get(self._settings.oidc_claim)
        if not isinstance(name, str) or not name or not name.isprintable():
            raise _refused(f"The ID token has no {self._settings.oidc_claim}; see DASHBOARD_OIDC_CLAIM.")
        if self._settings.oidc_claim == "email" and claims.get("email_verified") is not True:
            # Anybody may have entered any address there.
            raise _refused("The provider does not say that this e-mail address is verified.")
        groups = claims.get(self._settings.oidc_groups_claim)
        listed = cast("Sequence[object]", groups) if isinstance(groups, list) else ()
        known = self._people.identity(name, [each for each in listed if isinstance(each, str)])
        if known is None:
            lists = "DASHBOARD_ADMINS, DASHBOARD_OPERATORS and DASHBOARD_VIEWERS"
            raise _refused(f"{name[:100]} is on none of the lists {lists}.")
        return known

    @property
    def _redirect(self) -> str:
        return (self._settings.url or "").rstrip("/") + CALLBACK

    async def _claims(self, code: str, pending: Pending) -> Mapping[str, object]:
        from joserfc import jwt  # noqa: PLC0415 - an extra
        from joserfc.errors import InvalidKeyIdError, JoseError  # noqa: PLC0415

        provider = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": pending.verifier,
        }
        try:
            tokens = msgspec.convert(await self._fetched(provider.token_endpoint, form), _Tokens)
        except msgspec.ValidationError:
            raise _away("it sent no ID token; DASHBOARD_OIDC_SCOPES has to hold openid") from None
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": pending.nonce},
        )
        try:
            try:
                token = jwt.decode(tokens.id_token, await self._key_set(provider), algorithms=[*_ALGORITHMS])
            except InvalidKeyIdError:
                # The provider has new keys.
                keys = await self._key_set(provider, anew=True)
                token = jwt.decode(tokens.id_token, keys, algorithms=[*_ALGORITHMS])
            registry.validate(token.claims)
        except (JoseError, ValueError) as error:
            raise _refused(f"The ID token is not valid: {type(error).__name__}.") from None
        claims = cast("Mapping[str, object]", token.claims)
        if claims.get("azp", self._client_id) != self._client_id:
            raise _refused("The ID token is for another client.")
        return claims

    async def _discovered(self) -> Provider:
        if self._provider is None or time.monotonic() - self._provider[0] > _KEPT_S:
            address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
            try:
                provider = msgspec.convert(await self._fetched(address), Provider)
            except msgspec.ValidationError as error:
                raise _away(f"what it says at {address} is not what OpenID providers say: {error}") from None
            if provider.issuer != self._issuer:
                raise _away(f"it calls itself {provider.issuer[:200]}, which DASHBOARD_OIDC_ISSUER has to be")
            self._provider = (time.monotonic(), provider)
        return self._provider[1]

    async def _key_set(self, provider: Provider, *, anew: bool = False) -> KeySet:
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import KeySet  # noqa: PLC0415

        now = time.monotonic()
        kept = _AGAIN_S if anew else _KEPT_S
        if self._keys is None or now - self._keys[0] > kept:
            found = await self._fetched(provider.jwks_uri)
            try:
                keys = KeySet.import_key_set(found)  # pyright: ignore[reportArgumentType] - it judges by itself
            except (JoseError, ValueError, KeyError, TypeError):
                raise _away(f"its keys at {provider.jwks_uri} cannot be read") from None
            self._keys = (now, keys)
        return self._keys[1]

    async def _fetched(self, url: str, form: Mapping[str, str] | None = None) -> object:
        import httpx2  # noqa: PLC0415

        try:
            async with httpx2.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client:
                if form is None:
                    response = await client.get(url)
                else:
                    # Each is encoded as in a form first (RFC 6749, 2.3.1).
                    who = (quote_plus(self._client_id), quote_plus(self._secret))
                    response = await client.post(url, data=dict(form), auth=who)
            if response.status_code != 200 or len(response.content) > _MOST_BYTES:
                raise _away(f"{url.partition('?')[0]} answered {response.status_code}")
            return msgspec.json.decode(response.content)
        except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _away(f"{url.partition('?')[0]}: {type(error).__name__}") from None

    def _signed(self, pending: Pending) -> str:
        body = base64.urlsafe_b64encode(msgspec.json.encode(pending)).rstrip(b"=").decode()
        return f"{body}.{self._signature(body)}"

    def _read(self, cookie: str) -> Pending | None:
        body, _, signature = cookie.partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode("utf-8", "replace")):
            return None
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        pending = msgspec.json.decode(packed, type=Pending)
        return pending if pending.until > time.time() else None

    def _signature(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode("utf-8", "replace"), sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _refused(detail: str) -> Refused:
    return Refused(403, "sign_in_refused", "Sign-in refused", detail)


def _away(reason: str) -> Refused:
    return Refused(502, "provider_failed", "The OpenID provider failed", f"It cannot be asked: {reason}.")
