"""The typed facade over the Lua files: one method for each, and the only module that runs scripts.

Every method takes the queue's name and keyword arguments, and returns a frozen Struct or a plain value.
Mutating calls carry (session, seq) or are idempotent by nature, so the client may send them again after a
lost connection. Errors: OwnerGone, SchemaMismatch, ServerFull, ServerError; ConnectionFailed where a deadline
is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed
from jobs_core.flow_scripts import FlowScripts
from jobs_core.keys import queue_prefix
from jobs_core.loader import load
from jobs_core.wire import JobStateEntry, Others, parse_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.codecs import Codecs
    from jobs_core.connection.client import Client
    from jobs_core.connection.protocol import Encodable, Reply

MAX_ITEMS = 128
# What lies beside the queues lies under the tag of a queue that nobody can make.
SYSTEM = "~"
TRIM_LIMIT = 500
MAX_BYTES = 512 * 1024
# Of one job to replay: how many arguments it has, and how many of them a call takes.
_REPLAY_PARTS = 9
_REPLAY_JOBS = 16
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


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """One delivery: the record as stored, its fence, and the budgets it has spent before (None: none)."""

    id: str
    record: bytes
    fence: int
    state: bytes | None


class Claim(msgspec.Struct, frozen=True):
    """What a claim gave.

    `alarm_ms` is not None where this owner is the one to wake at the next due job, `left` what still waits, `cursor`
    where it stopped short of the end of the queue with less than was wanted ("": it did not), `again` whether
    another claim may find more at once, `ticks` whether this owner is to send what schedules have due.
    """

    jobs: list[Claimed]
    now_us: int
    alarm_ms: int | None
    paused: bool
    unroutable: list[str]
    left: int
    cursor: str = ""
    again: bool = False
    ticks: bool = False


class Beat(msgspec.Struct, frozen=True):
    """Owners that the server holds for dead, and owners whose lease ran out and who are to be reaped."""

    gone: list[str]
    silent: list[str]


class GivenBack(msgspec.Struct, frozen=True):
    """Jobs of a dead owner that wait again, those that failed as poison, and how many are still to move."""

    ids: list[str]
    poisoned: list[str]
    left: int


class Glance(msgspec.Struct, frozen=True):
    """One queue at a glance. Times in ms from now, None where nothing is to come.

    `startable` is whether a claim may find jobs: those that wait for a slot, a token or their key are none.
    `schedules` is whether any are due and nobody is at it.
    """

    waiting: int
    delayed: int
    unroutable: int
    next_due_ms: int | None
    paused: bool
    idle: int
    lease_ends_ms: int | None
    outbox: int = 0
    startable: bool = False
    cancels: int = 0
    schedules: bool = False


class Located(msgspec.Struct, frozen=True):
    """Where a job is and what is kept of it.

    `state` is "" when nothing is known, "finished" when only `info` is left.
    """

    state: str
    record: bytes
    info: bytes
    entry: JobStateEntry
    progress: bytes
    fence: int
    history: bytes


class JobLines(msgspec.Struct, frozen=True):
    """Lines of a job's log, each with the cursor to go on from; `dropped` older ones are gone over its caps."""

    kept: int
    dropped: int
    lines: list[tuple[str, bytes]]


class Tally(msgspec.Struct, frozen=True):
    """A queue in numbers.

    `sizes` by home, `totals` as `field:name@version`, the longest wait in ms (None: nothing waits), `peak` the most jobs
    that ever ran at once, `errors` attempts that failed as `name@version:type`.
    """

    sizes: dict[str, int]
    paused_ms: int | None
    pause_actor: str
    pause_reason: str
    longest_wait_ms: int | None
    totals: dict[str, int]
    parked: dict[str, int]
    used: bool
    peak: int
    errors: dict[str, int]
    paused_until_ms: int | None = None
    pauses: int = 0


class Owner(msgspec.Struct, frozen=True):
    """A worker child that a queue knows, how long its lease lasts (below 0: it ran out), and its jobs."""

    owner: str
    lease_ms: int
    active: int
    dead: bool


