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
from importlib import import_module
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.codecs import Codecs, Place
from jobs_core.upcasts import chain
from jobs_core.wire import Progress, encode_progress
from jobs_worker import logs
from jobs_worker.context import JobContext
from jobs_worker.delivery import (
    decode_payload,
    describe,
    encode_result,
    is_final,
    open_payload,
    seal_result,
)
from jobs_worker.lineage import die_with_parent
from jobs_worker.outcomes import Discard, RateLimited, Retry, Snooze
from jobs_worker.process_pool import JobOrder, JobReply
from jobs_worker.processors import ProcessorSpec, specs_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

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

    def progress(self, _: JobContext, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= _PROGRESS_EVERY or progress.percent in (0.0, 100.0):
            self._told = now
            self.send(JobReply("progress", encode_progress(progress)))

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._sock.recv(min(size, 1 << 20))
            if not part:
                return b""
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def main() -> None:
    """Serve until the worker closes the socket."""
    # A job's process ends with its worker, or when it is told so, never by the Ctrl-C that the terminal sends to all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(int(os.environ.pop("JOBS_EXECUTOR_PARENT")))
    sys.path[:] = json.loads(os.environ.pop("JOBS_EXECUTOR_PATH"))
    logs.configure(os.environ.get("LOG_LEVEL", "info"), os.environ.get("LOG_FORMAT", "json"))
    channel = _Channel(socket.socket(fileno=int(os.environ.pop("JOBS_EXECUTOR_FD"))))
    codecs = Codecs.from_env(os.environ.pop("JOBS_EXECUTOR_PREFIX"))
    handlers: dict[tuple[str, str], ProcessorSpec] = {}
    while (order := channel.receive()) is not None:
        channel.send(_run(order, handlers, channel, codecs))


def _run(
    order: JobOrder, handlers: dict[tuple[str, str], ProcessorSpec], channel: _Channel, codecs: Codecs
) -> JobReply:
    try:
        spec = _handler(order, handlers)
        steps = ()
        if spec.job is not None and order.sent_name != order.wire_name:
            steps = chain(spec.job.queue.upcasts, order.sent_name, (order.wire_name,))
        data, form = order.payload, "json"
        if order.codec is not None:
            place = Place(order.queue, order.sent_name, order.job_id)
            data, form = open_payload(codecs, place, data, order.codec)
        payload = decode_payload(spec.job, data, form, steps)
        ctx = JobContext(
            job_id=order.job_id,
            queue=order.queue,
            name=order.job_name,
            attempt=order.attempt,
            attempts=order.attempts,
            fence=order.fence,
            metadata=order.metadata,
            tags=order.tags,
            created_at_ms=order.created_at_ms,
            report=channel.progress,
            shared=None,
            deadline_ms=order.deadline_ms,
            codecs=codecs,
        )
        ctx.deadline = time.monotonic() + order.timeout_s if order.timeout_s else None
        returned = spec.handler(payload, ctx)
        result = (
            asyncio.run(cast("Coroutine[object, object, object]", returned)) if spec.is_async else returned
        )
        codec = spec.queue.codec if spec.job is None else spec.job.codec
        if codec.does_nothing or not order.keeps_result:
            data, text = encode_result(spec.queue, spec.job, result)
        else:
            place = Place(order.queue, order.sent_name, order.job_id, "result")
            written = seal_result(codecs, (spec.queue, spec.job), place, result)
            data, text = written.data, written.codec
        effects = ctx.collector.effects() if ctx.collector is not None else ()
        return JobReply("result", data, codec=text, effects=effects)
    except BaseException as error:  # noqa: BLE001 - the boundary around other people's code
        told = describe(error)
        after = error.after_ms if isinstance(error, (Retry, Snooze, RateLimited)) else 0
        scope = error.scope if isinstance(error, RateLimited) else ""
        return JobReply(_kind(error), b"", told.type, told.message, told.stack, after, scope=scope)


def _kind(error: BaseException) -> str:
    match error:
        case Retry():
            return "retry"
        case Discard():
            return "discard"
        case Snooze():
            return "snooze"
        case RateLimited():
            return "limit"
        case _:
            return "fail" if is_final(error) else "error"


def _handler(order: JobOrder, handlers: dict[tuple[str, str], ProcessorSpec]) -> ProcessorSpec:
    key = (order.queue, order.wire_name)
    if key not in handlers:
        for spec in specs_of(import_module(order.module)):
            handlers[spec.queue.name, spec.job.wire_name if spec.job is not None else "*"] = spec
    return handlers[key]


if __name__ == "__main__":
    main()
    sys.exit(0)
