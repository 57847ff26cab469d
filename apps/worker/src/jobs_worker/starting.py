"""What a claim gave, made ready to be run: or the settlement of a job that is not to be run here."""

from __future__ import annotations

import asyncio
import struct
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.errors import JobsError, SchemaMismatch
from jobs_core.keys import big_key
from jobs_core.scripts import MAX_ITEMS
from jobs_core.scripts.flows import FlowJobs
from jobs_core.wire import Header, Waits, decode_envelope, parse_header, parse_history, parse_key
from jobs_worker import logs
from jobs_worker.children import Waited
from jobs_worker.delivery import Delivery
from jobs_worker.settlement import Settlement, cancelled, overdue, unopened, unreadable, unroutable

if TYPE_CHECKING:
    from jobs_core.scripts import Claimed, Scripts
    from jobs_worker.routes import QueueRoutes

_ERROR_PAUSE = 1.0
# So many children of a job are at hand when it runs; the others it goes through page by page.
HELD_CHILDREN = 10_000
HELD_BYTES = 8 * 1024 * 1024
_log = logs.get("jobs.worker")


def header_of(claimed: Claimed) -> Header:
    """Parse the header of a record; one that is none gets no name, and its job fails as unreadable."""
    try:
        return parse_header(claimed.record)
    except (SchemaMismatch, struct.error, ValueError):
        return Header(0, 3, claimed.fence, 0, "", len(claimed.record))


async def fetch_envelope(scripts: Scripts, queue: str, job_id: str) -> bytes | None:
    """Return an envelope that lies apart; empty where there is none, None where it cannot be read now."""
    known, packed = await _read(scripts, queue, "GET", big_key(scripts.key(queue), job_id))
    return packed or b"" if known else None


def open_delivery(  # noqa: PLR0917 - once for each job, so by position
    routes: QueueRoutes, claimed: Claimed, header: Header, packed: bytes, owner: str, worker: str
) -> Delivery | Settlement:
    """Return the delivery to run, or how a job is settled that no handler here knows or nobody can read."""
    route = routes.find(header.name)
    if route is None and header.name:
        queue, needs = routes.queue.name, routes.missing.get(header.name, [])
        _log.warning("unroutable", queue=queue, job_id=claimed.id, job=header.name, needs=needs)
        return unroutable(unopened(claimed, header, owner))
    try:
        delivery = Delivery.of(claimed, header, decode_envelope(packed), route, owner)
    except (msgspec.MsgspecError, ValueError, struct.error) as error:
        return unreadable(unopened(claimed, header, owner), error, worker)
    entry, deadline_ms = delivery.entry, delivery.policy.deadline_ms
    if entry.cancel:
        # It was cancelled while the claim that took it was on its way.
        return cancelled(delivery, 0, worker)
    if deadline_ms and deadline_ms * 1000 <= delivery.fence:
        return overdue(delivery, worker)
    return delivery


def open_with_key(  # noqa: PLR0917 - as above
    routes: QueueRoutes, claimed: Claimed, header: Header, packed: bytes, owner: str, worker: str
) -> Delivery | Settlement:
    """Do the same in a lane whose handlers take chunks by key."""
    opened = open_delivery(routes, claimed, header, packed, owner, worker)
    if isinstance(opened, Delivery):
        opened.key = parse_key(claimed.record)
    return opened


def needs_first_start(delivery: Delivery) -> bool:
    """Tell whether a later attempt must know when the first one began: its retries have a time budget."""
    return bool(delivery.policy.retry_for_ms and delivery.entry.attempts)


async def find_first_start(scripts: Scripts, queue: str, delivery: Delivery) -> bool:
    """Let a delivery know when the job's first attempt began; returns False where that cannot be read now."""
    known, packed = await _read(scripts, queue, "HGET", scripts.key(queue) + "history", delivery.id)
    attempts = parse_history(packed or b"")
    if attempts:
        delivery.first_ms = attempts[-1].first_ms or attempts[-1].started_ms
    return known


async def find_checkpoint(scripts: Scripts, queue: str, delivery: Delivery) -> bool:
    """Let a delivery know what earlier attempts left; returns False where that cannot be read now."""
    key = scripts.key(queue) + "checkpoint"
    known, delivery.checkpoint = await _read(scripts, queue, "HGET", key, delivery.id)
    return known


class _Told:
    """What is told of the jobs that one waited for: first those of the flow whose callback it is, then those that it waited for itself."""

    def __init__(self, scripts: Scripts, queue: str, job_id: str, waits: Waits) -> None:
        self._flow = partial(scripts.flow_jobs, waits.queue, flow_id=waits.flow, kind="b")
        self._own = partial(scripts.flow_jobs, queue, flow_id=job_id, kind="j")
        self.before = self._total = 0

    async def look(self) -> None:
        """See how many there are: the flow may grow while its callback runs."""
        kept, own = await asyncio.gather(self._flow(count=0), self._own(count=0))
        self.before, self._total = kept.total, kept.total + own.total

    async def page(self, at: int) -> FlowJobs:
        """Return what is told from one of them on."""
        if at < self.before:
            found = await self._flow(from_=at, count=min(self.before - at, MAX_ITEMS))
            after = at + len(found.jobs)
            return FlowJobs(self._total, after if at < after < self._total else None, found.jobs)
        found = await self._own(from_=at - self.before)
        after = None if found.next is None else self.before + found.next
        return FlowJobs(self.before + found.total, after, found.jobs)


async def find_children(scripts: Scripts, queue: str, delivery: Delivery) -> bool:
    """Let a delivery know of the jobs that it waited for, as far as they can be held.

    Returns False where that cannot be read now, or where its job is somebody else's: a server that lost the claim may have lost
    ends of those jobs too.
    """
    waits = delivery.envelope.waits or Waits()
    there = _Told(scripts, queue, delivery.id, waits)
    told: list[tuple[bool, bytes]] = []
    held, at = 0, 0
    try:
        if waits.flow:
            await there.look()
        while True:
            found = await there.page(at)
            told += [(job.ended, job.told) for job in found.jobs]
            held += sum(len(job.told) for job in found.jobs)
            if found.next is None or len(told) >= HELD_CHILDREN or held >= HELD_BYTES:
                break
            at = found.next
    except JobsError as error:
        _log.warning("fetch_failed", queue=queue, error=str(error))
        await asyncio.sleep(_ERROR_PAUSE)
        return False
    known, fence = await _read(
        scripts, queue, "ZSCORE", f"{scripts.key(queue)}active:{delivery.owner}", delivery.id
    )
    if not known or fence is None or int(fence) != delivery.fence:
        return False
    if found.total:
        delivery.waited_for = Waited(found.total, told, waits.labels, there.before)
        delivery.pages = there.page
    return True


async def _read(scripts: Scripts, queue: str, *command: str) -> tuple[bool, bytes | None]:
    """Read what a job that was claimed needs: whether that was possible, and what there is.

    Where it was not, its job is given back, and would be claimed again at once, so that takes a while.
    """
    try:
        return True, cast("bytes | None", await scripts.client.call(*command))
    except JobsError as error:
        _log.warning("fetch_failed", queue=queue, error=str(error))
        await asyncio.sleep(_ERROR_PAUSE)
        return False, None
