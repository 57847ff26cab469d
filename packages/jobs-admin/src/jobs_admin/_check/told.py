"""Judges what lies beside the jobs of a queue: streams, effects that were applied, minutes, histograms, and the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, cast

from jobs_admin._audit import MOST
from jobs_admin._check.rules import Wrong

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_admin._check.walk import Tour
    from jobs_core.connection.protocol import Reply

__all__ = ["check_audit", "check_told", "mend_audit"]

# Streams are cut by whole nodes, whose size is the server's setting: what is twice its cap is not cut at all.
_CAPS = {"events": 2 * 4 * 1024 * 1024, "rows": 2 * 10_000}
_DAY_BYTES = 1440 * 32
_HISTOGRAM_BYTES = 87 * 8
_STEP = 100


async def check_told(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Judge what a queue tells besides its jobs. `found` names its keys."""
    for each in await _streams(tour):
        yield each
    for judge in (_applied, _measures):
        async for each in judge(tour, found):
            yield each


async def check_audit(calls: Calls, key: str) -> list[Wrong]:
    """Judge the stream of who changed what: it is capped, and every entry says which verb and how often."""
    if await calls.read(calls.client.call("TYPE", key)) not in {b"stream", b"none"}:
        return [Wrong("key_type", key)]
    size = cast("int", await calls.read(calls.client.call("XLEN", key)))
    wrong = [Wrong("audit", key, f"{size} entries")] if size > 2 * MOST else []
    start = "-"
    while True:
        call = calls.client.call("XRANGE", key, start, "+", "COUNT", _STEP)
        entries = cast("list[tuple[bytes, list[bytes]]]", await calls.read(call))
        for entry, fields in entries:
            said = dict(zip(fields[::2], fields[1::2], strict=False))
            if not said.get(b"verb") or not said.get(b"count", b"").isdigit():
                wrong.append(Wrong("audit", entry.decode(), "it names no verb, or no count"))
        if len(entries) < _STEP:
            return wrong
        start = f"({entries[-1][0].decode()}"


async def mend_audit(calls: Calls, key: str) -> int:
    """Cut the audit to its cap. Entries that cannot be read stay: they are what somebody may ask for. Returns how many went."""
    return cast("int", await calls.change(calls.client.call("XTRIM", key, "MAXLEN", MOST)))


async def _streams(tour: Tour) -> list[Wrong]:
    """Hold that no stream is ahead of what the queue knows, or nothing more could be entered, and none much beyond its cap."""
    names = ("out", "events", "rows")
    groups: list[str | int] = ["hash", "meta", 3, "stamp", "told", "rows"]
    for name in names:
        groups += ["ends", name, 0]
    (known, *ends) = cast("list[list[bytes | None]]", await tour.peek(*groups))
    wrong: list[Wrong] = []
    for name, far, reach in zip(names, known, ends, strict=True):
        if not reach:
            continue
        first, last = (int(cast("bytes", each).partition(b"-")[0]) for each in reach)
        if last > int(far or 0):
            wrong.append(Wrong("stream", name, f"its last entry is {last}, the queue knows {int(far or 0)}"))
        elif name in _CAPS and int(far or 0) - first > _CAPS[name]:
            wrong.append(Wrong("stream", name, f"it reaches from {first} to {last}"))
    return wrong


async def _applied(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Hold that of what other queues' outboxes sent only that is remembered which they still have."""
    origins = [name.removeprefix("in:") for name in found if name.startswith("in:")]
    for at in range(0, len(origins), _STEP):
        some = origins[at : at + _STEP]
        groups: list[str | int] = ["hash", "inlow", len(some), *some]
        for origin in some:
            groups += ["lowest", f"in:{origin}", 0]
        lows, *heads = cast("list[list[bytes | None]]", await tour.peek(*groups))
        for origin, low, head in zip(some, lows, heads, strict=True):
            if head and int(float(cast("bytes", head[0]))) < int(low or 0):
                yield Wrong(
                    "applied", origin, f"{int(float(cast('bytes', head[0])))} is below {int(low or 0)}"
                )


async def _measures(tour: Tour, found: Sequence[str]) -> AsyncIterator[Wrong]:
    """Hold that minutes and histograms are entered, so that they go one day, and have their size."""
    for family, index, most in (
        ("series", "series.due", _DAY_BYTES),
        ("hist", "hist.names", _HISTOGRAM_BYTES),
    ):
        keys = [name.partition(":")[2] for name in found if name.startswith(f"{family}:")]
        for at in range(0, len(keys), _STEP):
            some = keys[at : at + _STEP]
            n = len(some)
            reply = await tour.peek("zset", index, n, *some, "extent", family, n, *some)
            entered, sizes = cast("tuple[list[Reply], list[int]]", reply)
            for key, due, size in zip(some, entered, sizes, strict=True):
                if size and due is None:
                    yield Wrong("measure", f"{family}:{key}", "not entered")
                elif size > most:
                    yield Wrong("measure", f"{family}:{key}", f"{size} bytes")
