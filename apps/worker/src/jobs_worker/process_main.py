"""The program of an executor process: takes one job after the other from its socket, runs the handler, answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from contextvars import copy_context
from importlib import import_module
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.options import decode_policy
from jobs_core.tracing import telemetry
from jobs_core.upcasts import chain
from jobs_core.wire import Progress, encode_log_line, encode_progress
from jobs_worker import job_logs, logs, otel
from jobs_worker.backoffs import NamedBackoff, backoffs_of, by_name
from jobs_worker.context import JobContext
from jobs_worker.failures import describe
from jobs_worker.following import Payload, Previous, Result, follow, previous_of
from jobs_worker.job_logs import current
from jobs_worker.judging import Rules, judge
from jobs_worker.lineage import die_with_parent
from jobs_worker.outcomes import Discard, RateLimited, Snooze, WaitForChildren
from jobs_worker.process_pool import JobOrder, JobReply
from jobs_worker.processors import ProcessorSpec, specs_of
from jobs_worker.reports import Checkpoint, Report
from jobs_worker.time_limits import TimeLimit, in_time
from jobs_worker.values import decode_payload, encode_result, open_payload, seal_result

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from jobs_worker.children import Pages, Waited
    from jobs_worker.effects import Effect
    from jobs_worker.facts import JobFacts

_PROGRESS_EVERY = 0.1
_decode_order = msgspec.msgpack.Decoder(JobOrder).decode
_encode = msgspec.msgpack.Encoder().encode


class _Channel:
    """Frames over the socket; handlers may report progress from threads of their own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._told = 0.0

    def receive(self) -> JobOrder | None:
        head = self._exactly(4)
        body = self._exactly(int.from_bytes(head, "big")) if head else b""
        return _decode_order(body) if body else None

    def send(self, reply: JobReply) -> None:
        packed = _encode(reply)
        with self._lock:
            self._sock.sendall(len(packed).to_bytes(4, "big") + packed)

    def tell(self, told: Report) -> None:
        if isinstance(told, Progress):
            self._progress(told)
        elif isinstance(told, Checkpoint):
            self.send(JobReply("checkpoint", told.data))
        else:
            # At once: the last lines before a crash say the most.
            self.send(JobReply("line", encode_log_line(told)))

    def _progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= _PROGRESS_EVERY or progress.percent in (0.0, 100.0):
            self._told = now
            self.send(JobReply("progress", encode_progress(progress)))

    def extended(self, seconds: float) -> None:
        self.send(JobReply("extend", after_ms=round(seconds * 1000)))

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._sock.recv(min(size, 1 << 20))
            if not part:
                return b""
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class _Host:
    """Runs the handler of one order."""

    def __init__(self, order: JobOrder, channel: _Channel) -> None:
        self._order = order
        self.tell = channel.tell

    def facts(self) -> JobFacts:
        return self._order.facts

    def previous(self, codecs: Codecs | None) -> Previous | None:
        order = self._order
        place = Place(order.facts.queue, order.sent_name, order.facts.job_id)
        return previous_of(order.flow, Payload(place, order.payload, order.codec), codecs)

    def waited(self) -> tuple[Waited | None, Pages | None]:
        return self._order.waited, None


