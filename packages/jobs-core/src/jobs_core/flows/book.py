"""Flows of the server: submitted, filled, read, cancelled. What producer, administration and workers have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import (
    ConnectionFailed,
    DependencyUnknown,
    FlowClosed,
    FlowNotFailed,
    FlowNotFound,
    FlowRolledBack,
    JobsError,
    ServerError,
)
from jobs_core.flows.graph import parts_of
from jobs_core.flows.records import (
    FlowJobRecord,
    FlowRecord,
    encode_info,
    flow_record,
    job_record,
    with_labels,
)
from jobs_core.flows.retrying import retry_arguments
from jobs_core.outbox import Relay
from jobs_core.scripts import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.flows.graph import NodeInfo
    from jobs_core.flows.records import FlowInfo
    from jobs_core.queue import Queue
    from jobs_core.scripts import Scripts
    from jobs_core.scripts.flows import Added, FlowJob
    from jobs_core.wire import Draft

T = TypeVar("T")

STAGING_MS = 3_600_000
"""How long a flow that is given whole may take to arrive; what is not closed by then is forgotten."""

# So long a caller waits at most, in seconds, while effects of earlier calls are taken off their outboxes.
_CONFIRM_WITHIN = 1.0


class FlowBook:
    """The flows of all queues, by one client. Every call raises ConnectionFailed where the server does not answer in time."""

    def __init__(self, scripts: Scripts, declared: Iterable[Queue] = ()) -> None:
        """Bind to the scripts; `declared` are queues whose declarations a target is told before its first job."""
        self._scripts = scripts
        self._relay = Relay(scripts, declared)

    def declare(self, queues: Iterable[Queue]) -> None:
        """Take note of what code declares of queues that jobs of flows go to."""
        for queue in queues:
            self._relay.declare(queue)

    async def submit(
        self,
        queue: str,
        flow_id: str,
        info: FlowInfo,
        made: Sequence[tuple[Draft, NodeInfo]],
        *,
        deadline: float,
    ) -> bool:
        """Submit a flow whole: all of its jobs or none. Returns False where a flow of this id is there already."""
        opened = await self.open(
            queue, flow_id, info, state="staging", timeout_ms=STAGING_MS, deadline=deadline
        )
        if opened not in {"", "staging"}:
            return False
        seen = 0
        try:
            # Parts are named by their places, so one that is sent again is added once; and they are in order.
            for number, part in enumerate(parts_of(made)):
                added = await self.add(
                    queue, flow_id, str(number), part.arguments, seen=seen, deadline=deadline, relays=False
                )
                seen = added.total
            await self.close(queue, flow_id, seen=seen, deadline=deadline)
        except FlowRolledBack:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            return await self.submit(queue, flow_id, info, made, deadline=deadline)
        return True

    async def open(
        self,
        queue: str,
        flow_id: str,
        info: FlowInfo,
        *,
        state: str,
        timeout_ms: int,
        callbacks: Sequence[Encodable] = (),
        deadline: float,
    ) -> str:
        """Open a flow. Returns "", or the state it is in where it is there already."""
        return await self._answered(
            lambda: self._scripts.flow_open(
                queue,
                flow_id=flow_id,
                state=state,
                timeout_ms=timeout_ms,
                info=encode_info(info),
                callbacks=callbacks,
                deadline=deadline,
            ),
            deadline,
        )

    async def add(
        self,
        queue: str,
        flow_id: str,
        chunk: str,
        parts: Sequence[Encodable],
        *,
        seen: int,
        deadline: float,
        relays: bool = True,
    ) -> Added:
        """Add jobs to a flow that is filled, once for a chunk of this name; `seen` is how many were there already.

        Raises FlowClosed, or FlowRolledBack where there are fewer by now.
        """
        try:
            added = await self._answered(
                lambda: self._scripts.flow_add(
                    queue, flow_id=flow_id, chunk=chunk, seen=seen, parts=parts, deadline=deadline
                ),
                deadline,
            )
        except ServerError as error:
            if "NOT_OPEN" in str(error):
                raise FlowClosed(queue, flow_id) from None
            _check_lost(error, queue, flow_id)
            raise
        if relays and added.posted:
            await self._send(queue, added.posted)
        return added

    async def close(self, queue: str, flow_id: str, *, seen: int = 0, deadline: float) -> str:
        """Close a flow and send what it kept back; `seen` is how many jobs were added to it. Returns its state.

        Raises FlowNotFound, or FlowRolledBack where there are fewer by now.
        """
        while True:
            try:
                closed = await self._answered(
                    lambda: self._scripts.flow_close(queue, flow_id=flow_id, seen=seen, deadline=deadline),
                    deadline,
                )
            except ServerError as error:
                _check_lost(error, queue, flow_id)
                raise
            if not closed.state:
                raise FlowNotFound(queue, flow_id)
            if closed.posted:
                await self._send(queue, closed.posted)
            if not closed.left:
                return closed.state

    async def cancel(self, queue: str, flow_id: str, *, deadline: float) -> str:
        """Cancel a flow and all its jobs. Returns `cancelled` or `already_finished`. Raises FlowNotFound."""
        at: int | None = 0
        verdict = ""
        while at is not None:
            start = at
            verdict, at, posted = await self._answered(
                lambda start=start: self._scripts.flow_cancel(
                    queue, flow_id=flow_id, from_=start, deadline=deadline
                ),
                deadline,
            )
            if posted and not start and await self._needs_order(queue, posted[0], deadline):
                # Nothing more is added, and jobs that lie in the outbox still come before what cancels them.
                await self._send(queue, ())
            if posted:
                await self._send(queue, posted)
        if verdict == "not_found":
            raise FlowNotFound(queue, flow_id)
        return verdict

    async def retry(self, queue: str, flow_id: str, *, deadline: float) -> int:
        """Let a flow that failed go on from what did not complete. Returns how many jobs run again, or wait again.

        Raises FlowNotFound, or FlowNotFailed.
        """
        while True:
            told = await self._scripts.flow_show(queue, flow_id=flow_id, deadline=deadline)
            if told.kind != "b":
                raise FlowNotFound(queue, flow_id)
            jobs: list[FlowJob] = []
            at: int | None = 0
            while told.state == "failed" and at is not None:
                page = await self._scripts.flow_jobs(
                    queue, flow_id=flow_id, kind="b", from_=at, deadline=deadline
                )
                jobs += page.jobs
                at = page.next
            again = retry_arguments(queue, flow_id, jobs)
            # A call that is sent again finds the flow running, or another generation.
            verdict, posted = await self._scripts.flow_retry(
                queue, flow_id=flow_id, generation=told.generation, jobs=again, deadline=deadline
            )
            if posted:
                await self._send(queue, posted)
            if verdict == "retried":
                return len(again) // 5
            if verdict != "changed" or not again:
                raise FlowNotFailed(queue, flow_id, verdict)

    async def record(self, queue: str, flow_id: str, *, deadline: float) -> FlowRecord:
        """Return what is known of a flow. Raises FlowNotFound."""
        told = await self._scripts.flow_show(queue, flow_id=flow_id, deadline=deadline)
        if told.kind != "b":
            raise FlowNotFound(queue, flow_id)
        return flow_record(queue, flow_id, told)

    async def jobs(
        self, queue: str, flow_id: str, *, start: int = 0, limit: int = MAX_ITEMS, deadline: float
    ) -> tuple[list[FlowJobRecord], int | None]:
        """Return jobs of a flow from a number on, with the states that they are in now, and the number to go on with."""
        found: list[FlowJobRecord] = []
        labels: dict[int, str] = {}
        near = range(start, start + limit)
        at: int | None = start
        while at is not None and len(found) < limit:
            page = await self._scripts.flow_jobs(
                queue, flow_id=flow_id, from_=at, count=limit - len(found), deadline=deadline
            )
            for number, job in enumerate(page.jobs, at):
                record = job_record(number, job, labels, near)
                if record is not None:
                    found.append(record)
            at = page.next
        return await self._with_states([with_labels(each, labels) for each in found], deadline), at

    async def page(
        self, queue: str, *, which: str, before: str = "", count: int = MAX_ITEMS, deadline: float
    ) -> tuple[int, list[tuple[str, int]]]:
        """Name flows of a queue, the newest first: those that are `live`, or `ended`."""
        return await self._scripts.flow_page(
            queue, which=which, before=before, count=count, deadline=deadline
        )

    async def _with_states(self, found: list[FlowJobRecord], deadline: float) -> list[FlowJobRecord]:
        """Look where the jobs are that have not ended."""
        live: dict[str, list[str]] = {}
        for record in found:
            if not record.state:
                live.setdefault(record.queue, []).append(record.id)
        states: dict[tuple[str, str], str] = {}
        for queue, ids in live.items():
            for at in range(0, len(ids), MAX_ITEMS):
                chunk = ids[at : at + MAX_ITEMS]
                located = await self._scripts.lookup(queue, ids=chunk, deadline=deadline)
                states |= {(queue, job_id): each.state for job_id, each in zip(chunk, located, strict=True)}
        return [
            each if each.state else replace(each, state=states.get((each.queue, each.id)) or "pending")
            for each in found
        ]

    async def follow(
        self, queue: str, edges: Sequence[str], *, deadline: float
    ) -> tuple[list[str], list[int]]:
        """Make flows follow jobs. Returns those that nothing is known of (then none is followed), and the entries of the outbox."""
        return await self._answered(
            lambda: self._scripts.follow(queue, edges=edges, deadline=deadline), deadline
        )

    async def follow_all(self, queue: str, edges: Sequence[str], *, deadline: float) -> None:
        """Make jobs of a queue tell of their ends: `edges` is id and edge, one after the other. Raises DependencyUnknown."""
        for at in range(0, len(edges), 2 * MAX_ITEMS):
            unknown, posted = await self.follow(queue, edges[at : at + 2 * MAX_ITEMS], deadline=deadline)
            if unknown:
                raise DependencyUnknown(queue, unknown[0])
            if posted:
                await self._send(queue, posted)

    async def relay(self, queue: str, ids: Sequence[int]) -> None:
        """Carry entries of an outbox that this process caused; what does not arrive is carried by workers."""
        await self._send(queue, ids)

    async def _needs_order(self, queue: str, entry: int, deadline: float) -> bool:
        """Tell whether an entry cancels jobs only where they are already; others may overtake those that they are for."""
        page = await self._answered(lambda: self._scripts.outbox(queue, ids=[entry]), deadline)
        return any(kind == "cancel" for each in page.entries for kind, _ in each.effects)

    async def _send(self, queue: str, ids: Sequence[int]) -> None:
        try:
            await self._relay.relay(queue, ids=ids)
            # That is about earlier calls, and a node of theirs may be away: workers see to what is not confirmed in time.
            async with asyncio.timeout(_CONFIRM_WITHIN):
                await self._relay.confirm()
        except (JobsError, OutcomeLost, TimeoutError):
            # It is in the outbox, and carried from there when the server is back.
            return

    async def _answered(self, call: Callable[[], Coroutine[object, object, T]], deadline: float) -> T:
        """Make a call that has one effect however often it is made, until it is answered."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await call()
            except OutcomeLost as error:
                if loop.time() >= deadline:
                    raise ConnectionFailed(self._scripts.client.address.display, str(error)) from None
                await asyncio.sleep(0.05)


def _check_lost(error: ServerError, queue: str, flow_id: str) -> None:
    """Raise FlowRolledBack where a call was refused because jobs are missing that were added before."""
    if "LOST" in str(error):
        raise FlowRolledBack(queue, flow_id) from None
