"""What is told of jobs besides their state: summary rows of those that ended, and events.

Workers pack what they tell of a call into bytes that scripts never open; where a script acts by itself it writes lines
(events) or the same arrays (rows). An entry that holds a verdict was told of deliveries of which some were refused:
what belongs to a `0` did not happen, and what belongs to a `c` ended as cancelled instead, which the script tells.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import compress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec.structs import replace

from jobs_core.options import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA_CAP: Final = 4096
_ENTRY_BYTES: Final = 64
_SETTLED: Final = ord("1")
_OF_QUEUE: Final = frozenset({"paused", "resumed", "obliterated", "scheduled", "unscheduled", "misfired"})

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


class Failures(msgspec.Struct, frozen=True, gc=False):
    """Jobs of one name that failed for good, column by column: fingerprints, ids, and when they ended (ms)."""

    name: str
    errors: Sequence[str]
    ids: Sequence[str]
    finished_ms: Sequence[int]

    def only(self, kept: Sequence[bool]) -> Failures:
        """Return those of which the flag at the same place is set."""
        if all(kept):
            return self
        return Failures(
            self.name,
            tuple(compress(self.errors, kept)),
            tuple(compress(self.ids, kept)),
            tuple(compress(self.finished_ms, kept)),
        )


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


class Batch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Deliveries of one job name that ended alike, column by column: what each event and each row is made of.

    `kind` is that of the event; stamps (when the jobs were added), fences (when they were claimed), runs and waits in us of the
    server's clock. `errors` are fingerprints, None where nothing failed.
    """

    kind: str
    name: str
    ids: list[str]
    attempts: list[int]
    stamps: list[int]
    fences: list[int]
    runs: list[int]
    waits: list[int]
    errors: list[str] | None = None


