"""Judges flows, and jobs that wait for others: what they count, and that whoever they wait for is somewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import msgspec

from jobs_admin._check.rules import Wrong
from jobs_admin._check.view import Counted, counted_of
from jobs_core.dead_letters import unpack_parts
from jobs_core.errors import JobsError
from jobs_core.flows.edges import parse_edge
from jobs_core.outbox import arguments
from jobs_core.scripts import Entry

if TYPE_CHECKING:
    from jobs_admin._check.walk import Tour
    from jobs_core.connection.protocol import Reply

__all__ = ["check_flows", "check_stuck"]

_LIVE = frozenset({"open", "staging", "running"})
_ENDED = frozenset({"completed", "failed", "cancelled"})
_STEP = 64
# What waits for more than these is not followed to where it is.
_MOST_OPEN = 200_000
_EDGES = re.compile(r"(?:^|,)edges=([^,]*)")

Target = tuple[str, str, str]
"""What follows: queue, `j` for a job that waits and `b` for a flow of its own, id."""


def _judge_flow(flow: str, found: Counted) -> Iterator[Wrong]:
    listed = found.live or found.ended or found.due
    if not found.exists:
        if listed:
            yield Wrong("flow", flow, "it is listed, and not there")
        return
    if found.trash or found.trash_ended:
        return
    if said := found.miscounted():
        yield Wrong("flow", flow, said)
    if found.state in _LIVE:
        filled = found.state != "running" or found.staged > 0
        if not found.live or found.ended or (filled and not found.due):
            yield Wrong("flow", flow, f"it is {found.state}, and nobody would look after it")
        elif found.state == "running" and not found.staged and found.below >= found.jobs:
            yield Wrong("flow", flow, "all of its jobs have ended, and it has not")
    elif found.state not in _ENDED or found.live or not found.ended:
        yield Wrong("flow", flow, f"it is {found.state or 'in no state'}, and listed as something else")
    elif found.staged or (found.called_off and not found.due) or found.awaited:
        yield Wrong("flow", flow, f"it is {found.state}, and something of it goes on")


async def check_flows(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Judge the flows of a queue. `found` names its keys."""
    ids: set[str] = {
        name.partition(":")[2] for name in found if name.startswith(("flow:", "flow.")) and ":" in name
    }
    for listed in ("flows", "flows.ended", "flows.due"):
        async for members in tour.walk(listed, 500):
            ids.update(members)
    ids.discard("\1")
    for some in _parts(sorted(ids)):
        counted = await _read(tour, "flows", some)
        for flow, each in zip(some, counted, strict=True):
            if each is not None:
                for wrong in _judge_flow(flow, each):
                    yield wrong
    for each in await _left_over(tour, found):
        yield each


async def _left_over(tour: Tour, found: Sequence[str]) -> list[Wrong]:
    """Hold that what lies apart of a flow, or of a job that waits, goes with it."""
    wrong: list[Wrong] = []
    names = [name for name in found if name.startswith(("flow", "join")) and ":" in name]
    for some in _parts(names):
        groups: list[str | int] = []
        for name in some:
            family, _, own = name.partition(":")
            homes = (
                ("joins", "early", "trash.joins", "trash.early")
                if family.startswith("join")
                else ("flows", "flows.ended", "trash.flows", "trash.flows.ended")
            )
            groups += ("there", family, 1, own)
            for home in homes:
                groups += ("zset", home, 1, own)
        replies = cast("list[list[bytes | int | None]]", await tour.peek(*groups))
        for at, name in enumerate(some):
            there, *homes_of = replies[5 * at : 5 * at + 5]
            if there[0] and all(score[0] is None for score in homes_of):
                wrong.append(Wrong("leftover", name.partition(":")[2], name.partition(":")[0]))
    return wrong


async def check_stuck(
    tours: dict[str, Tour], everywhere: Callable[[], Awaitable[dict[str, Tour]]]
) -> AsyncIterator[tuple[str, Wrong]]:
    """Hold that whatever somebody of these queues waits for is a job that will tell of its end, or on its way. Yields queue and breach.

    It may be in any queue: `everywhere` is asked for all of them, if anybody waits. What moves while this looks is found the second
    time, if it is anywhere.
    """
    open_, unjudged = await _open_edges(tours)
    for queue, what in unjudged:
        tours[queue].unjudged.append(what)
    for _ in range(2):
        if not open_:
            return
        known = await _known_edges(await everywhere(), open_)
        still = await _still_open(tours, {target: edges - known[target] for target, edges in open_.items()})
        open_ = {target: edges for target, edges in still.items() if edges}
    for (queue, kind, flow), ordinals in open_.items():
        for ordinal in sorted(ordinals):
            yield queue, Wrong("stuck", f"{kind} {ordinal} {flow}", "the job that it waits for is nowhere")


async def _open_edges(
    tours: dict[str, Tour],
) -> tuple[dict[Target, set[int]], list[tuple[str, str]]]:
    """Return which jobs of which flows have not ended, of blocked jobs and of flows that go on."""
    found: dict[Target, set[int]] = {}
    unjudged: list[tuple[str, str]] = []
    total = 0
    for queue, tour in tours.items():
        for kind, key, family in (("j", "blocked", "join"), ("b", "flows", "flow")):
            async for members in tour.walk(key, _STEP):
                counted = await _read(tour, f"{family}s", members)
                for flow, each in zip(members, counted, strict=True):
                    if each is None or not each.jobs or each.below >= each.jobs:
                        continue
                    total += each.jobs - each.below
                    if total > _MOST_OPEN:
                        unjudged.append((queue, f"whom {flow} waits for"))
                        continue
                    found[queue, kind, flow] = await _unset(tour, family, flow, each.jobs)
    return found, unjudged


