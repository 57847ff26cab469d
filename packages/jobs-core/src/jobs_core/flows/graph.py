"""The jobs of a flow that is given whole, which of them wait for which, and how they are sent: all of them or none."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from jobs_core.drafts import make_draft
from jobs_core.errors import FlowError, OptionError
from jobs_core.flows.edges import Edge, joined, with_edges
from jobs_core.flows.modes import Mode
from jobs_core.option_values import instant_ms
from jobs_core.options import resolve
from jobs_core.outbox import encode_jobs
from jobs_core.wire import Waits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.connection.protocol import Encodable
    from jobs_core.flows.calls import Call
    from jobs_core.options import DefaultJobOptions, JobOptions, MetaValue
    from jobs_core.queue import Queue
    from jobs_core.wire import Draft

__all__ = ["MAX_NODES", "Dependency", "Given", "Graph", "Node", "NodeInfo", "Part", "Passed", "decode_node"]

MAX_NODES = 10_000
MAX_BYTES = 256 * 1024 * 1024
_CHUNK_JOBS = 64
_CHUNK_BYTES = 256 * 1024
_LONGEST_ID = 128
_TOLERANT = frozenset({Mode.IGNORE, Mode.REMOVE, Mode.CONTINUE})


class Dependency(msgspec.Struct, frozen=True):
    """That one job of a graph waits for another: its number, and what becomes of the one that waits."""

    on: int
    mode: Mode = Mode.FAIL_PARENT


class Passed(NamedTuple):
    """What passes on to a job from the parents above it. `deadline_ms` is an instant (Unix ms), 0 for none."""

    metadata: Mapping[str, MetaValue] = MappingProxyType({})
    tags: tuple[str, ...] = ()
    deadline_ms: int = 0

    def below(self, options: JobOptions) -> Passed:
        """Return what passes on to the children of a job with these options. Raises OptionError."""
        own = instant_ms("deadline", options["deadline"]) if "deadline" in options else 0
        return Passed(
            {**self.metadata, **(options.get("metadata") or {})},
            (*self.tags, *(options.get("tags") or ())),
            min(filter(None, (self.deadline_ms, own)), default=0),
        )


class Node(msgspec.Struct):
    """One job of a graph; `label` names it among the others."""

    label: str
    call: Call
    after: list[Dependency]
    passed: Passed = Passed()


class NodeInfo(msgspec.Struct, array_like=True, frozen=True):
    """What a flow keeps of one of its jobs. `after` is the number and mode of each that it waits for.

    `below` is the number of the first child and how many there are, of a job of a tree with whom these are cancelled.
    """

    queue: str
    id: str
    label: str
    name: str
    after: tuple[tuple[int, str], ...] = ()
    below: tuple[int, int] | None = None


_encode = msgspec.msgpack.Encoder().encode
decode_node = msgspec.msgpack.Decoder(NodeInfo).decode


class Part(msgspec.Struct, frozen=True):
    """Arguments for one call that adds jobs to a flow, and about how large they are."""

    arguments: list[Encodable]
    size: int


class Given(NamedTuple):
    """What all jobs of a flow have in common: options of the service, metadata and tags that pass on to them, keys and files."""

    service: DefaultJobOptions | None
    metadata: Mapping[str, MetaValue]
    tags: tuple[str, ...] = ()
    codecs: Codecs | None = None


class Graph:
    """Jobs and their dependencies, checked: the labels are unique, and none waits for itself by way of others.

    Raises FlowError.
    """

    def __init__(self, nodes: Sequence[Node], *, tree: bool = False) -> None:
        """Check the nodes; the first one of a `tree` is the parent of all others, and children of one parent stand together."""
        if not nodes:
            raise FlowError("a flow needs at least one job")
        if len(nodes) > MAX_NODES:
            raise FlowError(
                f"a flow that is given whole has at most {MAX_NODES:,} jobs, this one {len(nodes):,}; "
                f"fill a batch for more"
            )
        self.nodes = nodes
        self._tree = tree
        self._check_order()

    def _check_order(self) -> None:
        order: TopologicalSorter[int] = TopologicalSorter(
            {i: [each.on for each in node.after] for i, node in enumerate(self.nodes)}
        )
        try:
            order.prepare()
        except CycleError as error:
            around = cast("list[int]", error.args[1])
            path = " -> ".join(self.nodes[i].label for i in reversed(around))
            raise FlowError(f"jobs wait for each other: {path}") from None

    @property
    def queues(self) -> dict[str, Queue]:
        """The queues of its jobs, by name."""
        return {node.call.job.queue.name: node.call.job.queue for node in self.nodes}

    def ids(self, flow: str, service: DefaultJobOptions | None) -> list[str]:
        """Return the id of each job: the one it was given, else one that follows from the flow's."""
        ids: list[str] = []
        for i, node in enumerate(self.nodes):
            given = resolve(node.call.job, node.call.options, service).job_id
            ids.append(given or node_id(flow, i))
        return ids

    def drafts(
        self, flow: tuple[str, str], given: Given, *, told: tuple[str, str] | None = None
    ) -> list[tuple[Draft, NodeInfo]]:
        """Return each job as it is sent, and what the flow keeps of it; `flow` is the queue and id of the flow.

        `told` is the queue and id of a job that waits for all of them, however they end.

        Raises PayloadError, PayloadTooLarge, CodecError, OptionError or FlowError.
        """
        ids = self.ids(flow[1], given.service)
        followers: list[list[tuple[int, int, Mode]]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for place, dependency in enumerate(node.after):
                followers[dependency.on].append((i, place, dependency.mode))
        made: list[tuple[Draft, NodeInfo]] = []
        size = 0
        for i, node in enumerate(self.nodes):
            edges = [
                Edge(self.nodes[at].call.job.queue.name, ids[at], place, mode)
                for at, place, mode in followers[i]
            ]
            tolerated = bool(edges) and all(edge.mode in _TOLERANT for edge in edges)
            own = Mode.TOLERATED if tolerated else Mode.COUNTED
            edges.append(Edge(*flow, i, Mode.TOP if self._tree and i == 0 else own))
            if told is not None:
                edges.append(Edge(*told, i, Mode.IGNORE))
            draft = self._draft(node, ids[i], joined(edges), given)
            size += len(draft.body)
            if size > MAX_BYTES:
                raise FlowError(
                    f"the jobs of a flow that is given whole may have {MAX_BYTES >> 20} MiB together; "
                    f"keep large payloads in files, or fill a batch"
                )
            after = tuple((each.on, each.mode.value) for each in node.after)
            name = node.call.job.wire_name
            below = (after[0][0], len(after)) if self._tree and i and after else None
            made.append((draft, NodeInfo(node.call.job.queue.name, ids[i], node.label, name, after, below)))
        return made

    def _draft(self, node: Node, job_id: str, edges: str, given: Given) -> Draft:
        call = node.call
        resolved = resolve(call.job, call.options, given.service)
        if call.steps or resolved.is_bound:
            raise FlowError(
                f"job {node.label!r} has an order of its own (chain_to, on_success, on_failure, after, or a chain); "
                f"make what follows it a job of the flow"
            )
        if node.after and resolved.rule is not None and not resolved.rule.stands_alone:
            raise OptionError(
                "unique",
                resolved.rule.decide,
                "a job that waits for others cannot take the place of one that is there; use skip or error",
            )
        waits = Waits(tuple(self.nodes[each.on].label for each in node.after)) if node.after else None
        merged = resolved.tagged((*given.tags, *node.passed.tags))
        draft = make_draft(
            call.job,
            call.payload,
            merged,
            job_id=job_id,
            metadata={**given.metadata, **node.passed.metadata},
            deadline_ms=node.passed.deadline_ms,
            codecs=given.codecs,
            waits=waits,
        )
        return with_edges(draft, edges, blocks=len(node.after) or None)


def node_id(flow: str, place: int) -> str:
    """Return the id of a job of a flow that was given none."""
    plain = f"{flow}.{place}"
    return plain if len(plain) <= _LONGEST_ID else sha256(plain.encode()).hexdigest()


def parts_of(made: Sequence[tuple[Draft, NodeInfo]]) -> list[Part]:
    """Return the calls that add jobs to a flow, each of a size that a script may handle."""
    parts: list[Part] = []
    at = 0
    while at < len(made):
        chunk: list[tuple[Draft, NodeInfo]] = []
        size = 0
        while at < len(made) and len(chunk) < _CHUNK_JOBS:
            grown = size + len(made[at][0].body)
            if chunk and grown > _CHUNK_BYTES:
                break
            size = grown
            chunk.append(made[at])
            at += 1
        by_queue: dict[str, list[Draft]] = {}
        arguments: list[Encodable] = []
        for draft, info in chunk:
            by_queue.setdefault(info.queue, []).append(draft)
            arguments += (info.queue, "node", 0, _encode(info))
        for queue, drafts in by_queue.items():
            arguments += (queue, "jobs", len(drafts), encode_jobs(drafts))
        parts.append(Part(arguments, size))
    return parts
