"""Which primary of a cluster has which slots, as CLUSTER SLOTS tells it."""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable, Reply

Place: TypeAlias = tuple[str, int]
SLOTS = 16_384


class SlotMap(msgspec.Struct, frozen=True):
    """`primaries` by slot, None where nobody serves it; `replicas` are further nodes that know the cluster."""

    primaries: list[Place | None]
    replicas: frozenset[Place]

    def places(self) -> list[Place]:
        """Return the primaries, in the order of their first slots."""
        return list(dict.fromkeys(each for each in self.primaries if each is not None))


def slot_of(key: Encodable) -> int:
    """Return the slot of a key or a channel: by what stands between its first braces, where there is anything."""
    raw = key if isinstance(key, bytes) else str(key).encode()
    begin = raw.find(b"{") + 1
    end = raw.find(b"}", begin) if begin else 0
    return crc_hqx(raw[begin:end] if end > begin else raw, 0) % SLOTS


def parse_slots(reply: Reply, asked: str) -> SlotMap:
    """Read the reply to CLUSTER SLOTS; `asked` is the host that gave it, for a node that does not know its own."""
    primaries: list[Place | None] = [None] * SLOTS
    replicas: set[Place] = set()
    for first, last, *nodes in cast("list[tuple[int, int, list[object]]]", reply):
        places = [_place(node, asked) for node in nodes]
        primaries[first : last + 1] = places[:1] * (last + 1 - first)
        replicas.update(places[1:])
    return SlotMap(primaries, frozenset(replicas))


def parse_moved(text: str, asked: str) -> tuple[int, Place]:
    """Read `MOVED slot host:port`, which names no host where it is the one that was asked. Raises ValueError."""
    _, slot, place = text.split(" ", 2)
    host, _, port = place.rpartition(":")
    return int(slot), (host or asked, int(port))


def _place(node: list[object], asked: str) -> Place:
    host, port = cast("tuple[bytes | None, int]", tuple(node[:2]))
    name = (host or b"").decode()
    return (asked if name in {"", "?"} else name, port)
