"""Edges: how a job says, in the text that scripts keep of it, whom to tell of its end.

An edge is `QUEUE:FLOW:ORDINAL:MODE`: the queue and id of the flow that follows the job, which of its jobs it is, and what becomes
of the flow when the job does not complete. Jobs that follow a failure alone are an edge too: `QUEUE:!:CONTENT`. Several are
joined by `;`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import msgspec

from jobs_core.wire import Draft, pack_drafts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Edge", "Mode", "Sign", "failure_edge", "joined", "options_text", "parse_edge"]


class Mode(StrEnum):
    """What an edge does when its job ends otherwise than by completing.

    The first four are the policies of a parent's edge to a child. `AFTER_SUCCESS`, `AFTER_FAILURE` and `AFTER_ALL` are
    conditions of a workflow's step: where one does not come true, the step is skipped. `COUNTED` and `TOLERATED` are edges to a
    flow that has no job of its own.
    """

    FAIL_PARENT = "f"
    IGNORE = "i"
    CONTINUE = "c"
    REMOVE = "r"
    AFTER_SUCCESS = "s"
    AFTER_FAILURE = "x"
    AFTER_ALL = "a"
    COUNTED = "n"
    TOLERATED = "o"


class Sign(StrEnum):
    """How a job ended that a flow follows."""

    COMPLETED = "c"
    FAILED = "f"
    CANCELLED = "x"
    EXPIRED = "e"
    REMOVED = "r"
    SKIPPED = "s"
    MISSING = "m"


class Edge(msgspec.Struct, frozen=True):
    """One edge: to which flow of which queue, as which of its jobs (from 0), and in which mode."""

    queue: str
    flow: str
    ordinal: int
    mode: Mode

    def __str__(self) -> str:
        """Return it as scripts keep it."""
        return f"{self.queue}:{quote(self.flow, safe='')}:{self.ordinal}:{self.mode}"


def parse_edge(queue: str, rest: str) -> Edge:
    """Return the edge to a queue of what stands behind that queue in its text. Raises ValueError."""
    flow, ordinal, mode = rest.split(":")
    return Edge(queue, unquote(flow), int(ordinal), Mode(mode))


def failure_edge(queue: str, drafts: Sequence[Draft]) -> str:
    """Return the edge of a job whose failure for good is followed by these jobs of a queue."""
    return f"{queue}:!:{msgspec.msgpack.encode(pack_drafts(drafts)).hex()}"


def joined(edges: Iterable[Edge | str]) -> str:
    """Return edges as one text."""
    return ";".join(map(str, edges))


def options_text(options: str, *, edges: str = "", blocks: int | None = None) -> str:
    """Add to what the server decides by when it takes a job: its edges, and for how many others it waits."""
    parts = [options] if options else []
    if edges:
        parts.append(f"edges={edges}")
    if blocks is not None:
        parts.append(f"blocks={blocks}")
    return ",".join(parts)
