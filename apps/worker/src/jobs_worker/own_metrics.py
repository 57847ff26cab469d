"""What a worker tells Prometheus of its own processes, as text; what its jobs are counted by is exported by the dashboard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobs_worker.control import Stats
    from jobs_worker.supervised import SupervisedChild
    from jobs_worker.usage import Used

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class Ended(msgspec.Struct):
    """What children did that have ended: a count must not fall when one of them goes."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    deaths: int = 0

    def add(self, stats: Stats | None, *, died: bool) -> None:
        """Take over the counts of a child that ended."""
        self.deaths += died
        if stats is not None:
            self.completed += stats.completed
            self.failed += stats.failed
            self.retried += stats.retried
            self.lost += stats.lost


class Facts(msgspec.Struct, frozen=True):
    """What the supervisor knows besides its children; `renewed_s` is how long ago the leases were renewed."""

    version: str
    worker_type: str
    slots: int
    connected: bool
    started_ms: int
    renewed_s: float | None


def describe(facts: Facts, children: Iterable[SupervisedChild], ended: Ended, used: Used) -> str:
    """Return the metrics of a worker."""
    children = list(children)
    stats = [child.stats for child in children if child.stats is not None]
    lines = [
        *_metric(
            "info",
            "gauge",
            "What runs, always 1.",
            1,
            f'version="{facts.version}",worker_type="{facts.worker_type}"',
        ),
        *_metric(
            "start_time_seconds", "gauge", "When the worker started, in Unix time.", facts.started_ms / 1000
        ),
        *_metric(
            "connected",
            "gauge",
            "1 while the worker is connected to the server, else 0.",
            int(facts.connected),
        ),
        *_metric("processes", "gauge", "Children that are ready.", sum(child.ready for child in children)),
        *_metric("slots", "gauge", "How many jobs the worker can run at once.", facts.slots),
        *_metric(
            "jobs_running", "gauge", "Jobs that run in this worker.", sum(each.active for each in stats)
        ),
        *_metric(
            "jobs_completed_total",
            "counter",
            "Attempts that this worker completed.",
            ended.completed + sum(each.completed for each in stats),
        ),
        *_metric(
            "jobs_failed_total",
            "counter",
            "Jobs that failed for good in this worker.",
            ended.failed + sum(each.failed for each in stats),
        ),
        *_metric(
            "jobs_retried_total",
            "counter",
            "Attempts that failed in this worker and are followed by another.",
            ended.retried + sum(each.retried for each in stats),
        ),
        *_metric(
            "leases_lost_total",
            "counter",
            "Jobs that this worker ran while they were somebody else's already.",
            ended.lost + sum(each.lost for each in stats),
        ),
        *_metric(
            "child_deaths_total", "counter", "Children that ended though nobody asked them to.", ended.deaths
        ),
        *_metric(
            "event_loop_lag_seconds",
            "gauge",
            "How late the slowest loop of a child was at its last tick.",
            max((each.lag_ms for each in stats), default=0.0) / 1000,
        ),
        *_metric(
            "silence_seconds",
            "gauge",
            "How long ago the most silent child ticked.",
            round(max((child.page.silence() for child in children if child.ready), default=0.0), 3),
        ),
        "# HELP worker_resident_memory_bytes Memory in use.\n# TYPE worker_resident_memory_bytes gauge\n",
        f'worker_resident_memory_bytes{{process="supervisor"}} {used.supervisor_bytes}\n',
        f'worker_resident_memory_bytes{{process="children"}} {used.children_bytes}\n',
    ]
    claimed = max((each.claimed_at for each in stats), default=0.0)
    if claimed:
        lines += _metric(
            "last_claim_timestamp_seconds", "gauge", "When a claim was last answered, in Unix time.", claimed
        )
    if facts.renewed_s is not None:
        lines += _metric(
            "last_beat_timestamp_seconds",
            "gauge",
            "When the leases were last renewed, in Unix time.",
            time.time() - facts.renewed_s,
        )
    return "".join(lines)


def _metric(name: str, kind: str, text: str, value: float, labels: str = "") -> Iterator[str]:
    braced = f"{{{labels}}}" if labels else ""
    yield f"# HELP worker_{name} {text}\n# TYPE worker_{name} {kind}\nworker_{name}{braced} {value}\n"