class IdPage(msgspec.Struct, frozen=True):
    """Ids of one home.

    `score` and `id` are where to go on, "" at its end; `skipped` is how many were passed over first.
    """

    ids: list[str]
    scores: list[str]
    score: str
    id: str
    skipped: int


class Group(msgspec.Struct, frozen=True):
    """Settlements of one verb and one job name, or, behind all of these, what else is to be written down.

    `items` holds id, fence, flags or delay in ms, and info, one after the other. Of `measure` they are operations on
    the name's histograms, of `error` type, count, "", "", of `tell` rows, summary rows, events, "" (see `note.lua`).
    """

    verb: str
    name: str
    items: list[Encodable]
    keep_count: int = 0
    keep_age_ms: int = -1
    keep_bytes: int = -1
    result_ttl_ms: int = 0
    run_us: int = 0
    wait_us: int = 0


class Effects(msgspec.Struct, frozen=True):
    """What follows the end of jobs that the same call settles: effects of one kind for one queue.

    `items` holds id, fence, how many jobs it adds, and content, one after the other.
    """

    kind: str
    target: str
    items: list[Encodable]


class Settled(msgspec.Struct, frozen=True):
    """What became of settlements: b"1" (settled) or b"0" (the lease was lost) for each, in the order given.

    `posted` names the entries that this call wrote into the outbox, whose epoch is `epoch`: those of the effects given, in
    their order, then what else follows.
    """

    verdict: bytes
    posted: list[int]
    epoch: str = ""


class Applied(msgspec.Struct, frozen=True):
    """Whether this call applied an entry, None where it cannot be applied now; `posted` names what that wrote into the target's outbox."""

    done: bool | None
    posted: list[int]


class Entry(msgspec.Struct, frozen=True):
    """One entry of an outbox: effects for one queue, as pairs of kind and content."""

    id: int
    target: str
    effects: list[tuple[str, bytes]]


class AlertRound(msgspec.Struct, frozen=True):
    """The alerts of a minute that somebody may judge now; `minute` 0 where it is not this one.

    By "queue/alert": what fires, as Unix ms of its beginning and what is told of it, and thresholds that are set live. By queue what was
    remembered of it. `untold` are crossings that were not told yet.
    """

    minute: int
    firing: dict[str, bytes]
    live: dict[str, bytes]
    seen: dict[str, bytes]
    untold: dict[str, bytes]


class OutboxPage(msgspec.Struct, frozen=True):
    """Entries of an outbox; `mark` is the oldest one that it has (0: none)."""

    epoch: str
    mark: int
    entries: list[Entry]


class Acked(msgspec.Struct, frozen=True):
    """Entries that left an outbox; `mark` is as old as the oldest one that it has now, or older."""

    gone: int
    mark: int
    epoch: str