def main() -> None:
    """Serve until the worker closes the socket."""
    # A job's process ends with its worker, or when it is told so, never by the Ctrl-C that the terminal sends to all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(os.environ.pop("JOBS_EXECUTOR_PARENT")))
    sys.path[:] = json.loads(os.environ.pop("JOBS_EXECUTOR_PATH"))
    logs.configure(os.environ.get("LOG_LEVEL", "info"), os.environ.get("LOG_FORMAT", "json"))
    job_logs.install()
    channel = _Channel(socket.socket(fileno=int(os.environ.pop("JOBS_EXECUTOR_FD"))))
    codecs = Codecs.from_env(os.environ.pop("JOBS_EXECUTOR_PREFIX"))
    handlers: dict[tuple[str, str], ProcessorSpec] = {}
    otel.configure()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        while (order := channel.receive()) is not None:
            channel.send(copy_context().run(_run, order, handlers, channel, codecs))
    except _Terminated:
        sys.exit(128 + signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        otel.flush()


class _Terminated(BaseException):
    """The worker wants this process to end; the `finally` blocks of its job run before it does."""


def _terminate(_: int, __: object) -> None:
    raise _Terminated


def _run(  # noqa: C901 - one way through a job
    order: JobOrder, handlers: dict[tuple[str, str], ProcessorSpec], channel: _Channel, codecs: Codecs
) -> JobReply:
    spec: ProcessorSpec | None = None
    payload: object = None
    ctx: JobContext | None = None
    try:
        if order.trace is not None and (traced := telemetry()) is not None:
            traced.go_on(order.trace)
        spec = _handler(order, handlers)
        steps = ()
        if spec.job is not None and order.sent_name != order.wire_name:
            steps = chain(spec.job.queue.upcasts, order.sent_name, (order.wire_name,))
        data, form = order.payload, "json"
        if order.codec is not None:
            place = Place(order.facts.queue, order.sent_name, order.facts.job_id)
            data, form = open_payload(codecs, place, data, order.codec)
        payload = decode_payload(spec.job, data, form, steps)
        limit = None
        if order.timeout_s or order.deadline_in_s is not None:
            limit = TimeLimit(order.timeout_s, order.deadline_in_s, channel.extended)
        ctx = JobContext(_Host(order, channel), None, codecs, limit, order.checkpoint, order.log_level)
        current.set(ctx)
        if spec.is_async:
            running = cast("Coroutine[object, object, object]", spec.handler(payload, ctx))
            result, error = asyncio.run(_ended(running, limit))
            if error is not None:
                raise error
        else:
            with _alarm(limit):
                result = spec.handler(payload, ctx)
        codec = spec.queue.codec if spec.job is None else spec.job.codec
        data, text = encode_result(spec.queue, spec.job, result)
        followed = _followed(order, Result(spec.queue, spec.job, data, text or "json"), codecs)
        if order.keeps_result and not codec.does_nothing:
            place = Place(order.facts.queue, order.sent_name, order.facts.job_id, "result")
            written = seal_result(codecs, (spec.queue, spec.job), place, result)
            data, text = written.data, written.codec
        effects = ctx.collector.effects() if ctx.collector is not None else ()
        return JobReply("result", data, codec=text, effects=effects + followed)
    except _Terminated:
        raise
    except WaitForChildren:
        collector = None if ctx is None else ctx.collector
        if collector is None:
            return JobReply("wait", after_ms=0)
        return JobReply(
            "wait", collector.owned(), after_ms=collector.children, effects=collector.effects(waits=True)
        )
    except BaseException as error:  # noqa: BLE001 - the boundary around other people's code
        return _told(error, order, spec, payload)


def _followed(order: JobOrder, result: Result, codecs: Codecs) -> tuple[Effect, ...]:
    """Return the jobs that follow the one of an order."""
    flow, facts = order.flow, order.facts
    if flow is None or not flow.then:
        return ()
    place = Place(facts.queue, order.sent_name, facts.job_id)
    return follow(
        flow,
        place,
        result,
        codecs,
        metadata=facts.metadata,
        deadline_ms=decode_policy(order.policy).deadline_ms,
    )


async def _ended(
    running: Coroutine[object, object, object], limit: TimeLimit | None
) -> tuple[object, BaseException | None]:
    # What a task ends with is not always what was raised: of a cancellation, which a JobTimeout is, it makes another.
    try:
        return await (running if limit is None else in_time(running, limit)), None
    except BaseException as error:  # noqa: BLE001 - it is raised again
        return None, error


@contextmanager
def _alarm(limit: TimeLimit | None) -> Generator[None]:
    """Raise JobTimeout in the handler when its time is over, wherever it is in Python; C code is not interrupted."""
    if limit is None:
        yield
        return

    def ring(_: int, __: object) -> None:
        if limit.remaining:
            signal.setitimer(signal.ITIMER_REAL, limit.remaining)
            return
        limit.expired = True
        raise limit.error()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(limit.remaining, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(error: BaseException, order: JobOrder, spec: ProcessorSpec | None, payload: object) -> JobReply:
    info = describe(error)
    if isinstance(error, (Discard, Snooze, RateLimited)):
        after = -1 if isinstance(error, Discard) else error.after_ms
        scope = error.scope if isinstance(error, RateLimited) else ""
        return JobReply(_kind(error), b"", info.type, info.message, info.stack, after, scope=scope)
    rules = spec.rules if spec is not None else Rules()
    judged = judge(error, decode_policy(order.policy), rules, _named(order), order.facts.attempt, payload)
    kind = "fail" if judged.final else "error"
    after = -1 if judged.after_ms is None else judged.after_ms
    return JobReply(kind, b"", info.type, info.message, info.stack, after, note=judged.note)


def _named(order: JobOrder) -> NamedBackoff | None:
    module, _, name = order.backoff.partition(":")
    return by_name(backoffs_of(import_module(module))).get(name) if module else None


def _kind(error: Discard | Snooze | RateLimited) -> str:
    match error:
        case Discard():
            return "discard"
        case Snooze():
            return "snooze"
        case RateLimited():
            return "limit"


def _handler(order: JobOrder, handlers: dict[tuple[str, str], ProcessorSpec]) -> ProcessorSpec:
    key = (order.facts.queue, order.wire_name)
    if key not in handlers:
        for spec in specs_of(import_module(order.module)):
            handlers[spec.queue.name, spec.job.wire_name if spec.job is not None else "*"] = spec
    return handlers[key]


if __name__ == "__main__":
    main()
    sys.exit(0)
