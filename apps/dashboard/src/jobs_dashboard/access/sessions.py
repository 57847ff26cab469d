"""Sessions of browsers: a signed cookie that says who it is and until when."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from jobs_dashboard.roles import Identity, Role

__all__ = ["COOKIE", "Held", "Sessions"]

COOKIE = "jobs_session"
_SIGNED_OUT = 10_000


class Held(msgspec.Struct, frozen=True, array_like=True):
    """What a session says. `until` is in Unix s."""

    id: str
    actor: str
    role: int
    until: int

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return Identity(self.actor, Role(self.role))

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(self.until, UTC)


class Sessions:
    """Gives out sessions and knows its own again.

    They are signed by a key that follows from the tokens, so another token ends all of them, and they outlast a restart. Stored is
    only which were signed out of: on the server, for all dashboards, and here for when that is away.
    """

    def __init__(self, secret: bytes, seconds: float) -> None:
        """Sign with a secret; sessions last so long."""
        self._key = hmac.digest(secret, b"session", sha256)
        self._seconds = seconds
        self._ended: OrderedDict[str, int] = OrderedDict()

    def make(self, identity: Identity) -> tuple[str, Held]:
        """Return a session as a cookie holds it, and what it says."""
        until = int(time.time() + self._seconds)
        held = Held(secrets.token_urlsafe(12), identity.actor, int(identity.role), until)
        body = base64.urlsafe_b64encode(msgspec.json.encode(held)).rstrip(b"=")
        return f"{body.decode()}.{self._signature(body)}", held

    def read(self, text: str) -> Held | None:
        """Return what a session says; None for one that is not ours, has ended, or was signed out of here."""
        body, dot, signature = text.partition(".")
        if not dot or not hmac.compare_digest(
            self._signature(body.encode("latin-1", "replace")).encode(), signature.encode()
        ):
            return None
        try:
            packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            held = msgspec.json.decode(packed, type=Held)
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            return None
        return None if held.until <= time.time() or held.id in self._ended else held

    def end(self, held: Held) -> None:
        """Sign out."""
        self._ended[held.id] = held.until
        while self._ended and (
            len(self._ended) > _SIGNED_OUT or next(iter(self._ended.values())) <= time.time()
        ):
            self._ended.popitem(last=False)

    def cookie(self, value: str, path: str, *, secure: bool) -> str:
        """Return a Set-Cookie header that holds a session, or with "" takes it away."""
        age = int(self._seconds) if value else 0
        parts = [f"{COOKIE}={value}", f"Path={path or '/'}", f"Max-Age={age}", "HttpOnly", "SameSite=Strict"]
        return "; ".join([*parts, "Secure"] if secure else parts)

    def _signature(self, body: bytes) -> str:
        digest = hmac.digest(self._key, body, sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
