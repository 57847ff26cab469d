"""One page that listens: a bounded buffer, and the response that empties it as server-sent events."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message as Started
    from starlette.types import Receive, Scope, Send

    from jobs_dashboard.live import Hub

__all__ = ["EventStream", "Message", "Subscription", "packed"]

_MOST_MESSAGES = 2_000
_MOST_BYTES = 2 * 1024 * 1024
_KEEP_ALIVE_S = 15.0
_ASK_S = 15.0
_SEND_S = 20.0
# The browser waits so long before it connects again.
_BEGIN = b"retry: 2000\n: begin\n\n"
_KEEP_ALIVE = b": keep-alive\n\n"
_encode = msgspec.json.Encoder().encode


def packed(kind: str, content: object, event_id: str = "") -> bytes:
    """Return an event as it is sent; JSON has no line breaks of its own."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: ".encode() + _encode(content) + b"\n\n"


class Message(msgspec.Struct, frozen=True):
    """Something to tell, packed once for all; `number`, queue and job are those of an event."""

    kind: str
    body: bytes
    number: int = 0
    queue: str = ""
    job: str = ""


class Subscription:
    """What one page wants to hear, and what it has not been sent yet.

    `queues` empty means all; `job` "" any. One that does not keep up is ended: it is told so, and what it missed is its to
    look up.
    """

    def __init__(
        self, *, queues: frozenset[str] = frozenset(), job: str = "", events: bool = True, stats: bool = True
    ) -> None:
        """Want something."""
        self.queues = queues
        self.job = job
        self.events = events
        self.stats = stats
        self.began = False
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._there = asyncio.Event()
        self._end = ""

    def wants(self, message: Message) -> bool:
        """Tell whether something is for this one."""
        if message.kind != "event":
            return True
        fits = not self.queues or message.queue in self.queues
        return self.events and fits and (not self.job or message.job == self.job)

    def put(self, message: Message) -> None:
        """Take a message, or give up."""
        if self._end:
            return
        self.began = self.began or message.kind == "stats"
        self._waiting.append(message)
        self._bytes += len(message.body)
        if len(self._waiting) > _MOST_MESSAGES or self._bytes > _MOST_BYTES:
            self.end("slow")
        self._there.set()

    def end(self, reason: str) -> None:
        """Send no more but why."""
        self._end = reason
        self._waiting.clear()
        self._there.set()

    async def take(self) -> tuple[bytes, bool]:
        """Wait for what is there to be sent, at most so long as a connection may be silent. Tells whether more will come."""
        try:
            async with asyncio.timeout(_KEEP_ALIVE_S):
                await self._there.wait()
        except TimeoutError:
            return _KEEP_ALIVE, True
        if self._end:
            return packed("end", {"reason": self._end}), False
        body = b"".join(message.body for message in self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._there.clear()
        return body, True


class EventStream(Response):
    """Sends what a subscription gets, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, subscription: Subscription, may_look: Callable[[], Awaitable[bool]]) -> None:
        """Send to who asked, as long as they may look; the subscription is open."""
        super().__init__(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._hub = hub
        self._subscription = subscription
        self._may_look = may_look

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        if scope["method"] == "HEAD":
            self._subscription.end("stopped")
        start: Started = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        sender = asyncio.create_task(self._send(start, send), name="jobs-stream")
        leaver = asyncio.create_task(_left(receive), name="jobs-stream-left")
        try:
            await asyncio.wait({sender, leaver}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.close(self._subscription)
            for task in (sender, leaver):
                task.cancel()
            await asyncio.gather(sender, leaver, return_exceptions=True)

    async def _send(self, start: Started, send: Send) -> None:
        await send(start)
        loop = asyncio.get_running_loop()
        body, more, asked = _BEGIN, True, loop.time()
        while True:
            try:
                async with asyncio.timeout(_SEND_S):
                    await send({"type": "http.response.body", "body": body, "more_body": more})
            except TimeoutError:
                # It reads nothing: that it should have is nothing that could be sent to it.
                return
            if not more:
                return
            body, more = await self._subscription.take()
            if more and loop.time() - asked >= _ASK_S:
                # Whoever listens may have signed out, perhaps at another dashboard.
                asked = loop.time()
                if not await self._may_look():
                    body, more = packed("end", {"reason": "signed_out"}), False


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