class More(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What only the event of a delivery tells; see `Told`."""

    text: str
    data: bytes | None
    left_out: bool


class _Ended(msgspec.Struct, array_like=True, frozen=True):
    worker: str
    batches: tuple[Batch, ...]


class _Rows(msgspec.Struct, array_like=True, frozen=True):
    worker: str
    rows: tuple[SummaryRow, ...]


OUTCOMES: Final = frozenset({"completed", "failed", "cancelled"})
"""Kinds of batches that end their jobs, and have a row of each."""

_encode = msgspec.msgpack.Encoder().encode
_decode_ended = msgspec.msgpack.Decoder(_Ended).decode
_decode_more = msgspec.msgpack.Decoder(tuple[More | None, ...]).decode
_decode_rows = msgspec.msgpack.Decoder(_Rows).decode
_encode_json = msgspec.json.Encoder().encode
_decode_pause = msgspec.msgpack.Decoder(tuple[str, str, str]).decode
_decode_misfired = msgspec.msgpack.Decoder(tuple[str, int, int, int, int]).decode
_decode_told = msgspec.msgpack.Decoder(tuple[Told, ...]).decode


def pack_batches(worker: str, batches: Sequence[Batch]) -> bytes:
    """Return batches as they are sent, with all deliveries of the call in the order in which they are settled."""
    return _encode((worker, batches))


def pack_more(more: Sequence[More | None]) -> bytes:
    """Return what events tell besides their batches, one for each delivery of the call."""
    return _encode(more)


def pack_told(events: Sequence[Told]) -> bytes:
    """Return events that are told one by one as they are sent."""
    return _encode(events)


def parse_rows(fields: Sequence[bytes]) -> list[tuple[SummaryRow, str]]:
    """Return the rows of one entry of `rows`, oldest first, each with the worker that told of it ("": a script)."""
    found: list[tuple[SummaryRow, str]] = []
    named = dict(_pairs(fields))
    if "batches" in named:
        ended = _decode_ended(named["batches"])
        found += [(row, ended.worker) for row in _happened(_rows(ended), named.get("verdict"))]
    if "rows" in named:
        packed = _decode_rows(named["rows"])
        found += [(row, packed.worker) for row in packed.rows]
    return found


def parse_failures(fields: Sequence[bytes]) -> tuple[list[Failures], int, int]:
    """Return what one entry of `rows` tells of jobs that failed, how many rows it has, and when the newest ended (ms).

    No row is made of any: an incident has tens of thousands of them.
    """
    found: list[Failures] = []
    told = newest = 0
    named = dict(_pairs(fields))
    if "batches" in named:
        batches = _decode_ended(named["batches"]).batches
        verdict = named.get("verdict", b"1" * sum(len(each.ids) for each in batches))
        at = 0
        for each in batches:
            settled = [sign == _SETTLED for sign in verdict[at : at + len(each.ids)]]
            at += len(each.ids)
            if each.kind not in OUTCOMES or not any(settled):
                continue
            ended = _finished(each)
            told, newest = told + len(ended), max(newest, *ended)
            if each.kind == "failed":
                errors = each.errors or [""] * len(ended)
                found.append(Failures(each.name, errors, each.ids, ended).only(settled))
    if "rows" in named:
        rows = _decode_rows(named["rows"]).rows
        told, newest = told + len(rows), max((row.finished_ms for row in rows), default=newest)
        found += [
            Failures(row.name, (row.error,), (row.id,), (row.finished_ms,))
            for row in rows
            if row.outcome == "failed"
        ]
    return found, told, newest


def parse_events(entry: bytes, fields: Sequence[bytes]) -> tuple[str, list[Happened]]:
    """Return where an entry of `events` begins, and what happened; the entry before it ends there or is cut off."""
    cursor = entry.decode().partition("-")[0]
    at_ms = int(fields[1])
    happened: list[Happened] = []
    pairs = [*_pairs(fields[2:])]
    size = _ENTRY_BYTES + sum(len(kind) + len(text) for kind, text in pairs)
    # A call settles once, so these stand beside one entry of batches at most.
    beside = dict(pairs)
    for kind, text in pairs:
        if kind in {"verdict", "more"}:
            continue
        if kind == "batches":
            more = _decode_more(beside["more"]) if "more" in beside else None
            found = _happened(_events(_decode_ended(text), more), beside.get("verdict"))
        elif kind == "told":
            found = _happened(_decode_told(text), beside.get("verdict"))
        elif kind in _OF_QUEUE:
            found = _of_queue(kind, text)
        else:
            found = _of_jobs(kind, text.decode())
        happened += [Happened(cursor, at_ms, each) for each in found]
    return str(int(cursor) - size), happened


def _rows(ended: _Ended) -> list[SummaryRow | None]:
    rows: list[SummaryRow | None] = []
    for each in ended.batches:
        if each.kind not in OUTCOMES:
            rows += [None] * len(each.ids)
            continue
        columns = (each.ids, each.attempts, each.stamps, each.fences, _finished(each), each.runs, each.waits)
        errors = each.errors or [""] * len(each.ids)
        rows += [
            SummaryRow(
                job_id,
                each.name,
                each.kind,
                stamp // 1000,
                fence // 1000,
                finished,
                wait,
                run,
                attempt,
                error,
            )
            for (job_id, attempt, stamp, fence, finished, run, wait), error in zip(
                zip(*columns, strict=True), errors, strict=True
            )
        ]
    return rows


def _finished(batch: Batch) -> list[int]:
    return [fence // 1000 + run // 1000 for fence, run in zip(batch.fences, batch.runs, strict=True)]


def _events(ended: _Ended, more: Sequence[More | None] | None) -> list[Told]:
    told = [
        Told(each.kind, job_id, each.name, attempt)
        for each in ended.batches
        for job_id, attempt in zip(each.ids, each.attempts, strict=True)
    ]
    if more is None:
        return told
    return [
        each
        if further is None
        else replace(each, text=further.text, data=further.data, left_out=further.left_out)
        for each, further in zip(told, more, strict=True)
    ]


def _of_queue(kind: str, text: bytes) -> list[Told]:
    """Read what a script tells of the queue."""
    if kind == "obliterated":
        return [Told(kind, "", "", 0, data=_encode_json({"jobs": int(text)}))]
    if kind in {"scheduled", "unscheduled"}:
        return [Told(kind, "", "", 0, data=_encode_json({"schedule": text.decode()}))]
    if kind == "misfired":
        schedule, *counts = _decode_misfired(text)
        named = zip(("late", "skipped", "missed", "overlapped"), counts, strict=True)
        counted = {name: count for name, count in named if count}
        return [Told(kind, "", "", 0, data=_encode_json({"schedule": schedule, **counted}))]
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
    """Leave out what did not happen so: one character a delivery says that, `1` for what did."""
    if verdict is None:
        return [each for each in told if each is not None]
    return [each for each, sign in zip(told, verdict, strict=False) if each is not None and sign == _SETTLED]


def _pairs(fields: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    flat = iter(fields)
    return ((field.decode(), value) for field, value in zip(flat, flat, strict=True))
