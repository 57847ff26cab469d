"""Traces and measures of real programs, as a collector receives them over OTLP."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from tests.support.otlp import Collector, Span, environment
from tests.support.waiting import WITHIN
from tests.support.workers import WorkerProcess, write_package

if TYPE_CHECKING:
    from jobs_core.server import EmbeddedServer

QUEUE = """
from typing import Annotated

import msgspec
from jobs_core import *
from jobs_core import redact

class Act(msgspec.Struct, frozen=True):
    do: str = ""
    token: Annotated[str, redact] = "hush-hush"

FAST = Queue("fast", concurrency=10)
ACT = FAST.job("act", payload=Act, result=str)
LINK = FAST.job("link", payload=str, result=str)
THREADED = FAST.job("threaded", payload=Act, result=str)
APART = Queue("apart", executor="process")
WORK = APART.job("work", payload=Act, result=str)
"""
PROCESSOR = """
from jobs_core import Fixed
from jobs_worker import Discard, JobContext, Snooze, WaitForChildren, processor
from opentelemetry import trace
from traced.all.queue import ACT, LINK, THREADED, WORK, Act

tracer = trace.get_tracer("handlers")

@processor(LINK)
async def link(payload: str, ctx: JobContext) -> str:
    return payload

@processor(ACT)
async def act(payload: Act, ctx: JobContext) -> str:
    with tracer.start_as_current_span("inside " + ctx.job_id):
        ctx.log.info("at work")
    if payload.do == "fail-once" and ctx.attempt == 1 or payload.do == "fail":
        raise ValueError("no such thing " + payload.token)
    if payload.do == "discard":
        raise Discard("not wanted")
    if payload.do == "children":
        if not ctx.children:
            ctx.add_child(LINK, "child")
            raise WaitForChildren
    if payload.do == "enqueue":
        ctx.enqueue(ACT, Act(), job_id="effect", result_ttl=600)
    return payload.do

@processor(THREADED)
def threaded(payload: Act, ctx: JobContext) -> str:
    with tracer.start_as_current_span("inside " + ctx.job_id):
        return ""

@processor(WORK)
def work(payload: Act, ctx: JobContext) -> str:
    if payload.do == "fail":
        raise KeyError("gone " + payload.token)
    with tracer.start_as_current_span("inside " + ctx.job_id):
        ctx.enqueue(ACT, Act(), job_id="effect-of-apart", result_ttl=600)
    return ""
"""
PRODUCER = """
import asyncio, sys
from jobs_worker import otel
otel.configure()
from opentelemetry import trace
from jobs_core import Fixed, PayloadError
from jobs_producer import Producer, SyncProducer, Workflow
from traced.all.queue import ACT, LINK, THREADED, WORK, Act

tracer = trace.get_tracer("shop")

async def main():
    async with Producer.from_env() as producer:
        jobs = []
        async def send(job, job_id, do="", **options):
            with tracer.start_as_current_span("order " + job_id):
                jobs.append(await producer.enqueue(job, Act(do), job_id=job_id, result_ttl=600, **options))
        await send(ACT, "direct", metadata={"correlation_id": "c-7", "step": 3})
        await send(ACT, "retried", "fail-once", attempts=2, backoff=Fixed(0.01))
        await send(ACT, "failed", "fail", attempts=1)
        await send(ACT, "discarded", "discard")
        await send(ACT, "delayed", delay=0.05)
        await send(ACT, "enqueuing", "enqueue")
        await send(THREADED, "threaded")
        await send(WORK, "apart")
        await send(WORK, "apart-failed", "fail", attempts=1)
        try:
            with tracer.start_as_current_span("order wrong"):
                await producer.enqueue(ACT, 7)
        except PayloadError:
            pass
        with tracer.start_as_current_span("order chain"):
            chain = await producer.enqueue_chain(ACT.then(LINK).then(LINK), Act("chained"), job_id="chained")
        assert await chain.result(120) == "chained"
        await send(ACT, "parent", "children")
        with tracer.start_as_current_span("order flow"):
            workflow = Workflow("pair", id="pair")
            first = workflow.add("first", ACT, Act())
            workflow.add("second", LINK, "", after=[first])
            run = await workflow.start(producer)
        await run.done(120)
        with tracer.start_as_current_span("order many"):
            await producer.enqueue_many(ACT, [Act(), Act(), Act()], result_ttl=600)
        await producer.schedules.upsert("tick", ACT, Act(), every=0.1, limit=1)
        for job in jobs:
            await job.done(120)
        for job_id in ("effect", "effect-of-apart"):
            await producer.handle(ACT, job_id).done(120)
        while (last := (await producer.schedules.get("fast", "tick")).last_job) is None:
            await asyncio.sleep(0.01)
        await producer.handle(ACT, last).done(120)

