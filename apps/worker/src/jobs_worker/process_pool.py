"""Warm processes that run one job each at a time: a crash ends one job, and a job that must stop is stopped for good."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import msgspec

from jobs_core.wire import Flow, decode_log_line, decode_progress
from jobs_worker import logs, otel
from jobs_worker.children import Waited
from jobs_worker.effects import Effect
from jobs_worker.facts import JobFacts
from jobs_worker.reports import Checkpoint, Report
from jobs_worker.time_limits import GRACE, JobTimeout, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs_core.codecs import Codecs

MAX_JOBS = 200
_TERM_GRACE = 2.0
_log = logs.get("jobs.worker")


class JobOrder(msgspec.Struct, array_like=True, frozen=True):
    """What a process is told to run. `module` and `wire_name` name the handler; nothing of it comes from the job's data.

    `sent_name` is the name@version that the job was enqueued under, `codec` says how its payload is written, `backoff` is `module:name`
    of the function that a custom backoff asks, `trace` the context of its span.
    """

    module: str
    wire_name: str
    sent_name: str
    facts: JobFacts
    payload: bytes
    codec: str | None
    timeout_s: float
    deadline_in_s: float | None
    policy: bytes
    backoff: str
    keeps_result: bool = True
    checkpoint: bytes | None = None
    log_level: int = 100
    flow: Flow | None = None
    trace: dict[str, str] | None = None
    waited: Waited | None = None


class JobReply(msgspec.Struct, array_like=True, frozen=True):
    """What a process answers. `kind` is progress, extend, result, error, or an outcome: fail, retry, discard, snooze, limit, wait.

    `data` is progress, result, or what calls off the children that it waits for; `after_ms` the wait that an outcome or a custom backoff
    asks for (-1: none), the time that an attempt was extended by, or how many children it added; `scope` that of a limit, `note` why there
    is no retry.
    """

    kind: str
    data: bytes = b""
    error_type: str = ""
    message: str = ""
    stack: str = ""
    after_ms: int = -1
    codec: str | None = None
    effects: tuple[Effect, ...] = ()
    scope: str = ""
    note: str = ""


class ProcessDied(Exception):
    """The process ended in the middle of a job; `code` is its exit code, negative for a signal."""

    def __init__(self, code: int | None) -> None:
        """Say how it ended."""
        self.code = code
        how = (
            f"by signal {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"with exit code {code}"
        )
        super().__init__(f"the process of this job ended {how}")


_decode_reply = msgspec.msgpack.Decoder(JobReply).decode
_encode = msgspec.msgpack.Encoder().encode


class _Worker:
    """One process and the stream to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.reader = reader
        self.writer = writer
        self.jobs = 0

    @classmethod
    async def start(cls, log_level: str, log_format: str, codecs: Codecs) -> _Worker:
        ours, theirs = socket.socketpair()
        try:
            env = {
                **os.environ,
                "JOBS_EXECUTOR_FD": str(theirs.fileno()),
                "JOBS_EXECUTOR_PARENT": str(os.getpid()),
                # Handlers are imported there as they were here, also from paths that the program added itself.
                "JOBS_EXECUTOR_PATH": json.dumps(sys.path),
                "JOBS_EXECUTOR_PREFIX": codecs.prefix,
                "JOBS_KEYS": "" if codecs.keys is None else codecs.keys.text(),
                "FILES_URL": codecs.files_url,
                "LOG_LEVEL": log_level,
                "LOG_FORMAT": log_format,
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jobs_worker.process_main",
                env=env,
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            # The job may be cancelled while its process starts.
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the name of the standard library
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    def send(self, order: JobOrder) -> None:
        packed = _encode(order)
        self.writer.write(len(packed).to_bytes(4, "big") + packed)

    async def receive(self) -> JobReply:
        try:
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            return _decode_reply(await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ProcessDied(await self.process.wait()) from None

    async def stop(self, *, grace: float) -> None:
        """Terminate, then kill: when this returns, nothing of the job runs any more."""
        self.writer.close()
        if self.process.returncode is None:
            try:
                self.process.terminate()
                async with asyncio.timeout(grace):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
            except ProcessLookupError:
                await self.process.wait()


async def _answer(worker: _Worker, limit: TimeLimit | None, on_report: Callable[[Report], None]) -> JobReply:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None if limit is None else limit.remaining + GRACE) as hard:
            while True:
                reply = await worker.receive()
                if reply.kind == "progress":
                    on_report(decode_progress(reply.data))
                elif reply.kind == "line":
                    on_report(decode_log_line(reply.data))
                elif reply.kind == "checkpoint":
                    on_report(Checkpoint(reply.data))
                elif reply.kind != "extend":
                    return reply
                elif limit is not None:
                    limit.extend(reply.after_ms / 1000)
                    hard.reschedule(loop.time() + limit.remaining + GRACE)
    except TimeoutError:
        raise (limit.error() if limit is not None else JobTimeout()) from None


class ProcessPool:
    """At most as many processes as jobs run at once; a process is replaced after 200 jobs, a crash or a kill."""

    def __init__(self, *, log_level: str, log_format: str, codecs: Codecs) -> None:
        """Start nothing yet."""
        self._setup = (log_level, log_format, codecs)
        self._free: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(
        self,
        order: JobOrder,
        on_report: Callable[[Report], None],
        begin: Callable[[], TimeLimit | None] = lambda: None,
    ) -> JobReply:
        """Run a job and return how it ended; `begin` is called when its time begins to count.

        Raises ProcessDied when the process ended, JobTimeout where it neither ended nor answered within a grace past its time: the
        process itself sees to its time before. After an error or a cancellation the process is dead before this returns.
        """
        worker = await self._take()
        self._busy.add(worker)
        healthy = False
        try:
            worker.send(order)
            reply = await _answer(worker, begin(), on_report)
            worker.jobs += 1
            healthy = True
            return reply
        finally:
            self._busy.discard(worker)
            if healthy and worker.jobs < MAX_JOBS and not self._closed:
                self._free.append(worker)
            elif healthy:
                # Its job has ended, so nobody waits, and no cancellation can come between its answer and who asked.
                retiring = asyncio.create_task(worker.stop(grace=_TERM_GRACE))
                self._retiring.add(retiring)
                retiring.add_done_callback(self._retiring.discard)
            else:
                await asyncio.shield(worker.stop(grace=_TERM_GRACE))

    def pids(self) -> list[int]:
        """Return the pids of the processes that run a job."""
        return [worker.process.pid for worker in self._busy]

    async def close(self) -> None:
        """Stop all processes."""
        self._closed = True
        # Where they trace they send what they have not sent yet.
        grace = _TERM_GRACE if otel.wanted() else 0.5
        await asyncio.gather(
            *(worker.stop(grace=grace) for worker in [*self._free, *self._busy]),
            *self._retiring,
            return_exceptions=True,
        )
        self._free.clear()

    async def _take(self) -> _Worker:
        while self._free:
            worker = self._free.pop()
            if worker.process.returncode is None:
                return worker
            worker.writer.close()
        return await _Worker.start(*self._setup)
