"""The jobs around a job: those that it waits for, those that wait for it, the links of its chain. Bounded, and nothing is changed."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import quote

import msgspec

from jobs_core.drafts import derived_id
from jobs_core.flows.edges import parse_edge
from jobs_core.flows.ends import end_reason, read_ended
from jobs_core.flows.graph import decode_node
from jobs_core.flows.modes import STATES, Mode, Sign
from jobs_core.flows.records import MODES, FlowJobRecord, Waited
from jobs_core.records import AwaitedJob, build_record, job_name, read_envelope
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import State
from jobs_core.wire import Waits, parse_header, parse_unique

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from jobs_admin._calls import Calls
    from jobs_core.flows.edges import Edge
    from jobs_core.records import JobRecord
    from jobs_core.scripts import Located

    Names = Callable[[], Awaitable[list[str]]]

__all__ = ["Around", "Neighbours"]

MAX_SHOWN = 200
MAX_AWAITED = 100
_FOLLOWS = MODES[Mode.AFTER_SUCCESS]


class Place(NamedTuple):
    """A job by queue and id."""

    queue: str
    id: str


class Tie(NamedTuple):
    """How a job waits for another: in which mode, and as which of those that it waits for itself; -1 where it follows it otherwise."""

    mode: str
    ordinal: int = -1


class Seen(msgspec.Struct):
    """A job on the way, and what it waits for. From the number `given` on these are children that it added; None: that is not known."""

    name: str = ""
    state: str = ""
    error: str | None = None
    after: dict[Place, Tie] = msgspec.field(default_factory=dict["Place", "Tie"])
    given: int | None = None


class Link(NamedTuple):
    """A job that another one waits for: `told` is how it ended, where that is known without looking."""

    place: Place
    tie: Tie
    told: Seen | None = None


class Around(msgspec.Struct):
    """A job and those around it, in an order in which none stands before one that it waits for."""

    start: JobRecord
    jobs: list[FlowJobRecord]
    direct: frozenset[int]
    """The numbers of those that it waits for itself."""


class Neighbours:
    """Looks around one job. `names` are the queues where a job may be of which only the id is known."""

    def __init__(self, calls: Calls, names: Names) -> None:
        """Bind to the scripts of a client."""
        self._calls = calls
        self._scripts = calls.scripts
        self._names = names

    async def flow_of(self, place: Place) -> Edge | None:
        """Return the edge to the flow of its own that a job is a part of, while it has not ended."""
        edges, _ = await self._edges(place)
        return next((each for each in edges if each.mode.is_own), None)

    async def waits_for(self, place: Place, located: Located) -> tuple[AwaitedJob, ...]:
        """Return the jobs, at most 100, for whose ends a blocked job waits now."""
        pending = [each for each in await self._awaited(place, located, MAX_SHOWN) if each.told is None]
        holder = await self._holder(place, located)
        places = [each.place for each in pending if each.place.id][:MAX_AWAITED]
        places += [holder] if holder is not None and holder not in places else []
        seen = await self._look(places)
        return tuple(
            AwaitedJob(queue=at.queue, id=at.id, name=each.name, state=each.state)
            for at, each in seen.items()
        )

    async def around(self, start: JobRecord, located: Located) -> Around:
        """Return a job with all that it waits for and all that waits for it, and what these do; 200 jobs at most."""
        root = Place(start.queue, start.id)
        graph: dict[Place, Seen] = {}
        await self._walk(graph, root, up=True)
        await self._walk(graph, root, up=False)
        order = _ordered(graph, root)
        numbers = {place: i for i, place in enumerate(order)}
        jobs = [
            FlowJobRecord(
                number=i,
                label=place.id,
                queue=place.queue,
                id=place.id,
                name=graph[place].name,
                state=graph[place].state,
                after=tuple(
                    Waited(numbers[each], each.id, tie.mode, child=_is_child(graph[place], tie))
                    for each, tie in graph[place].after.items()
                    if each in numbers
                ),
                after_total=len(graph[place].after),
                error=graph[place].error,
            )
            for i, place in enumerate(order)
        ]
        joined = {link.place for link in await self._awaited(root, located, MAX_SHOWN)}
        return Around(start, jobs, frozenset(numbers[each] for each in joined if each in numbers))

    async def _walk(self, graph: dict[Place, Seen], root: Place, *, up: bool) -> None:
        """Add all jobs in one direction."""
        queue, visited = [root], {root}
        while queue:
            place = queue.pop(0)
            (located,) = await self._calls.read(self._scripts.lookup(place.queue, ids=[place.id]))
            record = await self._calls.read(build_record(self._scripts, *place, located))
            seen = graph.setdefault(place, Seen())
            if record is not None:
                _fill(seen, record)
            add = self._add_awaited if up else self._add_followers
            for each in await add(graph, place, located, record):
                if each in graph and each not in visited:
                    visited.add(each)
                    queue.append(each)
            if seen.given is None and any(tie.ordinal >= 0 for tie in seen.after.values()):
                seen.given = await self._given_count(place, located)
        for seen in graph.values():
            seen.state = seen.state or "pending"

    async def _add_awaited(
        self, graph: dict[Place, Seen], place: Place, located: Located, record: JobRecord | None
    ) -> list[Place]:
        links = await self._awaited(place, located, MAX_SHOWN - len(graph))
        before = None if record is None or record.flow is None else record.flow.previous
        if before is not None:
            told = Seen(before.name, State.COMPLETED.value)
            links.append(Link(Place(before.queue, before.id), Tie(_FOLLOWS), told))
        for link in links:
            if link.place not in graph and len(graph) < MAX_SHOWN:
                graph[link.place] = link.told or Seen()
            if link.place in graph:
                graph[place].after[link.place] = link.tie
        return [link.place for link in links]

    async def _add_followers(
        self, graph: dict[Place, Seen], place: Place, _: Located, record: JobRecord | None
    ) -> list[Place]:
        edges, on_failure = await self._edges(place)
        links = [
            (Place(each.queue, each.flow), "", Tie(MODES[each.mode], each.ordinal))
            for each in edges
            if not each.mode.is_own
        ]
        links += [(at, name, Tie(MODES[Mode.AFTER_FAILURE])) for at, name in on_failure]
        following = () if record is None or record.flow is None else record.flow.next
        links += [(Place(each.queue, each.id), each.name, Tie(_FOLLOWS)) for each in following]
        for at, name, tie in links:
            if at not in graph and len(graph) < MAX_SHOWN:
                graph[at] = Seen(name)
            if at in graph:
                graph[at].after[place] = tie
        return [at for at, _, _ in links]

    async def _edges(self, place: Place) -> tuple[list[Edge], list[tuple[Place, str]]]:
        """Return whom a job tells of its end, and the jobs (with their names) that follow if it fails."""
        (found,) = await self._calls.read(
            self._scripts.peek(place.queue, groups=("hash", "follows", 1, place.id))
        )
        text = cast("list[bytes | None]", found)[0]
        edges: list[Edge] = []
        on_failure: list[tuple[Place, str]] = []
        for part in text.decode().split(";") if text else ():
            target, _, rest = part.partition(":")
            if rest.startswith("!:"):
                on_failure += [(Place(target, job_id), name) for job_id, name in _packed(rest[2:])]
            else:
                edges.append(parse_edge(target, rest))
        return edges, on_failure

    async def _awaited(self, place: Place, located: Located, limit: int) -> list[Link]:
        """Return the jobs that one waits for by itself, in order, as far as is known which they are."""
        known: list[Link] = []
        at: int | None = 0
        told: list[Seen | None] = []
        places: list[Place | None] = []
        while at is not None and len(told) < limit:
            count = min(limit - len(told), MAX_ITEMS)
            page = await self._calls.read(
                self._scripts.flow_jobs(place.queue, flow_id=place.id, kind="j", from_=at, count=count)
            )
            for job in page.jobs:
                where, seen = _told(job.told)
                told.append((seen or Seen(state=State.COMPLETED.value)) if job.ended else None)
                places.append(where)
            at = page.next
        if not told:
            return known
        given = await self._given(place, located, len(told))
        for i, seen in enumerate(told):
            first, mode = given.get(i, (None, Mode.FAIL_PARENT))
            where = places[i] or first
            if where is not None:
                known.append(Link(where, Tie(MODES[mode], i), seen))
        return known

    async def _given(self, place: Place, located: Located, count: int) -> dict[int, tuple[Place, Mode]]:
        """Return which jobs one waits for, as it was told when it was enqueued, or as their ids follow from its own."""
        waits = await self._waits(place, located)
        modes = waits.modes or Mode.FAIL_PARENT * len(waits.on)
        given = {i: (Place(*each), Mode(modes[i])) for i, each in enumerate(waits.on)}
        if waits.labels:
            given = await self._of_graph(place)
        first = len(waits.on) or len(waits.labels)
        return given | (await self._added(place, located, first, count) if located.record else {})

    async def _given_count(self, place: Place, located: Located) -> int:
        """Return for how many jobs one was to wait when it was enqueued; those behind them are children that it added."""
        waits = await self._waits(place, located)
        return len(waits.on) or len(waits.labels)

    async def _waits(self, place: Place, located: Located) -> Waits:
        envelope = await self._calls.read(read_envelope(self._scripts, *place, located))
        return (None if envelope is None else envelope.waits) or Waits()

    async def _of_graph(self, place: Place) -> dict[int, tuple[Place, Mode]]:
        """Return what a job of a graph waits for."""
        edge = await self.flow_of(place)
        if edge is None:
            return {}
        nodes = await self._nodes(edge, [edge.ordinal])
        own = nodes.get(edge.ordinal)
        if own is None:
            return {}
        after = decode_node(own).after[:MAX_SHOWN]
        nodes = await self._nodes(edge, [at for at, _ in after])
        found: dict[int, tuple[Place, Mode]] = {}
        for i, (at, mode) in enumerate(after):
            if at in nodes:
                node = decode_node(nodes[at])
                found[i] = Place(node.queue, node.id), Mode(mode)
        return found

    async def _nodes(self, edge: Edge, numbers: Sequence[int]) -> dict[int, bytes]:
        pages = await self._calls.read_all(
            [
                self._scripts.flow_jobs(edge.queue, flow_id=edge.flow, kind="b", from_=at, count=1)
                for at in numbers
            ]
        )
        return {
            at: page.jobs[0].node
            for at, page in zip(numbers, pages, strict=True)
            if page.jobs and page.jobs[0].node
        }

    async def _added(
        self, place: Place, located: Located, first: int, count: int
    ) -> dict[int, tuple[Place, Mode]]:
        """Return the children that a job added while it ran, found by the ids that follow from its own in whichever queue they are."""
        stamp = parse_header(located.record).stamp_us
        numbers = range(first, min(count, first + MAX_ITEMS))
        ids = {number: derived_id(*place, stamp, -1 - number) for number in numbers}
        found: dict[int, tuple[Place, Mode]] = {}
        for queue in await self._names() if ids else ():
            missing = [i for i in ids if i not in found]
            looked = await self._lookup(queue, [ids[i] for i in missing])
            there = [i for i, each in zip(missing, looked, strict=True) if each.state]
            modes = await self._modes(queue, [ids[i] for i in there], place)
            found |= {i: (Place(queue, ids[i]), mode) for i, mode in zip(there, modes, strict=True)}
        return found

    async def _modes(self, queue: str, ids: Sequence[str], parent: Place) -> list[Mode]:
        """Return in which mode a parent waits for children of a queue: as they say, while they have not ended."""
        if not ids:
            return []
        (texts,) = await self._calls.read(
            self._scripts.peek(queue, groups=("hash", "follows", len(ids), *ids))
        )
        start = f"{parent.queue}:{quote(parent.id, safe='')}:"
        modes: list[Mode] = []
        for text in cast("list[bytes | None]", texts):
            parts = text.decode().split(";") if text else []
            edges = [
                parse_edge(parent.queue, each.partition(":")[2]) for each in parts if each.startswith(start)
            ]
            modes.append(edges[0].mode if edges else Mode.FAIL_PARENT)
        return modes

    async def _lookup(self, queue: str, ids: Sequence[str]) -> list[Located]:
        found: list[Located] = []
        for at in range(0, len(ids), MAX_ITEMS):
            found += await self._calls.read(self._scripts.lookup(queue, ids=ids[at : at + MAX_ITEMS]))
        return found

    async def _look(self, places: Sequence[Place]) -> dict[Place, Seen]:
        """Return the names and states of jobs."""
        by_queue: dict[str, list[str]] = {}
        for place in places:
            by_queue.setdefault(place.queue, []).append(place.id)
        seen: dict[Place, Seen] = {}
        for queue, ids in by_queue.items():
            for job_id, each in zip(ids, await self._lookup(queue, ids), strict=True):
                name = job_name(parse_header(each.record).name) if each.record else ""
                state = State.COMPLETED.value if each.state == "finished" else each.state
                seen[Place(queue, job_id)] = Seen(name, state or STATES[Sign.MISSING])
        return {place: seen[place] for place in places}

    async def _holder(self, place: Place, located: Located) -> Place | None:
        """Return the job with the unique key of one, where that waits for its end."""
        _, key = parse_unique(located.record) if located.record else ("", "")
        if not key:
            return None
        (holders,) = await self._calls.read(self._scripts.peek(place.queue, groups=("hash", "uniq", 1, key)))
        holder = cast("list[bytes | None]", holders)[0]
        return None if holder is None or holder.decode() == place.id else Place(place.queue, holder.decode())


def _fill(seen: Seen, record: JobRecord) -> None:
    seen.name, seen.state, seen.error = record.name, record.state.value, seen.error or record.failed_reason


def _is_child(seen: Seen, tie: Tie) -> bool:
    return seen.given is not None and tie.ordinal >= seen.given


def _told(told: bytes) -> tuple[Place | None, Seen | None]:
    """Return which job ended, and how, as the one that waits for it knows it."""
    if not told:
        return None, None
    sign, end = read_ended(told)
    error = None
    if sign is not Sign.COMPLETED:
        error = f"{end.error_type}: {end.error}" if end.error_type else end.error or end_reason(sign)
    return Place(end.queue, end.id), Seen(job_name(end.name), STATES[sign], error)


def _packed(content: str) -> list[tuple[str, str]]:
    """Return the ids and names of jobs as an edge holds them."""
    groups = cast("list[object]", msgspec.msgpack.decode(bytes.fromhex(content)))
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(groups):
        count, name = cast("int", groups[at]), cast("bytes", groups[at + 2])
        ids = cast("list[str]", groups[at + 6 : at + 6 + 2 * count : 2])
        found += [(job_id, job_name(name.decode())) for job_id in ids]
        at += 6 + 2 * count
    return found


def _ordered(graph: dict[Place, Seen], root: Place) -> list[Place]:
    """Return jobs so that each stands behind those that it waits for."""
    sorter: TopologicalSorter[Place] = TopologicalSorter(
        {place: [each for each in seen.after if each in graph] for place, seen in graph.items()}
    )
    try:
        return list(sorter.static_order())
    except CycleError:
        # Jobs of one id after each other seem to wait for each other.
        return [root, *(place for place in graph if place != root)]
