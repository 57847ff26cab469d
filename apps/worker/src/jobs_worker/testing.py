"""Try queues and handlers on a real server whose time stands still until a test moves it.

    async with Kit(send_reminder) as kit:
        job = await kit.producer.enqueue(SEND_REMINDER, Reminder(user=7), delay=timedelta(days=3))
        await kit.advance(timedelta(days=2))
        assert (await job.status()).state == "delayed"
        await kit.advance(timedelta(days=1))
        assert (await job.status()).state == "completed"

Nothing of the queues is replaced but the one line that asks the server for the time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from msgspec.structs import astuple

from jobs_admin import Admin
from jobs_core.connection import client_for, parse_address
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import JobsError, OptionError
from jobs_core.outbox import Relay
from jobs_core.queue import Queue
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import Producer
from jobs_worker.backoffs import backoff_of
from jobs_worker.declared import declare
from jobs_worker.processors import marks_of
from jobs_worker.routes import build_routes
from jobs_worker.runtime import Runtime

if TYPE_CHECKING:
    from types import TracebackType

    from jobs_core.scripts import Glance

__all__ = ["Kit", "NotIdle"]

_START = datetime(2026, 1, 1, 12, tzinfo=UTC)
_KEY = "jobs-test-clock"
_CLOCK = f"""--- The time that a test has set, in microseconds, in place of the server's.
local function clock()
  return tonumber(redis.call("GET", "{_KEY}"))
