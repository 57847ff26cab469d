"""What supervisor and child say to each other: JSON lines over a socket pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ChildConfig(msgspec.Struct, frozen=True, tag="config"):
    """The first line a child reads. It holds the server's URL with its password, so it never goes by arguments or logs.

    `off` names what is not to be written down of the queues: metrics, events.
    """

    redis_url: str
    prefix: str
    features: tuple[str, ...] | None
    processors: tuple[str, ...] | None
    weights: tuple[str, ...]
    queues: tuple[str, ...] | None
    concurrency: int | None
    grace: float
    log_level: str
    log_format: str
    off: str = ""


class Beaten(msgspec.Struct, frozen=True, tag="beaten"):
    """Supervisor to child: the leases were renewed."""


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """Supervisor to child: the server holds this owner for dead."""

    queue: str
    owner: str


class Stalled(msgspec.Struct, frozen=True, tag="stalled"):
    """Supervisor to child: these jobs wait again, for their worker died under them."""

    queue: str
    job_ids: list[str]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Supervisor to child: claim no more, finish, exit."""


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """Supervisor to child: claim from all queues but these."""

    quiet: list[str]


class Slots(msgspec.Struct, frozen=True, tag="slots"):
    """Supervisor to child: run at most so many jobs of a queue at once."""

    queue: str
    slots: int


class QueueFacts(msgspec.Struct, frozen=True):
    """What the supervisor has to know of a queue. Durations in ms; `per_slot` is how many jobs one of its handlers takes."""

    lock_duration_ms: int
    stalled_interval_ms: int
    slots: int
    jobs: tuple[str, ...]
    missing: dict[str, list[str]]
    per_slot: int = 1


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Child to supervisor: it claims."""

    queues: dict[str, QueueFacts]


class Owner(msgspec.Struct, frozen=True, tag="owner"):
    """Child to supervisor: renew the lease of this owner, or let it be."""

    queue: str
    owner: str
    alive: bool


class Stats(msgspec.Struct, frozen=True, tag="stats"):
    """Child to supervisor, each second; `claimed_at` is when the server last answered a claim, in Unix s (0: not yet)."""

    active: int
    completed: int
    failed: int
    retried: int
    lost: int
    avg_ms: float
    lag_ms: float
    connected: bool
    claimed_at: float = 0.0


EXIT_OK = 0
EXIT_CONFIGURATION = 2
EXIT_GRACE_EXCEEDED = 143
# Of one message; `Ready` grows with the queues.
LIMIT = 1 << 22

ToChild = ChildConfig | Beaten | Gone | Stalled | Stop | Serve | Slots
ToSupervisor = Ready | Owner | Stats
_encode = msgspec.json.Encoder().encode
_to_child = msgspec.json.Decoder(ToChild)
_to_supervisor = msgspec.json.Decoder(ToSupervisor)


def send(writer: asyncio.StreamWriter, message: ToChild | ToSupervisor) -> None:
    """Send a message; a peer that is gone is noticed elsewhere."""
    if not writer.is_closing():
        writer.write(_encode(message) + b"\n")


async def from_supervisor(reader: asyncio.StreamReader) -> AsyncIterator[ToChild]:
    """Yield messages until the supervisor closes the socket or dies."""
    async for line in _lines(reader):
        yield _to_child.decode(line)


async def from_child(reader: asyncio.StreamReader) -> AsyncIterator[ToSupervisor]:
    """Yield messages until the child ends."""
    async for line in _lines(reader):
        yield _to_supervisor.decode(line)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await reader.readline()
        except (ConnectionError, ValueError):
            return
        if not line.endswith(b"\n"):
            return
        yield line
