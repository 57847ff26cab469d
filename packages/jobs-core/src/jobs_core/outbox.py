"""Carries what follows the end of jobs from a queue's outbox to the queues that it is for.

An effect is written by the script that ends a job, in the same step, and applied by its target once, however often
it comes; it leaves the outbox when its target still knows it some seconds later. Who wrote it relays it at once, and what is left
lying is relayed by any worker of the queue. `docs/engine.md` has the protocol.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from jobs_core.connection.client import OutcomeLost
from jobs_core.dead_letters import letter_id, make_letter, unpack_parts
from jobs_core.errors import ConnectionFailed, JobsError, ServerFull
from jobs_core.flows.children import children
from jobs_core.flows.ends import resolution
from jobs_core.queue import Queue
from jobs_core.queues.dead_letter.queue import DEAD_LETTERS
from jobs_core.registry import QueueEntry, announce_queue, queue_entry
from jobs_core.scripts import MAX_ITEMS, Effects, Entry
from jobs_core.wire import Draft, pack_drafts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Group, Scripts

__all__ = ["STALE_MS", "Relay", "encode_jobs", "written"]

STALE_MS = 6000
"""An effect so old was left behind by whoever should have relayed it: twice as long as one is held."""

HOLD = 3.0
"""How long an effect that was applied stays in the outbox, in seconds.

