"""A loop in a background thread for a producer: started at the first call, left behind by a fork."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from copy import copy
from importlib import import_module
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

from jobs_core.errors import ConfigurationError, ConnectionFailed, JobsError
from jobs_producer.producer import Producer

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
R = TypeVar("R")

# A process that is forked while a thread imports something waits for ever where it needs the same module. What
# asyncio imports at its first look-up of a host is therefore imported now.
for _module in ("concurrent.futures.thread", "encodings.idna"):
    import_module(_module)

_CHUNK = 64
# A forked child must neither close nor finalise what it shares with its parent: connections and selectors.
_abandoned: list[object] = []


class ForkableProducer(Producer):
    """A producer that a forked child can use as if it had never been connected."""

    def abandon(self) -> None:
        """Let go of the connection without touching it."""
        _abandoned.append((self._client, self._link.loop, self._submitter.lanes))
        self._link.loop, self._link.closed = None, False
        self._prepare()


class Runner:
    """A loop in a daemon thread on which a producer is connected, or about to be."""

    def __init__(self, producer: Producer) -> None:
        """Start the thread, and begin to connect."""
        self._producer = producer
        self._lock = threading.Lock()
        self._ended = False
        self._loop: asyncio.AbstractEventLoop
        self._ending: asyncio.Event
        up = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(up)), name="jobs-producer", daemon=True
        )
        self._thread.start()
        up.wait()
        self._connecting = self.start(producer.connect())

    async def _serve(self, up: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        up.set()
        await self._ending.wait()

    def check_thread(self) -> None:
        """Raise ConfigurationError where the caller runs on this loop, which would wait for itself."""
        if threading.get_ident() == self._thread.ident:
            raise ConfigurationError(
                "A coroutine in the thread of a SyncProducer may not call that producer: "
                "await the Producer that it was given."
            )

    def connected(self) -> bool:
        """Wait until the producer is connected; returns False if this runner has ended. Raises JobsError."""
        try:
            self._connecting.result()
        except CancelledError:
            return False
        except JobsError as error:
            # All threads get the outcome of the one attempt, and each raises an error of its own.
            raise copy(error) from None
        return not self._ended

    def start(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Begin to run a coroutine on the loop. Raises ConnectionFailed where the runner has ended."""
        with self._lock:
            if not self._ended:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise self.closed()

    def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine on the loop and wait for it; an interrupt cancels it."""
        future = self.start(work)
        try:
            return future.result()
        except CancelledError:
            raise self.closed() from None
        except BaseException:
            future.cancel()
            raise

    def tell(self, callback: Callable[[], object]) -> None:
        """Call back on the loop, unless it has ended."""
        with self._lock:
            if not self._ended:
                self._loop.call_soon_threadsafe(callback)

    def stop(self, timeout: float | None) -> None:
        """Close the producer and end the thread."""
        with self._lock:
            self._ended = True
            closing = asyncio.run_coroutine_threadsafe(self._producer.close(timeout), self._loop)
        try:
            closing.result()
        finally:
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()

    def closed(self) -> ConnectionFailed:
        """Say that the producer was closed while somebody used it."""
        address = self._producer.connection_info().address
        return ConnectionFailed(address, "the producer was closed in the meantime")


class Keeper:
    """Keeps at most one runner: for all threads the same, in a forked child another one."""

    def __init__(self, producer: ForkableProducer) -> None:
        """Begin without a runner."""
        self._producer = producer
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        _keepers.add(self)

    def runner(self) -> Runner:
        """Return the runner; who comes while it connects waits for the same attempt. Raises as `connect`."""
        while True:
            runner = self._runner
            if runner is None:
                with self._lock:
                    runner = self._runner
                    if runner is None:
                        runner = self._runner = Runner(self._producer)
            runner.check_thread()
            try:
                if runner.connected():
                    return runner
            except JobsError:
                self._drop(runner)
                raise

    def close(self, timeout: float | None) -> None:
        """End the runner if there is one."""
        if self._runner is not None:
            self._runner.check_thread()
        with self._lock:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.stop(timeout)

    def forked(self) -> None:
        """Begin anew in a child: a thread of the parent that does not exist here may have held the lock."""
        _abandoned.append(self._runner)
        self._lock, self._runner = threading.Lock(), None
        self._producer.abandon()

    def _drop(self, runner: Runner) -> None:
        with self._lock:
            if self._runner is runner:
                self._runner = None
                runner.stop(None)


class Feed(Generic[T]):
    """Lets a coroutine iterate over what another thread reads: it asks for a chunk, the thread gives it."""

    def __init__(self, runner: Runner) -> None:
        """Feed a coroutine on the loop of a runner."""
        self._runner = runner
        # A chunk is wanted, so many items are done, or (None) all has ended.
        self._requests: SimpleQueue[asyncio.Future[list[T]] | int | None] = SimpleQueue()
        self._failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[T]:
        """Iterate on the loop."""
        loop = asyncio.get_running_loop()
        while True:
            wanted: asyncio.Future[list[T]] = loop.create_future()
            self._requests.put(wanted)
            chunk = await wanted
            if not chunk:
                return
            for item in chunk:
                yield item

    def tell(self, done: int, _total: int | None) -> None:
        """Tell the other thread how many items are done."""
        self._requests.put(done)

    def serve(
        self, work: Coroutine[object, object, R], items: Iterable[T], progress: Callable[[int], object]
    ) -> R:
        """Run the coroutine that iterates, and read for it in this thread until it ends.

        What reading or `progress` raises is raised where the coroutine waits for its next items, so that it has ended
        when it is raised here.
        """
        future = self._runner.start(work)
        future.add_done_callback(lambda _: self._requests.put(None))
        chunks = _chunks(items)
        try:
            while (request := self._requests.get()) is not None:
                self._meet(request, chunks, progress)
            outcome = future.result()
        except CancelledError:
            raise self._runner.closed() from None
        except BaseException:
            future.cancel()
            raise
        if self._failure is not None:
            raise self._failure
        return outcome

    def _meet(
        self,
        request: asyncio.Future[list[T]] | int,
        chunks: Iterator[list[T]],
        progress: Callable[[int], object],
    ) -> None:
        chunk: list[T] = []
        try:
            if self._failure is None:
                if isinstance(request, int):
                    progress(request)
                else:
                    chunk = next(chunks, chunk)
        except Exception as error:  # noqa: BLE001 - whatever the caller's own code raises
            self._failure = error
        if not isinstance(request, int):
            self._runner.tell(lambda: _answer(request, self._failure or chunk))


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def _answer(wanted: asyncio.Future[list[T]], answer: list[T] | Exception) -> None:
    if wanted.done():
        return
    if isinstance(answer, Exception):
        wanted.set_exception(answer)
    else:
        wanted.set_result(answer)


_keepers: WeakSet[Keeper] = WeakSet()


def _after_fork() -> None:
    for keeper in list(_keepers):
        keeper.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
