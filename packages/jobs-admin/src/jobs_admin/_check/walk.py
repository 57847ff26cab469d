"""Goes through a queue in bounded steps and judges it. Nothing is changed, and what moves meanwhile is no breach."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, cast

from jobs_admin._check.flows import check_flows
from jobs_admin._check.keys import FINAL, KEYS, SYSTEM_KEYS, kind_of
from jobs_admin._check.rules import (
    JOB_RULES,
    Wrong,
    blocked_jobs,
    judge_active,
    judge_head,
    judge_key,
    judge_schedule,
    judge_slots,
    unique_keys,
)
from jobs_admin._check.told import check_audit, check_told
from jobs_admin._check.view import View, look
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.scripts import MAX_ITEMS

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_core.connection.protocol import Encodable, Reply

__all__ = ["Tour", "check_beside", "check_jobs", "check_sums", "scan"]

# A job is looked for in each key by id, so with many owners fewer jobs are looked at in one step.
_MAX_LOOKUPS = 8192
_MAX_WALKED = 500
# Of unique keys up to two jobs each are looked at.
_MAX_KEYS = MAX_ITEMS // 2


@dataclass
class Tour:
    """A walk through one queue: whom to ask, and what came of it so far beside the breaches."""

    calls: Calls
    queue: str
    jobs: int = 0
    readable: bool = True
    unjudged: list[str] = field(default_factory=list[str])

    async def peek(self, *groups: Encodable) -> list[Reply]:
        """Read parts of several keys in one step."""
        return await self.calls.read(self.calls.scripts.peek(self.queue, groups=groups))

    async def look(self, ids: Sequence[str], strays: Sequence[str] = (), keys: Sequence[str] = ()) -> View:
        """Read all that the queue holds of some jobs (of the first of them, where they are large), and who holds some unique keys."""
        return await self.calls.read(look(self.calls.scripts, self.queue, ids, strays, keys))

    async def views(self, ids: Sequence[str], strays: Sequence[str] = ()) -> AsyncIterator[View]:
        """Read all that the queue holds of some jobs, in as many steps as their size takes."""
        at = 0
        while at < len(ids):
            view = await self.look(ids[at:], strays)
            at += len(view.ids)
            yield view

    async def walk(self, key: str, count: int, *only: str) -> AsyncIterator[list[str]]:
        """Yield the members of a key, about `count` at once, fewer where their values are large."""
        cursor = ""
        while cursor != "0":
            call = self.calls.scripts.walk(self.queue, key=key, cursor=cursor or "0", count=count, only=only)
            cursor, members = await self.calls.read(call)
            if members:
                yield list(dict.fromkeys(members))


async def check_jobs(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Judge the keys of a queue by name, its jobs, its owners and sessions."""
    prefix = tour.calls.scripts.key(tour.queue)
    sound = set(found)
    for name, (kind, ttl) in zip(found, await _types(tour, [prefix + name for name in found]), strict=True):
        for each in _key(name, kind, ttl):
            if each.code == "key_type":
                sound.discard(name)
            yield each
    tour.readable = not any(name in KEYS for name in set(found) - sound)
    if not tour.readable:
        return
    async for each in _jobs(tour, sound):
        yield each
    for judge in (_owners, _sessions, _unique, _schedules):
        for each in await judge(tour):
            yield each
    for walk in (_ring(tour, found), check_flows(tour, sorted(sound)), check_told(tour, sorted(sound))):
        async for each in walk:
            yield each


async def can_read(tour: Tour, found: Sequence[str]) -> bool:
    """Tell whether the keys of a queue, which `found` names, are what they should be, so that scripts can look at it."""
    prefix = tour.calls.scripts.key(tour.queue)
    types = await _types(tour, [prefix + name for name in found])
    wrong = (each.code for name, (kind, _) in zip(found, types, strict=True) for each in _key(name, kind, -1))
    return "key_type" not in wrong


async def check_sums(tour: Tour) -> AsyncIterator[Wrong]:
    """Judge what a queue counts."""
    if tour.readable:
        for judge in (_totals, _bytes, _parked, _letters, _slots):
            for each in await judge(tour):
                yield each


