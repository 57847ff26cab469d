"""One queue on a real server, whose time stands still until a test moves it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobs_core.scripts import MAX_BYTES, MAX_ITEMS, Claim, Claimed, Effects, Group, Scripts, Settled
from jobs_core.wire import EXPIRES, KEYED, UNIQUE, Draft, RecordHead, pack_drafts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs_core.connection import Client
    from jobs_core.connection.protocol import Encodable, Reply
    from jobs_core.scripts import Tally

CLOCK = (Path(__file__).parent / "clock.lua").read_text()
_DUMP = """
local out = {}
for _, key in ipairs(redis.call("KEYS", ARGV[1])) do
  out[#out + 1] = key
  out[#out + 1] = redis.call("DUMP", key)
end
return out
"""
_RESTORE = """
for _, key in ipairs(redis.call("KEYS", ARGV[1])) do
  redis.call("DEL", key)
end
for i = 2, #ARGV, 2 do
  redis.call("RESTORE", ARGV[i], 0, ARGV[i + 1])
end
"""
# A day in 2026, in ms: as large as real times are, and larger than the strict order's epoch.
START_MS = 1_790_000_000_000
NAME = "send@1"


def draft(
    job_id: str,
    *,
    name: str = NAME,
    priority: int = 3,
    delay_ms: int = 0,
    run_at_ms: int = 0,
    flags: int = 0,
    envelope: bytes = b"e",
    unique: str = "",
    options: str = "",
    key: str = "",
    cost: int = 0,
) -> Draft:
    """Make a new job as its producer sends it. `unique` is until when its key is held (s, d, t), then the key."""
    head = RecordHead(name)
    flags |= (UNIQUE if unique else 0) | (EXPIRES if "expires=" in options else 0) | (KEYED if key else 0)
    body = head.body(envelope, key=key.encode(), unique=unique.encode())
    return Draft(job_id, body, head.alike(flags, priority, cost, delay_ms, run_at_ms, options))


class Engine:
    """A queue and what happens to it. Sessions and their numbers are kept here, one for each caller."""

    def __init__(self, client: Client, prefix: str, queue: str = "mail") -> None:
        self.client = client
        self.queue = queue
        self.scripts = Scripts(client, prefix, clock=CLOCK)
        self.key = self.scripts.key(queue)
        self.us = START_MS * 1000
        self.seqs: Counter[str] = Counter()

    async def start(self) -> Engine:
        """Set the clock."""
        await self.set_ms(START_MS)
        return self

    @property
    def ms(self) -> int:
        """What the time is now."""
        return self.us // 1000

    async def set_ms(self, ms: int) -> None:
        """Make it another time."""
        self.us = ms * 1000
        await self.client.call("SET", "test-clock", self.us)

    async def advance(self, seconds: float) -> None:
        """Let time pass, or jump back."""
        await self.set_ms(self.ms + round(seconds * 1000))

    async def add(
        self,
        *ids: str,
        name: str = NAME,
        priority: int = 3,
        delay_ms: int = 0,
        run_at_ms: int = 0,
        flags: int = 0,
        envelope: bytes = b"envelope",
        unique: str = "",
        options: str = "",
        key: str = "",
        cost: int = 0,
        session: str = "producer",
    ) -> bytes:
        """Enqueue jobs that differ in their ids alone, as many a call as one takes."""
        verdicts: list[bytes] = []
        a_call = max(min(MAX_ITEMS, MAX_BYTES // (len(envelope) + 1)), 1)
        for at in range(0, len(ids), a_call):
            drafts = [
                draft(
                    job_id,
                    name=name,
                    priority=priority,
                    delay_ms=delay_ms,
                    run_at_ms=run_at_ms,
                    flags=flags,
                    envelope=envelope,
                    unique=unique,
                    options=options,
                    key=key,
                    cost=cost,
                )
                for job_id in ids[at : at + a_call]
            ]
            self.seqs[session] += 1
            verdicts.append(
                await self.scripts.enqueue(
                    self.queue, session=session, seq=self.seqs[session], jobs=pack_drafts(drafts)
                )
            )
        return b"".join(verdicts)

    async def declare(self, **fields: str | int) -> None:
        """Declare limits, as fields of `cfg`; those of an earlier declaration are gone."""
        texts = {"gated": "1", **{name: str(value) for name, value in fields.items()}}
        await self.scripts.declare(self.queue, definition=repr(sorted(texts.items())), fields=texts)

    async def run(self, *ids: str, owner: str = "w1") -> None:
        """Settle deliveries as completed, by their fences."""
        held = await self.zset(f"active:{owner}")
        jobs = [Claimed(each, b"", int(held[each]), None) for each in ids]
        assert await self.settle(group("complete", *jobs), owner=owner) == b"1" * len(ids)

    async def claim(
        self,
        want: int = 100,
        *,
        owner: str = "w1",
        free: int | None = None,
        register: bool = True,
        max_bytes: int = 512 * 1024,
        limits: str = "",
        after: str = "",
    ) -> Claim:
        """Take jobs as a worker child does; by default it has as many free slots as it wants jobs."""
        session = f"{owner}:claim"
        self.seqs[session] += 1
        return await self.scripts.claim(
            self.queue,
            session=session,
            seq=self.seqs[session],
            owner=owner,
            register=register,
            want=want,
            free=want if free is None else free,
            max_bytes=max_bytes,
            limits=limits,
            after=after,
        )

    async def take(self, want: int = 100, *, owner: str = "w1") -> list[str]:
        """Take jobs and tell their ids."""
        return [job.id for job in (await self.claim(want, owner=owner)).jobs]

    async def settle(self, *groups: Group | Effects, owner: str = "w1") -> bytes:
        """Settle deliveries."""
        return (await self.settled(*groups, owner=owner)).verdict

    async def settled(self, *groups: Group | Effects, owner: str = "w1") -> Settled:
        """Settle deliveries, and tell what they wrote into the outbox as well."""
        session = f"{owner}:settle"
        self.seqs[session] += 1
        return await self.scripts.settle(
            self.queue, session=session, seq=self.seqs[session], owner=owner, groups=groups
        )

    async def fail(self, *ids: str, owner: str = "w1") -> None:
        """Bring waiting jobs to `failed`, kept for ever. They must be the next ones."""
        claim = await self.claim(len(ids), owner=owner)
        assert {job.id for job in claim.jobs} == set(ids)
        assert await self.settle(group("fail", *claim.jobs, keep_count=-1), owner=owner) == b"1" * len(ids)

    async def state(self, job_id: str) -> str:
        """Tell where a job is."""
        return (await self.scripts.lookup(self.queue, ids=[job_id]))[0].state

    async def call(self, command: str, suffix: str, *args: Encodable) -> Reply:
        """Send a command for a key of the queue."""
        return await self.client.call(command, self.key + suffix, *args)

    async def zset(self, suffix: str) -> dict[str, float]:
        """Read a sorted set, in its order."""
        pairs = cast("list[tuple[bytes, float]]", await self.call("ZRANGE", suffix, 0, -1, "WITHSCORES"))
        return {member.decode(): score for member, score in pairs}

    async def ids(self, suffix: str) -> list[str]:
        """Read the members of a sorted set, in its order."""
        return list(await self.zset(suffix))

    async def hash(self, suffix: str) -> dict[str, bytes]:
        """Read a hash."""
        fields = cast("dict[bytes, bytes]", await self.call("HGETALL", suffix))
        return {field.decode(): value for field, value in fields.items()}

    async def dumped(self) -> dict[bytes, bytes]:
        """Copy all that the queue has in one step, for `restore`."""
        flat = cast("list[bytes]", await self.client.call("EVAL", _DUMP, 0, self.key + "*"))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def restore(self, dumped: Mapping[bytes, bytes]) -> None:
        """Let the queue be again what it was: a server that lost what came later."""
        flat = [part for pair in dumped.items() for part in pair]
        await self.client.call("EVAL", _RESTORE, 0, self.key + "*", *flat)

    async def sessions(self) -> list[str]:
        """Name the sessions whose last call is remembered."""
        fields = await self.hash("meta")
        return sorted(each.removeprefix("session:") for each in fields if each.startswith("session:"))

    async def stats(self) -> dict[str, int]:
        """Read the totals."""
        return {field: int(value) for field, value in (await self.hash("stats")).items()}

    async def tally(self) -> Tally:
        return (await self.scripts.tally([self.queue]))[self.queue]

    async def dump(self) -> dict[str, object]:
        """Read everything that the queue has, by key without the prefix; sessions, clocks and what is told are left out."""
        found: dict[str, object] = {}
        for raw in cast("list[bytes]", await self.client.call("KEYS", self.key.replace("{", "\\{") + "*")):
            suffix = raw.decode().removeprefix(self.key)
            kind = await self.client.call("TYPE", raw)
            if re.fullmatch(r"sessions|events|rows|series.+|hist.+", suffix):
                continue
            if kind == b"hash":
                fields = await self.hash(suffix)
                clocks = ("seen", "lease", "session:") if suffix == "meta" else ()
                found[suffix] = {each: value for each, value in fields.items() if not each.startswith(clocks)}
            elif kind == b"zset":
                found[suffix] = await self.zset(suffix)
            elif kind == b"stream":
                found[suffix] = await self.call("XRANGE", suffix, "-", "+")
            else:
                found[suffix] = await self.call("GET", suffix)
        return found


def group(
    verb: str,
    *jobs: Claimed,
    name: str = NAME,
    arg: int = 0,
    info: bytes = b"info",
    keep_count: int = 0,
    keep_age_ms: int = -1,
    keep_bytes: int = -1,
    ttl_ms: int = 0,
    run_us: int = 0,
    wait_us: int = 0,
) -> Group:
    """Settle jobs with one verb. `arg` is their flags (complete, fail) or their delay in ms (retry)."""
    return Group(
        verb=verb,
        name=name,
        items=[part for job in jobs for part in (job.id, job.fence, arg, info)],
        keep_count=keep_count,
        keep_age_ms=keep_age_ms,
        keep_bytes=keep_bytes,
        result_ttl_ms=ttl_ms,
        run_us=run_us,
        wait_us=wait_us,
    )
