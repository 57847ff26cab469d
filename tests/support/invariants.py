"""What must hold of a queue between any two calls, whatever happened before."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from jobs_core.wire import BIG, OWN_ID, Header, parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import Engine

FINAL = ("completed", "failed", "cancelled", "expired")
HOMES = ("waiting", "delayed", "unroutable", "blocked", *FINAL)
TYPES = {
    "hash": {"rec", "meta", "cfg", "state", "history", "progress", "result", "stats", "waiters"}
    | {"unroutable.names", "checkpoint"},
    "zset": {*HOMES, "owners", "idle", "result.due", "sessions", "tomb"},
}
_OF_ONE = {"zset": re.compile(r"active:.+"), "string": re.compile(r"big:.+", re.DOTALL)}


@dataclass
class View:
    """All that is needed to judge a queue, read between two calls."""

    keys: dict[str, tuple[str, int]]
    hashes: dict[str, dict[str, bytes]]
    zsets: dict[str, dict[str, float]]
    sizes: dict[str, int]
    records: dict[str, Header]

    @property
    def homes(self) -> dict[str, list[str]]:
        """Ids by home."""
        return {
            key: list(ids) for key, ids in self.zsets.items() if key in HOMES or key.startswith("active:")
        }

    @property
    def final(self) -> set[str]:
        """Ids of the jobs that ended and are kept."""
        return {job_id for home in FINAL for job_id in self.zsets[home]}


async def broken(engine: Engine) -> list[str]:
    """Name every invariant that does not hold of a queue."""
    view = await _read(engine)
    checks = (_known_keys, _one_home, _owners, _totals, _sizes, _results, _sides, _ids, _sessions)
    return [wrong for check in checks for wrong in check(view)]


async def _read(engine: Engine) -> View:
    call = engine.client.call
    raw = [key for key in cast("list[bytes]", await call("KEYS", "*")) if key != b"test-clock"]
    kinds = await asyncio.gather(*(call("TYPE", key) for key in raw))
    lives = await asyncio.gather(*(call("TTL", key) for key in raw))
    names = [key.decode().removeprefix(engine.key) for key in raw]
    keys = {
        name: (cast("bytes", kind).decode(), cast("int", ttl))
        for name, kind, ttl in zip(names, kinds, lives, strict=True)
    }
    plain = sorted(TYPES["hash"])
    sorted_sets = sorted(TYPES["zset"] | {key for key in keys if key.startswith("active:")})
    hashes, zsets = await asyncio.gather(
        asyncio.gather(*(engine.hash(key) for key in plain)),
        asyncio.gather(*(engine.zset(key) for key in sorted_sets)),
    )
    records = hashes[plain.index("rec")]
    inline = await asyncio.gather(*(engine.call("HSTRLEN", "rec", job_id) for job_id in records))
    apart = await asyncio.gather(*(engine.call("STRLEN", f"big:{job_id}") for job_id in records))
    sizes = [cast("int", one) + cast("int", two) for one, two in zip(inline, apart, strict=True)]
    return View(
        keys,
        dict(zip(plain, hashes, strict=True)),
        dict(zip(sorted_sets, zsets, strict=True)),
        dict(zip(records, sizes, strict=True)),
        {job_id: parse_header(record) for job_id, record in records.items()},
    )


def _known_keys(view: View) -> Iterator[str]:
    for key, (kind, lives) in view.keys.items():
        pattern = _OF_ONE.get(kind)
        if key not in TYPES.get(kind, ()) and not (pattern is not None and pattern.fullmatch(key)):
            yield f"{key} ({kind}) is no key of a queue"
        if lives != -1:
            yield f"{key} has a TTL"


def _one_home(view: View) -> Iterator[str]:
    count = Counter(job_id for ids in view.homes.values() for job_id in ids)
    if set(count) != set(view.records):
        yield f"homes and records differ: {set(count) ^ set(view.records)}"
    if any(times != 1 for times in count.values()):
        yield f"not in one home: {count}"


def _owners(view: View) -> Iterator[str]:
    owners, stamp = view.zsets["owners"], int(view.hashes["meta"].get("stamp", b"0"))
    for key, fences in view.zsets.items():
        if not key.startswith("active:"):
            continue
        if owners.get(key.removeprefix("active:"), -2) < -1:
            yield f"{key} belongs to nobody"
        if len(set(fences.values())) != len(fences):
            yield f"two deliveries of {key} have one fence"
        if any(fence > stamp for fence in fences.values()):
            yield f"a fence of {key} is beyond the stamp"
    if any(header.stamp_us > stamp for header in view.records.values()):
        yield "a record is beyond the stamp"
    if any(owners.get(owner, -1) < 0 for owner in view.zsets["idle"]):
        yield "a dead owner is idle"


def _totals(view: View) -> Iterator[str]:
    total = Counter[str]()
    for name, value in view.hashes["stats"].items():
        total[name.partition(":")[0]] += int(value)
    live = sum(len(ids) for home, ids in view.homes.items() if home not in FINAL)
    if total["added"] + total["replayed"] != live + total["completed"] + total["failed"] + total["removed"]:
        yield f"the totals do not add up: {dict(total)}, {live} live"


def _sizes(view: View) -> Iterator[str]:
    for home in FINAL:
        size = sum(view.sizes.get(job_id, 0) for job_id in view.zsets[home])
        if int(view.hashes["meta"].get(f"bytes:{home}", b"0")) != size:
            yield f"{home} is said to have other than {size} bytes"


def _results(view: View) -> Iterator[str]:
    results, due = set(view.hashes["result"]), set(view.zsets["result.due"])
    if results - view.final - due:
        yield f"results of nothing: {results - view.final - due}"
    if due - results:
        yield f"due and not there: {due - results}"


def _sides(view: View) -> Iterator[str]:
    for side in ("state", "history", "progress", "checkpoint"):
        if set(view.hashes[side]) - set(view.records):
            yield f"{side} of jobs that are gone"
    if set(view.hashes["waiters"]) - (set(view.records) - view.final):
        yield "somebody awaits what has ended"
    parked = Counter(view.records[each].name for each in view.zsets["unroutable"] if each in view.records)
    names = {name: int(n) for name, n in view.hashes["unroutable.names"].items()}
    if dict(parked) != names:
        yield f"parked {parked}, counted {names}"


def _ids(view: View) -> Iterator[str]:
    alive = {job_id for job_id, till in view.zsets["tomb"].items() if till == float("inf")}
    if alive != {job_id for job_id, header in view.records.items() if header.flags & OWN_ID}:
        yield "tomb does not know the own ids"
    large = {key.removeprefix("big:") for key in view.keys if key.startswith("big:")}
    if large != {job_id for job_id, header in view.records.items() if header.flags & BIG}:
        yield "large envelopes and records differ"


def _sessions(view: View) -> Iterator[str]:
    fields = {each for each in view.hashes["meta"] if each.startswith("session:")}
    if {each.removeprefix("session:") for each in fields} - set(view.zsets["sessions"]):
        yield "a session is not entered"
