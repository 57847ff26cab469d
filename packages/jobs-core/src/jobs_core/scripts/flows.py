"""The scripts of flows: jobs which wait for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.scripts.caller import ScriptCaller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable, Reply


class Added(msgspec.Struct, frozen=True):
    """What became of jobs for a flow: how many it has now, the ordinal of the first of them, and the entries of the outbox they lie in.

    `count` is how many the chunk has: another number than was sent where one of its name was there already.
    """

    total: int
    first: int
    count: int
    posted: list[int]


class Closed(msgspec.Struct, frozen=True):
    """A flow that is closed: its state, parts that are left to send, and the entries of the outbox that this call wrote."""

    state: str
    left: int
    posted: list[int]


class FlowTold(msgspec.Struct, frozen=True):
    """What a queue knows of a flow: `kind` is `b` for one of its own, `j` for that of a job, "" where there is none.

    `counts` are ends by sign (c f x e r s m), times in ms, 0 for not yet; `generation` grows each time that it is retried.
    """

    kind: str
    state: str
    total: int
    resolved: int
    created_ms: int
    ended_ms: int
    info: bytes
    counts: dict[str, int]
    generation: int = 0


class FlowJob(msgspec.Struct, frozen=True):
    """One job of a flow: whether it has ended, what was written of it when the flow was made, what was told of its end."""

    ended: bool
    node: bytes
    told: bytes


class FlowJobs(msgspec.Struct, frozen=True):
    """Jobs of a flow in order, of how many; `next` is the ordinal to go on with, None at the end."""

    total: int
    next: int | None
    jobs: list[FlowJob]


class FlowScripts(ScriptCaller):
    """A method for each script of flows."""

    async def flow_open(
        self,
        queue: str,
        *,
        flow_id: str,
        state: str,
        timeout_ms: int,
        info: bytes,
        callbacks: Sequence[Encodable] = (),
        deadline: float | None = None,
    ) -> str:
        """Open a flow as `staging` or `open`. Returns "", or the state it is in where it is there already.

        `callbacks` is a moment (success, failure, complete) and what is to be sent then, one after the other.
        """
        args = (flow_id, state, timeout_ms, info, *callbacks)
        return cast("list[bytes]", await self._run("flow_open", queue, args, deadline))[0].decode()

    async def flow_add(
        self,
        queue: str,
        *,
        flow_id: str,
        chunk: str,
        seen: int = 0,
        parts: Sequence[Encodable],
        deadline: float | None = None,
    ) -> Added:
        """Add jobs to a flow: `parts` is target, kind, number of jobs and content, one after the other.

        A chunk of the same name is added once. Raises ServerError: NOT_OPEN where the flow is closed or not known, LOST where it has
        fewer than `seen` jobs.
        """
        args = (flow_id, chunk, seen, *parts)
        reply = cast("list[Reply]", await self._run("flow_add", queue, args, deadline))
        total, first, count, posted = reply
        return Added(cast("int", total), cast("int", first), cast("int", count), _ids(posted))

    async def flow_close(
        self, queue: str, *, flow_id: str, seen: int = 0, deadline: float | None = None
    ) -> Closed:
        """Close a flow, and send a part of what it kept back. Raises ServerError (LOST) where it has fewer than `seen` jobs."""
        reply = await self._run("flow_close", queue, (flow_id, seen), deadline)
        state, left, posted = cast("list[Reply]", reply)
        return Closed(cast("bytes", state).decode(), cast("int", left), _ids(posted))

    async def flow_cancel(
        self, queue: str, *, flow_id: str, from_: int = 0, deadline: float | None = None
    ) -> tuple[str, int | None, list[int]]:
        """Cancel a flow and the jobs that it follows, from an ordinal on.

        Returns `cancelled`, `already_finished` or `not_found`, the ordinal to go on with, and the entries of the outbox.
        """
        reply = cast("list[Reply]", await self._run("flow_cancel", queue, (flow_id, from_), deadline))
        at = cast("int", reply[1])
        return cast("bytes", reply[0]).decode(), None if at < 0 else at, _ids(reply[2])

    async def flow_retry(
        self,
        queue: str,
        *,
        flow_id: str,
        generation: int,
        jobs: Sequence[Encodable],
        deadline: float | None = None,
    ) -> tuple[str, list[int]]:
        """Let a flow that failed go on from the jobs that did not complete.

        `jobs` is ordinal, queue, id, edges inside of the flow, and the ordinals of what it waits for that runs again, one after the
        other. Returns `retried`, `not_found`, `changed` (since the generation was read), `abandoned` or the state it is in, and the
        entries of the outbox.
        """
        reply = cast(
            "list[Reply]", await self._run("flow_retry", queue, (flow_id, generation, *jobs), deadline)
        )
        return cast("bytes", reply[0]).decode(), _ids(reply[1])

    async def flow_show(
        self, queue: str, *, inbox: str = "", flow_id: str, deadline: float | None = None
    ) -> FlowTold:
        """Tell what is known of a flow and, while it has not ended, enter `inbox` among those who hear of its end."""
        reply = cast("list[bytes]", await self._run("flow_show", queue, (inbox, flow_id), deadline))
        total, resolved, created, ended = (int(each or 0) for each in reply[2:6])
        counts = {sign: int(count or 0) for sign, count in zip("cfxersm", reply[7:14], strict=True)}
        return FlowTold(
            reply[0].decode(),
            reply[1].decode(),
            total,
            resolved,
            created,
            ended,
            reply[6],
            counts,
            int(reply[14] or 0),
        )

    async def flow_jobs(
        self,
        queue: str,
        *,
        flow_id: str,
        kind: str = "",
        from_: int = 0,
        count: int = 128,
        deadline: float | None = None,
    ) -> FlowJobs:
        """Read what a flow knows of its jobs, at most 128 or 512 KiB of it.

        `kind` is `b` for a flow of its own, `j` for that of a job which waits, "" for the first of these that there is.
        """
        args = (flow_id, kind, from_, count)
        reply = cast("list[Reply]", await self._run("flow_jobs", queue, args, deadline))
        total, at = cast("int", reply[0]), cast("int", reply[1])
        flat = reply[2:]
        jobs = [
            FlowJob(flat[i] == 1, cast("bytes", flat[i + 1]), cast("bytes", flat[i + 2]))
            for i in range(0, len(flat), 3)
        ]
        return FlowJobs(total, None if at < 0 else at, jobs)

    async def flow_page(
        self, queue: str, *, which: str, before: str = "", count: int = 128, deadline: float | None = None
    ) -> tuple[int, list[tuple[str, int]]]:
        """Name flows of a queue, the newest first: those that are `live`, or `ended`. Returns how many there are, and id and ms of each."""
        reply = cast("list[Reply]", await self._run("flow_page", queue, (which, before, count), deadline))
        flat = cast("list[bytes]", reply[1:])
        return cast("int", reply[0]), [(flat[i].decode(), int(flat[i + 1])) for i in range(0, len(flat), 2)]

    async def follow(
        self, queue: str, *, edges: Sequence[str], deadline: float | None = None
    ) -> tuple[list[str], list[int]]:
        """Make flows follow jobs that are there: `edges` is id and edge, one after the other.

        Returns ids that nothing is known of (then no job is followed), and the entries of the outbox.
        """
        rest, posted = tuple(edges), list[int]()
        while rest:
            reply = cast("list[Reply]", await self._run("follow", queue, rest, deadline))
            unknown = [each.decode() for each in cast("list[bytes]", reply[0])]
            posted += _ids(reply[1])
            if unknown:
                return unknown, posted
            rest = rest[2 * cast("int", reply[2]) :]
        return [], posted


def _ids(reply: Reply) -> list[int]:
    return [int(each) for each in cast("list[bytes]", reply)]
