"""What a worker tells Prometheus of itself."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import parser
from tests.support.promtool import promtool
from tests.support.shop import Ledger, shop
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess, write_package

from jobs_producer import SyncProducer


@pytest.fixture
def worker(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[WorkerProcess]:
    write_package(tmp_path, "shop", shop(calm="profile=LIGHT, concurrency=7"))
    variables = {"WORKER_HTTP_PORT": "0", "WORKER_PROCESSES": "2"}
    with WorkerProcess(url=redis_url, prefix=prefix, path=tmp_path, package="shop", **variables) as worker:
        wait_until(lambda: len(worker.started()) == 2)
        yield worker


def fetch(worker: WorkerProcess) -> bytes:
    with urllib.request.urlopen(worker.http + "/metrics", timeout=40) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read()


def read(worker: WorkerProcess) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.get(label, "") for label in ("process",)): sample.value
        for family in parser.text_string_to_metric_families(fetch(worker).decode())
        for sample in family.samples
    }


def measured(worker: WorkerProcess) -> dict[str, float]:
    """Return the metrics once both children are measured and one has claimed."""
    found = read(worker)
    claimed = "worker_last_claim_timestamp_seconds" in found
    children, supervisor = (found[f"worker_resident_memory_bytes{who}"] for who in ("children", "supervisor"))
    return found if claimed and children > supervisor else {}


def test_a_worker_tells_of_its_processes(worker: WorkerProcess) -> None:
    # What they use is looked at every few seconds.
    found = wait_until(lambda: measured(worker))
    assert (found["worker_processes"], found["worker_slots"], found["worker_connected"]) == (
        2,
        2 * (7 + 1),
        1,
    )
    assert found["worker_last_claim_timestamp_seconds"] >= found["worker_start_time_seconds"]
    assert found["worker_resident_memory_bytessupervisor"] > 1e6
    assert 0 <= found["worker_event_loop_lag_seconds"] < 60
    assert not any(name.startswith("queue_") for name in found)


def test_promtool_finds_nothing(worker: WorkerProcess) -> None:
    assert promtool("check", "metrics", text=fetch(worker)) == (0, "")


def test_counts_do_not_fall_when_a_child_dies(
    worker: WorkerProcess, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    with SyncProducer(redis_url, prefix=prefix) as producer:
        for _ in range(10):
            producer.queue("calm").enqueue("act", ledger.act())
    wait_until(lambda: read(worker)["worker_jobs_completed_total"] == 10)
    os.kill(worker.started()[0], signal.SIGKILL)
    os.kill(worker.started()[1], signal.SIGKILL)
    wait_until(lambda: read(worker)["worker_child_deaths_total"] == 2)
    assert read(worker)["worker_jobs_completed_total"] == 10
