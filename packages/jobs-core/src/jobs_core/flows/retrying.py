"""What of a flow that failed runs again: the jobs that did not complete, each with the edges that are to be open again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_core.flows.edges import Edge, joined
from jobs_core.flows.ends import read_ended
from jobs_core.flows.graph import decode_node
from jobs_core.flows.modes import Mode, Sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.flows.graph import NodeInfo
    from jobs_core.scripts.flows import FlowJob

__all__ = ["retry_arguments"]

_TOLERANT = frozenset({Mode.IGNORE, Mode.REMOVE, Mode.CONTINUE})


def retry_arguments(queue: str, flow_id: str, jobs: Sequence[FlowJob]) -> list[Encodable]:
    """Return what `flow_retry` takes of the jobs of a flow, in order: those that did not complete.

    One that nothing is known of, neither listed nor told of by name, cannot run again and is left out.
    """
    nodes = [decode_node(job.node) if job.node else None for job in jobs]
    again = {number: where for number, job in enumerate(jobs) if (where := _incomplete(job, nodes[number]))}
    followers: dict[int, list[Edge]] = {number: [] for number in again}
    opens: dict[int, list[int]] = {number: [] for number in again}
    for number, node in enumerate(nodes):
        for place, (before, mode) in enumerate(node.after if node else ()):
            if before not in again or node is None:
                continue
            followers[before].append(Edge(node.queue, node.id, place, Mode(mode)))
            if number in again:
                opens[number].append(place)
    arguments: list[Encodable] = []
    for number, (target, job_id) in again.items():
        edges = followers[number]
        tolerated = bool(edges) and all(edge.mode in _TOLERANT for edge in edges)
        own = Edge(queue, flow_id, number, Mode.TOLERATED if tolerated else Mode.COUNTED)
        places = " ".join(map(str, opens[number]))
        arguments += (number, target, job_id, joined([*edges, own]), places)
    return arguments


def _incomplete(job: FlowJob, node: NodeInfo | None) -> tuple[str, str] | None:
    """Return queue and id of a job that ended otherwise than by completing."""
    if not job.told:
        return None
    sign, ended = read_ended(job.told)
    if sign is Sign.COMPLETED:
        return None
    found = (node.queue, node.id) if node is not None else (ended.queue, ended.id)
    return found if all(found) else None