asyncio.run(main())
with tracer.start_as_current_span("order sync"), SyncProducer.from_env() as producer:
    producer.enqueue(ACT, Act(), job_id="sync", result_ttl=600).done(120)
otel.flush()
"""


class Traced(msgspec.Struct, frozen=True):
    """All that arrived, and what the worker logged."""

    collector: Collector
    lines: list[dict[str, object]]

    def run(self, job_id: str, attempt: int = 1) -> Span:
        """Return the span of an attempt."""
        (found,) = [
            span
            for span in self.collector.spans
            if span.kind == "consumer"
            and span.attributes["messaging.message.id"] == job_id
            and span.attributes["jobs.job.attempt"] == attempt
        ]
        return found

    def sent(self, job_id: str) -> Span:
        """Return the span of the sending of a job."""
        (found,) = [
            span
            for span in self.collector.spans
            if span.kind == "producer" and span.attributes.get("messaging.message.id") == job_id
        ]
        return found

    def one(self, name: str) -> Span:
        """Return the span of a name."""
        (found,) = [span for span in self.collector.spans if span.name == name]
        return found


@pytest.fixture(scope="module")
def traced(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Let a producer and a worker, with all executors, trace what they do, and end."""
    path = tmp_path_factory.mktemp("traced")
    write_package(path, "traced", {"all/queue.py": QUEUE, "all/processor.py": PROCESSOR})
    prefix = f"test-{secrets.token_hex(4)}"
    with Collector() as collector:
        variables = {**environment(collector), "WORKER_HTTP_PORT": "0"}
        with WorkerProcess(url=server.url, prefix=prefix, path=path, package="traced", **variables) as worker:
            worker.ready()
            env = {
                **os.environ,
                **environment(collector),
                "OTEL_SERVICE_NAME": "shop",
                "REDIS_URL": server.url,
                "JOBS_PREFIX": prefix,
                "PYTHONPATH": str(path),
            }
            done = subprocess.run(
                [sys.executable, "-c", PRODUCER],
                env=env,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=4 * WITHIN,
            )
            assert done.returncode == 0, done.stderr
            worker.terminate()
            assert worker.wait() == 0
            texts = [text for text in worker.text().splitlines() if text.startswith("{")]
            yield Traced(collector, [cast("dict[str, object]", json.loads(text)) for text in texts])


def test_a_job_is_one_trace_from_the_request_to_the_handler(traced: Traced) -> None:
    order, sent, run, inside = (
        traced.one("order direct"),
        traced.sent("direct"),
        traced.run("direct"),
        traced.one("inside direct"),
    )
    assert (sent.parent_id, run.parent_id, inside.parent_id) == (order.span_id, sent.span_id, run.span_id)
    assert {order.trace_id, sent.trace_id, run.trace_id, inside.trace_id} == {order.trace_id}
    assert (sent.name, run.name) == ("send fast", "process fast")
    assert (sent.service, run.service) == ("shop", "jobs-worker")
    assert run.links == ()


def test_spans_are_named_by_the_conventions_for_messaging(traced: Traced) -> None:
    sent, run = traced.sent("direct").attributes, traced.run("direct").attributes
    for found in (sent, run):
        assert found["messaging.system"] == "jobs"
        assert found["messaging.destination.name"] == "fast"
        assert found["jobs.job.name"] == "act"
    assert (sent["messaging.operation.name"], sent["messaging.operation.type"]) == ("send", "send")
    assert (run["messaging.operation.name"], run["messaging.operation.type"]) == ("process", "process")
    assert (sent["jobs.outcome"], run["jobs.outcome"]) == ("created", "completed")
    assert run["messaging.message.conversation_id"] == run["jobs.metadata.correlation_id"] == "c-7"
    assert run["jobs.metadata.step"] == 3


