"""The bytes of a job: a fixed header that Lua reads by position, and an envelope that it never looks into.

Header, big-endian: version u8 (1), flags u8, cost u8 (0: 1), priority u8, stamp u64 (us; the server's), due u64
(ms; the server's), name length u8, key length u8, unique-key length u16, expiry u64 (ms), envelope length
u32, then name@version, key, unique key. Envelope: msgpack array of Envelope. Flags 0 is the hot path: a
record that no option marks is never parsed by a script.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from jobs_core.errors import SchemaMismatch
from jobs_core.options import MetaValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable

VERSION: Final = 1
OWN_ID: Final = 1
BIG: Final = 2
EXPIRES: Final = 4
KEYED: Final = 8
UNIQUE: Final = 16
EFFECTS: Final = 32

# What is kept of the log of a job.
LOG_LINES: Final = 1000
LOG_BYTES: Final = 256 * 1024

_FIXED = struct.Struct(">BBBBQQBBHQI")
_STATE = struct.Struct(">IIIBQ")
# Stands in place of no crashes (lib/history.lua).
_SUSPECT = 0x8000_0000
_LOG_COUNT = struct.Struct(">III")
# A job that a script ended because of one that it waited for.
_OF_OTHERS: Final = frozenset({"child", "skipped"})
# In a history: the entry is what was told of the job when it had failed for good, before it was replayed.
_ENDED: Final = 1 << 31


class Before(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The job that another one follows; `name` is its name@version.

    `data` is its result, written as `codec` says (None: plain JSON); without any the payload of the one that follows is the result.
    """

    queue: str
    name: str
    id: str
    data: bytes | None = None
    codec: str | None = None


class Flow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What came before a job, and what follows its success.

    It is number `position` of the `length` jobs of a chain (0: of none), whose first job has the id `chain` ("": this one).
    `then` are branches that all begin when it completed: of each the jobs that run one after the other, see `successors.py`.
    """

    chain: str = ""
    position: int = 0
    length: int = 0
    before: Before | None = None
    then: tuple[tuple[bytes, ...], ...] = ()


class FlowEnd(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is told of the flow of a job that ended; of the jobs around it: queue, name@version and id."""

    chain: str
    position: int
    length: int
    before: tuple[str, str, str] | None
    next: tuple[tuple[str, str, str], ...]


