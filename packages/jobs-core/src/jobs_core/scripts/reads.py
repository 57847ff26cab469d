"""The scripts that look at queues and jobs, and change nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from jobs_core.loader import load
from jobs_core.scripts.caller import MAX_ITEMS, SYSTEM, ScriptCaller
from jobs_core.scripts.reading import counts, texts
from jobs_core.scripts.replies import Glance, IdPage, JobLines, Located, Owner, Tally
from jobs_core.wire import parse_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable, Reply


HOMES = (
    "waiting",
    "delayed",
    "blocked",
    "unroutable",
    "completed",
    "failed",
    "cancelled",
    "expired",
    "active",
)
# Queues a call: it is to keep the server for a millisecond or two, also one that is slow.
_TALLIED = 6
_MEASURED = 16
_MOST_BYTES = 256 * 1024


class ReadScripts(ScriptCaller):
    """A method for each script that only reads."""

    async def glance(self, queues: Sequence[str], *, deadline: float | None = None) -> dict[str, Glance]:
        """Look at queues without changing anything, by one call for each slot of a cluster."""
        return {
            queue: _glance(cast("list[int]", row))
            for queue, row in await self._of_all("glance", queues, max(len(queues), 1), deadline)
        }

    async def tally(self, queues: Sequence[str], *, deadline: float | None = None) -> dict[str, Tally]:
        """Count queues without changing anything."""
        return {
            queue: _tally(cast("list[Reply]", row))
            for queue, row in await self._of_all("tally", queues, _TALLIED, deadline)
        }

    async def durations(
        self, queues: Sequence[str], *, deadline: float | None = None
    ) -> dict[str, dict[str, bytes | None]]:
        """Return the packed histograms of queues by name@version, the name measured first first, at most 101."""
        found: dict[str, dict[str, bytes | None]] = {}
        for queue, row in await self._of_all("durations", queues, _MEASURED, deadline):
            names, packed = cast("tuple[Reply, list[bytes | None]]", row)
            found[queue] = dict(zip(texts(names), packed, strict=True))
        return found

    async def minutes(
        self, queues: Sequence[str], *, parts: Sequence[tuple[int, int, int]], deadline: float | None = None
    ) -> dict[str, list[bytes]]:
        """Return parts of the packed minutes of queues, each of one day: the day, its first byte and its last one."""
        step = max(_MOST_BYTES // sum(last - first + 1 for _, first, last in parts), 1)
        args = [number for part in parts for number in part]
        return {
            queue: cast("list[bytes]", row)
            for queue, row in await self._of_all("minutes", queues, step, deadline, args)
        }

    async def _of_all(
        self,
        name: str,
        queues: Sequence[str],
        step: int,
        deadline: float | None,
        args: Sequence[Encodable] = (),
    ) -> list[tuple[str, Reply]]:
        """Run a script over queues, at most so many a call; in a cluster those of one slot travel together."""
        calls = [
            [queues[at] for at in call[first : first + step]]
            for call in self.client.together([self.key(queue) for queue in queues])
            for first in range(0, len(call), step)
        ]

        async def part(some: Sequence[str]) -> list[tuple[str, Reply]]:
            keys, queue = [self.key(each) for each in some], some[0] if len(some) == 1 else ""
            rows = cast("list[Reply]", await self._call(name, keys, args, deadline=deadline, queue=queue))
            return list(zip(some, rows, strict=True))

        if len(calls) == 1:
            return await part(calls[0])
        return [each for found in await asyncio.gather(*map(part, calls)) for each in found]

    async def rights(self, *, commands: Sequence[str], deadline: float | None = None) -> dict[str, list[str]]:
        """Tell of each server which commands the user of this client may not run on keys and channels of the prefix."""
        args = (self.key(SYSTEM) + "rights", *commands)
        replies = await self.client.run_each(load("rights", self._clock), args, deadline=deadline)
        return {node: texts(reply) for node, reply in replies.items()}

    async def lookup(self, queue: str, *, ids: Sequence[str], deadline: float | None = None) -> list[Located]:
        """Find jobs by id, at most 128; large ones take more than one call."""
        found: list[Located] = []
        while len(found) < len(ids):
            reply = cast("list[Reply]", await self._run("lookup", queue, tuple(ids[len(found) :]), deadline))
            found += [located(each) for each in reply]
        return found

    async def cancels(self, queue: str, *, ids: Sequence[str]) -> list[int | None]:
        """Return for each job the fence of the delivery that is to stop, None where there is none."""
        return [
            int(fence) if fence else None for fence in texts(await self._run("cancels", queue, tuple(ids)))
        ]

    async def held(self, queue: str, *, owner: str, after: int = 0) -> dict[int, str]:
        """Name deliveries of an owner whose fences are beyond `after`: at most 500 ids by their fences, the oldest first."""
        flat = texts(await self._run("held", queue, (owner, after)))
        return {int(fence): job_id for job_id, fence in zip(flat[::2], flat[1::2], strict=True)}

    async def logs(
        self, queue: str, *, job_id: str, after: str = "", count: int = 500, deadline: float | None = None
    ) -> JobLines:
        """Read lines of a job's log, the oldest first, `after` a cursor."""
        reply = cast("list[Reply]", await self._run("logs", queue, (job_id, after, count), deadline))
        flat = cast("list[bytes]", reply[2:])
        lines = [(flat[at].decode(), flat[at + 1]) for at in range(0, len(flat), 2)]
        return JobLines(kept=cast("int", reply[0]), dropped=cast("int", reply[1]), lines=lines)

    async def active(self, queue: str, *, deadline: float | None = None) -> dict[str, int]:
        """Count the jobs that run by name@version; under "" those beyond the 512, or 512 KiB, that are looked at."""
        flat = iter(cast("list[Reply]", await self._run("active", queue, (), deadline)))
        return {
            cast("bytes", name).decode(): cast("int", count) for name, count in zip(flat, flat, strict=True)
        }

    async def owners(self, queue: str, *, deadline: float | None = None) -> list[Owner]:
        """List the worker children that a queue knows, those held for dead included."""
        reply = iter(cast("list[Reply]", await self._run("owners", queue, (), deadline)))
        return [
            Owner(cast("bytes", owner).decode(), cast("int", lease), cast("int", active), dead == 1)
            for owner, lease, active, dead in zip(reply, reply, reply, reply, strict=True)
        ]

    async def page(
        self,
        queue: str,
        *,
        home: str,
        newest: bool,
        score: str = "",
        job_id: str = "",
        skip: int = 0,
        limit: int = MAX_ITEMS,
        name: str = "",
        deadline: float | None = None,
    ) -> IdPage:
        """List ids of one home, after the position of the last one seen, of one job name if given."""
        args = (home, int(newest), score, job_id, skip, limit, name)
        ids, scores, at, last, skipped = cast("list[Reply]", await self._run("page", queue, args, deadline))
        return IdPage(
            texts(ids),
            texts(scores),
            cast("bytes", at).decode(),
            cast("bytes", last).decode(),
            cast("int", skipped),
        )

    async def peek(
        self, queue: str, *, groups: Sequence[Encodable], deadline: float | None = None
    ) -> list[Reply]:
        """Read parts of several keys in one step: groups of kind, key, n and n members, as `peek.lua` says."""
        return cast("list[Reply]", await self._run("peek", queue, groups, deadline))

    async def walk(
        self,
        queue: str,
        *,
        key: str,
        cursor: str = "0",
        count: int = MAX_ITEMS,
        only: Sequence[str] = (),
        deadline: float | None = None,
    ) -> tuple[str, list[str]]:
        """Name about `count` members of a hash or a sorted set, and where to go on ("0": the end).

        With `only=("strays",)` those that are ids without a record.
        """
        args = (key, cursor, count, *only)
        after, members = cast("list[Reply]", await self._run("walk", queue, args, deadline))
        return cast("bytes", after).decode(), texts(members)


