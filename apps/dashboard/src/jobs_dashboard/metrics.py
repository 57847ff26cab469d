"""The queues as metrics, in the text format of Prometheus or, where that is asked for, as OpenMetrics.

All numbers come from the totals on the server, so several dashboards tell the same, and one that was restarted goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec
from starlette.responses import Response

from jobs_admin import JobTotals, QueueTotals
from jobs_core.measures import BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request

    from jobs_admin import Admin
    from jobs_core.measures import Histogram

__all__ = ["FAMILIES", "OPENMETRICS", "TEXT", "Family", "Scrapes", "serve"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


T = TypeVar("T")


class Family(msgspec.Struct, Generic[T], frozen=True):
    """A metric: by its name and labels its lines are made from the totals of a queue, or of a job name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    lines: Callable[[str, str, T], str]

    def head(self, *, openmetrics: bool) -> bytes:
        """Return what is said of it in one of the two formats, which differ in what they call a counter."""
        bare = self.name.removesuffix("_total") if openmetrics and self.kind == "counter" else self.name
        return f"# HELP {bare} {self.help}\n# TYPE {bare} {self.kind}\n".encode()


class Scrapes:
    """The metrics of all queues: scrapes that come while one is under way share what it reads."""

    def __init__(self, admin: Admin) -> None:
        """Bind to the admin that reads the totals."""
        self._admin = admin
        self._running: dict[bool, asyncio.Task[bytes]] = {}
        # By labels. Most jobs did nothing between two scrapes: what did not change is not written anew, and has 66 buckets a job.
        self._written: dict[str, tuple[JobTotals, tuple[bytes, ...]]] = {}

    async def scrape(self, accept: str = "") -> tuple[str, bytes]:
        """Return the metrics: their content type, as an Accept header has it, and the document. Raises ConnectionFailed."""
        form = wants_openmetrics(accept)
        running = self._running.get(form)
        if running is None:
            running = self._running[form] = asyncio.create_task(self._read(openmetrics=form))
            running.add_done_callback(lambda _: self._running.pop(form))
        return OPENMETRICS if form else TEXT, await asyncio.shield(running)

    async def _read(self, *, openmetrics: bool) -> bytes:
        queues = await self._admin.totals()
        # Some megabytes of text where there are hundreds of queues: meanwhile others are answered.
        return await asyncio.to_thread(self._document, queues, openmetrics=openmetrics)

    def _document(self, queues: Sequence[QueueTotals], *, openmetrics: bool) -> bytes:
        labelled = [(f'queue="{_escaped(each.queue.queue)}"', each) for each in queues]
        jobs = self._of_jobs(labelled)
        texts: list[bytes] = []
        for at, by_job in enumerate(_BY_JOB):
            texts.append(by_job.head(openmetrics=openmetrics))
            texts += [lines[at] for lines in jobs]
        for by_queue in _BY_QUEUE:
            texts.append(by_queue.head(openmetrics=openmetrics))
            texts += [by_queue.lines(by_queue.name, labels, each).encode() for labels, each in labelled]
        if openmetrics:
            texts.append(b"# EOF\n")
        return b"".join(texts)

    def _of_jobs(self, queues: Iterable[tuple[str, QueueTotals]]) -> list[tuple[bytes, ...]]:
        """Return for each job the lines of each family that is by job."""
        before, now = self._written, dict[str, tuple[JobTotals, tuple[bytes, ...]]]()
        for queue, each in queues:
            for job in each.jobs:
                labels = f'{queue},job="{_escaped(job.name)}"'
                known = before.get(labels)
                if known is None or known[0] != job:
                    known = job, tuple(family.lines(family.name, labels, job).encode() for family in _BY_JOB)
                now[labels] = known
        self._written = now
        return [lines for _, lines in now.values()]


async def serve(request: Request) -> Response:
    """Answer a scrape."""
    scrapes: Scrapes = request.app.state.scrapes
    kind, body = await scrapes.scrape(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": kind, "Cache-Control": "no-store"})


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


def _errors(name: str, labels: str, job: JobTotals) -> str:
    return "".join(
        f'{name}{{{labels},error_type="{_escaped(kind)}"}} {count}\n' for kind, count in job.errors.items()
    )


def _retained(name: str, labels: str, each: QueueTotals) -> str:
    kept = each.queue
    return (
        f'{name}{{{labels},state="completed"}} {kept.retained_completed}\n'
        f'{name}{{{labels},state="failed"}} {kept.retained_failed}\n'
        f'{name}{{{labels},state="cancelled"}} {kept.retained_cancelled}\n'
        f'{name}{{{labels},state="expired"}} {kept.retained_expired}\n'
    )


def _sample(value: Callable[[T], float]) -> Callable[[str, str, T], str]:
    return lambda name, labels, each: f"{name}{{{labels}}} {value(each)}\n"


def _job_counter(name: str, text: str, value: Callable[[JobTotals], int]) -> Family[JobTotals]:
    return Family(f"queue_{name}_total", "counter", text, _sample(value))


def _gauge(name: str, text: str, value: Callable[[QueueTotals], float]) -> Family[QueueTotals]:
    return Family(f"queue_{name}", "gauge", text, _sample(value))


def _histogram(
    name: str, text: str, durations: Callable[[JobTotals], Histogram], *, unit_ms: float = 1000
) -> Family[JobTotals]:
    """Return a histogram in a unit of so many ms; the server tells durations apart more finely than it does."""
    steps = {step * 10**power for power in range(6) for step in (1, 2, 5)} | {1_000_000, 2_000_000, 3_600_000}
    shown = {at: bound / unit_ms for at, bound in enumerate(BOUNDS_MS) if bound in steps}
    # All buckets of a job at once: their bounds are the same for every job, \0 stands for its labels.
    bounds = "".join(f'queue_{name}_bucket{{\0,le="{each}"}} %d\n' for each in (*shown.values(), "+Inf"))
    numbers = itemgetter(*shown, -1)

    def lines(whole: str, labels: str, job: JobTotals) -> str:
        histogram = durations(job)
        up_to = [*accumulate(histogram.counts)]
        buckets = (bounds % numbers(up_to)).replace("\0", labels)
        total = f"{whole}_sum{{{labels}}} {histogram.sum_us / 1000 / unit_ms}\n"
        return f"{buckets}{total}{whole}_count{{{labels}}} {up_to[-1]}\n"

    return Family(f"queue_{name}", "histogram", text, lines)


_BY_JOB: tuple[Family[JobTotals], ...] = (
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
    Family("queue_jobs_processing", "gauge", "Jobs that run now.", _sample(lambda job: job.processing)),
    _histogram("job_duration_seconds", "How long attempts ran.", lambda job: job.run),
    _histogram("job_wait_seconds", "How long jobs were ready before an attempt began.", lambda job: job.wait),
    _histogram(
        "job_processing_duration_ms",
        "How long attempts ran, in milliseconds; queue_job_duration_seconds has the same in seconds.",
        lambda job: job.run,
        unit_ms=1,
    ),
)
_BY_QUEUE: tuple[Family[QueueTotals], ...] = (
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
FAMILIES = (*_BY_JOB, *_BY_QUEUE)
"""Every metric that the dashboard exports, in the order of the document."""
