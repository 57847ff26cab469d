"""The cache of pages at CACHE_URL: one value for each page, gone when its time is over.

async with PageCache.from_env() as cache:
    page = await cache.get("https://example.com/")
"""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Self, cast

import msgspec

from jobs_core.connection import client_for, parse_address
from jobs_core.errors import SettingsError
from jobs_core.settings import FeatureSettings

if TYPE_CHECKING:
    from types import TracebackType

_TIMEOUT = 5.0
_PREFIX = "page-cache"
_SCHEMES = "a URL redis://, rediss:// or unix://"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it was fetched, and until when it may be served. Times in Unix ms."""

    url: str
    body: bytes
    content_type: str
    fetched_at_ms: int
    expires_at_ms: int
    etag: str = ""

    @property
    def age(self) -> float:
        """Seconds since it was fetched, or last found unchanged."""
        return max(time.time() - self.fetched_at_ms / 1000, 0.0)

    @property
    def ttl(self) -> float:
        """Seconds for which it may still be served."""
        return max(self.expires_at_ms / 1000 - time.time(), 0.0)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Page).decode


class PageCache:
    """Read and write pages by their URL. Belongs to the event loop it is opened on."""

    def __init__(self, url: str, *, prefix: str = _PREFIX) -> None:
        """Prepare a cache on a server. Raises ConfigurationError."""
        self._client = client_for(parse_address(url), name="jobs:page-cache")
        self._prefix = prefix

    @classmethod
    def from_env(cls) -> Self:
        """Make the cache at CACHE_URL. Raises SettingsError where that is unset."""
        url = FeatureSettings.from_env().cache_url
        if url is None:
            raise SettingsError("CACHE_URL", "", _SCHEMES)
        return cls(url)

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectionFailed."""
        try:
            await self._client.connect(timeout=_TIMEOUT)
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._client.close()

    async def get(self, url: str) -> Page | None:
        """Return a page, None where there is none. Raises ConnectionFailed."""
        reply = await self._client.call("GET", self._key(url), deadline=_deadline())
        if reply is None:
            return None
        try:
            return _decode(cast("bytes", reply))
        except msgspec.MsgspecError:
            # Of another version, or not ours: a cache may forget.
            return None

    async def put(self, page: Page) -> None:
        """Store a page until its time is over. Raises ConnectionFailed."""
        # In one command: a value without an end would stay for ever.
        left = max(round(page.ttl * 1000), 1)
        await self._client.call(
            "SET", self._key(page.url), _encode(page), "PX", str(left), deadline=_deadline()
        )

    def _key(self, url: str) -> str:
        return f"{self._prefix}:{sha256(url.encode()).hexdigest()}"


def _deadline() -> float:
    return asyncio.get_running_loop().time() + _TIMEOUT
