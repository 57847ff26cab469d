"""Runs one delivery where its handler belongs (loop, thread, process, chunk) and turns how it ended into a settlement."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from jobs_core.codecs import SLOW_FROM, Codecs, Place
from jobs_core.records import job_name
from jobs_core.tracing import telemetry
from jobs_core.wire import ErrorInfo
from jobs_worker import logs
from jobs_worker.context import JobContext
from jobs_worker.delivery import Delivery
from jobs_worker.following import Result, follow
from jobs_worker.in_thread import in_thread
from jobs_worker.job_logs import current
from jobs_worker.judging import Judgement
from jobs_worker.masking import shown_error
from jobs_worker.process_pool import JobOrder, JobReply
from jobs_worker.settlement import (
    Settlement,
    cancelled,
    completed,
    ended_with,
    failed_or_retried,
    keeps_result,
    released,
    set_aside,
    waiting,
)
from jobs_worker.starting import find_checkpoint, find_children
from jobs_worker.telling import KINDS, error_type
from jobs_worker.time_limits import in_time
from jobs_worker.values import Written, decode_payload, encode_result, open_payload, seal_result

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import ThreadPoolExecutor

    from jobs_core.scripts import Scripts
    from jobs_core.telemetry import Run, Telemetry
    from jobs_core.wire import Flow
    from jobs_worker.chunks import Chunks
    from jobs_worker.effects import Effect
    from jobs_worker.page import Page
    from jobs_worker.process_pool import ProcessPool
    from jobs_worker.reports import Report
    from jobs_worker.routes import Route
    from jobs_worker.shared import Shared
    from jobs_worker.suspects import Suspects
    from jobs_worker.time_limits import TimeLimit

    AsyncHandler = Callable[[object, JobContext], Coroutine[object, object, object]]
    End = Callable[[Delivery, Settlement | None], None]

_log = logs.get("jobs.worker")


T = TypeVar("T")

# From so many branches on their jobs are made in a thread.
_MANY = 32


class Runner:
    """Runs deliveries of one queue. `report` takes progress on the loop."""

    def __init__(
        self,
        *,
        queue: str,
        worker: str,
        report: Callable[[Delivery, Report], None],
        shared: Shared,
        threads: ThreadPoolExecutor,
        processes: ProcessPool,
        chunks: Chunks | None,
        page: Page | None,
        suspects: Suspects,
        codecs: Codecs,
        scripts: Scripts,
        log_level: int,
    ) -> None:
        """Bind to what all lanes of a child share."""
        self._queue = queue
        self._noted = f"{queue}\0".encode()
        self._worker = worker
        self._report = report
        self._shared = shared
        self._threads = threads
        self._processes = processes
        self._chunks = chunks
        self._page = page
        self._suspects = suspects
        self._codecs = codecs
        self._scripts = scripts
        self._log_level = log_level
        traced = telemetry()
        # Bound once: a step in between would be taken for each job.
        self._run_told = self._run if traced is None else partial(self._run_traced, traced)
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    def run(self, delivery: Delivery, end: End) -> Coroutine[object, object, None]:
        """Run the handler and tell `end` the settlement, or None for a delivery that the worker abandoned."""
        entry = delivery.entry
        if (entry.suspect or entry.crashes) and self._takes_along(delivery):
            return self._suspects.run(self._noted, delivery, partial(self._run_told, delivery, end))
        return self._run_told(delivery, end)

    def _takes_along(self, delivery: Delivery) -> bool:
        """Whether the whole child dies with its handler, and other jobs with it; chunks see to that by themselves."""
        return delivery.route.runs_in in {"async", "thread"}  # pyright: ignore[reportOptionalMemberAccess] - what has no route is not run

    async def _run_traced(self, telemetry: Telemetry, delivery: Delivery, end: End) -> None:
        """Run it in a span, which ends with it."""
        traced = self._traced(telemetry, delivery)
        if traced is None:
            await self._run(delivery, end)
            return
        delivery.carrier = traced.carrier

        def ended(delivery: Delivery, settlement: Settlement | None) -> None:
            _end_traced(traced, settlement)
            end(delivery, settlement)

        await self._run(delivery, ended)

    async def _run(self, delivery: Delivery, end: End) -> None:
        delivery.begun = True
        envelope = delivery.envelope
        route: Route = delivery.route  # pyright: ignore[reportAssignmentType] - what has no route is not run
        if self._page is not None:
            self._page.running(self._noted, delivery.id)
        settlement: Settlement | None = None
        started = perf_counter()
        try:
            if (delivery.again or envelope.waits is not None) and not await self._find(delivery):
                # That is no failure of the handler, which has not begun.
                settlement = released(delivery)
            elif route.runs_in == "process":
                settlement = await self._in_process(delivery, started)
            else:
                data, form = envelope.payload, "json"
                if envelope.codec is not None:
                    data, form = await self._open(delivery, envelope.codec)
                payload = decode_payload(route.job, data, form, route.upcasts)
                delivery.decoded = payload
                limit = delivery.time_limit()
                if route.runs_in == "async":
                    handler: AsyncHandler = route.handler  # pyright: ignore[reportAssignmentType] - the route says it is async
                    running = handler(payload, self._context(delivery, limit))
                    result = await (running if limit is None else in_time(running, limit))
                else:
                    threaded = route.runs_in == "thread"
                    result = await (
                        self._in_thread(delivery, payload, limit)
                        if threaded
                        else self._in_chunk(delivery, payload)
                    )
                stored, follow, flow = None, (), envelope.flow
                if flow is not None and flow.then:
                    stored, follow = await self._follow(delivery, flow, result)
                if route.seals and keeps_result(delivery):
                    result = await self._seal(delivery, route, result)
                run_us = int((perf_counter() - started) * 1e6)
                settlement = completed(delivery, result, run_us, self._worker, stored=stored, follow=follow)
        except BaseException as error:  # noqa: BLE001 - the boundary around other people's code
            # A handler that cancels itself, or exits, failed; a cancellation by the worker is the end of an abandoned delivery.
            if not delivery.abandoned:
                run_us = int((perf_counter() - started) * 1e6)
                settlement = ended_with(delivery, error, run_us, self._worker)
        finally:
            end(delivery, settlement)
            delivery.let_go()

    async def _find(self, delivery: Delivery) -> bool:
        """Read what earlier attempts and other jobs left for this one."""
        left = await asyncio.gather(
            find_checkpoint(self._scripts, self._queue, delivery),
            find_children(self._scripts, self._queue, delivery),
        )
        return all(left)

    async def _open(self, delivery: Delivery, text: str) -> tuple[bytes, str]:
        place = Place(self._queue, delivery.header.name, delivery.id)
        data = delivery.envelope.payload
        if Codecs.is_slow_to_open(text, len(data)):
            return await asyncio.to_thread(open_payload, self._codecs, place, data, text)
        return open_payload(self._codecs, place, data, text)

    async def _follow(
        self, delivery: Delivery, flow: Flow, result: object
    ) -> tuple[Written, tuple[Effect, ...]]:
        """Return the result as it is written, and the jobs that it starts."""
        route = cast("Route", delivery.route)
        data, codec = encode_result(route.queue, route.job, result)

        def work() -> tuple[Effect, ...]:
            return follow(
                flow,
                Place(self._queue, delivery.header.name, delivery.id),
                Result(route.queue, route.job, data, codec or "json"),
                self._codecs,
                metadata=delivery.envelope.metadata,
                deadline_ms=delivery.policy.deadline_ms,
            )

        slow = route.seals or len(data) >= SLOW_FROM or len(flow.then) > _MANY
        return Written(data, codec), await self._aside(delivery, work) if slow else work()

    async def _seal(self, delivery: Delivery, route: Route, result: object) -> Written:
        place = Place(self._queue, delivery.header.name, delivery.id, "result")
        return await self._aside(
            delivery, lambda: seal_result(self._codecs, (route.queue, route.job), place, result)
        )

    @staticmethod
    async def _aside(delivery: Delivery, work: Callable[[], T]) -> T:
        """Do something in a thread for a handler that has returned."""
        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            if delivery.abandoned:
                raise
            # A cancel comes too late by now.
            return await working

    async def _in_thread(self, delivery: Delivery, payload: object, limit: TimeLimit | None) -> object:
        ctx = self._context(delivery, limit, in_thread=True)
        return await in_thread(self._threads, cast("Route", delivery.route).handler, payload, ctx, limit)

    async def _in_chunk(self, delivery: Delivery, payload: object) -> object:
        """Let a call for many jobs run this one, which has its own end all the same."""
        ctx = self._context(delivery, None, in_thread=not cast("Route", delivery.route).is_async)
        return await cast("Chunks", self._chunks).run(delivery, payload, ctx)

    async def _in_process(self, delivery: Delivery, started: float) -> Settlement:
        route, envelope, named = cast("Route", delivery.route), delivery.envelope, delivery.named_backoff
        order = JobOrder(
            module=route.module,
            wire_name=route.wire_name,
            sent_name=delivery.header.name,
            facts=delivery.facts(),
            payload=envelope.payload,
            codec=envelope.codec,
            timeout_s=delivery.policy.timeout_ms / 1000,
            deadline_in_s=delivery.deadline_in_s,
            policy=envelope.policy,
            backoff=f"{named.module}:{named.name}" if named is not None else "",
            keeps_result=keeps_result(delivery),
            checkpoint=delivery.checkpoint,
            log_level=self._log_level,
            flow=envelope.flow,
            trace=delivery.carrier,
            waited=delivery.waited_for,
        )
        reply = await self._processes.run(
            order, lambda told: self._report(delivery, told), delivery.time_limit
        )
        return self._settled(delivery, reply, int((perf_counter() - started) * 1e6))

    def _settled(self, delivery: Delivery, reply: JobReply, run_us: int) -> Settlement:
        if reply.kind == "result":
            settlement = completed(delivery, Written(reply.data, reply.codec), run_us, self._worker)
            settlement.effects = reply.effects
            return settlement
        error = ErrorInfo(type=reply.error_type, message=reply.message, stack=reply.stack)
        if reply.kind == "discard" or delivery.cancelling:
            told = error if reply.kind == "discard" else None
            return cancelled(delivery, run_us, self._worker, told)
        if reply.kind == "wait":
            return waiting(
                delivery, run_us, added=reply.after_ms, owned=reply.data or b"", effects=reply.effects
            )
        if reply.kind in {"snooze", "limit"}:
            return set_aside(delivery, reply.after_ms, run_us, scope=reply.scope or None)
        judged = Judgement(
            final=reply.kind == "fail",
            after_ms=reply.after_ms if reply.after_ms >= 0 else None,
            note=reply.note,
        )
        return failed_or_retried(delivery, error, run_us, self._worker, judged)

    def _traced(self, telemetry: Telemetry, delivery: Delivery) -> Run | None:
        """Begin the span of a delivery, in whose context all of it runs; None where that fails, for it must not stop a job."""
        envelope = delivery.envelope
        try:
            return telemetry.run(
                envelope.trace,
                queue=self._queue,
                job=job_name(delivery.header.name),
                job_id=delivery.id,
                attempt=delivery.attempt,
                worker=self._worker,
                later=delivery.header.due_ms > 0 or envelope.schedule is not None,
                metadata=envelope.metadata or {},
            )
        except Exception:  # noqa: BLE001 - the boundary around span processors of the program
            _log.exception("telemetry_failed", queue=self._queue, job_id=delivery.id)
            return None

    def _context(self, delivery: Delivery, limit: TimeLimit | None, *, in_thread: bool = False) -> JobContext:
        delivery.report = self._tell if in_thread else self._tell_here
        ctx = delivery.ctx = JobContext(
            delivery,
            None if in_thread else self._shared,
            self._codecs,
            limit,
            delivery.checkpoint,
            self._log_level,
        )
        current.set(ctx)
        return ctx

    def _tell(self, delivery: Delivery, told: Report) -> None:
        self._loop.call_soon_threadsafe(self._report, delivery, told)

    def _tell_here(self, delivery: Delivery, told: Report) -> None:
        if get_ident() == self._thread:
            self._report(delivery, told)
        else:
            # What a handler on the loop does in threads of its own.
            self._tell(delivery, told)


def _end_traced(traced: Run, settlement: Settlement | None) -> None:
    """End the span of a delivery as it is settled; one that was abandoned has no settlement."""
    kind = "abandoned" if settlement is None else KINDS[settlement.verb]
    error = None if settlement is None or kind == "cancelled" else settlement.error
    try:
        if error is None:
            traced.end(kind)
        else:
            shown = error if settlement is None else shown_error(settlement.delivery, error)
            traced.end(kind, error_type(error), shown.message, shown.stack)
    except Exception:  # noqa: BLE001 - as where it began
        _log.exception("telemetry_failed", outcome=kind)
