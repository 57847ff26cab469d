"""Leases in real time: who is dead is found out, and nothing that only stood still counts as dead."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.shop import Ledger, shop
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, kill_group, write_package

from jobs_core.payloads import JsonValue
from jobs_core.server import EmbeddedServer
from jobs_producer import JobHandle, Producer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

LEASE = 20.0


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def workers(server: EmbeddedServer, prefix: str, tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    """Two workers of one queue; whichever takes a job, the other would take it again."""
    write_package(tmp_path, "shop", shop(calm="profile=LIGHT, concurrency=10, lock_duration=60"))
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                WorkerProcess(
                    url=server.url, prefix=prefix, path=tmp_path, package="shop", WORKER_HTTP_PORT="0"
                )
            ).ready()
            for _ in range(2)
        ]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
async def producer(server: EmbeddedServer, prefix: str) -> AsyncIterator[Producer]:
    async with Producer(server.url, prefix=prefix) as producer:
        yield producer


async def running_job(
    producer: Producer, ledger: Ledger, workers: list[WorkerProcess], do: str, seconds: float
) -> tuple[JobHandle[JsonValue], WorkerProcess, int]:
    """Start a job; return it, its worker, and the pid of the child that runs it."""
    job = await producer.queue("calm").enqueue("act", ledger.act(do, seconds), result_ttl=600)
    await until(lambda: ledger.starts(job.id))
    pid = ledger.starts(job.id)[0].pid
    (mine,) = (worker for worker in workers if pid in worker.started())
    return job, mine, pid


async def test_jobs_of_a_dead_worker_start_elsewhere_within_its_lease(
    workers: list[WorkerProcess], producer: Producer, ledger: Ledger
) -> None:
    job, worker, pid = await running_job(producer, ledger, workers, "hold", 300)
    worker.process.kill()
    kill_group(pid)
    killed = time.monotonic()
    assert await job.result(40) != pid
    assert LEASE - 6 < time.monotonic() - killed < 30
    record = await job.status()
    assert (record.attempts_made, record.stalled) == (1, 1)


async def test_frozen_supervisor_costs_no_lease(
    workers: list[WorkerProcess], producer: Producer, ledger: Ledger
) -> None:
    job, worker, pid = await running_job(producer, ledger, workers, "sleep", 2 * LEASE)
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        assert await job.result(60) == pid
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)
    assert len(ledger.starts(job.id)) == 1
    worker.terminate()
    assert worker.wait() == 0


async def test_handler_that_holds_the_gil_costs_no_lease(
    workers: list[WorkerProcess], producer: Producer, ledger: Ledger
) -> None:
    job, _, pid = await running_job(producer, ledger, workers, "hold-gil", 1.3 * LEASE)
    assert await job.result(60) == pid
    assert len(ledger.starts(job.id)) == 1
    assert (await job.status()).stalled == 0


async def test_frozen_server_costs_no_lease(
    workers: list[WorkerProcess], producer: Producer, ledger: Ledger, server: EmbeddedServer
) -> None:
    job, _, pid = await running_job(producer, ledger, workers, "sleep", 1.5 * LEASE)
    os.kill(server.pid, signal.SIGSTOP)
    frozen = time.monotonic()
    try:
        await until(lambda: time.monotonic() - frozen > 1.2 * LEASE, within=60)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert await job.result(60) == pid
    assert len(ledger.starts(job.id)) == 1