class Scripts(FlowScripts):
    """The state machine, as methods. One instance serves one client and one key prefix."""

    def __init__(
        self, client: Client, prefix: str, *, clock: str | None = None, codecs: Codecs | None = None
    ) -> None:
        """Bind the scripts to a client; by `clock`, the text of a Lua fragment, tests move the time.

        `codecs` are for whoever reads payloads and results of what the scripts return.
        """
        self.codecs = codecs
        self.client = client
        self.prefix = prefix
        self._clock = clock
        self._keys: dict[str, str] = {}

    def key(self, queue: str) -> str:
        """Return the key prefix of a queue."""
        key = self._keys.get(queue)
        if key is None:
            key = self._keys[queue] = queue_prefix(self.prefix, queue)
        return key

    async def _run(
        self, name: str, queue: str, args: Sequence[Encodable], deadline: float | None = None
    ) -> Reply:
        return await self._call(name, (self.key(queue),), args, deadline=deadline, queue=queue)

    async def _call(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[Encodable],
        *,
        deadline: float | None = None,
        queue: str = "",
    ) -> Reply:
        script = load(name, self._clock)
        try:
            return await self.client.run(script, keys, args, deadline=deadline, queue=queue)
        except OutcomeLost as error:
            if script.flags != "no-writes":
                raise
            # A read whose reply did not come has changed nothing.
            raise ConnectionFailed(self.client.address.display, str(error)) from None

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
            unroutable=_texts(reply[7]),
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
        for row in cast("list[list[bytes]]", reply[2]):
            pairs = iter(row[3:])
            effects = [(kind.decode(), content) for kind, content in zip(pairs, pairs, strict=True)]
            entries.append(Entry(int(row[0]), row[2].decode(), effects))
        return OutboxPage(cast("bytes", reply[0]).decode(), int(cast("bytes", reply[1])), entries)

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
    ) -> Applied:
        """Apply an entry of the outbox of `source`, or a part (from 0) of a large one, once."""
        reply = await self._run("apply", queue, (source, epoch, entry, part, mark, *effects))
        if isinstance(reply, list):
            return Applied(done=True, posted=[int(each) for each in cast("list[bytes]", reply[1])])
        return Applied(None if reply == -1 else reply == 1, [])

    async def ack(self, queue: str, *, ids: Sequence[int]) -> Acked:
        """Take entries off an outbox that were applied."""
        gone, mark, epoch = cast("list[Reply]", await self._run("ack", queue, tuple(ids)))
        return Acked(cast("int", gone), int(cast("bytes", mark)), cast("bytes", epoch).decode())

    async def beat(
        self, queue: str, *, lease_ms: int, owners: Sequence[str], deadline: float | None = None
    ) -> Beat:
        """Renew the leases of owners by `lease_ms` from now on the queue's lease clock."""
        gone, silent = cast("list[Reply]", await self._run("beat", queue, (lease_ms, *owners), deadline))
        return Beat(gone=_texts(gone), silent=_texts(silent))

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

    async def glance(self, queues: Sequence[str], *, deadline: float | None = None) -> dict[str, Glance]:
        """Look at queues without changing anything."""
        if not queues:
            return {}
        keys = [self.key(queue) for queue in queues]
        reply = cast("list[list[int]]", await self._call("glance", keys, (), deadline=deadline))
        return {
            queue: Glance(
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
            for queue, row in zip(queues, reply, strict=True)
        }

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

    async def limit(self, queue: str, *, limits: Mapping[str, str]) -> bool:
        """Set limits live; they hold over the declared ones. Returns whether anything changed.

        `max_active` and `key_active` are numbers, `rate` and `key_rate` are "max per_ms burst"; "0" lifts a limit, ""
        takes it back to what code declares. Raises ServerError BAD_LIMIT for anything else.
        """
        return await self._run("limit", queue, [text for pair in limits.items() for text in pair]) == 1

    async def pause(
        self, queue: str, *, what: str = "", for_ms: int = 0, actor: str = "", reason: str = ""
    ) -> bool:
        """Pause a queue, or of it what `what` says (`job:NAME`, `key:KEY`), for `for_ms` if that is not 0.

        Returns False if it was paused already.
        """
        return await self._run("pause", queue, (what, for_ms, actor, reason)) == 1

    async def resume(self, queue: str, *, what: str = "") -> bool:
        """Resume a queue, or what `what` names. Returns False if it was running already."""
        return await self._run("resume", queue, (what,)) == 1

    async def priority(self, queue: str, *, priority: int, ids: Sequence[str]) -> list[str]:
        """Give waiting or delayed jobs another priority.

        Returns for each "1", "0" (not known) or the state it is in instead; large ones take more than one call.
        """
        return await self._each("priority", queue, (priority,), ids)

    async def reschedule(
        self, queue: str, *, delay_ms: int = 0, run_at_ms: int = 0, ids: Sequence[str]
    ) -> list[str]:
        """Make waiting or delayed jobs due after a delay, or at an instant (Unix ms). Returns as `priority`."""
        return await self._each("reschedule", queue, (delay_ms, run_at_ms), ids)

    async def _each(
        self,
        name: str,
        queue: str,
        args: Sequence[Encodable],
        ids: Sequence[str],
        deadline: float | None = None,
    ) -> list[str]:
        verdicts: list[str] = []
        while len(verdicts) < len(ids):
            rest = ids[len(verdicts) : len(verdicts) + MAX_ITEMS]
            verdicts += _texts(await self._run(name, queue, (*args, *rest), deadline))
        return verdicts

    async def obliterate(self, queue: str, *, force: bool) -> tuple[int, int, int]:
        """Take everything of a queue away.

        Returns (jobs taken away, jobs that run, left in the trash for `trim`). The first is -2 where jobs run and
        `force` is not given, -1 while an earlier trash is still being emptied (call again).
        """
        jobs, running, left = cast("list[int]", await self._run("obliterate", queue, (int(force),)))
        return jobs, running, left

    async def reroute(self, queue: str, *, offset: int, names: Sequence[str]) -> tuple[int, int]:
        """Move parked jobs whose name@version is known (`*`: all) back to waiting.

        Returns (moved, looked at).
        """
        moved, looked = cast("list[int]", await self._run("reroute", queue, (offset, *names)))
        return moved, looked

    async def await_(self, queue: str, *, inbox: str, job_id: str, deadline: float | None = None) -> Located:
        """Find a job and, unless it ended, enter `inbox` among those who hear of its end."""
        return _located(await self._run("await", queue, (inbox, job_id), deadline))

    async def lookup(self, queue: str, *, ids: Sequence[str], deadline: float | None = None) -> list[Located]:
        """Find jobs by id, at most 128; large ones take more than one call."""
        found: list[Located] = []
        while len(found) < len(ids):
            reply = cast("list[Reply]", await self._run("lookup", queue, tuple(ids[len(found) :]), deadline))
            found += [_located(each) for each in reply]
        return found

    async def schedule_put(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        expected_ms: int,
        definition: bytes,
        since_ms: int,
        next_ms: int,
        act_ms: int,
        delay_ms: int,
        halts: int,
        deadline: float | None = None,
    ) -> int:
        """Write a schedule as it was seen (version 0: none). Returns its version now, 0 where it was changed meanwhile.

        `act_ms` is when the next fire is sent, `delay_ms` that of one which counts from the end of a run.
        """
        times = (since_ms, next_ms, act_ms, delay_ms)
        args = (schedule_id, version, expected_ms, definition, *times, halts)
        return cast("int", await self._run("schedule_put", queue, args, deadline))

    async def schedule_remove(
        self, queue: str, *, schedule_id: str, keep_job: int, deadline: float | None = None
    ) -> int:
        """Remove a schedule: 1, 2 with the job that it sent last and that had not started, 0 where it is not known."""
        return cast("int", await self._run("schedule_remove", queue, (schedule_id, keep_job), deadline))

    async def schedule_pause(
        self, queue: str, *, schedule_id: str, actor: str, reason: str, deadline: float | None = None
    ) -> int:
        """Pause a schedule: 1, 0 it was paused already, -1 not known, -2 it has ended."""
        return cast("int", await self._run("schedule_pause", queue, (schedule_id, actor, reason), deadline))

    async def schedule_resume(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        expected_ms: int,
        next_ms: int,
        act_ms: int,
        deadline: float | None = None,
    ) -> int:
        """Resume a schedule as it was seen: 1, 0 it was not paused, -1 not known, -2 changed meanwhile."""
        args = (schedule_id, version, expected_ms, next_ms, act_ms)
        return cast("int", await self._run("schedule_resume", queue, args, deadline))

    async def schedule_rows(
        self, queue: str, *, ids: Sequence[str], deadline: float | None = None
    ) -> list[Reply]:
        """Read schedules by id: now (ms), how many there are, then id, definition, state, note of each."""
        return cast("list[Reply]", await self._run("schedule_rows", queue, tuple(ids), deadline))

    async def schedule_page(
        self, queue: str, *, offset: int, limit: int, deadline: float | None = None
    ) -> list[Reply]:
        """Read schedules in the order of their fires, as `schedule_rows`."""
        return cast("list[Reply]", await self._run("schedule_page", queue, (offset, limit), deadline))

    async def schedule_due(self, queue: str, *, limit: int) -> list[Reply]:
        """Read schedules that are due, the longest first, as `schedule_rows`."""
        return cast("list[Reply]", await self._run("schedule_due", queue, (limit,)))

    async def schedule_tick(self, queue: str, *, schedules: Sequence[Encodable]) -> list[int]:
        """Send the fires of schedules that are due, given flat as the script takes them.

        Returns of each how many, -1 where somebody else has ticked it.
        """
        return cast("list[int]", await self._run("schedule_tick", queue, tuple(schedules)))

    async def schedule_trigger(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        last_job: str,
        stops: int,
        jobs: Sequence[Encodable],
        deadline: float | None = None,
    ) -> bytes | None:
        """Send jobs of a schedule out of turn. Returns what became of each, None where it was changed meanwhile."""
        args = (schedule_id, version, last_job, stops, *jobs)
        return cast("bytes | None", await self._run("schedule_trigger", queue, args, deadline))

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

    async def logs(
        self, queue: str, *, job_id: str, after: str = "", count: int = 500, deadline: float | None = None
    ) -> JobLines:
        """Read lines of a job's log, the oldest first, `after` a cursor."""
        reply = cast("list[Reply]", await self._run("logs", queue, (job_id, after, count), deadline))
        flat = cast("list[bytes]", reply[2:])
        lines = [(flat[at].decode(), flat[at + 1]) for at in range(0, len(flat), 2)]
        return JobLines(kept=cast("int", reply[0]), dropped=cast("int", reply[1]), lines=lines)

    async def retry(self, queue: str, *, ids: Sequence[str]) -> list[str]:
        """Put failed jobs back with fresh budgets.

        Returns for each "1", "0" (not known) or the state it is in instead.
        """
        return await self._each("retry", queue, (), ids)

    async def replay(self, queue: str, *, jobs: Sequence[Encodable]) -> list[str]:
        """Replay jobs that failed for good, given flat as the script takes them.

        Returns for each "1", "0" (not known), "replayed" (this life of it was before) or the state it is in.
        """
        verdicts: list[str] = []
        while rest := jobs[len(verdicts) * _REPLAY_PARTS :]:
            verdicts += _texts(await self._run("replay", queue, _replay_call(rest)))
        return verdicts

    async def remove(self, queue: str, *, ids: Sequence[str]) -> list[str]:
        """Remove jobs. Returns for each "1", "0" (not known) or "active" (refused)."""
        return await self._each("remove", queue, (), ids)

    async def cancel(self, queue: str, *, ids: Sequence[str], deadline: float | None = None) -> list[str]:
        """Cancel jobs. Returns for each "cancelled", "requested" (it runs), "already_finished" or "not_found"."""
        return await self._each("cancel", queue, (), ids, deadline)

    async def cancels(self, queue: str, *, ids: Sequence[str]) -> list[int | None]:
        """Return for each job the fence of the delivery that is to stop, None where there is none."""
        return [
            int(fence) if fence else None for fence in _texts(await self._run("cancels", queue, tuple(ids)))
        ]

    async def clean(self, queue: str, *, home: str, age_ms: int, limit: int) -> int:
        """Remove finished jobs older than an age, at most 500 a call. Returns how many."""
        return cast("int", await self._run("clean", queue, (home, age_ms, limit)))

    async def trim(self, queue: str) -> int:
        """Remove what outlived its time, at most 500 of each kind. Returns how many."""
        return cast("int", await self._run("trim", queue, ()))

    async def tend(self, queue: str, *, deadline: float | None = None) -> tuple[bool, int]:
        """Look after a queue that perhaps no worker serves: what expired, flows that were left behind, what was obliterated.

        Returns whether there is more to do now, and how many entries its outbox has.
        """
        more, entries = cast("list[int]", await self._run("tend", queue, (), deadline))
        return more == 1, entries

    async def tally(self, queue: str, *, deadline: float | None = None) -> Tally:
        """Count a queue without changing anything."""
        reply = cast("list[Reply]", await self._run("tally", queue, (), deadline))
        paused, actor, reason = (cast("bytes", each).decode() for each in reply[1:4])
        longest = cast("int", reply[4])
        return Tally(
            sizes=dict(zip(HOMES, cast("list[int]", reply[0]), strict=True)),
            paused_ms=int(paused) if paused else None,
            pause_actor=actor,
            pause_reason=reason,
            longest_wait_ms=None if longest < 0 else longest,
            totals=_counts(reply[5]),
            parked=_counts(reply[6]),
            used=reply[7] == 1,
            peak=cast("int", reply[8]),
            errors=_counts(reply[9]),
            paused_until_ms=int(cast("bytes", reply[10])) or None,
            pauses=cast("int", reply[11]),
        )

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
            _texts(ids),
            _texts(scores),
            cast("bytes", at).decode(),
            cast("bytes", last).decode(),
            cast("int", skipped),
        )

    async def drain(self, queue: str, *, home: str, limit: int) -> tuple[int, int]:
        """Remove waiting or delayed jobs, at most 500 a call.

        Returns how many, and how many are left in that home.
        """
        removed, left = cast("list[int]", await self._run("drain", queue, (home, limit)))
        return removed, left

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
        return cast("bytes", after).decode(), _texts(members)

    async def alert_claim(self) -> AlertRound:
        """Take the alerts of this minute, if nobody else has."""
        reply = cast("list[Reply]", await self._run("alert_claim", SYSTEM, ()))
        firing, live, seen, untold = (_fields(each) for each in reply[1:])
        return AlertRound(cast("int", reply[0]), firing, live, seen, untold)

    async def alert_judge(
        self, *, minute: int, queues: Mapping[str, bytes], alerts: Mapping[str, tuple[bool, bytes]]
    ) -> list[str] | None:
        """Write down what is remembered of queues, and of each "queue/alert" whether it fires, with what is told of it.

        Returns the crossings that are to be told, None where another minute was begun meanwhile.
        """
        args: list[Encodable] = [minute, len(queues), *(part for pair in queues.items() for part in pair)]
        for name, (fires, told) in alerts.items():
            args += (name, int(fires), told)
        reply = await self._run("alert_judge", SYSTEM, args)
        return None if reply is None else _texts(reply)

    async def alert_told(self, *, ids: Sequence[str]) -> int:
        """Forget crossings that were told. Returns how many there were."""
        return cast("int", await self._run("alert_told", SYSTEM, tuple(ids)))

    async def alert_set(self, *, alert: str, threshold: str) -> bool:
        """Set the threshold of "queue/alert" live ("off": no alert), or take it back (""). Returns whether anything changed."""
        return await self._run("alert_set", SYSTEM, (alert, threshold)) == 1

    async def mend(self, queue: str, *, code: str, about: Sequence[str]) -> bytes:
        """Mend breaches of one code, at most 128, that are still there.

        Returns for each b"1" (mended), b"0" (it holds by now) or b"-" (no script can mend it).
        """
        return cast("bytes", await self._run("mend", queue, (code, *about)))


