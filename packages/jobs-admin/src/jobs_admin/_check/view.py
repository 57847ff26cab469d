"""What rules judge: all that a queue holds of some jobs, read in one step of the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_admin._check.keys import FINAL, HOMES, KEYS, names
from jobs_core.wire import UNIQUE, Header, parse_header, parse_unique

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable, Reply
    from jobs_core.scripts import Scripts

__all__ = ["Counted", "View", "counted_of", "look"]

META = ("schema", "stamp", "epoch", "lease", "seen", "flow")


class Counted(msgspec.Struct, array_like=True, frozen=True):
    """What is counted of a flow: `below` are bits of its jobs, `bits` all of them, `ends` the ends by sign."""

    state: str
    n: str
    resolved: str
    verdict: str
    called_off: str
    below: int
    bits: int
    ends: int
    exists: int = 1
    staged: int = 0
    live: int = 0
    ended: int = 0
    due: int = 0
    trash: int = 0
    trash_ended: int = 0
    awaited: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs it follows."""
        return int(self.n or 0)

    @property
    def done(self) -> bool:
        """Whether all have ended that a job waits for, or what it is to do is decided."""
        return bool(self.verdict) or self.below >= self.jobs

    def miscounted(self) -> str:
        """Say what is counted wrongly; "" where nothing is."""
        if self.n and int(self.resolved or 0) != self.below:
            return f"{self.resolved or 0} counted, {self.below} have ended"
        if self.bits != self.ends:
            return f"{self.ends} ends by kind, {self.bits} have ended"
        return ""


def counted_of(row: Sequence[bytes | int]) -> Counted:
    """Return what `peek` told of a flow."""
    return Counted(*(each.decode() if isinstance(each, bytes) else each for each in row))  # pyright: ignore[reportArgumentType] - in their order


@dataclass
class View:
    """All that a queue holds of `ids` at one instant. Whatever does not concern them is not in it.

    `hashes` has the values of hashes by id where the table of keys asks for them, else b"". `records` are the
    parsed headers, `there` the ids that have a key of a family of strings (`big:`) or
    streams (`log:`, with how many entries). `owners` is whole, `meta` has the fields of `META`. `unique` says of jobs
    that have one until when their unique key is held (`s` start, `d` done, `t` ttl), and the key. Of unique keys that
    were asked for `holders` and `behind` name the jobs, `until` (ms) when they are let go of at the latest. `keyed` has
    the places of jobs below their keys.
    """

    ids: Sequence[str]
    records: dict[str, Header] = field(default_factory=dict[str, Header])
    hashes: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    zsets: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    there: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    owners: dict[str, float] = field(default_factory=dict[str, float])
    meta: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unique: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    holders: dict[str, str] = field(default_factory=dict[str, str])
    behind: dict[str, str] = field(default_factory=dict[str, str])
    until: dict[str, float] = field(default_factory=dict[str, float])
    keyed: dict[str, float] = field(default_factory=dict[str, float])
    joins: dict[str, Counted] = field(default_factory=dict[str, Counted])

    def homes(self, job_id: str) -> list[str]:
        """Name the homes that a job is in: one, if all is well."""
        return [
            key
            for key, ids in self.zsets.items()
            if job_id in ids and (key in HOMES or key.startswith("active:"))
        ]

    def ended(self, job_id: str) -> bool:
        """Tell whether a job is kept after its end."""
        return any(job_id in self.zsets[home] for home in FINAL)

    @property
    def active(self) -> Iterator[tuple[str, dict[str, float]]]:
        """The jobs that run: their fences by owner."""
        for key, fences in self.zsets.items():
            if key.startswith("active:") and fences:
                yield key.removeprefix("active:"), fences