async def check_beside(calls: Calls, found: Sequence[str], prefix: str) -> AsyncIterator[Wrong]:
    """Judge the keys under a prefix that belong to no queue."""
    if "{~}:audit" in found:
        for each in await check_audit(calls, f"{prefix}:{{~}}:audit"):
            yield each
    for name in found:
        if name.startswith("{~}:"):
            if name.removeprefix("{~}:") not in SYSTEM_KEYS:
                yield Wrong("unknown_key", f"{prefix}:{name}")
        elif not (name.startswith("{") and "}:" in name):
            yield Wrong("unknown_key", f"{prefix}:{name}")


async def scan(calls: Calls, prefix: str) -> list[str]:
    """Name all keys under a prefix, without it, sorted."""
    found: set[str] = set()
    pattern = "".join(f"\\{each}" if each in "*?[]\\{}" else each for each in prefix) + "*"
    pages = calls.client.scan(pattern)
    while (keys := await calls.read(anext(pages, None))) is not None:
        found.update(key.decode(errors="replace").removeprefix(prefix) for key in keys)
    return sorted(found)


async def _types(tour: Tour, keys: Sequence[str]) -> list[tuple[str, int]]:
    types: list[tuple[str, int]] = []
    call = tour.calls.client.call
    for at in range(0, len(keys), 250):
        step = keys[at : at + 250]
        asked = [call(command, key) for key in step for command in ("TYPE", "TTL")]
        replies = cast("list[bytes | int]", await tour.calls.read_all(asked))
        types += [
            (cast("bytes", kind).decode(), int(life))
            for kind, life in zip(replies[::2], replies[1::2], strict=True)
        ]
    return types


def _key(name: str, kind: str, ttl: int) -> Iterator[Wrong]:
    known = kind_of(name)
    if kind == "none":
        return  # It is gone by now.
    if known is None:
        yield Wrong("unknown_key", name, kind)
    elif known.kind != kind:
        yield Wrong("key_type", name, f"{kind}, not {known.kind}")
    if ttl != -1:
        yield Wrong("key_ttl", name, f"{ttl} s")