end
"""
_STEP = 0.002
_CONNECT = 10.0
# Nobody else looks after the leases of a kit, and no time passes by itself that could end one.
_LEASE_MS = 10**11


class NotIdle(JobsError):
    """Jobs still run, or wait to, after the time that they were given. `queues` names where."""

    code = "not_idle"

    def __init__(self, queues: Sequence[str], within: float) -> None:
        self.queues = tuple(queues)
        self.within = within
        super().__init__(
            f"after {within:g} s jobs still run or wait to in {', '.join(queues)}. Give `patience`, or look for a "
            "handler that does not end"
        )


class _Producer(Producer):
    _clock = _CLOCK


class _Admin(Admin):
    _clock = _CLOCK


class Kit:
    """A producer, an admin and a worker of handlers, on a server whose time a test moves."""

    def __init__(
        self,
        *handlers: Callable[..., object],
        queues: Iterable[Queue] = (),
        now: datetime = _START,
        url: str | None = None,
        patience: Duration = 10.0,
    ) -> None:
        """Prepare a kit that serves the queues of the handlers (decorated functions), and `queues` besides.

        `now` is the time at which it begins. `url` is a server that is there (of which the keys `jobs-test-*` are used), else
        one is started for the kit. `patience` is how long handlers may take, in real time. Raises OptionError.
        """
        if now.utcoffset() is None:
            raise OptionError("now", now, "it has no time zone")
        self._handlers = handlers
        self._queues = tuple(queues)
        self._us = _us(now)
        self._url = url
        self._patience = to_ms(patience, name="patience") / 1000
        self._stack = AsyncExitStack()
        self._owners: set[tuple[str, str]] = set()
        self.prefix = f"jobs-test-{secrets.token_hex(4)}"

    async def __aenter__(self) -> Self:
        """Connect, and begin to run jobs."""
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what runs, and close."""
        await self._stack.aclose()

    @property
    def now(self) -> datetime:
        """What the time is, UTC."""
        return datetime.fromtimestamp(self._us / 1_000_000, UTC)

    @property
    def producer(self) -> Producer:
        """What enqueues; delays and dates are those of the kit's time."""
        return self._producer

    @property
    def admin(self) -> Admin:
        """What looks at the queues and changes them."""
        return self._admin

    async def idle(self) -> None:
        """Wait until all that can run now has run, and what followed from it. Raises NotIdle."""
        try:
            async with asyncio.timeout(self._patience):
                # What moves on between the halves of a look is seen by the next one, or has been counted meanwhile.
                before = None
                while True:
                    glances = await self._glances()
                    busy, ended = self._busy(glances), self._ended()
                    if busy or await self._active():
                        before = None
                        await self._carry(glances)
                        waiting = self._waiting(glances)
                        for name, lane in self._runtime.lanes.items():
                            if name not in waiting:
                                # Nothing more comes for a chunk.
                                lane.flush()
                            lane.kick(hungry=True)
                        await asyncio.sleep(_STEP)
                    elif ended == before:
                        return
                    else:
                        before = ended
        except TimeoutError:
            busy = [*self._busy(await self._glances()), *await self._active()]
            raise NotIdle(sorted({*busy}) or self._names, self._patience) from None

    async def advance(self, by: Duration) -> None:
        """Let time pass: every job that comes due on the way runs at its time, with all that follows from it.

        Raises OptionError for a negative time, NotIdle.
        """
        await self._travel(self._us + to_ms(by, name="by") * 1000)

    async def advance_to(self, instant: datetime) -> None:
        """Let time pass until an instant, as `advance`. Raises OptionError for one that is over or has no zone."""
        if instant.utcoffset() is None:
            raise OptionError("instant", instant, "it has no time zone")
        if instant < self.now:
            raise OptionError(
                "instant", instant, f"it is {self.now.isoformat()} already, and time does not go back"
            )
        await self._travel(_us(instant))

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        url = self._url or self._stack.enter_context(EmbeddedServer()).url
        address = parse_address(url)
        if address.cluster:
            raise OptionError(
                "url", address.display, "the kit keeps its time on one server, not on a cluster"
            )
        self._client = client_for(address, name="jobs:kit")
        self._stack.push_async_callback(self._client.close)
        await self._client.connect(timeout=_CONNECT)
        await self._set(self._us)
        self._producer = await enter(_Producer(url, prefix=self.prefix))
        self._scripts = Scripts(self._client, self.prefix, clock=_CLOCK)
        specs = [spec for handler in self._handlers for spec in marks_of(handler)]
        served = {queue.name: queue for queue in (*(spec.queue for spec in specs), *self._queues)}
        backoffs = [named for named in map(backoff_of, self._handlers) if named is not None]
        routes = build_routes(specs, served.values(), backoffs)
        await declare(self._scripts, routes)
        self._names = list(served)
        self._admin = await enter(_Admin(url, prefix=self.prefix, declared=self._names))
        self._relay = Relay(self._scripts, served.values(), hold=0)
        self._runtime = Runtime(self._scripts, routes, on_owner=self._on_owner)
        await self._runtime.start()
        self._stack.push_async_callback(self._stop)

    async def _stop(self) -> None:
        drained = await self._runtime.drain(0)
        await self._runtime.close(abandon=not drained)

    def _on_owner(self, queue: str, owner: str, alive: bool) -> None:  # noqa: FBT001 - as the runtime calls it
        (self._owners.add if alive else self._owners.discard)((queue, owner))

    async def _travel(self, target: int) -> None:
        await self.idle()
        while (due := self._next(await self._glances())) is not None and self._us + due < target:
            await self._set(self._us + due)
            await self.idle()
        await self._set(target)
        await self.idle()

    async def _set(self, us: int) -> None:
        for queue, owner in self._owners:
            await self._scripts.beat(queue, owners=[owner], lease_ms=_LEASE_MS)
        self._us = us
        await self._client.call("SET", _KEY, us)

    async def _glances(self) -> dict[str, Glance]:
        return await self._scripts.glance(self._names) if self._names else {}

    async def _carry(self, glances: dict[str, Glance]) -> None:
        """Carry what lies in outboxes, and take it off: in the time of the kit no server is lost."""
        for name, seen in glances.items():
            if seen.outbox:
                await self._relay.relay(name)
        await self._relay.confirm()

    def _busy(self, glances: dict[str, Glance]) -> list[str]:
        """Name the queues of which something may start now, or lies in the outbox; and those whose handlers or schedules run here."""
        running = [name for name, lane in self._runtime.lanes.items() if lane.taken or lane.ticking]
        return self._waiting(glances) + running

    @staticmethod
    def _waiting(glances: dict[str, Glance]) -> list[str]:
        """Name the queues of which something may start now, or lies in the outbox."""
        return [
            name
            for name, seen in glances.items()
            if seen.outbox or (not seen.paused and (seen.startable or seen.next_due_ms == 0))
        ]

    def _ended(self) -> int:
        """Return a number that grows with every run of a handler that ends."""
        return sum(sum(astuple(lane.stats)) for lane in self._runtime.lanes.values())

    async def _active(self) -> list[str]:
        """Name the queues with jobs that the server holds for running: what ended is not settled yet."""
        tallies = await self._scripts.tally(self._names)
        return [name for name, tally in tallies.items() if tally.sizes["active"]]

    @staticmethod
    def _next(glances: dict[str, Glance]) -> int | None:
        """Return in how many us something is due, None where nothing is; in the next millisecond at the earliest."""
        due = [
            seen.next_due_ms for seen in glances.values() if seen.next_due_ms is not None and not seen.paused
        ]
        return max(min(due), 1) * 1000 if due else None


def _us(instant: datetime) -> int:
    # In whole ms, as the server tells due times, and exactly: a float has no room for the microseconds.
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) * 1000
