"""The scripts by which jobs live: added, claimed, settled, given back, looked after."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_core.scripts.caller import MAX_BYTES, MAX_ITEMS, ScriptCaller
from jobs_core.scripts.reading import texts
from jobs_core.scripts.reads import located
from jobs_core.scripts.replies import (
    Acked,
    Applied,
    Beat,
    Claim,
    Claimed,
    Effects,
    Entry,
    GivenBack,
    Group,
    Located,
    OutboxPage,
    Settled,
)
from jobs_core.wire import Others

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.connection.protocol import Encodable, Reply


class EngineScripts(ScriptCaller):
    """A method for each script of producers and workers."""

    async def enqueue(
        self, queue: str, *, session: str, seq: int, jobs: Sequence[Encodable], deadline: float | None = None
    ) -> bytes:
        """Add jobs, as `pack_drafts` packs them.

        Returns what became of each, for `parse_verdicts`.
        """
        return cast("bytes", await self._run("enqueue", queue, (session, seq, *jobs), deadline))

    async def claim(
        self,
        queue: str,
        *,
        session: str,
        seq: int,
        owner: str,
        register: bool,
        want: int,
        free: int,
        max_bytes: int = MAX_BYTES,
        limits: str = "",
        after: str = "",
    ) -> Claim:
        """Take up to `want` jobs for an owner that has `free` slots.

        `limits` says how many more of a job it may take (`name@version=n`, commas), `after` is the cursor of an
        earlier claim to look on from.
        """
        args = (session, seq, owner, int(register), want, free, max_bytes, limits, after)
        reply = cast("list[Reply]", await self._run("claim", queue, args))
        ids = cast("list[bytes]", reply[0])
        records = cast("list[bytes | None]", reply[1])
        states = cast("list[bytes | None]", reply[4])
        if isinstance(reply[2], list):
            fences = [int(fence) for fence in cast("list[bytes]", reply[2])]
        else:
            first = int(cast("bytes", reply[2]))
            fences = range(first, first + len(ids))
        jobs = [
            Claimed(job_id.decode(), record, fence, state)
            for job_id, record, fence, state in zip(
                ids, records, fences, states or [None] * len(ids), strict=True
            )
            if record is not None
        ]
        alarm = cast("int", reply[5])
        return Claim(
            jobs=jobs,
            now_us=int(cast("bytes", reply[3])),
            alarm_ms=None if alarm < 0 else alarm,
            paused=reply[6] == 1,
            unroutable=texts(reply[7]),
            left=cast("int", reply[8]),
            cursor=cast("bytes", reply[9]).decode(),
            again=reply[10] == 1,
            ticks=reply[11] == 1,
        )

    async def settle(
        self, queue: str, *, session: str, seq: int, owner: str, groups: Sequence[Group | Effects]
    ) -> Settled:
        """Settle deliveries; effects stand before the groups of the jobs that they belong to."""
        args: list[Encodable] = [session, seq, owner]
        for group in groups:
            if isinstance(group, Effects):
                args += ("effect", group.kind, len(group.items) // 4, group.target, -1, -1, 0, 0, 0)
            else:
                args += (
                    group.verb,
                    group.name,
                    len(group.items) // 4,
                    group.keep_count,
                    group.keep_age_ms,
                    group.keep_bytes,
                    group.result_ttl_ms,
                    group.run_us,
                    group.wait_us,
                )
            args += group.items
        verdict, _, written = cast("bytes", await self._run("settle", queue, args)).partition(b"\n")
        epoch, *posted = written.split() or [b""]
        return Settled(verdict, [int(each) for each in posted], epoch.decode())

    async def outbox(
        self, queue: str, *, after: int = 0, age_ms: int = 0, ids: Sequence[int] = ()
    ) -> OutboxPage:
        """Read the named entries of an outbox, or those behind `after` that are so old, oldest first."""
        reply = cast("list[Reply]", await self._run("outbox", queue, (after, age_ms, *ids)))
        entries: list[Entry] = []
        for row in cast("list[list[bytes]]", reply[1]):
            pairs = iter(row[3:])
            effects = [(kind.decode(), content) for kind, content in zip(pairs, pairs, strict=True)]
            entries.append(Entry(int(row[0]), row[2].decode(), effects))
        return OutboxPage(cast("bytes", reply[0]).decode(), entries)

    async def apply(
        self,
        queue: str,
        *,
        source: str,
        epoch: str,
        entry: int,
        part: int = 0,
        mark: int,
        effects: Sequence[Encodable],
        deadline: float | None = None,
    ) -> Applied:
        """Apply an entry of the outbox of `source`, or a part (from 0) of a large one, once."""
        reply = await self._run("apply", queue, (source, epoch, entry, part, mark, *effects), deadline)
        if isinstance(reply, list):
            return Applied(done=True, posted=[int(each) for each in cast("list[bytes]", reply[1])])
        return Applied(None if reply == -1 else reply == 1, [])

    async def applied(
        self,
        queue: str,
        *,
        source: str,
        epoch: str,
        entries: Sequence[tuple[int, int]],
        deadline: float | None = None,
    ) -> list[bool]:
        """Tell which entries of the outbox of `source` were applied, and still are; of each its id, and in how many parts it comes."""
        flat = [each for pair in entries for each in pair]
        verdicts = cast("bytes", await self._run("applied", queue, (source, epoch, *flat), deadline))
        return [verdict == ord("1") for verdict in verdicts]

    async def ack(self, queue: str, *, ids: Sequence[int]) -> Acked:
        """Take entries off an outbox that were applied."""
        gone, mark, epoch = cast("list[Reply]", await self._run("ack", queue, tuple(ids)))
        return Acked(cast("int", gone), int(cast("bytes", mark)), cast("bytes", epoch).decode())

    async def beat(
        self, queue: str, *, lease_ms: int, owners: Sequence[str], deadline: float | None = None
    ) -> Beat:
        """Renew the leases of owners by `lease_ms` from now on the queue's lease clock."""
        gone, silent = cast("list[Reply]", await self._run("beat", queue, (lease_ms, *owners), deadline))
        return Beat(gone=texts(gone), silent=texts(silent))

    async def reap(self, queue: str, *, owner: str) -> GivenBack:
        """Return jobs of an owner whose lease ran out, each charged a crash.

        Raises ServerError OWNER_ALIVE if it did not.
        """
        return _given_back(await self._run("reap", queue, (owner,)))

    async def release(
        self, queue: str, *, owner: str, others: Others = Others.RELEASED, culprits: Sequence[str] = ()
    ) -> GivenBack:
        """Return jobs of an owner that is proven dead or stops; culprits are charged a crash, `others` says what its other jobs are."""
        return _given_back(await self._run("release", queue, (owner, int(others), *culprits)))

    async def promote(self, queue: str, *, ids: Sequence[str] = ()) -> tuple[int, int | None]:
        """Move due jobs (or the named delayed ones at once) to waiting.

        Returns how many, and ms until the next is due.
        """
        promoted = looked = 0
        while True:
            rest = tuple(ids[looked : looked + MAX_ITEMS])
            done, due, seen = cast("list[int]", await self._run("promote", queue, rest))
            promoted, looked = promoted + done, looked + seen
            if looked >= len(ids):
                return promoted, None if due < 0 else due

    async def await_(self, queue: str, *, inbox: str, job_id: str, deadline: float | None = None) -> Located:
        """Find a job and, unless it ended, enter `inbox` among those who hear of its end."""
        return located(await self._run("await", queue, (inbox, job_id), deadline))

    async def declare(
        self,
        queue: str,
        *,
        definition: str,
        off: str = "-",
        fields: Mapping[str, str],
        deadline: float | None = None,
    ) -> bool:
        """Write what code declares of a queue. Returns whether it changed.

        `off` names what is not to be written down of it (`metrics`, `events`, both with a comma, "" nothing); "-"
        leaves that as it is.
        """
        args = [definition, off, *(text for pair in fields.items() for text in pair)]
        return await self._run("declare", queue, args, deadline) == 1

    async def reroute(self, queue: str, *, offset: int, names: Sequence[str]) -> tuple[int, int]:
        """Move parked jobs whose name@version is known (`*`: all) back to waiting.

        Returns (moved, looked at).
        """
        moved, looked = cast("list[int]", await self._run("reroute", queue, (offset, *names)))
        return moved, looked

    async def progress(
        self, queue: str, *, owner: str, told: bytes = b"", items: Sequence[Encodable]
    ) -> bytes:
        """Write progress, given flat as id, fence, bytes; `told` is what the events say of it (`pack_told`).

        Returns b"1" or b"0" (stale fence) for each.
        """
        return cast("bytes", await self._run("progress", queue, (owner, told, *items)))

    async def checkpoint(self, queue: str, *, owner: str, items: Sequence[Encodable]) -> bytes:
        """Write checkpoints, given flat as id, fence, bytes. Returns b"1" or b"0" (stale fence) for each."""
        return cast("bytes", await self._run("checkpoint", queue, (owner, *items)))

    async def log(
        self, queue: str, *, owner: str, max_lines: int, max_bytes: int, items: Sequence[Encodable]
    ) -> bytes:
        """Add to the logs of jobs, given flat as id, fence, n, lines dropped before, n lines.

        Returns b"1" or b"0" (stale fence) for each.
        """
        return cast("bytes", await self._run("log", queue, (owner, max_lines, max_bytes, *items)))

    async def trim(self, queue: str) -> int:
        """Remove what outlived its time, at most 500 of each kind. Returns how many."""
        return cast("int", await self._run("trim", queue, ()))

    async def tend(self, queue: str, *, deadline: float | None = None) -> tuple[bool, int]:
        """Look after a queue that perhaps no worker serves: what expired, flows that were left behind, what was obliterated.

        Returns whether there is more to do now, and how many entries its outbox has.
        """
        more, entries = cast("list[int]", await self._run("tend", queue, (), deadline))
        return more == 1, entries


def _given_back(reply: Reply) -> GivenBack:
    ids, poisoned, left = cast("list[Reply]", reply)
    return GivenBack(ids=texts(ids), poisoned=texts(poisoned), left=cast("int", left))