async def _jobs(tour: Tour, found: set[str]) -> AsyncIterator[Wrong]:
    """Judge every id that is anywhere: those with a record first, then those that have none."""
    owners = (await tour.look(())).owners
    active = (name for name in found if name.startswith("active:"))
    unknown = [name for name in active if name.removeprefix("active:") not in owners]
    by_id = sum(key.of == "id" for key in KEYS.values())
    most = max(min(MAX_ITEMS, _MAX_LOOKUPS // (by_id + len(owners) + len(unknown))), 8)
    async for ids in _full(tour.walk("rec", _MAX_WALKED), most):
        async for view in tour.views(ids, unknown):
            tour.jobs += len(view.records)
            for each in judge_jobs(view):
                yield each
    async for ids in _full(_strays(tour, found), most):
        async for view in tour.views(ids, unknown):
            for each in judge_jobs(view):
                yield each


async def _full(walk: AsyncIterator[Iterable[str]], most: int) -> AsyncIterator[list[str]]:
    """Yield what a walk finds, so many at once however many come by, each once among those that wait."""
    waiting = dict[str, None]()
    async for members in walk:
        waiting |= dict.fromkeys(members)
        while len(waiting) >= most:
            some = list(islice(waiting, most))
            yield some
            for each in some:
                del waiting[each]
    if waiting:
        yield list(waiting)


async def _strays(tour: Tour, found: set[str]) -> AsyncIterator[list[str]]:
    """Yield ids without a record that are in any other key."""
    for name in sorted(found):
        known = kind_of(name)
        if known is None or known.of != "id" or name == "rec":
            continue
        if known.kind not in {"hash", "zset"}:
            yield [name.partition(":")[2]]
            continue
        async for members in tour.walk(name, _MAX_WALKED, "strays"):
            yield members


def judge_jobs(view: View) -> list[Wrong]:
    """Apply all rules that judge jobs."""
    return [wrong for rule in JOB_RULES for wrong in rule(view)]


async def _owners(tour: Tour) -> list[Wrong]:
    """Judge the idle owners."""
    owners, idle = await tour.peek("all", "owners", 0, "all", "idle", 0)
    known = _pairs(owners)
    return [Wrong("idle", owner) for owner in _pairs(idle) if known.get(owner, -1.0) < 0]


async def _sessions(tour: Tour) -> list[Wrong]:
    """Hold that a session whose last call is remembered is entered, so that it is forgotten one day."""
    wrong: list[Wrong] = []
    async for fields in tour.walk("meta", _MAX_WALKED):
        some = [each.removeprefix("session:") for each in fields if each.startswith("session:")]
        if not some:
            continue
        kept = [f"session:{each}" for each in some]
        n = len(some)
        replies = await tour.peek("hash", "meta", n, *kept, "zset", "sessions", n, *some)
        remembered, entered = cast("list[list[bytes | None]]", replies)
        wrong += [
            Wrong("session", each)
            for each, call, entry in zip(some, remembered, entered, strict=True)
            if call is not None and entry is None
        ]
    return wrong


async def _totals(tour: Tour) -> list[Wrong]:
    """Hold that what came in is there, has ended, or was removed (I4)."""
    tally = await tour.calls.tally(tour.queue)
    total = Counter[str]()
    for name, value in tally.totals.items():
        total[name.partition(":")[0]] += value
    live = sum(size for home, size in tally.sizes.items() if home not in FINAL)
    came = total["added"] + total["replayed"]
    went = sum(total[end] for end in (*FINAL, "removed"))
    if came == live + went:
        return []
    return [Wrong("totals", tour.queue, f"{came} came, {went} went, {live} are there")]


async def _bytes(tour: Tour) -> list[Wrong]:
    """Hold that the bytes of what is kept are counted."""
    wrong: list[Wrong] = []
    for home in FINAL:
        (said,), (_, there) = cast(
            "tuple[list[bytes | None], list[int]]",
            await tour.peek("hash", "meta", 1, f"bytes:{home}", "weigh", home, 0),
        )
        if there == -1:
            tour.unjudged.append(f"bytes of {home}")
        elif int(said or 0) != there:
            wrong.append(Wrong("bytes", home, f"{int(said or 0)} counted, {there} there"))
    return wrong


async def _parked(tour: Tour) -> list[Wrong]:
    """Hold that parked jobs are counted by name, for the workers that could take them."""
    said, size, there = await _tallied(tour, "unroutable.names", "names", "unroutable")
    if size == -1:
        tour.unjudged.append("parked jobs by name")
        return []
    if size > sum(there.values()):
        return []  # Ghosts are told as such.
    return _miscounted("parked", said, there)


async def _letters(tour: Tour) -> list[Wrong]:
    """Hold that dead letters are counted by the queue that they come from."""
    if tour.queue != DEAD_LETTER_QUEUE:
        return []
    said, size, there = await _tallied(tour, "letters.kept", "letters", "")
    if size == -1:
        tour.unjudged.append("dead letters by queue")
        return []
    return _miscounted("letters", said, there)


async def _tallied(tour: Tour, hash_: str, kind: str, key: str) -> tuple[dict[str, int], int, dict[str, int]]:
    """Read what a hash says of how many there are of each name, how many there are in all, and how many of each name."""
    fields, counted = await tour.peek("fields", hash_, 0, kind, key, 0)
    (size, *there) = cast("list[Reply]", counted)
    said, found = (
        {cast("bytes", name).decode(): int(cast("bytes", n)) for name, n in _flat(each)}
        for each in (fields, there)
    )
    return said, cast("int", size), found


def _miscounted(code: str, said: dict[str, int], there: dict[str, int]) -> list[Wrong]:
    return [
        Wrong(code, name, f"{said.get(name, 0)} counted, {there.get(name, 0)} there")
        for name in sorted({*said, *there})
        if said.get(name) != there.get(name)
    ]


async def _unique(tour: Tour) -> list[Wrong]:
    """Judge unique keys, and the jobs that wait behind those which hold them."""
    wrong: list[Wrong] = []
    for name in ("uniq", "uniq.next", "uniq.due"):
        async for keys in tour.walk(name, _MAX_KEYS):
            first = await tour.look((), keys=keys)
            ids = list(dict.fromkeys([*first.holders.values(), *first.behind.values()]))
            while True:
                view = await tour.look(ids, keys=keys)
                wrong += unique_keys(view)
                ids = ids[len(view.ids) :]
                if not ids:
                    break
    async for ids in tour.walk("blocked", MAX_ITEMS):
        async for view in tour.views(ids):
            keys = [key for _, key in view.unique.values()]
            wrong += blocked_jobs(await tour.look(view.ids, keys=keys)) if keys else ()
    return list(dict.fromkeys(wrong))


async def _schedules(tour: Tour) -> list[Wrong]:
    """Judge schedules, and that somebody looks for those that are due."""
    wrong: list[Wrong] = []
    for name in ("sched.rows", "sched.state", "sched"):
        async for ids in tour.walk(name, MAX_ITEMS):
            n = len(ids)
            groups = ("has", "sched.rows", n, *ids, "hash", "sched.state", n, *ids, "zset", "sched", n, *ids)
            rows, states, places = cast(
                "tuple[list[int], list[bytes | None], list[bytes | None]]", await tour.peek(*groups)
            )
            for each, row, state, place in zip(ids, rows, states, places, strict=True):
                if row or state or place is not None:
                    wrong += judge_schedule(each, row, state, None if place is None else float(place))
    said, head = cast(
        "tuple[list[bytes | None], list[bytes]]",
        await tour.peek("hash", "meta", 1, "sched", "head", "sched", 0),
    )
    wrong += judge_head(said[0], float(head[1]) if head else None)
    return list(dict.fromkeys(wrong))


async def _slots(tour: Tour) -> list[Wrong]:
    """Hold that the jobs that run are counted, in all and by key."""
    (flow,), running, counted = cast(
        "tuple[list[bytes | None], list[bytes | int], list[bytes]]",
        await tour.peek("hash", "meta", 1, "flow", "running", "", 0, "fields", "kactive", 0),
    )
    if flow is None or running[0] == -1:
        return []
    there = {
        cast("bytes", key).decode(): cast("int", n)
        for key, n in zip(running[1::2], running[2::2], strict=True)
    }
    said = {key.decode(): int(n) for key, n in zip(counted[::2], counted[1::2], strict=True)}
    wrong = judge_active(tour.queue, int(flow.split()[0]), cast("int", running[0]))
    indexed = flow.split()[5] in {b"1", b"2"}
    return [*wrong, *judge_slots(said, there if indexed else said)]


async def _ring(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Judge the keys of a queue that is indexed by key."""
    (flow,) = cast("list[list[bytes | None]]", await tour.peek("hash", "meta", 1, "flow"))
    if flow[0] is None or flow[0].split()[5] != b"2":
        return
    keys = {name.removeprefix("k:") for name in found if name.startswith("k:")}
    for index in ("ring", "kparked", "kactive"):
        async for members in tour.walk(index, _MAX_WALKED):
            keys.update(members)
    rest = sorted(keys)
    at = 0
    while some := rest[at : at + 32]:
        # Of keys with many jobs it answers fewer.
        (rows,) = cast("list[list[list[bytes | int | None]]]", await tour.peek("key", "", len(some), *some))
        at += len(rows)
        for key, (turn, parked, running, waiting, lost) in zip(some, rows, strict=False):
            for each in judge_key(
                key,
                (
                    None if turn is None else float(turn),
                    None if parked is None else float(parked),
                    int(running or 0),
                    int(waiting or 0),
                    int(lost or 0),
                ),
            ):
                yield each


def _flat(reply: Reply) -> Iterator[tuple[Reply, Reply]]:
    flat = iter(cast("list[Reply]", reply))
    return zip(flat, flat, strict=True)


def _pairs(reply: Reply) -> dict[str, float]:
    return {cast("bytes", name).decode(): float(cast("bytes", score)) for name, score in _flat(reply)}
