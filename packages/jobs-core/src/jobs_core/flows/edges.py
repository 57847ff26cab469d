"""Edges: how a job says, in the text that scripts keep of it, whom to tell of its end.

An edge is `QUEUE:FLOW:ORDINAL:MODE`: the queue and id of the flow that follows the job, which of its jobs it is, and what becomes
of the flow when the job does not complete. Jobs that follow a failure alone are an edge too: `QUEUE:!:CONTENT`. Several are
joined by `;`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import msgspec
from msgspec.structs import replace

from jobs_core.flows.modes import Mode
from jobs_core.wire import EFFECTS, Alike, Draft, pack_drafts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs_core.flows.dependencies import Awaited

__all__ = [
    "Edge",
    "bound",
    "failure_edge",
    "failure_edges",
    "follow_edges",
    "joined",
    "options_text",
    "parse_edge",
    "with_edges",
]


class Edge(msgspec.Struct, frozen=True):
    """One edge: to which flow of which queue, as which of its jobs (from 0), and in which mode.

    `generation` is that of the flow when the job was told to run again.
    """

    queue: str
    flow: str
    ordinal: int
    mode: Mode
    generation: int = 0

    @property
    def how(self) -> str:
        """The mode, with the generation where there is one."""
        return f"{self.mode}{self.generation or ''}"

    def __str__(self) -> str:
        """Return it as scripts keep it."""
        return f"{self.queue}:{quote(self.flow, safe='')}:{self.ordinal}:{self.how}"


def parse_edge(queue: str, rest: str) -> Edge:
    """Return the edge to a queue of what stands behind that queue in its text. Raises ValueError."""
    flow, ordinal, mode = rest.split(":")
    return Edge(queue, unquote(flow), int(ordinal), Mode(mode[:1]), int(mode[1:] or 0))


def failure_edge(queue: str, drafts: Sequence[Draft]) -> str:
    """Return the edge of a job whose failure for good is followed by these jobs of a queue."""
    return f"{queue}:!:{msgspec.msgpack.encode(pack_drafts(drafts)).hex()}"


def joined(edges: Iterable[Edge | str]) -> str:
    """Return edges as one text."""
    return ";".join(map(str, edges))


def with_edges(draft: Draft, edges: str, *, blocks: int | None = None) -> Draft:
    """Return a new job with its edges, and for how many others it waits."""
    return replace(draft, alike=bound(draft.alike, edges, blocks=blocks))


def bound(alike: Alike, edges: str, *, blocks: int | None = None) -> Alike:
    """Return what a job shares with others of its kind, with its edges and for how many others it waits: so it shares it with none."""
    lead, name, delay_ms, run_at_ms, options = alike
    lead = bytes((lead[0], lead[1] | (EFFECTS if edges else 0), *lead[2:]))
    return (lead, name, delay_ms, run_at_ms, options_text(options, edges=edges, blocks=blocks))


def options_text(options: str, *, edges: str = "", blocks: int | None = None) -> str:
    """Add to what the server decides by when it takes a job: its edges, and for how many others it waits."""
    parts = [options] if options else []
    if edges:
        parts.append(f"edges={edges}")
    if blocks is not None:
        parts.append(f"blocks={blocks}")
    return ",".join(parts)


def follow_edges(queue: str, job_id: str, awaited: Sequence[Awaited]) -> dict[str, list[str]]:
    """Return for each queue the ids that a job waits for and the edges to it, one after the other."""
    edges: dict[str, list[str]] = {}
    for place, each in enumerate(awaited):
        edge = str(Edge(queue, job_id, place, each.mode))
        edges.setdefault(each.queue or queue, []).extend((each.id, edge))
    return edges


def failure_edges(drafts: Mapping[str, Iterable[Draft]]) -> str:
    """Return the edges of a job whose failure for good is followed by these jobs, by queue."""
    return joined(failure_edge(queue, list(each)) for queue, each in drafts.items())