With `appendfsync everysec` a server may answer for 2 s what it has not written yet, and a replica is behind by less.
"""

MAX_TOLD = 512 * 1024
_PAGES = 8
# How many entries are acknowledged by one call.
_ACKED = 500
# What an entry may hold, as `post_all` has it.
_ENTRY_JOBS = 128
_ENTRY_BYTES = 524_288
# How many jobs one call cancels: their records are read.
_STOPPED = 32
_PATIENCE = 10.0
_log = logging.getLogger("jobs.outbox")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encode_jobs(drafts: Sequence[Draft]) -> bytes:
    """Return jobs as the content of an effect `jobs`."""
    return _encode(pack_drafts(drafts))


def written(groups: Iterable[Group | Effects], posted: Sequence[int]) -> tuple[list[Entry], list[int]]:
    """Return the entries that a settle call wrote of its effects, and the ids of those that it wrote of something else.

    None of its deliveries may have been refused. As `post_all` does it: as many effects to an entry as it may hold.
    """
    ids = iter(posted)
    entries: list[Entry] = []
    for group in groups:
        if not isinstance(group, Effects):
            continue
        effects: list[tuple[str, bytes]] = []
        jobs = size = 0
        for at in range(2, len(group.items), 4):
            count, content = cast("tuple[int, bytes]", tuple(group.items[at : at + 2]))
            if effects and (jobs + count > _ENTRY_JOBS or size + len(content) > _ENTRY_BYTES):
                entries.append(Entry(next(ids), group.target, effects))
                effects, jobs, size = [], 0, 0
            effects.append((group.kind, content))
            jobs, size = jobs + count, size + len(content)
        if effects:
            entries.append(Entry(next(ids), group.target, effects))
    return entries, [*ids]


class _Held(NamedTuple):
    """An entry that was applied and is still kept: until when, and who has applied how much of it."""

    due: float
    epoch: str
    target: str
    parts: int


class _Mark:
    """The oldest entry of an outbox, as far as that is to be relied on.

    A server that loses writes has entries again that were acknowledged, and a target that lost them too must not hold them for
    applied. So an entry is the mark when the outbox was seen to begin there, and `hold` seconds later no earlier.
    """

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.value = 0
        self._next = 0
        self._since = 0.0

    def seen(self, oldest: int, now: float, hold: float) -> None:
        """Take note of where the outbox begins now."""
        if oldest < self._next:
            self.value = min(self.value, oldest)
        elif now - self._since < hold:
            return
        else:
            self.value = self._next
        self._next, self._since = oldest, now


class Relay:
    """Relays the outboxes of queues by one client."""

    def __init__(self, scripts: Scripts, declared: Iterable[Queue] = (), *, hold: float = HOLD) -> None:
        """Bind to the scripts; `declared` are queues whose declarations a target is told before its first effect.

        What was applied stays in its outbox for `hold` seconds.
        """
        self._scripts = scripts
        self._hold = hold
        self._declared = {queue.name: queue for queue in (DEAD_LETTERS, *declared)}
        self._told: set[str] = set()
        self._refused: set[tuple[str, int]] = set()
        self._marks: dict[str, _Mark] = {}
        self._held: dict[str, dict[int, _Held]] = {}
        # How far what lies in an outbox was relayed, where there is more of it.
        self._reached: dict[str, int] = {}

    def declare(self, queue: Queue) -> None:
        """Take note of what code declares of a target."""
        self._declared.setdefault(queue.name, queue)

    async def relay(self, queue: str, *, ids: Sequence[int] = (), age_ms: int = 0) -> int:
        """Relay the named entries, or all of that age (in bounded calls). Returns how many this call applied.

        What cannot be applied now (the server's memory is full) stays. Raises ConnectionFailed and OutcomeLost.
        """
        done = 0
        # What is held, or whose target is away, stays where it is: the next call goes on behind that.
        began = after = 0 if ids else self._reached.get(queue, 0)
        for _ in range(_PAGES):
            page = await self._scripts.outbox(queue, after=after, age_ms=age_ms, ids=ids)
            if not page.entries:
                if not ids:
                    self._reached.pop(queue, None)
                if not began:
                    break
                began = after = 0
                continue
            after = page.entries[-1].id
            if not ids:
                self._reached[queue] = after
            done += await self._apply_all(queue, page.epoch, page.entries)
            if ids:
                ids = [each for each in ids if each > after]
                if not ids:
                    break
        return done

    async def carry(self, queue: str, epoch: str, entries: Sequence[Entry]) -> None:
        """Relay entries that were just written, by whoever wrote them: nothing is read again. Raises as `relay`."""
        await self._apply_all(queue, epoch, entries)

    async def confirm(self) -> None:
        """Take entries off their outboxes whose targets still know some seconds later that they applied them.

        A server that is killed, or a replica that takes over, may have lost what it had answered: such entries are relayed again.
        Raises as `relay`; what could not be asked for is left to whoever finds it `STALE_MS` old.
        """
        now = asyncio.get_running_loop().time()
        due: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
        for queue, held in self._held.items():
            for entry, each in held.items():
                # They are held in the order in which they come due.
                if each.due > now:
                    break
                due.setdefault((queue, each.epoch, each.target), []).append((entry, each.parts))
        for (queue, _, _), entries in due.items():
            for entry, _ in entries:
                del self._held[queue][entry]
        found = await asyncio.gather(
            *(self._confirm(*whose, entries) for whose, entries in due.items()), return_exceptions=True
        )
        for result in found:
            if result is not None:
                raise result

    async def _confirm(self, queue: str, epoch: str, target: str, entries: list[tuple[int, int]]) -> None:
        for start in range(0, len(entries), _ACKED):
            some = entries[start : start + _ACKED]
            known = await self._scripts.applied(
                target, source=queue, epoch=epoch, entries=some, deadline=_soon()
            )
            applied = [entry for (entry, _), there in zip(some, known, strict=True) if there]
            if applied:
                acked = await self._scripts.ack(queue, ids=applied)
                mark = self._marks.get(queue)
                if mark is None or mark.epoch != acked.epoch:
                    mark = self._marks[queue] = _Mark(acked.epoch)
                mark.seen(acked.mark, asyncio.get_running_loop().time(), self._hold)
            lost = [entry for (entry, _), there in zip(some, known, strict=True) if not there]
            if lost:
                _log.warning("%s effects of queue %s are sent again: %s lost them", len(lost), queue, target)
                await self.relay(queue, ids=lost)

    async def _apply_all(self, queue: str, epoch: str, all_entries: Iterable[Entry]) -> int:
        """Apply entries and hold them. Returns how many were not applied before; raises what cut it short."""
        held = self._held.get(queue, {})
        targets: dict[str, list[Entry]] = {}
        for entry in all_entries:
            if entry.id not in held:
                targets.setdefault(entry.target, []).append(entry)
        found = await asyncio.gather(
            *(self._apply_to(queue, epoch, target, entries) for target, entries in targets.items()),
            return_exceptions=True,
        )
        done = 0
        for result in found:
            if isinstance(result, int):
                done += result
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return done

    async def _apply_to(self, queue: str, epoch: str, target: str, entries: list[Entry]) -> int:
        fresh, none = 0, True
        for entry in entries:
            try:
                if target not in self._told:
                    await self._tell(target)
                done, parts = await self._apply(queue, epoch, entry)
            except ServerFull as error:
                _log.warning("effects of queue %s for %s wait: %s", queue, target, error)
                break
            except (OutcomeLost, ConnectionFailed):
                if none:
                    raise
                break
            except (JobsError, msgspec.MsgspecError, struct.error, ValueError) as error:
                # It is never dropped: whoever mends the cause finds it there.
                if (queue, entry.id) not in self._refused:
                    self._refused.add((queue, entry.id))
                    _log.error("effect %s of queue %s for %s is refused: %s", entry.id, queue, target, error)
                continue
            if done is not None:
                none = False
                fresh += done
                due = asyncio.get_running_loop().time() + self._hold
                self._held.setdefault(queue, {})[entry.id] = _Held(due, epoch, target, parts)
        return fresh

    async def _apply(self, queue: str, epoch: str, entry: Entry) -> tuple[bool | None, int]:
        """Apply an entry, in parts where it is large; each part is applied once. What it causes there is relayed as well.

        Returns whether it was not applied before (None: it cannot be now), and in how many parts.
        """
        done: bool | None = False
        posted: list[int] = []
        parts, mark = arguments(queue, entry), self._marks.get(queue)
        for part, effects in enumerate(parts):
            applied = await self._scripts.apply(
                entry.target,
                source=queue,
                epoch=epoch,
                entry=entry.id,
                part=part,
                mark=mark.value if mark is not None and mark.epoch == epoch else 0,
                effects=effects,
                deadline=_soon(),
            )
            done = applied.done
            posted += applied.posted
            if done is None:
                return None, 0
        if posted:
            await self.relay(entry.target, ids=posted)
        return done, len(parts)

    async def _tell(self, target: str) -> None:
        """Declare and list a queue that gets effects: perhaps nobody used it before."""
        known = self._declared.get(target)
        if known is not None:
            await self._scripts.declare(
                target, definition=known.definition_hash, fields=known.definition(), deadline=_soon()
            )
        entry = queue_entry(known) if known else QueueEntry(queue=target)
        await announce_queue(self._scripts.client, self._scripts.prefix, entry, deadline=_soon())
        self._told.add(target)


def _soon() -> float:
    """Return until when a target is waited for: its node may be away while those of its sources go on, and what is for it stays in their outboxes."""
    return asyncio.get_running_loop().time() + _PATIENCE


class _Parts:
    """What `apply` takes of an entry, by kind; readers of effects add to it."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.jobs: list[Encodable] = []
        self._alike: dict[tuple[Encodable, ...], list[Encodable]] = {}
        self.letters: list[Draft] = []
        self.clear: list[Encodable] = []
        self.count: list[Encodable] = []
        self.resolve: list[list[Encodable]] = []
        self.cancel: list[Encodable] = []
        self.disown: list[list[Encodable]] = []
        self.cancel_flow: list[Encodable] = []
        self.cancel_below: list[list[Encodable]] = []
        self.again: list[Encodable] = []

    def read_jobs(self, content: bytes) -> None:
        group = cast("list[Encodable]", _decode(content))
        if len(group) == 6 + 2 * cast("int", group[0]) and not group[5]:
            # One kind of jobs, as most effects hold: those of many jobs that are alike are added as one group.
            self._alike.setdefault(tuple(group[1:6]), []).extend(group[6:])
        else:
            self.jobs += group

    def all_jobs(self) -> list[Encodable]:
        """Return the groups of all jobs."""
        for head, items in self._alike.items():
            self.jobs += (len(items) // 2, *head, *items)
        return self.jobs + pack_drafts(self.letters)

    def read_children(self, content: bytes) -> None:
        self.jobs += children(self.source, content)

    def read_dead(self, content: bytes) -> None:
        draft, letter = make_letter(self.source, content)
        self.letters.append(draft)
        self.count += (self.source, letter.name, letter.group)

    def read_clear(self, content: bytes) -> None:
        raw_id, failed_ms = unpack_parts(content)
        self.clear.append(letter_id(self.source, raw_id.decode(), int(failed_ms)))

    def read_end(self, content: bytes) -> None:
        found = resolution(self.source, self.target, content)
        if isinstance(found, bytes):
            self.read_jobs(found)
        else:
            self.resolve += found

    def read_again(self, content: bytes) -> None:
        self.again += unpack_parts(content)

    def read_cancel(self, content: bytes) -> None:
        self.cancel += cast("list[Encodable]", _decode(content))

    def read_disown(self, content: bytes) -> None:
        whose, *ids = cast("list[Encodable]", _decode(content))
        self.disown += ([whose, *ids[at : at + _STOPPED]] for at in range(0, len(ids), _STOPPED))

    def read_cancel_flow(self, content: bytes) -> None:
        self.cancel_flow.append(content)

    def read_cancel_below(self, content: bytes) -> None:
        self.cancel_below.append(cast("list[Encodable]", _decode(content)))


_READERS = {
    "jobs": _Parts.read_jobs,
    "children": _Parts.read_children,
    "dead": _Parts.read_dead,
    "clear": _Parts.read_clear,
    "end": _Parts.read_end,
    "cancel": _Parts.read_cancel,
    "disown": _Parts.read_disown,
    "cancel_flow": _Parts.read_cancel_flow,
    "cancel_below": _Parts.read_cancel_below,
    "again": _Parts.read_again,
}


def arguments(source: str, entry: Entry) -> list[list[Encodable]]:
    """Return what the apply script takes of an entry, of a large one in parts: a pure function, so that everybody relays the same."""
    parts = _Parts(source, entry.target)
    for kind, content in entry.effects:
        reader = _READERS.get(kind)
        if reader is None:
            raise ValueError(f"an effect of kind {kind!r} is not known here; is a newer release at work?")
        reader(parts, content)
    ends, jobs = list(_in_parts(parts.resolve)), list(_in_calls(parts.all_jobs()))
    packed: list[Encodable] = []
    for kind, items in (
        ("jobs", jobs[0] if jobs else []),
        ("clear", parts.clear),
        ("count", parts.count),
        ("resolve", ends[0] if ends else []),
        ("cancel", parts.cancel),
        ("disown", parts.disown[0] if parts.disown else []),
        ("cancel_flow", parts.cancel_flow),
        ("cancel_below", parts.cancel_below[0] if parts.cancel_below else []),
        ("again", parts.again),
    ):
        if items:
            packed += (kind, len(items), *items)
    rest = [*(("resolve", each) for each in ends[1:]), *(("disown", each) for each in parts.disown[1:])]
    rest += [
        *(("cancel_below", each) for each in parts.cancel_below[1:]),
        *(("jobs", each) for each in jobs[1:]),
    ]
    return [packed, *([kind, len(items), *items] for kind, items in rest)]


def _in_calls(groups: list[Encodable]) -> Iterator[list[Encodable]]:
    """Yield groups of jobs, as many at once as a call may add: an entry counts ends, and each may be followed by many jobs."""
    call: list[Encodable] = []
    room, at = MAX_ITEMS, 0
    while at < len(groups):
        count, head = cast("int", groups[at]), groups[at + 1 : at + 6]
        jobs = groups[at + 6 : at + 6 + 2 * count]
        at += 6 + 2 * count
        while jobs:
            n = min(len(jobs) // 2, room)
            if n:
                call += (n, *head, *jobs[: 2 * n])
                jobs, room = jobs[2 * n :], room - n
            if jobs:
                yield call
                call, room = [], MAX_ITEMS
    if call:
        yield call


def _in_parts(ends: Iterable[list[Encodable]]) -> Iterator[list[Encodable]]:
    """Yield what is told of ends, as much at once as a call may take: many may follow one job, and each is told its result."""
    part: list[Encodable] = []
    size = 0
    for end in ends:
        told = len(cast("bytes", end[-1]))
        if part and (len(part) >= MAX_ITEMS * len(end) or size + told > MAX_TOLD):
            yield part
            part, size = [], 0
        part += end
        size += told
    if part:
        yield part
