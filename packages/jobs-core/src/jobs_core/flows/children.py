"""Jobs that are added to a flow while it is filled: the script that takes them gives out their ordinals, so the relay completes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.dead_letters import unpack_parts
from jobs_core.flows.edges import Edge, options_text
from jobs_core.flows.modes import Mode
from jobs_core.wire import pack_drafts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.wire import Draft

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_children(drafts: Sequence[Draft], mode: Mode) -> bytes:
    """Return jobs as the content of an effect `children`; one without an id gets it by its place in the flow."""
    return _encode((mode.value, pack_drafts(drafts)))


def child_id(flow: str, ordinal: int) -> str:
    """Return the id of a job of a flow that was given none."""
    return f"{flow}.{ordinal}"


def children(source: str, content: bytes) -> list[Encodable]:
    """Return the jobs of an effect `children` of this queue as enqueue takes them, each with the edge to its flow."""
    flow, first, packed = unpack_parts(content)
    mode, groups = cast("tuple[str, list[Encodable]]", _decode(packed))
    ordinal, at = int(first), 0
    made: list[Encodable] = []
    while at < len(groups):
        count = cast("int", groups[at])
        edge = Edge(source, flow.decode(), ordinal, Mode(mode))
        options = options_text(cast("str", groups[at + 5]), edges=str(edge))
        made += (*groups[at : at + 5], options)
        jobs = groups[at + 6 : at + 6 + 2 * count]
        for place in range(count):
            made += (jobs[2 * place] or child_id(edge.flow, ordinal + place), jobs[2 * place + 1])
        ordinal += count
        at += 6 + 2 * count
    return made
