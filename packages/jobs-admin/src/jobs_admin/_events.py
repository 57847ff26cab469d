"""Events of queues as they happen: one reader on a connection of its own for any number of queues."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self, TypeAlias, cast

import msgspec

from jobs_core.connection import client_for
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import ConnectionFailed, JobsError, OptionError
from jobs_core.keys import queue_prefix
from jobs_core.payloads import JsonValue
from jobs_core.records import job_name
from jobs_core.registry import list_queues
from jobs_core.told import parse_events

if TYPE_CHECKING:
    from types import TracebackType

    from jobs_core.connection import Address
    from jobs_core.told import Happened

__all__ = ["EVENT_KINDS", "Event", "EventListener", "Handler"]

EVENT_KINDS = (
    *("added", "active", "progress", "completed", "failed", "retrying", "stalled", "cancelled", "expired"),
    *(
        "released",
        "snoozed",
        "limited",
        "blocked",
        "unroutable",
        "rerouted",
        "promoted",
        "replayed",
        "removed",
    ),
    *("rescheduled", "reprioritized", "paused", "resumed", "obliterated", "trimmed"),
    *("scheduled", "unscheduled", "misfired"),
)
_BLOCK_MS = 2000
# Of one stream, and of all that are read by one call: the server is not to be held up by it.
_ENTRIES = 100
_ALL_ENTRIES = 1000
_AGAIN = 0.5
# Of several slots of a cluster: how often they are looked at, and how long one that does not answer holds up the others.
_LOOK_AGAIN = 0.25
_PATIENCE = 1.0
_LOOK_EVERY = 5.0
_Entries: TypeAlias = dict[bytes, list[tuple[bytes, Sequence[bytes]]]]
_log = logging.getLogger("jobs.events")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job, or (`id` "") to the queue.

    `data` is the progress, the text of an error, or the result; `left_out` says that a result was larger than 4 KiB, so
    fetch it. `cursor` is where to go on from: events that were written together share it until the last of them, so who
    goes on from it misses none and may hear some again. `trimmed` is told where events were cut off before they were read.
    """

    event: str
    queue: str
    id: str = ""
    name: str = ""
    attempt: int = 0
    at: datetime
    data: JsonValue = None
    left_out: bool = False
    cursor: str = ""


Handler = Callable[[Event], Awaitable[None] | None]