class Waits(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """That a job waits for others, or tells of them: `labels` name them in order, where they have names.

    What became of them is read of the flow of this queue and id; "": of the job's own. `on` is queue and id of each, where they are
    known from the beginning and no flow keeps them, and `modes` the letter of each edge: for people who ask on whom it waits.
    """

    labels: tuple[str, ...] = ()
    queue: str = ""
    flow: str = ""
    on: tuple[tuple[str, str], ...] = ()
    modes: str = ""


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What travels with a job besides its header; `policy` is the encoded Policy decided at enqueue.

    `codec` says how the payload is written, None being plain JSON; `schedule` is the id of the schedule that sent the
    job, and which of its fires (Unix ms) it is. `flow` is what came before it and what follows it,
    `waits` says that others did.
    """

    policy: bytes
    payload: bytes
    metadata: dict[str, MetaValue] | None = None
    tags: tuple[str, ...] | None = None
    trace: dict[str, str] | None = None
    codec: str | None = None
    schedule: tuple[str, int] | None = None
    flow: Flow | None = None
    waits: Waits | None = None


def trace_id_of(trace: dict[str, str] | None) -> str:
    """Return the id of the trace that a job belongs to, "" where it is part of none."""
    parts = (trace or {}).get("traceparent", "").split("-")
    return parts[1] if len(parts) == 4 else ""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The parsed header of a record.

    `stamp_us` is when the server took the job, `due_ms` when a delayed one is due (0: at once), `expires_ms` until
    when it must have started (0: no such time).
    """

    flags: int
    priority: int
    stamp_us: int
    due_ms: int
    name: str
    size: int
    expires_ms: int = 0


class JobStateEntry(msgspec.Struct, frozen=True, gc=False):
    """The budgets a job has spent; jobs without a history have no entry."""

    attempts: int = 0
    crashes: int = 0
    releases: int = 0
    cancel: int = 0
    ready_ms: int = 0
    # A worker died while it ran this job among others.
    suspect: bool = False


class Others(IntEnum):
    """What the jobs of a dead owner are that are not known to have killed it: free, charged a crash as well, or suspects from then on."""

    RELEASED = 0
    CHARGED = 1
    SUSPECT = 2


class ErrorInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Why an attempt ended without a result; `stack` is capped by the worker."""

    type: str
    message: str
    stack: str = ""


class AttemptInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One attempt that failed, as kept in the history of its job.

    `first_ms` is when the first attempt of all began, where the retries have a time budget: the oldest may be gone.
    """

    attempt: int
    started_ms: int
    run_us: int
    worker: str
    error: ErrorInfo
    wait_us: int = 0
    first_ms: int = 0


class FinishInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is told of a job after it ended, while its result or the job itself is kept.

    Times in ms and us of the server's clock; `codec` says how the result is written, None being plain JSON.
    """

    state: str
    name: str
    priority: int
    created_ms: int
    run_at_ms: int
    started_ms: int
    wait_us: int
    run_us: int
    attempts_made: int
    attempts: int
    stalled: int
    worker: str
    result: bytes | None = None
    error: ErrorInfo | None = None
    metadata: dict[str, MetaValue] | None = None
    tags: tuple[str, ...] | None = None
    codec: str | None = None
    releases: int = 0
    flow: FlowEnd | None = None


class Progress(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How far a running job is: `percent` 0 to 100, or `current` of `total`."""

    percent: float | None = None
    current: int | None = None
    total: int | None = None
    message: str | None = None


class LogLine(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A line that was logged while a job ran; `at_ms` is the worker's time, `message` is capped by the worker."""

    attempt: int
    at_ms: int
    level: str
    logger: str
    message: str


_encode = msgspec.msgpack.Encoder().encode
encode_log_line = _encode
encode_envelope = _encode
encode_progress = _encode
encode_json_progress = msgspec.json.Encoder().encode
encode_finish = _encode
encode_attempt = _encode
decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
decode_log_line = msgspec.msgpack.Decoder(LogLine).decode
decode_progress = msgspec.msgpack.Decoder(Progress).decode
_decode_finish = msgspec.msgpack.Decoder(FinishInfo).decode
_decode_attempt = msgspec.msgpack.Decoder(AttemptInfo).decode


Alike: TypeAlias = tuple[bytes, bytes, int, int, str]


class Draft(msgspec.Struct):
    """A new job as its producer sends it: the record without stamp and due, which are the server's.

    `body` is the record from byte 21 on. `alike` is what it shares with others of its kind: the header's first four bytes,
    name@version, delay_ms, run_at_ms, and what the server decides by when it takes the job, as `k=v,…`; empty for nearly all.
    """

    id: str
    body: bytes
    alike: Alike

    @property
    def lead(self) -> bytes:
        """The header's first four bytes."""
        return self.alike[0]

    @property
    def name(self) -> bytes:
        """name@version."""
        return self.alike[1]


class RecordHead:
    """The header of a job type's records, made once: all but flags and priority is the same for each."""

    __slots__ = ("_bare", "_lengths", "_plain", "name")

    def __init__(self, wire_name: str) -> None:
        """Prepare headers for `name@version`."""
        self.name = wire_name.encode()
        self._lengths = _FIXED.pack(0, 0, 0, 0, 0, 0, len(self.name), 0, 0, 0, 0)[20:32]
        self._bare = struct.Struct(f">12sI{len(self.name)}s").pack
        self._plain: dict[int, Alike] = {}

    def alike(  # noqa: PLR0917 - once for each job, so by position
        self,
        flags: int,
        priority: int,
        cost: int = 0,
        delay_ms: int = 0,
        run_at_ms: int = 0,
        options: str = "",
    ) -> Alike:
        """Return what jobs share, one and the same for all that are neither delayed nor decided by options; a cost of 0 counts as 1."""
        key = cost << 16 | flags << 8 | priority
        plain = self._plain.get(key)
        if plain is None:
            plain = self._plain[key] = (bytes((VERSION, flags, cost, priority)), self.name, 0, 0, "")
        return (
            (plain[0], self.name, delay_ms, run_at_ms, options) if delay_ms or run_at_ms or options else plain
        )

    def body(self, envelope: bytes, *, key: bytes = b"", unique: bytes = b"") -> bytes:
        """Return a record from byte 21 on; key and unique key are for jobs whose flags say so."""
        if not key and not unique:
            return self._bare(self._lengths, len(envelope), self.name) + envelope
        lengths = _FIXED.pack(0, 0, 0, 0, 0, 0, len(self.name), len(key), len(unique), 0, 0)[20:32]
        return b"".join((lengths, len(envelope).to_bytes(4, "big"), self.name, key, unique, envelope))


def pack_drafts(drafts: Sequence[Draft]) -> list[Encodable]:
    """Return jobs as the enqueue script reads them: those that are alike, one behind the other, as a group."""
    packed: list[Encodable] = []
    alike: Alike | None = None
    count_at = 0
    for draft in drafts:
        if draft.alike != alike:
            alike = draft.alike
            if packed:
                packed[count_at] = (len(packed) - count_at - 6) // 2
            count_at = len(packed)
            packed += (0, *alike)
        packed += (draft.id, draft.body)
    if packed:
        packed[count_at] = (len(packed) - count_at - 6) // 2
    return packed


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of a new job, as one character, and the id of the job that stands for it ("": its own)."""

    sign: str
    survivor: str = ""


_SIGNS = {byte: Verdict(chr(byte)) for byte in b"10srekxf"}
_SURVIVED = frozenset(b"srekx")


def parse_verdicts(reply: bytes) -> list[Verdict]:
    """Return what the enqueue script says of each job, in order.

    `1` created, `0` its own id was known, `s` skipped, `r` replaced, `e` extended, `k` kept as the pending one, `x` a
    conflict that is an error, `f` the queue is full.
    """
    signs, newline, rest = reply.partition(b"\n")
    if not newline:
        return [_SIGNS[sign] for sign in signs]
    survivors = iter(rest.split(b"\n"))
    return [
        Verdict(chr(sign), next(survivors).decode()) if sign in _SURVIVED else _SIGNS[sign] for sign in signs
    ]


_names: dict[bytes, str] = {}


def parse_header(record: bytes) -> Header:
    """Parse the header of a record.

    Raises SchemaMismatch for a record of another version.
    """
    version, flags, _, priority, stamp, due, name_len, key_len, unique_len, expires, _ = _FIXED.unpack_from(
        record
    )
    if version != VERSION:
        raise SchemaMismatch(found=str(version), supported=str(VERSION))
    raw = record[36 : 36 + name_len]
    name = _names.get(raw)
    if name is None:
        name = raw.decode()
        if len(_names) < 4096:
            _names[raw] = name
    return Header(flags, priority, stamp, due, name, 36 + name_len + key_len + unique_len, expires)


def parse_key(record: bytes) -> str:
    """Return the key of a job from its record, "" for none."""
    at = 36 + record[20]
    return record[at : at + record[21]].decode()


def parse_unique(record: bytes) -> tuple[str, str]:
    """Return until when a record's unique key is held (`s` start, `d` done, `t` ttl) and the key; "" without one."""
    at = 36 + record[20] + record[21]
    raw = record[at : at + int.from_bytes(record[22:24], "big")].decode()
    return raw[:1], raw[1:]


def parse_state(packed: bytes | None) -> JobStateEntry:
    """Parse an entry of `state`; none, or bytes that are no entry, means that nothing was spent."""
    if not packed or len(packed) != _STATE.size:
        return JobStateEntry()
    attempts, crashes, releases, cancel, ready_ms = _STATE.unpack(packed)
    return JobStateEntry(
        attempts, crashes % _SUSPECT, releases, cancel, ready_ms, suspect=crashes == _SUSPECT
    )


def parse_log_count(packed: bytes) -> tuple[int, int, int]:
    """Return lines and bytes of a job's log, and the lines that were dropped; zeros for what is no such count."""
    lines, size, dropped = _LOG_COUNT.unpack(packed) if len(packed) == _LOG_COUNT.size else (0, 0, 0)
    return lines, size, dropped


def parse_finish(info: bytes) -> FinishInfo | None:
    """Parse what is told of a finished job; None for one that a script ended (`end_note`)."""
    return _decode_finish(info) if info and info[0] >= 0x80 else None


def end_note(info: bytes) -> tuple[str, tuple[int, ...]]:
    """Return how a script ended a job, in words: `poison` crashes attempts, or another word and when (ms).

    Of one that ended because of another (`child`, `skipped`) what follows is `child_note`'s.
    """
    word, *numbers = info.decode().split(" ")
    return word, tuple(map(int, numbers[:1] if word in _OF_OTHERS else numbers))


def child_note(info: bytes) -> tuple[str, str, str] | None:
    """Return whose end ended a job that waited for it: the sign of that end, queue and id; None where it was not so."""
    word, _, rest = info.decode(errors="replace").partition(" ")
    if word not in _OF_OTHERS:
        return None
    _, sign, queue, job_id = rest.split(" ", 3)
    return sign, queue, job_id


_ENDS: Final = {
    "f": "failed",
    "x": "was cancelled",
    "e": "expired",
    "r": "was removed",
    "s": "was skipped",
    "m": "is not known any more",
    "c": "completed",
}


def child_text(sign: str, queue: str, job_id: str) -> str:
    """Say why a job ended that waited for another."""
    return f"job {job_id!r} of queue {queue!r}, which it waited for, {_ENDS[sign]}"


def poison_counts(info: bytes) -> tuple[int, int]:
    """Return (crashes, attempts) of a job that a script failed because its workers kept dying."""
    crashes, _, attempts = info.removeprefix(b"poison ").partition(b" ")
    return int(crashes), int(attempts)


def parse_history(entries: bytes) -> list[AttemptInfo]:
    """Parse the attempts that failed, oldest first."""
    attempts: list[AttemptInfo] = []
    view = entries
    while view:
        size = int.from_bytes(view[:4], "big")
        last, size = size & _ENDED, size & ~_ENDED
        packed = view[4 : 4 + size]
        attempt = ended_attempt(packed) if last else _decode_attempt(packed)
        if attempt is not None:
            attempts.append(attempt)
        view = view[4 + size :]
    return attempts


def ended_attempt(info: bytes) -> AttemptInfo | None:
    """Return the attempt that ended a job for good, of what is told of the job; None where it did not fail."""
    finish = parse_finish(info)
    if finish is not None:
        if finish.error is None:
            return None
        error = finish.error
        return AttemptInfo(
            finish.attempts_made, finish.started_ms, finish.run_us, finish.worker, error, finish.wait_us
        )
    if not info:
        return None
    child = child_note(info)
    if child is not None:
        return AttemptInfo(0, end_note(info)[1][0], 0, "", ErrorInfo("child", child_text(*child)))
    crashes, attempts = poison_counts(info)
    reason = f"the worker died {crashes} times while it ran this job"
    return AttemptInfo(attempts + 1, 0, 0, "", ErrorInfo("poison", reason))


def pack_history_entry(attempt: AttemptInfo) -> bytes:
    """Return one attempt as it is appended to the history: a length, then msgpack."""
    packed = encode_attempt(attempt)
    return len(packed).to_bytes(4, "big") + packed
