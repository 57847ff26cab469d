"""The tokens of the roles, and what becomes of those who guess them."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from jobs_dashboard.problems import Refused
from jobs_dashboard.roles import Role

if TYPE_CHECKING:
    from jobs_core.settings import DashboardSettings

__all__ = ["Attempts", "Tokens"]

# So many wrong tokens at once, then one more each so many seconds; of so many addresses this is remembered.
_AT_ONCE = 10
_ONE_MORE_S = 6.0
_ADDRESSES = 10_000


class Tokens:
    """The tokens in use."""

    def __init__(self, settings: DashboardSettings | None) -> None:
        """Take those that are set."""
        given = (
            []
            if settings is None
            else [
                (Role.ADMIN, settings.token),
                (Role.OPERATOR, settings.operator_token),
                (Role.VIEWER, settings.viewer_token),
            ]
        )
        self._tokens = [(role, token.encode()) for role, token in given if token]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._tokens)

    def role(self, given: bytes) -> Role | None:
        """Return whose token it is, in the same time whichever it is and however much of it is right."""
        matches = [role for role, known in self._tokens if hmac.compare_digest(known, given)]
        return max(matches, default=None)

    @property
    def secret(self) -> bytes:
        """What follows from all of them and tells none."""
        digest = sha256(b"jobs dashboard")
        for role, token in self._tokens:
            digest.update(b"%d %d " % (role, len(token)) + token)
        return digest.digest()


class _Bucket:
    def __init__(self, now: float, left: int) -> None:
        self.left = float(left)
        self.at = now
        self.wrong: OrderedDict[bytes, None] = OrderedDict()


class Attempts:
    """Counts wrong tokens by the address that sent them. The same wrong one again teaches nobody anything, so it counts once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, at_once: int = _AT_ONCE) -> None:
        """Count by a clock in seconds; so many may be wrong at once."""
        self._clock = clock
        self._at_once = at_once
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def check(self, address: str) -> None:
        """Refuse who sent too many wrong ones, whatever comes now. Raises Refused."""
        bucket = self._bucket(address)
        if bucket is not None and bucket.left < 1:
            wait = round((1 - bucket.left) * _ONE_MORE_S) + 1
            detail = f"Too many wrong tokens came from {address}. Try again in {wait} s."
            raise Refused(429, "too_many_attempts", "Too many attempts", detail, {"Retry-After": str(wait)})

    def wrong(self, address: str, given: bytes) -> None:
        """Count a wrong token."""
        bucket = self._bucket(address)
        if bucket is None:
            bucket = self._buckets[_network(address)] = _Bucket(self._clock(), self._at_once)
            if len(self._buckets) > _ADDRESSES:
                self._buckets.popitem(last=False)
        digest = sha256(given).digest()
        if digest in bucket.wrong:
            return
        bucket.wrong[digest] = None
        if len(bucket.wrong) > _AT_ONCE * 2:
            bucket.wrong.popitem(last=False)
        bucket.left -= 1

    def _bucket(self, address: str) -> _Bucket | None:
        name = _network(address)
        bucket = self._buckets.get(name)
        if bucket is None:
            return None
        self._buckets.move_to_end(name)
        now = self._clock()
        bucket.left = min(float(self._at_once), bucket.left + (now - bucket.at) / _ONE_MORE_S)
        bucket.at = now
        return bucket


def _network(address: str) -> str:
    """Return what one attacker has many addresses of."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
