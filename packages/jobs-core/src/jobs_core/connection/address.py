"""Where the server is, parsed from a URL: one server, a service behind sentinels, or a cluster.

The repr and `display` never hold the password.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from jobs_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
_PORT = 6379
_SENTINEL_PORT = 26379
# What Sentinel itself takes; a password that got here by mistake is not shown.
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")
_ESCAPE = "special characters of a password must be percent-encoded (/ is %2F, @ is %40, # is %23)"


class Address(msgspec.Struct, frozen=True):
    """One server: TCP or TLS with host and port, or a unix socket with a path.

    With `hosts` it is not known yet which server that is: they are the sentinels that name the primary of `service`, or
    nodes of a cluster. Credentials, database and TLS are those of the servers.
    """

    host: str
    port: int
    path: str
    db: int
    username: str
    password: str
    tls: bool
    verify: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""

    @property
    def cluster(self) -> bool:
        """Whether it is a cluster."""
        return bool(self.hosts) and not self.service

    @property
    def display(self) -> str:
        """The address as it may be shown: no user, no password."""
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        scheme = "rediss" if self.tls else "redis"
        hosts = ",".join(_shown(host, port) for host, port in self.hosts)
        if self.service:
            return f"{scheme}+sentinel://{hosts}/{self.service}/{self.db}"
        if hosts:
            return f"{scheme}+cluster://{hosts}"
        return f"{scheme}://{_shown(self.host, self.port)}/{self.db}"

    def at(self, host: str, port: int) -> Address:
        """Return the address of one of the servers."""
        return msgspec.structs.replace(self, host=host, port=port, hosts=(), service="")

    def __repr__(self) -> str:
        """Show the address without its credentials."""
        return f"Address({self.display!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same where rich prints it: without this it would show every field."""
        return [("url", self.display)]


def parse_address(url: str) -> Address:
    """Parse a server URL.

    `redis://[user:password@]host[:port][/db]`, `rediss://…`, `unix:///path?db=0`,
    `redis+sentinel://[user:password@]host[:port][,…]/service[/db]` and `redis+cluster://[user:password@]host[:port][,…]`;
    with `rediss+` the last two use TLS.

    Raises ConfigurationError. Its text quotes nothing of the URL but the scheme: what a missing `%2F` made of
    a password may have ended up anywhere.
    """
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in SCHEMES + SENTINEL_SCHEMES + CLUSTER_SCHEMES:
        raise ConfigurationError(
            "the server URL must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    if scheme in SCHEMES:
        return _parse_single(url)
    return _parse_several(url, sentinel=scheme in SENTINEL_SCHEMES)


def _parse_single(url: str) -> Address:
    parts, host, port = _split(url, _PORT)
    query = parse_qs(parts.query)
    path, db = "", parts.path.strip("/") or _first(query, "db") or "0"
    if parts.scheme == "unix":
        path, db = unquote(parts.netloc.rpartition("@")[2] + parts.path), _first(query, "db") or "0"
        if not path:
            raise ConfigurationError("a unix:// URL needs the path of the socket: unix:///run/valkey.sock")
    return _address(
        parts,
        host="" if path else host,
        port=0 if path else port,
        path=path,
        db=_database(db),
        tls=parts.scheme == "rediss",
    )


def _parse_several(url: str, *, sentinel: bool) -> Address:
    head, _, rest = url.partition("://")
    # Only the authority has several hosts: one after the other takes its place.
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after = rest[len(authority) :]
    user, at, hosts = authority.rpartition("@")
    found: list[tuple[str, int]] = []
    parts = urlsplit("")
    for each in hosts.split(","):
        parts, host, port = _split(f"{head}://{user}{at}{each}{after}", _SENTINEL_PORT if sentinel else _PORT)
        found.append((host, port))
    query = parse_qs(parts.query)
    service, _, db = unquote(parts.path).strip("/").partition("/")
    if not sentinel:
        db, service = service, ""
    elif not _SERVICE.fullmatch(service):
        raise ConfigurationError(
            "a redis+sentinel:// URL needs the name of a service (letters, digits, . - _): "
            f"redis+sentinel://host1,host2/mymaster; {_ESCAPE}"
        )
    number = _database(db or _first(query, "db") or "0")
    if number and not sentinel:
        raise ConfigurationError("a cluster has the database 0 alone")
    return _address(
        parts,
        host="",
        port=0,
        path="",
        db=number,
        tls=parts.scheme.startswith("rediss"),
        hosts=tuple(dict.fromkeys(found)),
        service=service,
    )


def _split(url: str, default: int) -> tuple[SplitResult, str, int]:
    """Split a URL of one host; return its parts, host and port."""
    try:
        parts = urlsplit(url)
        port = default if parts.port is None else parts.port
    except ValueError:
        raise ConfigurationError(f"the server URL has no valid host and port; {_ESCAPE}") from None
    if port == 0:
        raise ConfigurationError("the port of the server URL must be from 1 to 65535")
    return parts, unquote(parts.hostname or "localhost"), port


def _database(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(f"the database of the server URL must be a number, as in /0; {_ESCAPE}")
    return int(text)


def _address(
    parts: SplitResult,
    *,
    host: str,
    port: int,
    path: str,
    db: int,
    tls: bool,
    hosts: tuple[tuple[str, int], ...] = (),
    service: str = "",
) -> Address:
    query = parse_qs(parts.query)
    return Address(
        host=host,
        port=port,
        path=path,
        db=db,
        username=unquote(parts.username or "") or _first(query, "username"),
        password=unquote(parts.password or "") or _first(query, "password"),
        tls=tls,
        verify=_first(query, "ssl_cert_reqs").lower() != "none",
        ca_file=_first(query, "ssl_ca_certs"),
        cert_file=_first(query, "ssl_certfile"),
        key_file=_first(query, "ssl_keyfile"),
        hosts=hosts,
        service=service,
        sentinel_username=_first(query, "sentinel_username"),
        sentinel_password=_first(query, "sentinel_password"),
    )


def _first(query: Mapping[str, Sequence[str]], name: str) -> str:
    return query.get(name, [""])[0]


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
