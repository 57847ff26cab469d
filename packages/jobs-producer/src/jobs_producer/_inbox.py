"""How a producer hears that jobs ended: one shard channel a queue, however many of its jobs are awaited."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, TypeVar

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import ConnectionFailed
from jobs_core.keys import inbox_channel
from jobs_core.states import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobs_core.scripts import Located, Scripts
    from jobs_core.scripts.flows import FlowTold

T = TypeVar("T")

# A message can be lost with its connection; after a reconnect all waiters look again, and this is the bound
# for anything else.
_LOOK_AGAIN = 15.0
# Each look at the server may take this long, also where the caller has less time or none.
_LOOK = 1.0
_FLOW_GOES_ON = frozenset({"staging", "open", "running"})
_ENDED = frozenset({"", "finished"} | {state.value for state in State if state.final})


class Inbox:
    """Those who await jobs of this producer, by queue and id."""

    def __init__(self, scripts: Scripts) -> None:
        """Open an inbox with a name of its own."""
        self._scripts = scripts
        self._name = secrets.token_hex(6)
        self._waiting: dict[tuple[str, str], set[asyncio.Future[str]]] = {}
        self._queues: set[str] = set()
        scripts.client.on_connect(self.wake_all)

    async def wait(
        self,
        queue: str,
        job_id: str,
        deadline: float | None,
        check: Callable[[Located], Awaitable[None]] | None = None,
    ) -> tuple[Located, str]:
        """Wait until the job ended; returns what is kept of it and, where a message told it, its final state.

        A job that has not ended at the first look is passed to `check`. Raises TimeoutError at the deadline
        (loop time), though not before one look.
        """

        async def first(found: Located) -> None:
            if check is not None:
                await check(found)

        return await self._wait(
            queue,
            job_id,
            deadline,
            lambda: self.look(queue, job_id),
            lambda found: found.state in _ENDED,
            first,
        )

    async def wait_flow(self, queue: str, flow_id: str, deadline: float | None) -> FlowTold:
        """Wait until a flow ended, and return what is known of it. Raises TimeoutError as `wait`."""

        async def look() -> FlowTold:
            try:
                return await self._scripts.flow_show(queue, inbox=self._name, flow_id=flow_id)
            except OutcomeLost as error:
                raise ConnectionFailed(self._scripts.client.address.display, str(error)) from None

        found, _ = await self._wait(
            queue, f"\x01{flow_id}", deadline, look, lambda told: told.state not in _FLOW_GOES_ON
        )
        return found

    async def _wait(  # noqa: PLR0917 - two callers, above
        self,
        queue: str,
        name: str,
        deadline: float | None,
        look: Callable[[], Awaitable[T]],
        ended: Callable[[T], bool],
        first: Callable[[T], Awaitable[None]] | None = None,
    ) -> tuple[T, str]:
        """Look until what is looked for has ended: again whenever a message names it, and now and then."""
        loop = asyncio.get_running_loop()
        heard = ""
        if queue not in self._queues:
            self._queues.add(queue)
            channel = inbox_channel(self._scripts.key(queue), self._name)
            self._scripts.client.subscribe(channel, lambda body: self._message(queue, body))
        key = (queue, name)
        while True:
            message: asyncio.Future[str] = loop.create_future()
            self._waiting.setdefault(key, set()).add(message)
            try:
                limit = None if deadline is None else max(deadline, loop.time() + _LOOK)
                async with asyncio.timeout_at(limit):
                    found = await look()
                if ended(found):
                    return found, heard
                if first is not None:
                    await first(found)
                    first = None
                left = _LOOK_AGAIN if deadline is None else min(_LOOK_AGAIN, deadline - loop.time())
                if left <= 0:
                    raise TimeoutError
                await asyncio.wait((message,), timeout=left)
                heard = message.result() if message.done() else ""
            finally:
                waiting = self._waiting[key]
                waiting.discard(message)
                if not waiting:
                    del self._waiting[key]

    async def look(self, queue: str, job_id: str) -> Located:
        """Return what is known of a job now. Raises ConnectionFailed."""
        try:
            return await self._scripts.await_(queue, inbox=self._name, job_id=job_id)
        except OutcomeLost as error:
            # To be entered among those who await the job changes nothing for the caller.
            raise ConnectionFailed(self._scripts.client.address.display, str(error)) from None

    def wake_all(self) -> None:
        """Make all who wait look again."""
        for waiting in self._waiting.values():
            for message in waiting:
                if not message.done():
                    message.set_result("")

    def _message(self, queue: str, body: bytes) -> None:
        state, _, job_id = body.decode().partition(" ")
        for message in self._waiting.get((queue, job_id), ()):
            if not message.done():
                message.set_result(state)
