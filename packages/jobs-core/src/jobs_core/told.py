"""What is told of jobs besides their state: summary rows of those that ended, and events.

Workers pack what they tell of a call into bytes that scripts never open; where a script acts by itself it writes lines
(events) or the same arrays (rows). An entry that holds a verdict was told of deliveries of which some were refused:
what belongs to a `0` did not happen, and what belongs to a `c` ended as cancelled instead, which the script tells.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from jobs_core.options import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA_CAP: Final = 4096
_ENTRY_BYTES: Final = 64
_OF_QUEUE: Final = frozenset({"paused", "resumed", "obliterated"})

T = TypeVar("T")


class SummaryRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One job that ended. Times in ms and us of the server's clock, 0: it never started; `error` is a fingerprint."""

    id: str
    name: str
    outcome: str
    created_ms: int
    started_ms: int
    finished_ms: int
    wait_us: int
    run_us: int
    attempts: int
    error: str = ""


class Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event as a worker tells it.

    `text` is why an attempt ended so, `data` JSON (progress, result); `left_out` says that it was too large.
    """

    kind: str
    id: str
    name: str
    attempt: int
    text: str = ""
    data: bytes | None = None
    left_out: bool = False


class Happened(msgspec.Struct, frozen=True, gc=False):
    """One event as it was read. `cursor` is the place behind the entry it stood in."""

    cursor: str
    at_ms: int
    told: Told


class _Rows(msgspec.Struct, array_like=True, frozen=True):
    worker: str
    rows: tuple[SummaryRow | None, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(_Rows).decode
_encode_json = msgspec.json.Encoder().encode
_decode_pause = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_decode_told = msgspec.msgpack.Decoder(tuple[Told | None, ...]).decode


def pack_rows(worker: str, rows: Sequence[SummaryRow | None]) -> bytes:
    """Return rows as they are sent, one for each settlement of the call; None for one that ended no job."""
    return _encode((worker, rows))


def pack_told(events: Sequence[Told | None]) -> bytes:
    """Return events as they are sent, one for each settlement of the call; None for one that tells nothing."""
    return _encode(events)


def parse_rows(fields: Sequence[bytes]) -> list[tuple[SummaryRow, str]]:
    """Return the rows of one entry of `rows`, oldest first, each with the worker that told of it ("": a script)."""
    found: list[tuple[SummaryRow, str]] = []
    named = dict(_pairs(fields))
    for field in ("told", "rows"):
        if field in named:
            packed = _decode_rows(named[field])
            rows = _happened(packed.rows, named.get("verdict") if field == "told" else None)
            found += [(row, packed.worker) for row in rows]
    return found


def parse_events(entry: bytes, fields: Sequence[bytes]) -> tuple[str, list[Happened]]:
    """Return where an entry of `events` begins, and what happened; the entry before it ends there or is cut off."""
    cursor = entry.decode().partition("-")[0]
    at_ms = int(fields[1])
    happened: list[Happened] = []
    size = _ENTRY_BYTES
    pairs = [*_pairs(fields[2:])]
    for number, (kind, text) in enumerate(pairs):
        size += len(kind) + len(text)
        if kind == "verdict":
            continue
        if kind == "told":
            behind = pairs[number + 1 : number + 2]
            verdict = behind[0][1] if behind and behind[0][0] == "verdict" else None
            found = _happened(_decode_told(text), verdict)
        elif kind in _OF_QUEUE:
            found = _of_queue(kind, text)
        else:
            found = _of_jobs(kind, text.decode())
        happened += [Happened(cursor, at_ms, each) for each in found]
    return str(int(cursor) - size), happened


def _of_queue(kind: str, text: bytes) -> list[Told]:
    """Read what a script tells of the queue."""
    if kind == "obliterated":
        return [Told(kind, "", "", 0, data=_encode_json({"jobs": int(text)}))]
    what, by, reason = _decode_pause(text)
    data = {"by": by, "reason": reason}
    kept_back, _, name = what.partition(":")
    if name:
        data[kept_back] = name
    return [Told(kind, "", "", 0, data=_encode_json(data))]


def _of_jobs(kind: str, text: str) -> list[Told]:
    """Read what a script tells of jobs alike, a line each behind the first."""
    head, _, rest = text.partition("\n")
    name, attempt, why = head.split(" ", 2)
    data = None
    if kind == "rescheduled":
        run_at = datetime.fromtimestamp(int(why) / 1000, UTC)
        why, data = "", _encode_json({"run_at": run_at})
    elif kind == "reprioritized":
        why, data = "", _encode_json({"priority": Priority(int(why)).name.lower()})
    return [Told(kind, job_id, name, int(attempt), why, data) for job_id in rest.split("\n")]


def _happened(told: Sequence[T | None], verdict: bytes | None) -> list[T]:
    if verdict is None:
        return [each for each in told if each is not None]
    return [
        each for each, settled in zip(told, verdict, strict=False) if each is not None and settled == ord("1")
    ]


def _pairs(fields: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    flat = iter(fields)
    return ((field.decode(), value) for field, value in zip(flat, flat, strict=True))