def _glance(row: Sequence[int]) -> Glance:
    return Glance(
        waiting=row[0],
        delayed=row[1],
        unroutable=row[2],
        next_due_ms=None if row[3] < 0 else row[3],
        paused=row[4] == 1,
        idle=row[5],
        lease_ends_ms=None if row[6] < 0 else row[6],
        outbox=row[7],
        startable=row[8] == 1,
        cancels=row[9],
        schedules=row[10] == 1,
    )


def _tally(row: Sequence[Reply]) -> Tally:
    paused, actor, reason = (cast("bytes", each).decode() for each in row[1:4])
    longest = cast("int", row[4])
    return Tally(
        sizes=dict(zip(HOMES, cast("list[int]", row[0]), strict=True)),
        paused_ms=int(paused) if paused else None,
        pause_actor=actor,
        pause_reason=reason,
        longest_wait_ms=None if longest < 0 else longest,
        totals=counts(row[5]),
        parked=counts(row[6]),
        used=row[7] == 1,
        peak=cast("int", row[8]),
        errors=counts(row[9]),
        paused_until_ms=int(cast("bytes", row[10])) or None,
        pauses=cast("int", row[11]),
    )


def located(reply: Reply) -> Located:
    """Return where a job is and what is kept of it."""
    state, record, info, entry, progress, fence, history = cast("list[bytes]", reply)
    return Located(
        state=state.decode(),
        record=record,
        info=info,
        entry=parse_state(entry),
        progress=progress,
        fence=int(float(fence)) if fence else 0,
        history=history,
    )