async def look(
    scripts: Scripts, queue: str, ids: Sequence[str], strays: Sequence[str] = (), keys: Sequence[str] = ()
) -> View:
    """Read all that a queue holds of some jobs, and who holds some unique keys, at one instant.

    Of large jobs it reads as many as have 512 KiB together: those at the head of `ids`, at least one.
    `strays` names keys `active:OWNER` whose owner the queue may not know.
    """
    plain = [key for key in names("hash") if key != "rec"]
    families = [key.name for key in KEYS.values() if key.of == "id" and key.kind in {"string", "stream"}]
    sets = [*names("zset"), *strays]
    view = View(ids, zsets={key: {} for key in sets}, hashes={key: {} for key in plain})
    view.there = {family: {} for family in families}
    groups: list[Encodable] = ["hash", "meta", len(META), *META, "all", "owners", 0]
    if ids:
        groups += ["jobs", "", len(ids), *ids, "rec", "rec", "=", "active", "", "=", "keyed", "", "="]
        groups += ["joins", "", "="]
        for key in sets:
            groups += ["zset", key, "="]
        for key in plain:
            groups += ["hash" if KEYS[key].values else "has", key, "="]
        for family in families:
            groups += ["there" if KEYS[family].kind == "string" else "lines", family[:-1], "="]
    if keys:
        n = len(keys)
        groups += ["hash", "uniq", n, *keys, "hash", "uniq.next", n, *keys, "zset", "uniq.due", n, *keys]
    _take_in(view, iter(await scripts.peek(queue, groups=groups)), keys)
    return view


def _take_in(view: View, replies: Iterator[Reply], keys: Sequence[str]) -> None:
    sets, plain, families = list(view.zsets), list(view.hashes), list(view.there)
    meta = cast("list[bytes | None]", next(replies))
    view.meta = {key: value for key, value in zip(META, meta, strict=True) if value is not None}
    owners = iter(cast("list[bytes]", next(replies)))
    view.owners = {owner.decode(): float(score) for owner, score in zip(owners, owners, strict=True)}
    if view.ids:
        (read,) = cast("list[int]", next(replies))
        ids = view.ids = view.ids[:read]
        _read_records(view, next(replies))
        _read_active(view, next(replies))
        view.keyed = _scores(ids, next(replies))
        rows = cast("list[list[bytes | int] | None]", next(replies))
        view.joins = {
            job_id: counted_of(row) for job_id, row in zip(ids, rows, strict=True) if row is not None
        }
        for key in sets:
            view.zsets[key] = _scores(ids, next(replies))
        for key in plain:
            view.hashes[key] = _fields(ids, next(replies))
        for family in families:
            found = cast("list[int]", next(replies))
            view.there[family] = {job_id: n for job_id, n in zip(ids, found, strict=True) if n}
    if keys:
        _read_keys(view, keys, replies)


def _read_records(view: View, reply: Reply) -> None:
    records = cast("list[bytes | None]", reply)
    for job_id, record in zip(view.ids, records, strict=True):
        if record is not None:
            view.records[job_id] = parse_header(record)
            if view.records[job_id].flags & UNIQUE:
                view.unique[job_id] = parse_unique(record)


def _read_keys(view: View, keys: Sequence[str], replies: Iterator[Reply]) -> None:
    view.holders, view.behind = (
        {key: each.decode() for key, each in _fields(keys, next(replies)).items()} for _ in range(2)
    )
    view.until = _scores(keys, next(replies))


def _read_active(view: View, reply: Reply) -> None:
    active = cast("list[Reply]", reply)
    for owner, scores in zip(active[::2], active[1::2], strict=True):
        view.zsets[f"active:{cast('bytes', owner).decode()}"] = _scores(view.ids, scores)


def _fields(ids: Sequence[str], reply: Reply) -> dict[str, bytes]:
    values = cast("list[bytes | int | None]", reply)
    if not values:
        return {}  # There is no such key.
    return {
        job_id: value if isinstance(value, bytes) else b""
        for job_id, value in zip(ids, values, strict=True)
        if value is not None and value != 0
    }


def _scores(ids: Sequence[str], reply: Reply) -> dict[str, float]:
    scores = cast("list[bytes | None]", reply)
    if not scores:
        return {}  # There is no such key.
    return {job_id: float(score) for job_id, score in zip(ids, scores, strict=True) if score is not None}
