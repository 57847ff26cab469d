"""What goes on, told to all open pages from one reader: events as they happen, and the counts of all queues each second."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING

from jobs_core.errors import JobsError
from jobs_dashboard.problems import Refused
from jobs_dashboard.streams import Message, Subscription, packed
from jobs_dashboard.watch import Watch

if TYPE_CHECKING:
    from jobs_admin import Admin, Event

__all__ = ["Hub"]

_MOST = 500
_READ_EVERY_S = 0.25
_STATS_EVERY_S = 1.0
# How long events are still read for pages that are gone: most of them come back at once.
_LINGERS_S = 30.0
_RING_MESSAGES = 5_000
_RING_BYTES = 4 * 1024 * 1024
_AGAIN_S = 1.0
_log = logging.getLogger("jobs_dashboard")


class Hub:
    """Reads events and counts while anybody listens, and gives each subscription its share.

    The last events are kept, so that a page whose connection broke goes on where it was; one that was away for too long, or
    was served by another process, is told `reset` and looks again.
    """

    def __init__(self, admin: Admin) -> None:
        """Read by way of an admin."""
        self._admin = admin
        self._watch = Watch(admin)
        self._subscriptions: set[Subscription] = set()
        self._left: dict[str, float] = {}
        self._ring: deque[Message] = deque()
        self._ring_bytes = 0
        self._epoch = secrets.token_hex(4)
        self._number = 0
        # Since which number the events of a queue ("" for all) are in the ring without a gap, and where to read on.
        self._since: dict[str, int] = {}
        self._cursors: dict[str, str] = {}
        self._heard: frozenset[str] = frozenset()
        self._ready = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def watch(self) -> Watch:
        """The counts of all queues."""
        return self._watch

    async def open(self, subscription: Subscription, last_id: str) -> None:
        """Let a subscription hear from now on, or behind the event that it heard last. Raises Refused."""
        if len(self._subscriptions) >= _MOST:
            detail = f"{_MOST} pages listen here already. Close some, or ask again later."
            raise Refused(503, "too_many_streams", "Too many listen", detail)
        self._subscriptions.add(subscription)
        if subscription.events:
            self._listen()
            await self._ready.wait()
            self._resume(subscription, last_id)
        if subscription.stats:
            if self._watcher is None or self._watcher.done():
                self._watcher = self._begun(self._count(), "jobs-stats")
            elif (snapshot := self._watch.snapshot(subscription.queues)) is not None:
                subscription.put(Message("stats", packed("stats", snapshot)))

    def close(self, subscription: Subscription) -> None:
        """Let a subscription hear no more."""
        if subscription not in self._subscriptions:
            return
        self._subscriptions.discard(subscription)
        if subscription.events:
            until = asyncio.get_running_loop().time() + _LINGERS_S
            self._left |= dict.fromkeys(subscription.queues or {""}, until)

    async def stop(self) -> None:
        """End all subscriptions, and read no more."""
        for subscription in [*self._subscriptions]:
            subscription.end("stopped")
        tasks = [each for each in (self._reader, self._watcher) if each is not None]
        self._reader = self._watcher = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wanted(self) -> frozenset[str]:
        """Return whose events are wanted: queues, "" for all of them, nothing for none."""
        now = asyncio.get_running_loop().time()
        self._left = {queue: until for queue, until in self._left.items() if until > now}
        wanted = {*self._left}
        for subscription in self._subscriptions:
            if subscription.events:
                wanted |= subscription.queues or {""}
        return frozenset({""}) if "" in wanted else frozenset(wanted)

    def _listen(self) -> None:
        """Read the events that are wanted now."""
        wanted = self._wanted()
        reader = self._reader
        if reader is not None and not reader.done():
            if self._heard >= wanted or "" in self._heard:
                return
            reader.cancel()
        self._heard = wanted
        self._ready.clear()
        self._reader = self._begun(self._read(wanted), "jobs-events")

    async def _read(self, wanted: frozenset[str]) -> None:
        """Read events until nobody wants them."""
        names = sorted(wanted - {""})
        self._since = {queue: self._since.get(queue, self._since.get("", self._number)) for queue in wanted}
        while True:
            since = {queue: at for queue, at in self._cursors.items() if not names or queue in names}
            # What was not read before is heard from now on.
            listener = self._admin.listener(*names, since=since or None)
            try:
                async with listener:
                    self._ready.set()
                    async for events in listener.batches(_READ_EVERY_S):
                        self._cursors = {**self._cursors, **listener.cursors}
                        for event in events:
                            self._tell(event)
                        if not self._wanted():
                            self._reader, self._heard = None, frozenset()
                            self._since, self._cursors = {}, {}
                            return
            except JobsError as error:
                _log.warning("events cannot be read: %s", error)
            except Exception:  # noqa: BLE001 - logged: the pages would stand still for good
                _log.exception("events cannot be read")
            self._ready.set()
            await asyncio.sleep(_AGAIN_S)

    async def _count(self) -> None:
        """Count all queues each second, while anybody wants to know."""
        loop = asyncio.get_running_loop()
        while any(each.stats for each in self._subscriptions):
            began = loop.time()
            try:
                await self._watch.look()
            except JobsError as error:
                self._to_all(Message("away", packed("away", {"detail": error.message})))
            except Exception:  # noqa: BLE001 - logged: the pages would stand still for good
                _log.exception("queues cannot be counted")
            else:
                self._tell_counts()
            await asyncio.sleep(max(_STATS_EVERY_S - (loop.time() - began), 0.1))
        self._watcher = None

    def _tell_counts(self) -> None:
        made: dict[frozenset[str], Message] = {}
        for subscription in self._subscriptions:
            if not subscription.stats:
                continue
            if not subscription.began:
                snapshot = self._watch.snapshot(subscription.queues)
                if snapshot is not None:
                    subscription.put(Message("stats", packed("stats", snapshot)))
                continue
            if subscription.queues not in made:
                changes = self._watch.changes(subscription.queues)
                made[subscription.queues] = Message("stats", packed("stats", changes))
            subscription.put(made[subscription.queues])

    def _tell(self, event: Event) -> None:
        self._number += 1
        body = packed("event", event, f"{self._epoch}-{self._number}")
        message = Message("event", body, self._number, event.queue, event.id)
        self._ring.append(message)
        self._ring_bytes += len(body)
        while len(self._ring) > _RING_MESSAGES or self._ring_bytes > _RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft().body)
        self._to_all(message)

    def _to_all(self, message: Message) -> None:
        for subscription in self._subscriptions:
            if subscription.wants(message):
                subscription.put(message)

    def _resume(self, subscription: Subscription, last_id: str) -> None:
        if not last_id:
            return
        epoch, _, text = last_id.partition("-")
        number = int(text) if text.isdecimal() and len(text) < 20 else -1
        wanted = subscription.queues or {""}
        since = max(self._since.get(queue, self._since.get("", self._number)) for queue in wanted)
        oldest = self._ring[0].number if self._ring else self._number + 1
        if epoch != self._epoch or not max(since, oldest - 1) <= number <= self._number:
            reason = {"detail": "Some events were missed: look again at what is shown."}
            subscription.put(Message("reset", packed("reset", reason, f"{self._epoch}-{self._number}")))
            return
        for message in self._ring:
            if message.number > number and subscription.wants(message):
                subscription.put(message)

    def _begun(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_ended)
        return task


def _ended(task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        if error := task.exception():
            _log.error("%s failed", task.get_name(), exc_info=error)
