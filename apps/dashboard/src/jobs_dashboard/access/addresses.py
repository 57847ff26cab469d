"""Where requests come from, and under which name they ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["Network", "asked_by", "host_name", "host_of", "is_loopback", "is_trusted"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(host: str) -> bool:
    """Tell whether a host, given by address or as localhost, is this machine and no other."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_trusted(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is one of a trusted proxy."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks if network.version == found.version)


def asked_by(scope: Scope, proxies: Sequence[Network]) -> str:
    """Return the address that a request comes from: behind trusted proxies what the outermost of them says."""
    client = scope.get("client")
    address = client[0] if client else ""
    forwarded = Headers(scope=scope).get("x-forwarded-for", "")
    for each in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not is_trusted(address, proxies):
            break
        address = each
    return address


def host_of(text: str) -> str:
    """Return the host and port of a URL or an Origin, in lower case."""
    return text.partition("://")[2].partition("/")[0].lower()


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
