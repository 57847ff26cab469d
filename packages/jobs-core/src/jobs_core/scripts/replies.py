"""What the scripts return, and what they take that is more than plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jobs_core.wire import JobStateEntry

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable


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


class Cancelled(msgspec.Struct, frozen=True):
    """What became of jobs that were cancelled: `cancelled`, `requested` (it runs), `already_finished` or `not_found` for each.

    `posted` names what that wrote into the outbox: who follows them hears of it.
    """

    verdicts: list[str]
    posted: list[int]


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
    """Entries of an outbox of this epoch."""

    epoch: str
    entries: list[Entry]


class Acked(msgspec.Struct, frozen=True):
    """Entries that left an outbox; `mark` is the oldest one that it has now (none: what the next one exceeds)."""

    gone: int
    mark: int
    epoch: str