def test_each_attempt_has_a_span_and_an_error_is_told(traced: Traced) -> None:
    first, second, sent = traced.run("retried", 1), traced.run("retried", 2), traced.sent("retried")
    assert first.parent_id == second.parent_id == sent.span_id
    assert (first.attributes["jobs.outcome"], first.error) == ("retrying", "no such thing ***")
    assert first.attributes["error.type"] == "ValueError"
    event = first.events["exception"]
    assert (event["exception.type"], event["exception.message"]) == ("ValueError", "no such thing ***")
    assert "Traceback" in str(event["exception.stacktrace"])
    assert (second.attributes["jobs.outcome"], second.error, second.events) == ("completed", None, {})
    assert traced.run("failed").attributes["jobs.outcome"] == "failed"


def test_what_a_handler_discards_is_no_error(traced: Traced) -> None:
    run = traced.run("discarded")
    assert (run.attributes["jobs.outcome"], run.error) == ("cancelled", None)


def test_what_a_handler_enqueues_belongs_to_its_trace(traced: Traced) -> None:
    made = traced.sent("effect")
    assert (made.name, made.parent_id) == ("create fast", traced.run("enqueuing").span_id)
    assert traced.run("effect").parent_id == made.span_id
    assert traced.run("effect").trace_id == traced.one("order enqueuing").trace_id


def test_a_chain_is_one_trace_down_to_its_last_link(traced: Traced) -> None:
    order = traced.one("order chain")
    run, seen = traced.run("chained"), list[str]()
    for _ in range(2):
        (made,) = [
            each
            for each in traced.collector.spans
            if each.name == "create fast" and each.parent_id == run.span_id
        ]
        run = traced.run(str(made.attributes["messaging.message.id"]))
        seen.append(str(run.attributes["jobs.job.name"]))
        assert (made.trace_id, run.trace_id, run.parent_id) == (order.trace_id, order.trace_id, made.span_id)
    assert seen == ["link", "link"]


def test_children_and_the_steps_of_a_flow_belong_to_its_trace(traced: Traced) -> None:
    order, sent = traced.one("order parent"), traced.sent("parent")
    # It runs until it waits, and again when its children have ended.
    runs = [
        each
        for each in traced.collector.spans
        if each.kind == "consumer" and each.attributes["messaging.message.id"] == "parent"
    ]
    assert [each.parent_id for each in runs] == [sent.span_id] * 2
    (made,) = [
        each
        for each in traced.collector.spans
        if each.kind == "producer" and each.parent_id == runs[0].span_id
    ]
    child = traced.run(str(made.attributes["messaging.message.id"]))
    assert (made.name, child.parent_id, child.trace_id) == ("create fast", made.span_id, order.trace_id)
    order = traced.one("order flow")
    steps = [
        each for each in traced.collector.spans if each.kind == "producer" and each.parent_id == order.span_id
    ]
    assert [each.attributes["jobs.job.name"] for each in steps] == ["act", "link"]
    for step in steps:
        run = traced.run(str(step.attributes["messaging.message.id"]))
        assert (run.parent_id, run.trace_id) == (step.span_id, order.trace_id)


def test_a_delayed_job_begins_a_trace_that_is_linked(traced: Traced) -> None:
    sent, run = traced.sent("delayed"), traced.run("delayed")
    assert (run.parent_id, run.links) == ("", (sent.place,))
    assert run.trace_id != sent.trace_id


def test_many_jobs_have_one_span_and_are_linked_with_it(traced: Traced) -> None:
    order = traced.one("order many")
    (sent,) = [each for each in traced.collector.spans if each.parent_id == order.span_id]
    assert (sent.name, sent.attributes["messaging.batch.message_count"]) == ("send fast", 3)
    linked = [each for each in traced.collector.spans if each.links == (sent.place,)]
    assert [(each.kind, each.parent_id) for each in linked] == [("consumer", "")] * 3
    assert len({each.trace_id for each in linked}) == 3


