"""What people tell running workers: quiet, resume, stop, concurrency, stacks, and how many children serve a queue."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, cast

import pytest
from tests.support.shop import Ledger, shop
from tests.support.waiting import WITHIN, until, wait_until
from tests.support.workers import WorkerProcess, write_package

from jobs_admin import Admin, RunningRecord, WorkerRecord
from jobs_core.errors import OptionError, ResultTimeout, UnknownQueue, WorkerNotFound
from jobs_core.payloads import JsonValue
from jobs_core.settings import WorkerSettings
from jobs_producer import JobHandle, Producer, QueueHandle
from jobs_worker.staffing import Staffing


class Starter(Protocol):
    def __call__(self, **variables: str) -> WorkerProcess: ...


@pytest.fixture
def start(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Starter]:
    write_package(tmp_path, "shop", shop(mail="concurrency=1", images="concurrency=4"))
    with ExitStack() as stack:

        def start(**variables: str) -> WorkerProcess:
            chosen = {"WORKER_HTTP_PORT": "0", **variables}
            worker = WorkerProcess(url=redis_url, prefix=prefix, path=tmp_path, package="shop", **chosen)
            return stack.enter_context(worker).ready()

        yield start


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
async def admin(redis_url: str, prefix: str) -> AsyncIterator[Admin]:
    async with Admin(redis_url, prefix=prefix, actor="ada", timeout=WITHIN) as admin:
        yield admin


@pytest.fixture
async def producer(redis_url: str, prefix: str) -> AsyncIterator[Producer]:
    async with Producer(redis_url, prefix=prefix) as producer:
        yield producer


def quiet_of(worker: WorkerProcess) -> list[list[str]]:
    """Return what each ready child leaves alone, the oldest first."""
    children = cast("list[dict[str, object]]", worker.get("/status")[1]["children"])
    return [cast("list[str]", child["quiet"]) for child in children if child["ready"]]


async def test_a_worker_does_what_it_is_told(
    start: Starter, admin: Admin, producer: Producer, ledger: Ledger
) -> None:
    worker = start()
    (known,) = await until(admin.workers)
    queue = producer.queue("mail")

    # Quiet, and not.
    assert await admin.quiet_worker(known.id) == "quiet"
    await until(lambda: _state(admin, "quiet"))
    assert quiet_of(worker) == [["dead-letter", "images", "mail"]]
    # Its child hears of it a moment later.
    job = None
    while job is None:
        job = await _left(queue, ledger)
    assert (await job.status()).state == "waiting"
    assert await admin.resume_worker(known.id) == "running"
    await job.result(120)

    # Concurrency, of jobs that a handler holds.
    held = [await queue.enqueue("act", ledger.act("hold", 60), attempts=1) for _ in range(3)]
    await until(lambda: ledger.starts(held[0].id))
    assert (await admin.stats("mail")).active == 1
    assert await admin.set_concurrency(known.id, "mail", 3) == "running"
    await until(lambda: all(ledger.starts(each.id) for each in held))
    running = await until(lambda: _running(admin, known.id, 3))
    assert [each.id for each in running] == [
        start.job_id for start in ledger.starts() if start.job_id != job.id
    ]
    assert {(each.queue, each.name) for each in running} == {("mail", "act")}
    assert len(await admin.running(known.id, limit=2)) == 2
    with pytest.raises(WorkerNotFound, match="nobody"):
        await admin.running("nobody")
    await until(lambda: _slots(admin, 3 + 4 + 1))
    # What it uses is looked at every few seconds.
    (known,) = await until(lambda: _using(admin))
    assert known.memory_bytes > 20_000_000
    assert known.memory_peaks[-1] >= known.memory_bytes // 2**20
    assert known.cpu < 64
    assert 0 <= known.lag_ms < 60_000
    with pytest.raises(OptionError, match="does not serve queue 'other'"):
        await admin.set_concurrency(known.id, "other", 3)
    with pytest.raises(OptionError, match="1 to 10000"):
        await admin.set_concurrency(known.id, "mail", 0)

    # Stacks.
    (child,) = await admin.stacks(known.id)
    assert child.pid == worker.child
    assert "jobs_worker/child.py" in child.stack

    for each in held:
        await admin.cancel("mail", each.id)
    assert await admin.stop_worker(known.id) == "stopping"
    assert worker.wait() == 0
    # It was told to take any port.
    assert "http_port_moved" not in worker.text()
    with pytest.raises(WorkerNotFound, match=known.id):
        await admin.stop_worker(known.id)
    told = [
        (change.verb, change.queue, change.filter, change.detail) for change in (await admin.audit()).changes
    ]
    assert told[0] == ("worker stop", "", f"worker:{known.id}", "")
    assert told[-1] == ("worker quiet", "", f"worker:{known.id}", "")
    assert ("worker concurrency", "mail", f"worker:{known.id}", "to 3") in told


async def _left(queue: QueueHandle, ledger: Ledger) -> JobHandle[JsonValue] | None:
    """Enqueue a job, and return it where nobody takes it."""
    job = await queue.enqueue("act", ledger.act("", 0), result_ttl=60)
    try:
        await job.result(0.5)
    except ResultTimeout:
        return job
    return None


async def _state(admin: Admin, state: str) -> bool:
    return [worker.state for worker in await admin.workers()] == [state]


async def _running(admin: Admin, worker_id: str, number: int) -> list[RunningRecord]:
    found = await admin.running(worker_id)
    return found if len(found) == number else []


async def _using(admin: Admin) -> list[WorkerRecord]:
    return [worker for worker in await admin.workers() if worker.cpu > 0]


async def _slots(admin: Admin, slots: int) -> bool:
    return [worker.slots for worker in await admin.workers()] == [slots]


async def test_a_number_of_children_holds_until_it_is_released(
    start: Starter, admin: Admin, producer: Producer, ledger: Ledger
) -> None:
    worker = start()
    assert await admin.scale("mail", 3)
    assert not await admin.scale("mail", 3)
    wait_until(lambda: len(quiet_of(worker)) == 3)
    # The others of the worker's queues have the one child that they had.
    assert quiet_of(worker) == [[], ["dead-letter", "images"], ["dead-letter", "images"]]
    queue = producer.queue("mail")
    held = [await queue.enqueue("act", ledger.act("hold", 60), attempts=1) for _ in range(3)]
    await until(lambda: all(ledger.starts(job.id) for job in held))
    assert len({ledger.starts(job.id)[0].pid for job in held}) == 3

    # It holds for workers to come, and nobody serves the queue while it is 0.
    await admin.scale("mail", 0)
    second = start()
    wait_until(lambda: quiet_of(second) == [["mail"]])
    for job in held:
        await admin.cancel("mail", job.id)
    wait_until(lambda: quiet_of(worker) == [["mail"]])
    job = await queue.enqueue("act", ledger.act("", 0), result_ttl=60)
    other = await producer.queue("images").enqueue("act", ledger.act("", 0), result_ttl=60)
    await other.result(120)
    assert (await job.status()).state == "waiting"
    assert [(each.queue, each.number) for each in await admin.scales()] == [("mail", 0)]

    assert await admin.scale("mail", None)
    await job.result(120)
    assert not await admin.scale("mail", None)
    assert await admin.scales() == []
    told = [(change.verb, change.queue, change.detail) for change in (await admin.audit("mail")).changes]
    assert [each for each in told if each[0] == "scale"] == [
        ("scale", "mail", "auto"),
        ("scale", "mail", "to 0"),
        ("scale", "mail", "to 3"),
    ]
    with pytest.raises(OptionError, match="0 to 1024"):
        await admin.scale("mail", 1025)
    with pytest.raises(UnknownQueue):
        await admin.scale("mial", 1)


def test_a_queue_begins_with_the_number_that_it_was_given(start: Starter) -> None:
    worker = start(
        WORKER_PROCESSES="auto", WORKER_MAX_PROCESSES="4", WORKER_INITIAL_PROCESSES="mail=3, images=2"
    )
    wait_until(lambda: quiet_of(worker) == [[], ["dead-letter"], ["dead-letter", "images"]])


# Numbers


def staffing(**settings: object) -> Staffing:
    made = Staffing(WorkerSettings(**settings))  # pyright: ignore[reportArgumentType]
    made.serve(["a", "b"])
    return made


def test_each_queue_has_as_many_children_as_there_are() -> None:
    fixed = staffing(processes=2)
    assert (fixed.total, fixed.quiet(0), fixed.quiet(1)) == (2, [], [])
    fixed.manual = {"a": 0}
    assert (fixed.total, fixed.quiet(0)) == (2, ["a"])
    fixed.manual = {"a": 0, "b": 0}
    # Somebody has to be there to hear that it is over.
    assert (fixed.total, fixed.quiet(0)) == (1, ["a", "b"])
    fixed.quieted, fixed.manual = True, {}
    assert fixed.quiet(0) == ["a", "b"]
    assert Staffing(WorkerSettings(processes=3)).total == 3


def test_numbers_follow_what_waits_queue_by_queue() -> None:
    auto = staffing(processes="auto", max_processes=2, initial_processes={"b": 9})
    assert (auto.number("a"), auto.number("b")) == (1, 2)
    assert auto.step("a", waiting=101, cpu=0, memory=0) == 1
    assert auto.step("b", waiting=0, cpu=0, memory=0) == -1
    assert (auto.number("a"), auto.number("b"), auto.total) == (2, 1, 2)
    assert auto.quiet(1) == ["b"]
    auto.manual = {"a": 5}
    assert auto.step("a", waiting=0, cpu=0, memory=0) == 0
    auto.manual = {}
    assert auto.number("a") == 2