async def _unset(tour: Tour, family: str, flow: str, jobs: int) -> set[int]:
    ((bits,),) = cast("list[list[bytes | None]]", await tour.peek("bits", f"{family}.done", 1, flow))
    done = bits or b""
    return {at for at in range(jobs) if at // 8 >= len(done) or not done[at // 8] & (0x80 >> at % 8)}


async def _still_open(tours: dict[str, Tour], suspects: dict[Target, set[int]]) -> dict[Target, set[int]]:
    """Return what of these has not ended meanwhile, and is still waited for."""
    left: dict[Target, set[int]] = {}
    for (queue, kind, flow), ordinals in suspects.items():
        if not ordinals:
            continue
        tour, family = tours[queue], "join" if kind == "j" else "flow"
        home = "blocked" if kind == "j" else "flows"
        ((place,),) = cast("list[list[bytes | None]]", await tour.peek("zset", home, 1, flow))
        (each,) = await _read(tour, f"{family}s", [flow])
        if place is not None and each is not None:
            left[queue, kind, flow] = ordinals & await _unset(tour, family, flow, each.jobs)
    return left


async def _known_edges(tours: dict[str, Tour], wanted: dict[Target, set[int]]) -> dict[Target, set[int]]:
    """Return the edges that somewhere somebody has: jobs that are there, entries of outboxes, what is kept back.

    Jobs are looked at between the outboxes, so that one which comes or ends meanwhile is met in either.
    """
    found: dict[Target, set[int]] = defaultdict(set)

    def take(target: str, edges: str, place: int = 0) -> None:
        try:
            edge = parse_edge(target, edges)
        except ValueError:
            return
        key = (edge.queue, "b" if edge.mode.is_own else "j", edge.flow)
        if key in wanted:
            found[key].add(edge.ordinal + place)

    for look in (_outboxes, _followed, _outboxes):
        for queue, tour in tours.items():
            async for target, edge, place in look(queue, tour):
                take(target, edge, place)
    return found


async def _followed(queue: str, tour: Tour) -> AsyncIterator[tuple[str, str, int]]:
    del queue
    async for ids in tour.walk("follows", 128):
        (values,) = cast("list[list[bytes | None]]", await tour.peek("hash", "follows", len(ids), *ids))
        for value in values:
            for target, rest in _texts((value or b"").decode()):
                yield target, rest, 0


async def _outboxes(queue: str, tour: Tour) -> AsyncIterator[tuple[str, str, int]]:
    after = 0
    while True:
        page = await tour.calls.read(tour.calls.scripts.outbox(queue, after=after))
        for entry in page.entries:
            for each in _of_entry(queue, entry):
                yield each
        if not page.entries:
            break
        after = page.entries[-1].id
    async for flows in tour.walk("flows", _STEP):
        for flow, counted in zip(flows, await _read(tour, "flows", flows), strict=True):
            for at in range(0 if counted is None else counted.staged):
                # Each may be large, so they are read one by one.
                reply = await tour.peek("part", f"flow.staged:{flow}", 1, at)
                (packed,) = cast("list[bytes | None]", reply[0])
                if packed is not None:
                    target, kind, content = unpack_parts(packed)
                    for each in _of_entry(queue, Entry(0, target.decode(), [(kind.decode(), content)])):
                        yield each


def _of_entry(source: str, entry: Entry) -> Iterator[tuple[str, str, int]]:
    """Yield the edges that an entry tells of, or that its jobs will have: target, what stands behind it, and how many jobs further."""
    try:
        parts = arguments(source, entry)
    except (JobsError, msgspec.MsgspecError, ValueError):
        return
    for packed in parts:
        at = 0
        while at < len(packed):
            kind, n = packed[at], cast("int", packed[at + 1])
            items = packed[at + 2 : at + 2 + n]
            at += 2 + n
            if kind == "resolve":
                for i in range(0, n, 6):
                    flow, ordinal, mode = items[i : i + 3]
                    yield entry.target, f"{quote(str(flow), safe='')}:{ordinal}:{mode}", 0
            elif kind == "jobs":
                yield from _of_jobs(items)
            elif kind == "again":
                for edges in items[2::4]:
                    text = edges.decode() if isinstance(edges, bytes) else str(edges)
                    yield from ((target, rest, 0) for target, rest in _texts(text))


def _of_jobs(items: Sequence[Reply]) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(items):
        count, options = cast("int", items[at]), items[at + 5]
        text = options.decode() if isinstance(options, bytes) else str(options)
        match = _EDGES.search(text)
        for target, rest in _texts(match[1] if match else ""):
            for place in range(count):
                yield target, rest, place
        at += 6 + 2 * count


def _texts(edges: str) -> Iterator[tuple[str, str]]:
    for edge in edges.split(";"):
        target, _, rest = edge.partition(":")
        if rest and not rest.startswith("!"):
            yield target, rest


async def _read(tour: Tour, kind: str, ids: Sequence[str]) -> list[Counted | None]:
    (found,) = cast("list[list[list[bytes | int] | None]]", await tour.peek(kind, "", len(ids), *ids))
    return [None if each is None else counted_of(each) for each in found]


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(items), _STEP):
        yield items[at : at + _STEP]