def test_a_scheduled_job_is_linked_with_the_tick_that_sent_it(traced: Traced) -> None:
    (run,) = [
        each
        for each in traced.collector.spans
        if each.kind == "consumer" and str(each.attributes["messaging.message.id"]).startswith("tick:")
    ]
    made = traced.sent(str(run.attributes["messaging.message.id"]))
    assert (made.name, made.parent_id, run.parent_id, run.links) == ("create fast", "", "", (made.place,))


def test_threads_and_processes_go_on_with_the_trace(traced: Traced) -> None:
    assert traced.one("inside threaded").parent_id == traced.run("threaded").span_id
    assert traced.one("inside apart").parent_id == traced.run("apart").span_id
    assert traced.sent("effect-of-apart").parent_id == traced.one("inside apart").span_id
    assert traced.run("effect-of-apart").trace_id == traced.one("order apart").trace_id
    failed = traced.run("apart-failed")
    assert (failed.attributes["error.type"], failed.attributes["jobs.outcome"]) == ("KeyError", "failed")


def test_what_is_refused_is_told_where_it_was_sent(traced: Traced) -> None:
    order = traced.one("order wrong")
    (sent,) = [each for each in traced.collector.spans if each.parent_id == order.span_id]
    assert sent.attributes["error.type"] == "PayloadError"
    assert sent.error


def test_threads_without_a_loop_send_in_their_own_trace(traced: Traced) -> None:
    assert traced.sent("sync").parent_id == traced.one("order sync").span_id
    assert traced.run("sync").trace_id == traced.one("order sync").trace_id


def test_log_lines_name_the_span(traced: Traced) -> None:
    run = traced.run("failed")
    (failed,) = [line for line in traced.lines if line["event"] == "failed" and line["job_id"] == "failed"]
    assert (failed["trace_id"], failed["span_id"]) == run.place
    (at_work,) = [
        line for line in traced.lines if line["event"] == "at work" and line.get("job_id") == "direct"
    ]
    assert (at_work["trace_id"], at_work["span_id"]) == traced.one("inside direct").place
    (ready,) = [line for line in traced.lines if line["event"] == "ready"]
    assert "trace_id" not in ready


def test_what_is_never_shown_is_in_no_trace_and_no_log(traced: Traced) -> None:
    assert traced.run("failed").error == "no such thing ***"
    assert traced.run("apart-failed").error == "'gone ***'"
    assert [each for each in (*traced.collector.spans, *traced.lines) if "hush-hush" in str(each)] == []


def test_measures_follow_the_conventions(traced: Traced) -> None:
    sums: dict[tuple[str, object], float] = {}
    for point in traced.collector.points:
        assert point.attributes["messaging.system"] == "jobs"
        key = (point.name, point.attributes.get("error.type"))
        if point.attributes["messaging.destination.name"] == "fast":
            sums[key] = sums.get(key, 0) + point.count
    # 8 sent one by one beside the chain and the sync one, 1 batch of 3; the refused one is a failed call of one message.
    assert sums["messaging.client.operation.duration", None] == 11
    assert sums["messaging.client.sent.messages", None] == 13
    assert sums["messaging.client.sent.messages", "PayloadError"] == 1
    assert sums["messaging.process.duration", "ValueError"] == 2
    runs = [each for each in traced.collector.spans if each.name == "process fast"]
    assert sums["messaging.client.consumed.messages", None] == len(runs)


def test_without_an_sdk_nothing_is_imported_or_sent(tmp_path: Path) -> None:
    code = "import sys, jobs_producer, jobs_worker.child, jobs_core.tracing as t; print(t.telemetry(), 'opentelemetry' in sys.modules)"
    env = {key: value for key, value in os.environ.items() if not re.match("OTEL_", key)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"


def test_an_exporter_that_is_not_there_stops_a_worker(server: EmbeddedServer, tmp_path: Path) -> None:
    write_package(tmp_path, "traced", {"all/queue.py": QUEUE})
    variables = {"OTEL_TRACES_EXPORTER": "nonsense", "WORKER_HTTP_PORT": "0"}
    with WorkerProcess(url=server.url, prefix="none", path=tmp_path, package="traced", **variables) as worker:
        assert worker.wait() == 2
        (line,) = worker.lines("configuration")
        assert "OTEL_" in str(line["error"])
        assert "nonsense" in str(line["error"])