def _replay_call(jobs: Sequence[Encodable]) -> Sequence[Encodable]:
    """Return the first of what is to be replayed: a job moves as ten other commands would, and may bring all of it."""
    size = 0
    for at in range(0, min(len(jobs), _REPLAY_JOBS * _REPLAY_PARTS), _REPLAY_PARTS):
        size += sum(len(part) for part in jobs[at : at + _REPLAY_PARTS] if isinstance(part, bytes | str))
        if at and size > MAX_BYTES:
            return jobs[:at]
    return jobs[: _REPLAY_JOBS * _REPLAY_PARTS]


def _texts(reply: Reply) -> list[str]:
    return [item.decode() for item in cast("list[bytes]", reply)]


def _fields(reply: Reply) -> dict[str, bytes]:
    flat = iter(cast("list[bytes]", reply))
    return {field.decode(): value for field, value in zip(flat, flat, strict=True)}


def _counts(reply: Reply) -> dict[str, int]:
    flat = iter(cast("list[bytes]", reply))
    return {field.decode(): int(count) for field, count in zip(flat, flat, strict=True)}


def _given_back(reply: Reply) -> GivenBack:
    ids, poisoned, left = cast("list[Reply]", reply)
    return GivenBack(ids=_texts(ids), poisoned=_texts(poisoned), left=cast("int", left))


def _located(reply: Reply) -> Located:
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
