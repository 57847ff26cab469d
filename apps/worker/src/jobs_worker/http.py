"""Reach addresses that came in a payload, without being led into the private network.

The check sits where a socket is made, after every name has been resolved: what is judged is the address that
is about to be connected, so neither a rebinding name nor a number in disguise gets past it.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.typedefs import LooseHeaders
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from jobs_core.errors import JobsError
from jobs_core.hosts import Hosts

_KEEP_METHOD = (307, 308)
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = IPv6Network("64:ff9b::/96")
_CHUNK = 8192
_MAX_URL = 8192


class AddressRefused(JobsError):
    """The address may not be contacted. `url` is its scheme, host and port, without path or credentials."""

    code = "address_refused"

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"{url} is refused: {reason}")


class AllowedHosts(Struct, frozen=True):
    """The hosts that may be contacted whatever they resolve to, each with one port or with all (None)."""

    hosts: Hosts = frozenset()

    def admit(self, host: str, port: int | None) -> bool:
        """Tell whether the host is allowed by name on this port."""
        return (host.lower(), None) in self.hosts or (host.lower(), port) in self.hosts


class Reply(Struct, frozen=True, kw_only=True):
    """An HTTP answer; `truncated` tells that the body went on beyond what was read."""

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    truncated: bool


class _Attempt:
    """Whether one request may go anywhere, the address it was refused, and whether it tried another."""

    def __init__(self, *, by_name: bool) -> None:
        self.by_name = by_name
        self.refused: str | None = None
        self.tried = False


# Read where the socket is made, which may be a task of its own: tasks inherit the context they start in.
_attempt: ContextVar[_Attempt | None] = ContextVar("jobs_worker_http_attempt", default=None)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to the public internet, judging an IPv6 one by the IPv4 it carries."""
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(carried)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )


# aiohttp's own type leaves the last part open; its first element is the host in every family it connects.
_AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]


def _guarded_socket(info: _AddressInfo) -> socket.socket:
    """Make the socket for one address, or raise OSError where that address is out of bounds."""
    family, kind, protocol, _, address = info
    host = str(address[0])
    attempt = _attempt.get() or _Attempt(by_name=False)
    if not attempt.by_name and not _reads_public(host):
        attempt.refused = host
        raise OSError(f"{host} is not a public address")
    attempt.tried = True
    return socket.socket(family, kind, protocol)


def _reads_public(host: str) -> bool:
    try:
        return is_public(ip_address(host))
    except ValueError:
        # `2130706433` and the like: the system would read it as an address, so it is none to trust.
        return False


class GuardedSession:
    """An HTTP client that contacts public addresses and the hosts allowed by name, nothing else.

    It uses no proxy, keeps no cookies, asks for uncompressed answers and reads a bounded part of them.
    """

    def __init__(self, session: aiohttp.ClientSession, allowed: AllowedHosts) -> None:
        self._session = session
        self._allowed = allowed

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        origin_headers: Mapping[str, str] | None = None,
        max_redirects: int = 3,
        max_body: int = 65536,
    ) -> Reply:
        """Send one request and return the answer, whatever its status.

        A 307 or 308, and every redirect of a GET, is followed up to `max_redirects` times, each target checked like the
        first; any other, and one too many, is returned as it is. `origin_headers` go to the origin of `url` only.
        `timeout` (seconds) holds for all of it; at most `max_body` bytes are read.

        Raises AddressRefused, TimeoutError, and aiohttp.ClientError where no answer came.
        """
        origin = target = _checked(url)
        followed = _REDIRECTS if method == "GET" else _KEEP_METHOD
        async with asyncio.timeout(timeout):
            while True:
                sent = CIMultiDict(headers or {})
                if target.origin() == origin.origin():
                    sent.update(origin_headers or {})
                reply = await self._exchange(method, target, body, sent, max_body)
                location = reply.headers.get("Location")
                if reply.status not in followed or location is None or max_redirects == 0:
                    return reply
                following = _checked(location, base=target)
                if target.scheme == "https" and following.scheme == "http":
                    raise AddressRefused(_shown(following), "a redirect must not lead from https to http")
                target = following
                max_redirects -= 1

    async def _exchange(
        self, method: str, target: URL, body: bytes | None, headers: LooseHeaders, max_body: int
    ) -> Reply:
        attempt = _Attempt(by_name=self._allowed.admit(target.raw_host or "", target.port))
        token = _attempt.set(attempt)
        try:
            async with self._session.request(
                method, target, data=body, headers=headers, allow_redirects=False
            ) as response:
                content, truncated = await _read(response, max_body)
                return Reply(
                    url=str(target),
                    status=response.status,
                    headers=response.headers,
                    body=content,
                    truncated=truncated,
                )
        except aiohttp.InvalidURL as error:
            raise AddressRefused(_shown(target), "it is not a valid address") from error
        except aiohttp.ClientConnectorError as error:
            if attempt.refused is None or attempt.tried:
                raise
            reason = f"{attempt.refused} is not a public address. Allow the host by name if it is trusted"
            raise AddressRefused(_shown(target), reason) from error
        finally:
            _attempt.reset(token)


@asynccontextmanager
async def guarded_session(
    allowed: AllowedHosts,
    *,
    resolver: AbstractResolver | None = None,
    connections: int = 100,
) -> AsyncGenerator[GuardedSession]:
    """Open a guarded session with a pool of at most `connections`; close it on exit."""
    connector = aiohttp.TCPConnector(limit=connections, resolver=resolver, socket_factory=_guarded_socket)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # The caller's deadline holds for all redirects together, so no request has one of its own.
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    ) as session:
        yield GuardedSession(session, allowed)


def _checked(text: str, *, base: URL | None = None) -> URL:
    """Parse an address and refuse what no request may go to."""
    try:
        if len(text) > _MAX_URL:
            raise AddressRefused("the address", f"it is longer than {_MAX_URL} characters")
        url = URL(text)
        if base is not None:
            url = base.join(url)
        known = url.scheme in {"http", "https"} and bool(url.raw_host) and url.port is not None
    except ValueError as error:
        raise AddressRefused("the address", "it is not a valid URL") from error
    if not known:
        raise AddressRefused("the address", "only http and https URLs with a host are taken")
    if url.user is not None or url.password is not None:
        raise AddressRefused(_shown(url), "credentials in a URL are not taken. Send them in a header")
    return url


def _shown(url: URL) -> str:
    return str(url.with_user(None).origin())


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Read at most `limit` bytes; a longer body costs the connection, which is cheaper than reading on."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) > limit:
            response.close()
            return bytes(content[:limit]), True
    return bytes(content), False
