"""Changes of very many jobs, in bounded calls, that end although jobs keep coming."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from jobs_admin.errors import QueueBusy
from jobs_core.errors import OptionError
from jobs_core.scripts import MAX_ITEMS

if TYPE_CHECKING:
    from jobs_admin._calls import Calls

Progress = Callable[[int, int | None], None]
"""Told after each call how many jobs were changed, of how many there were at the start."""

# Small enough that who picks up jobs meanwhile hardly waits: of 500 it would be several times as long as on a calm queue.
_STEP = 32
_RUNNING = -2


async def retry_failed(
    calls: Calls, queue: str, *, limit: int | None, dry_run: bool, progress: Progress | None
) -> int:
    """Put back the jobs that have failed until now, oldest first."""
    # What fails again while this goes on is left alone, or it would never end.
    until = await calls.server_ms()
    total = _capped(await calls.count(queue, "failed", until), limit)
    done = 0
    loop = asyncio.get_running_loop()
    while not dry_run and done < total:
        ids = await calls.oldest(queue, "failed", until, min(MAX_ITEMS, total - done))
        if not ids:
            break
        began = loop.time()
        done += (await calls.change(calls.scripts.retry(queue, ids=ids))).count("1")
        _tell(progress, done, total)
        await _give_way(began)
    if done:
        await calls.relay(queue)
    return total if dry_run else done


async def clean(
    calls: Calls,
    queue: str,
    homes: Sequence[str],
    *,
    age_ms: int,
    limit: int | None,
    dry_run: bool,
    progress: Progress | None,
) -> int:
    """Remove what ended at least `age_ms` ago, oldest first."""
    until = await calls.server_ms() - age_ms
    total = _capped(sum([await calls.count(queue, home, until) for home in homes]), limit)
    done = 0
    loop = asyncio.get_running_loop()
    started = loop.time()
    for home in () if dry_run else homes:
        while done < total:
            # The age grows with the time this takes, so that jobs which end meanwhile stay.
            began = loop.time()
            age = age_ms + round((began - started) * 1000)
            step = min(_STEP, total - done)
            removed = await calls.change(calls.scripts.clean(queue, home=home, age_ms=age, limit=step))
            done += removed
            _tell(progress, done, total)
            if not removed:
                break
            await _give_way(began)
    return total if dry_run else done


async def drain(
    calls: Calls, queue: str, homes: Sequence[str], total: int, *, dry_run: bool, progress: Progress | None
) -> int:
    """Remove as many jobs that wait as there were at the start."""
    done = 0
    for home in () if dry_run else homes:
        while done < total:
            began = asyncio.get_running_loop().time()
            step = min(_STEP, total - done)
            removed, left = await calls.change(calls.scripts.drain(queue, home=home, limit=step))
            done += removed
            _tell(progress, done, total)
            if not left:
                break
            await _give_way(began)
    if done:
        await calls.relay(queue)
    return total if dry_run else done


async def obliterate(
    calls: Calls, queue: str, *, force: bool, dry_run: bool, progress: Progress | None
) -> int:
    """Take everything of a queue away, then what lies apart, in steps. Raises QueueBusy while jobs run."""
    sizes = (await calls.tally(queue)).sizes
    if sizes["active"] and not force:
        raise QueueBusy(queue, sizes["active"])
    if dry_run:
        return sum(sizes.values())
    while True:
        jobs, running, left = await calls.change(calls.scripts.obliterate(queue, force=force))
        if jobs == _RUNNING:
            raise QueueBusy(queue, running)
        if jobs >= 0:
            break
    total = left
    key = calls.scripts.key(queue)
    more = left > 0
    while more:
        more, entries = await calls.change(calls.scripts.tend(queue))
        if entries:
            # Who follows one of its jobs hears that it was removed.
            await calls.relay(queue)
        reads = [calls.client.call("HLEN", key + name) for name in ("trash.rec", "trash.waiters")]
        left = sum(cast("list[int]", await calls.read_all(reads)))
        _tell(progress, total - left, total)
    return jobs


async def _give_way(began: float) -> None:
    """Leave the server to others for as long as this step took."""
    await asyncio.sleep(asyncio.get_running_loop().time() - began)


def _capped(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def checked_limit(limit: int | None) -> int | None:
    """Return how many jobs may be changed at most, None for all. Raises OptionError."""
    if limit is not None and limit < 0:
        raise OptionError("limit", limit, "it must be 0 or more")
    return limit