class EventListener:
    """Hears every event of some queues, from a cursor on; each listener hears all of them.

        async with admin.listener("email") as listener:
            listener.on("completed", done)
            async for event in listener: ...

    A lost connection is made again and nothing is missed, as long as the events are still kept (4 MiB a queue): else an
    event `trimmed` comes in their place.
    """

    def __init__(
        self,
        address: Address,
        prefix: str,
        queues: Sequence[str] = (),
        since: Mapping[str, str] | str | None = None,
        shown: Callable[[Event], Event] | None = None,
    ) -> None:
        """Hear `queues`, or all there are and will be. `since` is a cursor, or one of each queue by name; None: from now on.

        `shown` makes of an event what is told of it.
        """
        self._shown = shown
        self._client = client_for(address, name="jobs:events", read_deadline=30.0)
        self._prefix = prefix
        self._all = not queues
        self._looked = 0.0
        self._begun = False
        self._since = since
        self._queues: dict[bytes, str] = {}
        self._cursors: dict[bytes, str] = {}
        self._names = tuple(queues)
        for given in (since,) if isinstance(since, str) else (since or {}).values():
            _check(given)
        self._handlers: dict[str, list[Handler]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect, and note where the streams end: what happens from here on is heard."""
        try:
            await self._client.connect(timeout=5.0)
            await self._begin()
            self._begun = True
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.close()

    def on(self, kind: str, handler: Handler) -> None:
        """Call a handler, sync or async, for each event of a kind (`*`: of every one). Raises OptionError.

        Handlers run one after the other; one that raises is logged. They are called once `start` was, or while the listener
        is iterated over.
        """
        if kind != "*" and kind not in EVENT_KINDS:
            raise OptionError("event", kind, f"it must be * or one of {', '.join(EVENT_KINDS)}")
        self._handlers.setdefault(kind, []).append(handler)

    def start(self) -> None:
        """Hear events in the background and call the handlers."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="jobs-events")

    async def close(self) -> None:
        """Stop, and close the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._client.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Hear events as they happen, for ever. Either this or `start`, not both."""
        if self._task is not None:
            message = (
                "this listener was started, so its handlers hear the events; make another one to iterate over"
            )
            raise RuntimeError(message)
        return self._events()

    async def batches(self, every: Duration = 0) -> AsyncIterator[list[Event]]:
        """Hear events for ever as they are read, in place of iterating: those of one read together, a read each `every` at most.

        Who reads so seldom and falls behind goes on with what happens now: `trimmed` is told in place of what is passed over.
        A wait without events yields an empty list. Raises OptionError.
        """
        pause = to_ms(every, name="every") / 1000
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            heard = await self._read(skip=pause > 0)
            yield heard if self._shown is None else [self._shown(each) for each in heard]
            await asyncio.sleep(max(pause - (loop.time() - began), 0))

    @property
    def cursors(self) -> dict[str, str]:
        """Where to go on, by queue."""
        return {queue: self._cursors[key] for key, queue in self._queues.items()}

    async def _run(self) -> None:
        async for _ in self._events():
            pass

    async def _events(self) -> AsyncIterator[Event]:
        while True:
            for heard in await self._read():
                event = heard if self._shown is None else self._shown(heard)
                await self._call(event)
                yield event

    async def _call(self, event: Event) -> None:
        for handler in (*self._handlers.get(event.event, ()), *self._handlers.get("*", ())):
            try:
                answer = handler(event)
                if inspect.isawaitable(answer):
                    await answer
            except Exception:  # noqa: BLE001 - logged with its traceback
                # The handler is the user's: what it raises changes nothing for the others.
                _log.exception("a handler of event %s failed", event.event)

    async def _begin(self) -> None:
        """Note where each stream ends, or where it was asked to be read from."""
        names = self._names
        if self._all:
            self._looked = asyncio.get_running_loop().time()
            names = tuple(entry.queue for entry in await list_queues(self._client, self._prefix))
        for queue in names:
            key = f"{queue_prefix(self._prefix, queue)}events".encode()
            if key not in self._cursors:
                self._cursors[key] = await self._start_of(queue, key)
                self._queues[key] = queue

    async def _start_of(self, queue: str, key: bytes) -> str:
        if self._begun:
            # It came after this listener: all that is told of it is new.
            return "0"
        since = self._since.get(queue) if isinstance(self._since, Mapping) else self._since
        if since is not None:
            return since
        last = cast("list[list[bytes]]", await self._client.call("XREVRANGE", key, "+", "-", "COUNT", 1))
        return last[0][0].decode().partition("-")[0] if last else "0"

    async def _read(self, *, skip: bool = False) -> list[Event]:
        """Wait for events for at most a few seconds; none while the server is away. With `skip` what lies behind is passed over."""
        now = asyncio.get_running_loop().time()
        try:
            if self._all and now - self._looked > _LOOK_EVERY:
                await self._begin()
            if not self._cursors:
                await asyncio.sleep(_AGAIN)
                return []
            count = max(1, min(_ENTRIES, _ALL_ENTRIES // len(self._cursors)))
            replies = await self._wait(count)
        except ConnectionFailed:
            raise
        except JobsError as error:
            _log.warning("events cannot be read: %s", error)
            await asyncio.sleep(_AGAIN)
            return []
        events: list[Event] = []
        for key, entries in replies.items():
            for entry, fields in entries:
                events += self._entry(key, entry, fields)
            if skip and len(entries) == count and (passed := await self._pass_over(key)):
                events.append(passed)
        return events

    async def _wait(self, count: int) -> _Entries:
        """Read what is new in all streams, so many entries of each; where there is nothing, after a while. Raises as `call`."""
        streams = list(self._cursors.items())
        calls = self._client.together([key for key, _ in streams])
        if len(calls) == 1:
            return await self._xread(count, streams, "BLOCK", _BLOCK_MS)
        # A connection can wait in one slot of a cluster alone: there each is looked at, some times a second.
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        parts = [self._xread(count, [streams[at] for at in call], deadline=deadline) for call in calls]
        found = await asyncio.gather(*parts, return_exceptions=True)
        told = [part for part in found if not isinstance(part, BaseException)]
        failed = [part for part in found if isinstance(part, BaseException)]
        if failed and not told:
            raise failed[0]
        events = {key: entries for part in told for key, entries in part.items()}
        if not events:
            await asyncio.sleep(_LOOK_AGAIN)
        return events

    async def _xread(
        self,
        count: int,
        streams: Sequence[tuple[bytes, str]],
        *block: str | int,
        deadline: float | None = None,
    ) -> _Entries:
        keys, cursors = [key for key, _ in streams], [cursor for _, cursor in streams]
        reply = await self._client.call(
            *("XREAD", "COUNT", count, *block, "STREAMS"), *keys, *cursors, deadline=deadline
        )
        return cast("_Entries", reply or {})

    async def _pass_over(self, key: bytes) -> Event | None:
        """Go on at the end of a stream; return what tells of it, None where nothing lay between."""
        queue, before = self._queues[key], self._cursors[key]
        try:
            last = cast("list[list[bytes]]", await self._client.call("XREVRANGE", key, "+", "-", "COUNT", 1))
        except ConnectionFailed:
            raise
        except JobsError:
            return None
        end = last[0][0].decode().partition("-")[0] if last else before
        if int(end) <= int(before):
            return None
        self._cursors[key] = end
        return Event(event="trimmed", queue=queue, at=datetime.now(UTC), cursor=end)

    def _entry(self, key: bytes, entry: bytes, fields: Sequence[bytes]) -> list[Event]:
        queue, before = self._queues[key], self._cursors[key]
        self._cursors[key] = cursor = entry.decode().partition("-")[0]
        try:
            began, happened = parse_events(entry, fields)
        except (ValueError, IndexError, msgspec.MsgspecError) as error:
            _log.warning("an entry of events of queue %s cannot be read: %s", queue, error)
            return []
        events: list[Event] = []
        if before != "0" and int(began) > int(before):
            events.append(Event(event="trimmed", queue=queue, at=datetime.now(UTC), cursor=began))
        for number, each in enumerate(happened, 1):
            events.append(_event(queue, each, cursor if number == len(happened) else began))
        return events


def _event(queue: str, happened: Happened, cursor: str) -> Event:
    told = happened.told
    data: JsonValue = told.text or None
    left_out = told.left_out
    if told.data is not None:
        try:
            data = cast("JsonValue", msgspec.json.decode(told.data))
        except msgspec.MsgspecError:
            # A codec wrote it (encrypted, compressed), and only who knows that can read it.
            left_out = True
    return Event(
        event=told.kind,
        queue=queue,
        id=told.id,
        name=job_name(told.name),
        attempt=told.attempt,
        at=datetime.fromtimestamp(happened.at_ms / 1000, UTC),
        data=data,
        left_out=left_out,
        cursor=cursor,
    )


def _check(cursor: str) -> None:
    if not (cursor.isdecimal() and len(cursor) < 20):
        raise OptionError(
            "since", cursor, "it is no cursor of events; take that of an event, or 0 for all that is kept"
        )
