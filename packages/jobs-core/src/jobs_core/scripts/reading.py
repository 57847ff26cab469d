"""Replies of the server as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Reply


def texts(reply: Reply) -> list[str]:
    """Return a list of texts."""
    return [item.decode() for item in cast("list[bytes]", reply)]


def fields(reply: Reply) -> dict[str, bytes]:
    """Return names and values, which come one after the other."""
    flat = iter(cast("list[bytes]", reply))
    return {field.decode(): value for field, value in zip(flat, flat, strict=True)}


def counts(reply: Reply) -> dict[str, int]:
    """Return names and counts, which come one after the other."""
    flat = iter(cast("list[bytes]", reply))
    return {field.decode(): int(count) for field, count in zip(flat, flat, strict=True)}
