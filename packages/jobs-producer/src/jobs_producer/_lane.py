"""The way of jobs to one queue: whatever gathers while a flush is under way travels with the next one."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import OrderedDict, deque
from contextlib import suppress
from copy import copy
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from jobs_core.connection.client import OutcomeLost
from jobs_core.connection.turn import Turn
from jobs_core.errors import (
    ConnectionFailed,
    DeclarationError,
    JobsError,
    OutcomeUnknown,
    Overloaded,
    QueueFull,
)
from jobs_core.queue import differences
from jobs_core.registry import QueueEntry, announce_queue, queue_entry
from jobs_core.scripts import MAX_BYTES, MAX_ITEMS
from jobs_core.wire import Draft, Verdict, pack_drafts
from jobs_producer._submission import Call, Outcome, Submission, told

if TYPE_CHECKING:
    from jobs_core.queue import Queue
    from jobs_core.scripts import Scripts

BUFFER_JOBS = 10_000
BUFFER_BYTES = 16 * 1024 * 1024
# Calls under way at a time, and how many jobs make a second one worth its trip: the server works on one half
# of the callers while this process serves the other.
_PARALLEL = 2
_SPLIT = 32
_LISTED_WITHIN = 1.0
_LIST_EVERY = 60.0
# How long a job waits, about, before it asks a full queue again for room.
_FULL = 0.1


class Item(Draft):
    """A job on its way; `future` gives what became of it, then `id` is that of the job that stands for it.

    `deadline` is loop time; where the queue is full one that `waits` is sent again until then.
    """

    future: asyncio.Future[Outcome]
    deadline: float
    waits: bool


class Buffer:
    """The bound on what a producer holds unsent, over all its queues; who waits for room gets it in turn."""

    def __init__(self) -> None:
        """Begin empty."""
        self.jobs = 0
        self.bytes = 0
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    def enter(self, size: int) -> bool:
        """Take room for a job, or tell that there is none."""
        if self._waiting or self.jobs >= BUFFER_JOBS or self.bytes >= BUFFER_BYTES:
            return False
        self.jobs += 1
        self.bytes += size
        return True

    def force(self, size: int) -> None:
        """Take room for a job that was let in before."""
        self.jobs += 1
        self.bytes += size

    async def wait(self, queue: str, size: int, deadline: float) -> None:
        """Wait for room and take it. Raises Overloaded at the deadline."""
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[room] = size
        try:
            async with asyncio.timeout_at(deadline):
                await room
        except BaseException as error:
            self._waiting.pop(room, None)
            if not room.cancelled():
                # It was given room in the moment in which it went away.
                self.leave(1, size)
            if isinstance(error, TimeoutError):
                raise Overloaded(queue, self.jobs) from None
            raise

    def leave(self, jobs: int, size: int) -> None:
        """Count out jobs that were sent or given up, and let in who waits."""
        self.jobs -= jobs
        self.bytes -= size
        while self._waiting and not self._full:
            room, wanted = self._waiting.popitem(last=False)
            if not room.done():
                self.jobs += 1
                self.bytes += wanted
                room.set_result(None)

    @property
    def _full(self) -> bool:
        return self.jobs >= BUFFER_JOBS or self.bytes >= BUFFER_BYTES


class Lane:
    """Unsent jobs of one queue and the (at most two) flushes under way; each has a session of its own."""

    def __init__(self, scripts: Scripts, queue: str, buffer: Buffer, *, slack: float) -> None:
        """Serve one queue. Callers whose deadlines are `slack` seconds apart do not share a call."""
        self.declaration: Queue | None = None
        self._scripts = scripts
        self._queue = queue
        self._buffer = buffer
        self._slack = slack
        self._declared = False
        self._listed_at = 0.0
        self._pending: deque[Item] = deque()
        self._idle = [_Session() for _ in range(_PARALLEL)]
        self._starting = False
        self._turn = Turn(asyncio.get_running_loop())
        self._flushes: set[asyncio.Task[_Session]] = set()
        self._barred: set[asyncio.TimerHandle] = set()

    @property
    def busy(self) -> bool:
        """Whether anything is unsent or unanswered."""
        return bool(self._flushes) or self._starting or bool(self._barred)

    def declare(self, declaration: Queue) -> None:
        """Say what code declares of the queue, which is written before the next job.

        Raises DeclarationError where something else was declared before.
        """
        known = self.declaration
        if known is None:
            self.declaration = declaration
            self._declared = False
        elif known != declaration:
            different = differences(known.declaration, declaration.declaration)
            raise DeclarationError(
                declaration.source,
                f"queue {self._queue!r} is already declared in {known.source}, with {different}. "
                f"Declare it once",
            )

    def declare_again(self) -> None:
        """Write the declaration once more: the server may have lost it."""
        self._declared = False

    async def declared(self, deadline: float) -> None:
        """Write what code declares of the queue now, unless it is written. Raises ConnectionFailed."""
        if not self._declared:
            await self._declare(deadline)

    def add(self, item: Item) -> bool:
        """Take a job, or tell that the buffer has no room for it.

        It leaves at the end of this turn of the loop, or with the call after those under way.
        """
        if not self._buffer.enter(len(item.body)):
            return False
        self._pending.append(item)
        if self._idle and not self._starting:
            self._begin()
        return True

    async def add_later(self, item: Item) -> None:
        """Take a job when there is room. Raises Overloaded where it would come too late to be sent."""
        await self._buffer.wait(self._queue, len(item.body), item.deadline - self._slack)
        self._append(item)

    def _append(self, item: Item) -> None:
        self._pending.append(item)
        if self._idle and not self._starting:
            self._begin()

    def _begin(self) -> None:
        self._starting = True
        asyncio.get_running_loop().call_soon(self._start)

    async def drain(self) -> None:
        """Wait until all that was taken has been sent and answered."""
        while self.busy:
            if self._flushes:
                await asyncio.wait(self._flushes)
            else:
                await asyncio.sleep(0 if self._starting else _FULL / 4)

    def _start(self) -> None:
        """Send what gathered, in two halves if it is much; a little waits for the call that is under way."""
        self._starting = False
        pending = self._pending
        while pending and self._idle and (len(self._idle) == _PARALLEL or len(pending) >= _SPLIT):
            halves = len(self._idle) if len(pending) >= 2 * _SPLIT else 1
            batch = self._take(min(MAX_ITEMS, -(-len(pending) // halves)))
            if batch:
                task = asyncio.get_running_loop().create_task(self._send(self._idle.pop(), batch))
                self._flushes.add(task)
                task.add_done_callback(partial(self._flushed, batch))

    def _flushed(self, batch: list[Item], task: asyncio.Task[_Session]) -> None:
        """Make room for another call, also where this one was cancelled before it began."""
        self._flushes.discard(task)
        session = _Session()
        if task.cancelled():
            # Whoever cancels all tasks must not leave those behind who wait for what was not sent.
            reason = "the sending of jobs was cancelled"
            _fail(batch, ConnectionFailed(self._scripts.client.address.display, reason))
            self._give_up(len(self._pending), reason)
        elif error := task.exception():
            context = {"message": "sending jobs failed unexpectedly", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
        else:
            session = task.result()
        self._idle.append(session)
        if self._pending:
            self._start()

    def _take(self, limit: int) -> list[Item]:
        """Take the next jobs off, without those whose callers went away."""
        pending = self._pending
        batch: list[Item] = [*islice(pending, limit)]
        bodies, deadlines = sum([len(item.body) for item in batch]), [item.deadline for item in batch]
        gone = True in [item.future.done() for item in batch]
        if not gone and bodies <= MAX_BYTES and max(deadlines) - min(deadlines) <= self._slack:
            # Nearly always: all of them, without a look at each.
            for _ in batch:
                pending.popleft()
            self._buffer.leave(len(batch), bodies)
            return batch
        batch = []
        size = count = freed = 0
        while pending and len(batch) < limit:
            item = pending[0]
            weight = len(item.body)
            wanted = not item.future.done()
            if wanted and batch and not self._fits(batch[0], item, size + weight):
                break
            pending.popleft()
            count += 1
            freed += weight
            if wanted:
                size += weight
                batch.append(item)
        self._buffer.leave(count, freed)
        return batch

    def _fits(self, first: Item, item: Item, size: int) -> bool:
        return size <= MAX_BYTES and abs(item.deadline - first.deadline) <= self._slack

    async def _send(self, session: _Session, batch: list[Item]) -> _Session:
        """Send jobs and tell their callers; returns the session of the next call."""
        scripts = self._scripts
        address = scripts.client.address.display
        call = Call(
            address,
            scripts.prefix,
            self._queue,
            session.name,
            session.next(),
            pack_drafts(batch),
            time.time(),
        )
        deadline = min(item.deadline for item in batch)
        try:
            if not self._declared:
                await self._declare(deadline)
            elif asyncio.get_running_loop().time() - self._listed_at > _LIST_EVERY:
                await self._announce(deadline, anew=False)
            verdicts = await call.send(scripts, deadline)
        except OutcomeLost as error:
            # What was lost may be sent again, so its session is used for nothing else any more.
            _unknown(batch, call, str(error))
            self._expire(str(error))
            return _Session()
        except JobsError as error:
            _fail(batch, error)
        except BaseException as error:
            _unknown(batch, call, f"{type(error).__name__} while sending")
            raise
        else:
            turn = asyncio.get_running_loop().create_future()
            self._turn.take(partial(turn.set_result, None))
            try:
                await turn
            finally:
                for item, verdict in zip(batch, verdicts, strict=True):
                    future = item.future
                    if future.done():
                        continue
                    if verdict.sign == "1":
                        future.set_result("created")
                    else:
                        self._tell(item, verdict)
        return session

    def _tell(self, item: Item, verdict: Verdict) -> None:
        try:
            outcome = told(self._queue, verdict)
        except QueueFull as error:
            if not item.waits or not self._bar(item):
                _fail([item], error)
        except JobsError as error:
            _fail([item], error)
        else:
            item.id = verdict.survivor or item.id
            item.future.set_result(outcome)

    def _bar(self, item: Item) -> bool:
        """Send a job again a little later, when the queue may have room; tell whether there is time for it."""
        loop = asyncio.get_running_loop()
        pause = _FULL * (0.5 + random.random())
        if loop.time() + pause + self._slack >= item.deadline:
            return False

        def again() -> None:
            self._barred.discard(timer)
            # It has left the buffer and comes back beside it: its caller still waits, so no more of them come.
            self._buffer.force(len(item.body))
            self._append(item)

        timer = loop.call_later(pause, again)
        self._barred.add(timer)
        return True

    async def _declare(self, deadline: float) -> None:
        declaration = self.declaration
        try:
            if declaration is not None:
                await self._scripts.declare(
                    self._queue,
                    definition=declaration.definition_hash,
                    fields=declaration.definition(),
                    deadline=deadline,
                )
            await self._announce(deadline)
        except OutcomeLost as error:
            # A declaration may be written twice, and no job was sent yet.
            raise ConnectionFailed(self._scripts.client.address.display, str(error)) from None
        self._declared = self.declaration is declaration

    async def _announce(self, deadline: float, *, anew: bool = True) -> None:
        """List the queue; once more (`anew` False) where it may have been obliterated, or the data lost, since."""
        client, declaration = self._scripts.client, self.declaration
        entry = queue_entry(declaration) if declaration else QueueEntry(queue=self._queue)
        self._listed_at = asyncio.get_running_loop().time()
        if anew and not client.address.cluster:
            await announce_queue(client, self._scripts.prefix, entry, deadline=deadline)
            return
        soon = min(deadline, self._listed_at + _LISTED_WITHIN)
        with suppress(ConnectionFailed, OutcomeLost):
            # No job depends on the list, which in a cluster is on a node of its own. When that is back, all is declared again.
            await announce_queue(client, self._scripts.prefix, entry, anew=anew, deadline=soon)

    def _expire(self, reason: str) -> None:
        """Give up those with hardly any time left: a silent server would leave their outcome unknown."""
        limit = asyncio.get_running_loop().time() + self._slack
        self._give_up(sum(1 for _ in takewhile(lambda item: item.deadline <= limit, self._pending)), reason)

    def _give_up(self, count: int, reason: str) -> None:
        batch = [self._pending.popleft() for _ in range(count)]
        self._buffer.leave(count, sum(len(item.body) for item in batch))
        _fail(batch, ConnectionFailed(self._scripts.client.address.display, reason))


class _Session:
    """A caller-made name under which the server remembers the last call, and the number of that call."""

    __slots__ = ("_seq", "name")

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)
        self._seq = 0

    def next(self) -> int:
        self._seq += 1
        return self._seq


def _unknown(batch: list[Item], call: Call, reason: str) -> None:
    for index, item in enumerate(batch):
        submission = Submission(call, index)
        _fail([item], OutcomeUnknown(item.id, call.queue, reason, submission=submission))


def _fail(batch: list[Item], error: JobsError) -> None:
    for item in batch:
        if not item.future.done():
            # One for each: whoever raises an error writes its traceback into it.
            item.future.set_exception(copy(error))
            # A caller that went away leaves nobody to read it.
            item.future.exception()
