"""The queues as metrics, in the text format of Prometheus or, where that is asked for, as OpenMetrics.

All numbers come from the totals on the server, so several dashboards tell the same, and one that was restarted goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from starlette.responses import Response

from jobs_admin import JobTotals, QueueTotals
from jobs_core.measures import BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request

    from jobs_admin import Admin
    from jobs_core.measures import Histogram

__all__ = ["FAMILIES", "OPENMETRICS", "TEXT", "Family", "exposition", "serve"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Labelled(msgspec.Struct, frozen=True):
    """All queues, and the job names of all, each behind its labels."""

    queues: list[tuple[str, QueueTotals]]
    jobs: list[tuple[str, JobTotals]]


Lines: TypeAlias = Callable[[str, Labelled], list[str]]
"""Makes the lines of a metric by its name: hundreds of queues have tens of thousands, so none costs a call of its own."""


class Family(msgspec.Struct, frozen=True):
    """A metric: its lines are made from the totals of all queues."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    lines: Lines

    def text(self, told: Labelled, *, openmetrics: bool) -> str:
        """Return it in one of the two formats, which differ in what they call a counter."""
        bare = self.name.removesuffix("_total") if openmetrics and self.kind == "counter" else self.name
        return "".join(
            [f"# HELP {bare} {self.help}\n# TYPE {bare} {self.kind}\n", *self.lines(self.name, told)]
        )


async def exposition(admin: Admin, accept: str = "") -> tuple[str, bytes]:
    """Return the metrics of all queues: their content type, as an Accept header has it, and the document.

    Raises ConnectionFailed.
    """
    queues = await admin.totals()
    # Some megabytes of text where there are hundreds of queues: meanwhile others are answered.
    return await asyncio.to_thread(_document, queues, openmetrics=wants_openmetrics(accept))


async def serve(request: Request) -> Response:
    """Answer a scrape; those that come while one is under way share what it reads."""
    state, accept = request.app.state, request.headers.get("accept", "")
    scrapes: dict[bool, asyncio.Task[tuple[str, bytes]]] = state.scrapes
    form = wants_openmetrics(accept)
    scrape = scrapes.get(form)
    if scrape is None:
        scrape = scrapes[form] = asyncio.create_task(exposition(state.admin, accept))
        scrape.add_done_callback(lambda _: scrapes.pop(form))
    kind, body = await asyncio.shield(scrape)
    return Response(body, headers={"Content-Type": kind, "Cache-Control": "no-store"})


def _document(queues: Sequence[QueueTotals], *, openmetrics: bool) -> tuple[str, bytes]:
    told = _labelled(queues)
    texts = [family.text(told, openmetrics=openmetrics) for family in FAMILIES]
    if openmetrics:
        texts.append("# EOF\n")
    return OPENMETRICS if openmetrics else TEXT, "".join(texts).encode()


