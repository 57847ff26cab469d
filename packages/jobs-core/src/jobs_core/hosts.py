"""Hosts that are allowed by name, as variables list them."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import urlsplit

from jobs_core.errors import SettingsError

__all__ = ["Hosts", "parse_hosts"]

Hosts: TypeAlias = frozenset[tuple[str, int | None]]
"""Hosts, each with one port or with all (None)."""


def parse_hosts(text: str, *, variable: str) -> Hosts:
    """Read a comma-separated list of `host` and `host:port`, an IPv6 address in brackets.

    Raises SettingsError that names `variable`.
    """
    return frozenset(_parse_host(part.strip(), variable) for part in text.split(",") if part.strip())


def _parse_host(part: str, variable: str) -> tuple[str, int | None]:
    try:
        parsed = urlsplit(f"//{part}")
        port = parsed.port
        host = (parsed.hostname or "").encode("idna").decode()
    except ValueError:
        parsed, host, port = None, "", None
    if parsed is None or not host or parsed.netloc != part or "@" in part or "*" in part:
        raise SettingsError(variable, part, "host or host:port, separated by commas, without patterns")
    return host, port
