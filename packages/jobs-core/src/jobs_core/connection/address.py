"""Where the server is, parsed from a URL; its repr and `display` never hold the password."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from jobs_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMES = ("redis", "rediss", "unix")
_PLANNED = ("redis+sentinel", "redis+cluster")
_ESCAPE = "special characters of a password must be percent-encoded (/ is %2F, @ is %40, # is %23)"


class Address(msgspec.Struct, frozen=True):
    """One server: TCP or TLS with host and port, or a unix socket with a path."""

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

    @property
    def display(self) -> str:
        """The address as it may be shown: no user, no password."""
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        """Show the address without its credentials."""
        return f"Address({self.display!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same where rich prints it: without this it would show every field."""
        return [("url", self.display)]

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for TLS: verification is on unless the URL says `ssl_cert_reqs=none`."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file or None)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse_address(url: str) -> Address:
    """Parse a server URL: `redis://[user:password@]host[:port][/db]`, `rediss://…`, `unix:///path?db=0`.

    Raises ConfigurationError. Its text quotes nothing of the URL but the scheme: what a missing `%2F` made of
    a password may have ended up anywhere.
    """
    try:
        parts = urlsplit(url)
        port = 6379 if parts.port is None else parts.port
    except ValueError:
        raise ConfigurationError(f"the server URL has no valid host and port; {_ESCAPE}") from None
    scheme = parts.scheme
    if scheme in _PLANNED:
        raise ConfigurationError(
            f"{scheme}:// is not supported by this version yet; "
            "give the URL of one server (redis://, rediss:// or unix://)"
        )
    if scheme not in SCHEMES or not url.lower().startswith(f"{scheme}://"):
        raise ConfigurationError("the server URL must begin with redis://, rediss:// or unix://")
    if port == 0:
        raise ConfigurationError("the port of the server URL must be from 1 to 65535")
    query = parse_qs(parts.query)
    path, db = "", parts.path.strip("/") or _first(query, "db") or "0"
    if scheme == "unix":
        path, db = unquote(parts.netloc.rpartition("@")[2] + parts.path), _first(query, "db") or "0"
        if not path:
            raise ConfigurationError("a unix:// URL needs the path of the socket: unix:///run/valkey.sock")
    if not (db.isascii() and db.isdecimal()):
        raise ConfigurationError(f"the database of the server URL must be a number, as in /0; {_ESCAPE}")
    return Address(
        host="" if path else unquote(parts.hostname or "localhost"),
        port=0 if path else port,
        path=path,
        db=int(db),
        username=unquote(parts.username or "") or _first(query, "username"),
        password=unquote(parts.password or "") or _first(query, "password"),
        tls=scheme == "rediss",
        verify=_first(query, "ssl_cert_reqs").lower() != "none",
        ca_file=_first(query, "ssl_ca_certs"),
        cert_file=_first(query, "ssl_certfile"),
        key_file=_first(query, "ssl_keyfile"),
    )


def _first(query: Mapping[str, Sequence[str]], name: str) -> str:
    return query.get(name, [""])[0]