def wants_openmetrics(accept: str) -> bool:
    """Tell whether an Accept header prefers OpenMetrics."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for media in accept.split(","):
        name, *parameters = (part.strip().lower() for part in media.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if name in weights:
            try:
                weights[name] = max(weights[name], float(weight))
            except ValueError:
                continue
    return 0 < weights["application/openmetrics-text"] >= weights["text/plain"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labelled(queues: Iterable[QueueTotals]) -> Labelled:
    told = [(f'queue="{_escaped(each.queue.queue)}"', each) for each in queues]
    jobs = [(f'{queue},job="{_escaped(job.name)}"', job) for queue, each in told for job in each.jobs]
    return Labelled(told, jobs)


def _each_queue(value: Callable[[QueueTotals], float]) -> Lines:
    return lambda name, told: [f"{name}{{{labels}}} {value(each)}\n" for labels, each in told.queues]


def _each_job(value: Callable[[JobTotals], int]) -> Lines:
    return lambda name, told: [f"{name}{{{labels}}} {value(job)}\n" for labels, job in told.jobs]


def _errors(name: str, told: Labelled) -> list[str]:
    return [
        f'{name}{{{labels},error_type="{_escaped(kind)}"}} {count}\n'
        for labels, job in told.jobs
        for kind, count in job.errors.items()
    ]


def _retained(name: str, told: Labelled) -> list[str]:
    return [
        f'{name}{{{labels},state="{state}"}} {count}\n'
        for labels, each in told.queues
        for state, count in (
            ("completed", each.queue.retained_completed),
            ("failed", each.queue.retained_failed),
            ("cancelled", each.queue.retained_cancelled),
            ("expired", each.queue.retained_expired),
        )
    ]


def _histograms(durations: Callable[[JobTotals], Histogram], unit_ms: float) -> Lines:
    """Return what makes histograms in a unit of so many ms; the server tells durations apart more finely than they do."""
    steps = {step * 10**power for power in range(6) for step in (1, 2, 5)} | {1_000_000, 2_000_000, 3_600_000}
    shown = {at: bound / unit_ms for at, bound in enumerate(BOUNDS_MS) if bound in steps}
    # All buckets of a job at once: their names and bounds are the same for every job, \0 stands for its labels.
    buckets = "".join(f'{{name}}_bucket{{{{\0,le="{bound}"}}}} %d\n' for bound in (*shown.values(), "+Inf"))
    numbers = itemgetter(*shown, -1)

    # Most jobs did nothing between two scrapes: what did not change is not written anew.
    written: dict[str, tuple[object, str]] = {}

    def lines(name: str, told: Labelled) -> list[str]:
        nonlocal written
        template, before, now = buckets.format(name=name), written, dict[str, tuple[object, str]]()
        for labels, job in told.jobs:
            histogram, known = durations(job), before.get(labels)
            if known is None or known[0] != histogram:
                up_to = [*accumulate(histogram.counts)]
                bounds = (template % numbers(up_to)).replace("\0", labels)
                total = f"{name}_sum{{{labels}}} {histogram.sum_us / 1000 / unit_ms}\n"
                known = histogram, f"{bounds}{total}{name}_count{{{labels}}} {up_to[-1]}\n"
            now[labels] = known
        written = now
        return [text for _, text in now.values()]

    return lines


def _job_counter(name: str, text: str, value: Callable[[JobTotals], int]) -> Family:
    return Family(f"queue_{name}_total", "counter", text, _each_job(value))


def _gauge(name: str, text: str, value: Callable[[QueueTotals], float]) -> Family:
    return Family(f"queue_{name}", "gauge", text, _each_queue(value))


def _histogram(
    name: str, text: str, durations: Callable[[JobTotals], Histogram], *, unit_ms: float = 1000
) -> Family:
    return Family(f"queue_{name}", "histogram", text, _histograms(durations, unit_ms))


FAMILIES: tuple[Family, ...] = (
    _job_counter("jobs_added", "Jobs that were enqueued.", lambda job: job.added),
    _job_counter("jobs_completed", "Jobs that completed.", lambda job: job.completed),
    _job_counter("jobs_failed", "Jobs that failed for good.", lambda job: job.failed),
    _job_counter(
        "jobs_retried", "Attempts that failed and were followed by another one.", lambda job: job.retried
    ),
    _job_counter("jobs_stalled", "Runs whose worker died or fell silent.", lambda job: job.stalled),
    _job_counter("jobs_expired", "Jobs that expired before they started.", lambda job: job.expired),
    _job_counter("jobs_cancelled", "Jobs that were cancelled.", lambda job: job.cancelled),
    _job_counter(
        "leases_lost",
        "Runs that were taken away when their worker's lease ran out.",
        lambda job: job.leases_lost,
    ),
    Family("queue_job_errors_total", "counter", "Attempts that failed, by the type of the error.", _errors),
    Family("queue_jobs_processing", "gauge", "Jobs that run now.", _each_job(lambda job: job.processing)),
    _histogram("job_duration_seconds", "How long attempts ran.", lambda job: job.run),
    _histogram("job_wait_seconds", "How long jobs were ready before an attempt began.", lambda job: job.wait),
    _histogram(
        "job_processing_duration_ms",
        "How long attempts ran, in milliseconds; queue_job_duration_seconds has the same in seconds.",
        lambda job: job.run,
        unit_ms=1,
    ),
    _gauge("jobs_waiting", "Jobs that wait for a worker.", lambda each: each.queue.waiting),
    _gauge("jobs_delayed", "Jobs that are not due yet, retries among them.", lambda each: each.queue.delayed),
    _gauge("jobs_blocked", "Jobs that wait for other jobs.", lambda each: each.queue.blocked),
    _gauge("jobs_unroutable", "Jobs that no worker knew how to run.", lambda each: each.queue.unroutable),
    Family("queue_jobs_retained", "gauge", "Jobs that ended and are kept.", _retained),
    _gauge(
        "dead_letters",
        "Dead letters that there are of jobs of the queue.",
        lambda each: each.dead_letters,
    ),
    _gauge(
        "oldest_waiting_seconds",
        "How long the oldest waiting job has been ready; 0 where none waits.",
        lambda each: (each.oldest_waiting_ms or 0) / 1000,
    ),
    _gauge("paused", "1 while the queue is paused, else 0.", lambda each: int(each.queue.paused)),
    _gauge("workers", "Workers that serve the queue.", lambda each: each.workers),
    _gauge("alert_active", "Alerts of the queue that fire.", lambda each: each.alerts),
)
"""Every metric that the dashboard exports, in the order of the document."""
