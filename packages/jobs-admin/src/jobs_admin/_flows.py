"""Flows, for operators: found by id in whichever queue keeps them, listed over all queues, cancelled with an entry in the audit."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec.structs import replace

from jobs_admin._neighbours import Neighbours, Place
from jobs_admin.records import FlowJobsPage, FlowPage
from jobs_core.errors import FlowNotFound, OptionError
from jobs_core.flows.book import FlowBook
from jobs_core.flows.modes import STATES
from jobs_core.flows.records import FlowRecord, flow_record
from jobs_core.names import check_job_id
from jobs_core.records import build_record
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_admin._context import Context
    from jobs_admin._neighbours import Around
    from jobs_core.flows.records import FlowJobRecord
    from jobs_core.scripts.flows import FlowTold

__all__ = ["Flows"]

MAX_PAGE = 500
_LOOKED = 10_000
_LOOKED_FLOWS = 2000
_PHASES = {"live": ("staging", "open", "running"), "ended": ("completed", "failed", "cancelled")}
_MS = re.compile(r"[0-9]{1,15}").fullmatch
_COUNTED = frozenset(STATES.values())


class Row(NamedTuple):
    """A flow on a list: a lower one comes first."""

    age: int
    queue: str
    id: str


class Flows:
    """The flows of queues, as the admin reads and changes them."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._directory = context.directory
        self._audit = context.audit
        self._redaction = context.redaction
        self._book = FlowBook(context.scripts)
        self._neighbours = Neighbours(context.calls, context.directory.names)

    async def get(self, flow_id: str, queue: str | None) -> FlowRecord:
        """Return what is known of a flow, or of the jobs around one."""
        found = await self._find(flow_id, queue)
        return found if isinstance(found, FlowRecord) else _summary(found, await self._told(found))[0]

    async def jobs(
        self, flow_id: str, queue: str | None, *, state: str | None, start: int, limit: int, beside: bool
    ) -> FlowJobsPage:
        """Return jobs of a flow from a number on, or those beside the one that the id names."""
        if not 1 <= limit <= MAX_PAGE:
            raise OptionError("limit", limit, f"it must be 1 to {MAX_PAGE}")
        if start < 0:
            raise OptionError("start", start, "it must be 0 or more")
        states = {*_COUNTED, *(each.value for each in State), "pending"}
        if state is not None and state not in states:
            raise OptionError("state", state, f"it must be one of {', '.join(sorted(states))}")
        found, number = await self._find_in(flow_id, queue)
        if isinstance(found, FlowRecord):
            if beside:
                start = max(0, min(number - limit // 2, found.total - limit))
            return await self._of_flow(found, state, start, limit)
        record, jobs = _summary(found, await self._told(found))
        wanted = [job for job in jobs if job.number >= start and state in {None, job.state}]
        page = wanted[:limit]
        after = wanted[limit].number if len(wanted) > limit else None
        return FlowJobsPage(flow=record, jobs=tuple(map(self._shown, page)), next=after)

    async def list(self, queue: str | None, state: str | None, limit: int, cursor: str | None) -> FlowPage:
        """List flows, the newest first, those that go on before those that ended."""
        if not 1 <= limit <= MAX_PAGE:
            raise OptionError("limit", limit, f"it must be 1 to {MAX_PAGE}")
        known = [each for states in _PHASES.values() for each in states]
        if state is not None and state not in known:
            raise OptionError("state", state, f"it must be one of {', '.join(known)}")
        phase, after = _read_cursor(cursor)
        phases = [name for name, states in _PHASES.items() if state is None or state in states]
        if phase and phase not in phases:
            raise OptionError("cursor", cursor, "it is of a list of other states")
        names = await self._directory.chosen(queue)
        flows: list[FlowRecord] = []
        looked = 0
        for each in phases[phases.index(phase) if phase else 0 :]:
            at = after if each == phase else None
            keeping = await self._keeping(names, each)
            more = True
            while more:
                rows, more = await self._rows(keeping, each, at, min(limit - len(flows), MAX_ITEMS))
                if not rows:
                    break
                records = await self._records(rows)
                # It may have been forgotten, or have ended, between the two calls.
                flows += [record for record in records if state in {None, record.state}]
                at = rows[-1]
                looked += len(rows)
                if len(flows) == limit or looked >= _LOOKED_FLOWS:
                    return FlowPage(tuple(flows), _cursor(each, at))
        return FlowPage(tuple(flows), None)

    async def _records(self, rows: Sequence[Row]) -> list[FlowRecord]:
        told = await self._calls.read_all(
            [self._calls.scripts.flow_show(row.queue, flow_id=row.id) for row in rows]
        )
        return [
            flow_record(row.queue, row.id, each)
            for row, each in zip(rows, told, strict=True)
            if each.kind == "b"
        ]

    async def cancel(self, flow_id: str, queue: str | None) -> bool:
        """Cancel a flow and all its jobs. Returns False if it had ended."""
        found = await self._own(flow_id, queue)
        call = self._book.cancel(found.queue, found.id, deadline=self._deadline())
        done = await self._calls.change(call) == "cancelled"
        await self._audit.enter("flow.cancel", found.queue, found.id, int(done))
        return done

    async def retry(self, flow_id: str, queue: str | None) -> int:
        """Let a flow that failed go on from what did not complete. Returns how many jobs these are. Raises FlowNotFailed."""
        found = await self._own(flow_id, queue)
        count = await self._calls.change(self._book.retry(found.queue, found.id, deadline=self._deadline()))
        await self._audit.enter("flow.retry", found.queue, found.id, count)
        return count

    async def _own(self, flow_id: str, queue: str | None) -> FlowRecord:
        """Return a flow that is no job with those around it. Raises OptionError."""
        found = await self._find(flow_id, queue)
        if isinstance(found, FlowRecord):
            return found
        start = found.start
        raise OptionError(
            "id",
            flow_id,
            f"it is a job and no flow of its own: use `jobs cancel|retry {start.queue} {start.id}`",
        )

    async def _find(self, flow_id: str, queue: str | None) -> FlowRecord | Around:
        return (await self._find_in(flow_id, queue))[0]

    async def _find_in(self, flow_id: str, queue: str | None) -> tuple[FlowRecord | Around, int]:
        """Return a flow, and the number in it of the job that the id may name."""
        names = await self._directory.chosen(queue)
        check_job_id(flow_id)
        scripts = self._calls.scripts
        # Hundreds of queues are asked, and one of them has it.
        there = await self._calls.read_all(
            [self._calls.client.call("EXISTS", f"{scripts.key(name)}flow:{flow_id}") for name in names]
        )
        keeping = [name for name, found in zip(names, there, strict=True) if found]
        told = await self._calls.read_all([scripts.flow_show(name, flow_id=flow_id) for name in keeping])
        own = [
            flow_record(name, flow_id, each)
            for name, each in zip(keeping, told, strict=True)
            if each.kind == "b"
        ]
        if own:
            _only([each.queue for each in own], flow_id)
            return own[0], 0
        looked = await self._calls.read_all([scripts.lookup(name, ids=[flow_id]) for name in names])
        places = [name for name, (each,) in zip(names, looked, strict=True) if each.state]
        if not places:
            raise FlowNotFound(queue or "", flow_id)
        _only(places, flow_id)
        place = Place(places[0], flow_id)
        return await self._member(place) or (await self._around(place), 0)

    async def _member(self, place: Place) -> tuple[FlowRecord, int] | None:
        """Return the flow of its own that a job is a part of, and as which of its jobs."""
        edge = await self._neighbours.flow_of(place)
        if edge is not None:
            told = await self._calls.read(self._calls.scripts.flow_show(edge.queue, flow_id=edge.flow))
            if told.kind == "b":
                return flow_record(edge.queue, edge.flow, told), edge.ordinal
        # What ended has no edges any more, but most ids follow from the flow's.
        flow_id, _, number = place.id.rpartition(".")
        if not flow_id or not number.isdecimal():
            return None
        names = await self._directory.names()
        shown = await self._calls.read_all(
            [self._calls.scripts.flow_show(name, flow_id=flow_id) for name in names]
        )
        for name, each in zip(names, shown, strict=True):
            if each.kind != "b" or int(number) >= each.total:
                continue
            call = self._book.jobs(name, flow_id, start=int(number), limit=1, deadline=self._deadline())
            jobs, _ = await self._calls.read(call)
            if [(job.queue, job.id) for job in jobs] == [place]:
                return flow_record(name, flow_id, each), int(number)
        return None

    async def _around(self, place: Place) -> Around:
        (located,) = await self._calls.read(self._calls.scripts.lookup(place.queue, ids=[place.id]))
        record = await self._calls.read(build_record(self._calls.scripts, *place, located))
        if record is None:
            raise FlowNotFound(*place)
        return await self._neighbours.around(record, located)

    async def _told(self, around: Around) -> FlowTold | None:
        told = await self._calls.read(
            self._calls.scripts.flow_show(around.start.queue, flow_id=around.start.id)
        )
        return told if told.kind == "j" else None

    async def _of_flow(self, flow: FlowRecord, state: str | None, start: int, limit: int) -> FlowJobsPage:
        found: list[FlowJobRecord] = []
        at: int | None = start
        while at is not None and len(found) < limit and at - start < _LOOKED:
            count = min(MAX_ITEMS, limit) if state is None else MAX_ITEMS
            call = self._book.jobs(
                flow.queue,
                flow.id,
                start=at,
                limit=min(count, limit - len(found)) if state is None else count,
                deadline=self._deadline(),
            )
            jobs, after = await self._calls.read(call)
            for job in jobs:
                if state in {None, job.state}:
                    found.append(job)
                if len(found) == limit:
                    more = job.number + 1 < flow.total
                    after = job.number + 1 if more else None
                    break
            at = after
        return FlowJobsPage(flow=flow, jobs=tuple(map(self._shown, found)), next=at)

    async def _keeping(self, names: Sequence[str], which: str) -> list[str]:
        """Return the queues that keep flows: of hundreds only some."""
        key = "flows.ended" if which == "ended" else "flows"
        scripts, call = self._calls.scripts, self._calls.client.call
        there = await self._calls.read_all([call("EXISTS", scripts.key(name) + key) for name in names])
        return [name for name, found in zip(names, there, strict=True) if found]

    async def _rows(
        self, names: Sequence[str], which: str, after: Row | None, count: int
    ) -> tuple[list[Row], bool]:
        """Name the flows that come next on a list over these queues, and tell whether there may be more behind them."""
        # Those of the same millisecond as the last one are looked at again: some of them may not have been told.
        before = "" if after is None else str(-after.age + 1)
        pages = await self._calls.read_all(
            [
                self._calls.scripts.flow_page(name, which=which, before=before, count=MAX_ITEMS)
                for name in names
            ]
        )
        rows = [
            Row(-ms, name, flow_id)
            for name, (_, found) in zip(names, pages, strict=True)
            for flow_id, ms in found
        ]
        rows = sorted(row for row in rows if after is None or row > after)
        more = len(rows) > count or any(len(found) == MAX_ITEMS for _, found in pages)
        return rows[:count], more

    def _shown(self, job: FlowJobRecord) -> FlowJobRecord:
        """Hide what an error may repeat of a payload that is not to be seen."""
        if job.error is None or self._redaction is None or not self._redaction.hides(job.queue, job.name):
            return job
        return replace(job, error=job.error.partition(":")[0])

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._calls.timeout


def _only(queues: Sequence[str], flow_id: str) -> None:
    if len(queues) > 1:
        raise OptionError("id", flow_id, f"several queues have it: {', '.join(queues)}; say which one")


def _summary(around: Around, told: FlowTold | None) -> tuple[FlowRecord, list[FlowJobRecord]]:
    """Return a record of the jobs around one, and these: what is too much to be listed is counted nevertheless."""
    start = around.start
    direct = frozenset[int]() if told is None else around.direct
    counts = Counter(
        job.state if job.state in _COUNTED else "pending" for job in around.jobs if job.number not in direct
    )
    total = len(around.jobs) - len(direct)
    if told is not None:
        counts["pending"] += told.total - told.resolved
        for sign, count in told.counts.items():
            counts[_sign_state(sign)] += count
        total += told.total
    chained = start.flow is not None and start.flow.chain is not None
    broken = _broken(around.jobs) if chained else None
    if broken is not None:
        state = broken
    elif counts["pending"]:
        state = "running"
    elif start.state is State.CANCELLED:
        state = "cancelled"
    else:
        state = "completed" if counts["completed"] == total else "failed"
    record = FlowRecord(
        id=start.id,
        queue=start.queue,
        name=start.name,
        kind="chain" if chained else "job",
        state=state,
        total=total,
        pending=counts["pending"],
        **{each: counts[each] for each in STATES.values()},
        created_at=start.created_at,
        ended_at=None if counts["pending"] else start.finished_at,
        metadata=start.metadata,
        tags=start.tags,
    )
    return record, around.jobs


def _broken(links: Sequence[FlowJobRecord]) -> Literal["failed", "cancelled"] | None:
    """Return how a chain ended of which a link did not complete, so that none behind it comes; None where it goes on, or completed."""
    states = {link.state for link in links}
    if states - set(_COUNTED) - {"pending"} or states <= {"completed", "pending"}:
        return None
    return "cancelled" if State.CANCELLED in states else "failed"


def _sign_state(sign: str) -> str:
    return {each.value: state for each, state in STATES.items()}[sign]


def _cursor(phase: str, row: Row) -> str:
    return f"{phase}:{-row.age}:{row.queue}:{row.id}"


def _read_cursor(cursor: str | None) -> tuple[str, Row | None]:
    if not cursor:
        return "", None
    phase, _, rest = cursor.partition(":")
    ms, _, where = rest.partition(":")
    queue, _, flow_id = where.partition(":")
    if phase not in _PHASES or not _MS(ms) or not flow_id:
        raise OptionError("cursor", cursor, "it is none of ours; take the one of the page before")
    return phase, Row(-int(ms), queue, flow_id)
