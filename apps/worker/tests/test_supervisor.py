"""Real workers and what befalls them: signals, kills, blocked loops, a server that goes away, wrong settings."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol, cast

import pytest
from tests.support.shop import Ledger, shop
from tests.support.waiting import until
from tests.support.workers import WorkerProcess, alive, kill_group, write_package

from jobs_core import State
from jobs_core.connection import client_for, parse_address
from jobs_core.payloads import JsonValue
from jobs_core.scripts import Located, Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import JobHandle, Producer
from jobs_worker.main import main

QUEUES = {
    "calm": "profile=LIGHT, concurrency=10, stalled_interval=0.1",
    "short": "concurrency=10, lock_duration=2.5, stalled_interval=0.1",
    "long": "concurrency=10, lock_duration=6, stalled_interval=0.1",
    "lazy": "lock_duration=0.8, stalled_interval=60",
    "frail": "max_stalled=0",
    "tough": "max_stalled=1",
    "middling": "profile=MEDIUM",
    "big": 'profile=HEAVY, executor="async"',
}


class Starter(Protocol):
    def __call__(self, *queues: str, url: str = "", **variables: str) -> WorkerProcess: ...


@pytest.fixture
def start(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Starter]:
    """Return what starts a worker for some of the queues; at the end all are killed."""
    write_package(tmp_path, "shop", shop(**QUEUES))
    with ExitStack() as stack:

        def start(*queues: str, url: str = "", **variables: str) -> WorkerProcess:
            chosen = {"WORKER_HTTP_PORT": "0", "WORKER_QUEUES": ",".join(queues), **variables}
            worker = WorkerProcess(
                url=url or redis_url, prefix=prefix, path=tmp_path, package="shop", **chosen
            )
            return stack.enter_context(worker)

        yield start


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


class Sender:
    """Sends acts and looks at what becomes of them."""

    def __init__(self, producer: Producer, scripts: Scripts, ledger: Ledger) -> None:
        self._producer = producer
        self._scripts = scripts
        self._ledger = ledger

    async def send(self, queue: str, do: str = "", seconds: float = 0.0) -> JobHandle[JsonValue]:
        payload = self._ledger.act(do, seconds)
        return await self._producer.queue(queue).enqueue("act", payload, result_ttl=600, attempts=1)

    async def started(self, job: JobHandle[JsonValue], times: int = 1) -> int:
        """Wait for the nth start of a job, and return the pid that it runs in."""
        await until(lambda: len(self._ledger.starts(job.id)) >= times, what=f"{times} starts")
        return self._ledger.starts(job.id)[-1].pid

    async def found(self, job: JobHandle[JsonValue]) -> Located:
        return (await self._scripts.lookup(job.queue, ids=[job.id]))[0]


@pytest.fixture
async def sender(redis_url: str, prefix: str, ledger: Ledger) -> AsyncIterator[Sender]:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    async with Producer(redis_url, prefix=prefix) as producer:
        yield Sender(producer, Scripts(client, prefix), ledger)
    await client.close()


# What it serves


def test_type_and_queues_say_what_is_served(start: Starter) -> None:
    counted = start("middling", "big", WORKER_CONCURRENCY="3", WORKER_PROCESSES="2")
    workers = {
        start(WORKER_TYPE="light,medium"): {"calm", "short", "long", "lazy", "frail", "tough", "middling"},
        counted: {"middling", "big"},
    }
    for worker, queues in workers.items():
        served = worker.line("ready")["queues"]
        assert isinstance(served, dict)
        assert set(served) - {"dead-letter"} == queues
    # WORKER_CONCURRENCY counts per child and queue; what that makes in all is printed.
    line = counted.line("ready")
    assert (line["queues"], line["slots_of_worker"]) == ({"middling": 3, "big": 3}, 12)


def test_light_worker_runs_without_the_libraries_of_the_others(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    refuse = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"PIL", "sqlalchemy", "xlsxwriter", "fpdf", "fsspec"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Refuse())
"""
    (tmp_path / "sitecustomize.py").write_text(refuse)
    # The built-in features; what they need of the environment is unset, and said so.
    worker = WorkerProcess(
        url=redis_url, prefix=prefix, path=tmp_path, WORKER_TYPE="light", WORKER_HTTP_PORT="0"
    )
    with worker:
        served = worker.line("ready")["queues"]
        assert isinstance(served, dict)
        assert {"email", "webhooks"} <= set(served)
        assert "SMTP_URL" in str(worker.line("not_served", queue="email")["unset"])


async def test_children_come_and_go_with_what_waits(start: Starter, sender: Sender, ledger: Ledger) -> None:
    worker = start(
        "calm",
        WORKER_PROCESSES="auto",
        WORKER_MAX_PROCESSES="2",
        WORKER_CONCURRENCY="1",
        WORKER_SCALE_UP="3",
        WORKER_SCALE_DOWN="2",
        WORKER_SCALE_CPU="1",
        WORKER_SCALE_MEMORY="1",
        WORKER_SCALE_INTERVAL="1s",
    ).ready()
    jobs = [await sender.send("calm", "gate") for _ in range(6)]
    worker.line("scaled", processes=2)
    await until(lambda: len({each.pid for each in ledger.starts()}) == 2)
    ledger.open_gate()
    for job in jobs:
        await job.result(120)
    worker.line("scaled", processes=1)
    # Who is left goes on.
    await (await sender.send("calm")).result(120)


# Children that die


async def test_jobs_of_a_killed_child_start_elsewhere_at_once(start: Starter, sender: Sender) -> None:
    worker = start("calm", WORKER_PROCESSES="2", WORKER_CONCURRENCY="4")
    await until(lambda: len(worker.started()) == 2)
    jobs = [await sender.send("calm", "hold", 60) for _ in range(3)]
    pids = [await sender.started(job) for job in jobs]
    kill_group(pids[0])
    mine = [job for job, pid in zip(jobs, pids, strict=True) if pid == pids[0]]
    for job in mine:
        assert await job.result(120) != pids[0]
        # The one that began last may be who did it.
        blamed = int(job is mine[-1])
        record = await job.status()
        assert (record.attempts_made, record.stalled, record.releases) == (1, blamed, 1 - blamed)
        if blamed:
            # At once, that is: nobody waited for the lease to run out, which takes 20 s.
            worker.line("stalled", job_id=job.id, queue="calm", level="info", cause="its process died")
        else:
            assert not worker.lines("stalled", job_id=job.id)
    for job, pid in zip(jobs, pids, strict=True):
        if pid != pids[0]:
            assert (await sender.found(job)).state == "active"
    await until(lambda: len(worker.started()) == 3, what="the child that takes its place")


async def test_job_that_kills_its_worker_too_often_fails_as_poison(start: Starter, sender: Sender) -> None:
    worker = start("frail", "tough").ready()
    for queue, most in (("frail", 0), ("tough", 1)):
        job = await sender.send(queue, "die")
        assert await job.done(120) is State.FAILED
        record = await job.status()
        assert record.stalled == most + 1
        assert record.failed_reason == f"poison: the worker died {most + 1} times while it ran this job"
        worker.line("failed", job_id=job.id, error_type="poison")
        assert len(worker.lines("stalled", job_id=job.id, level="info")) == most
    # It does nobody any harm afterwards.
    assert await (await sender.send("tough")).result(120)


async def test_neighbours_of_a_job_that_kills_its_worker_are_not_blamed_again(
    start: Starter, sender: Sender, ledger: Ledger
) -> None:
    start("tough", WORKER_CONCURRENCY="10").ready()
    # Who began last when the child dies is another one each time, and yet the one that does it runs without the others from then on.
    poison = await sender.send("tough", "die-at-gate")
    await sender.started(poison)
    neighbours = [await sender.send("tough", "linger", 0.6) for _ in range(3)]
    for job in neighbours:
        await sender.started(job)
    ledger.open_gate()
    assert await poison.done(120) is State.FAILED
    assert (await poison.status()).failed_reason == "poison: the worker died 2 times while it ran this job"
    for job in neighbours:
        await job.result(120)
        assert (await job.status()).stalled <= 1
    assert len(ledger.starts(poison.id)) == 3


# Loops that are blocked


async def test_blocked_loop_is_no_matter_within_the_lock_duration(
    start: Starter, sender: Sender, ledger: Ledger
) -> None:
    # `long` is looked at often and may be silent for longer; `lazy` may not, but nobody looks before it is over.
    for worker in [start("long"), start("lazy")]:
        worker.ready()
    jobs = [await sender.send("long", "block", 1.5), await sender.send("lazy", "block", 1.5)]
    for job in jobs:
        await job.result(120)
        assert len(ledger.starts(job.id)) == 1
        assert (await job.status()).stalled == 0


async def test_loop_blocked_for_longer_is_killed_and_its_culprit_charged(
    start: Starter, sender: Sender, ledger: Ledger
) -> None:
    worker = start("short", WORKER_CONCURRENCY="10").ready()
    child = worker.child
    neighbours = [await sender.send("short", "hold", 60) for _ in range(2)]
    for job in neighbours:
        await sender.started(job)
    culprit = await sender.send("short", "block", 60)
    assert await culprit.result(120) != child
    line = worker.line("stalled", job_id=culprit.id, cause="silent")
    assert (line["queue"], line["pid"], line["level"]) == ("short", child, "info")
    assert " in act" in str(line["stack"])
    assert float(str(line["silent_s"])) >= 2.5
    assert not alive(child)
    assert (await culprit.status()).stalled == 1
    for job in neighbours:
        await job.result(120)
        assert (await job.status()).stalled == 0
        assert len(ledger.starts(job.id)) == 2


# Stopping


async def test_stop_lets_active_jobs_finish(start: Starter, sender: Sender, ledger: Ledger) -> None:
    worker = start("calm", WORKER_CONCURRENCY="1").ready()
    assert worker.get("/healthz") == (200, {"status": "ok"})
    assert worker.get("/readyz") == (200, {"status": "ready"})
    jobs = [await sender.send("calm", "gate") for _ in range(2)]
    await sender.started(jobs[0])
    await until(lambda: active_in(worker) == [1], what="statistics of the child")
    worker.terminate()
    worker.line("stopping")
    assert worker.get("/readyz")[0] == 503
    assert worker.get("/healthz")[0] == 200
    ledger.open_gate()
    assert worker.wait() == 0
    assert await jobs[0].result(120)
    assert (await jobs[1].status()).state is State.WAITING


def active_in(worker: WorkerProcess) -> list[JsonValue]:
    """Return how many jobs each child said that it runs."""
    code, body = worker.get("/status")
    assert (code, body["connected"]) == (200, True)
    children = cast("list[dict[str, dict[str, JsonValue] | None]]", body["children"])
    return [stats["active"] for child in children if (stats := child["stats"])]


async def test_jobs_that_outlive_the_grace_are_given_back_uncharged(start: Starter, sender: Sender) -> None:
    impatient = start("calm", WORKER_SHUTDOWN_GRACE="0.3")
    signalled_twice = start("long", WORKER_SHUTDOWN_GRACE="600")
    workers = {impatient.ready(): "calm", signalled_twice.ready(): "long"}
    jobs = {worker: await sender.send(queue, "sleep", 60) for worker, queue in workers.items()}
    for worker, job in jobs.items():
        await sender.started(job)
        worker.terminate()
    signalled_twice.line("stopping")
    assert alive(signalled_twice.child)
    signalled_twice.terminate()
    for worker, job in jobs.items():
        assert worker.wait() == 143
        assert not alive(worker.child)
        found = await sender.found(job)
        assert (found.state, found.entry.crashes, found.entry.releases) == ("waiting", 0, 1)


async def test_children_of_a_killed_supervisor_finish_and_go(
    start: Starter, sender: Sender, ledger: Ledger
) -> None:
    worker = start("calm").ready()
    job = await sender.send("calm", "sleep", 0.5)
    await sender.started(job)
    worker.process.kill()
    assert await job.result(120) == worker.child
    await until(lambda: not alive(worker.child))
    assert len(ledger.starts(job.id)) == 1


async def test_jobs_of_a_worker_that_is_gone_start_at_another(
    start: Starter, sender: Sender, redis_url: str, prefix: str
) -> None:
    worker = start("calm").ready()
    other = start("calm", WORKER_CONCURRENCY="1")
    job = await sender.send("calm", "hold", 60)
    pid = await sender.started(job)
    first, second = (worker, other.ready()) if pid in worker.started() else (other, worker.ready())
    first.process.kill()
    kill_group(pid)
    # Its lease would last for 20 s; here it ends now, and the next beat of the other sees that.
    await end_lease(redis_url, prefix, job)
    assert await job.result(120) in second.started()
    record = await job.status()
    assert (record.attempts_made, record.stalled) == (1, 1)
    second.line("stalled", job_id=job.id, cause="lease ran out")


async def end_lease(url: str, prefix: str, job: JobHandle[JsonValue]) -> None:
    client = client_for(parse_address(url))
    await client.connect(timeout=40)
    scripts = Scripts(client, prefix)
    for owner in await scripts.owners(job.queue):
        if owner.active:
            await client.call("ZADD", f"{scripts.key(job.queue)}owners", 1, owner.owner)
    await client.close()


# Servers that go away


async def test_server_that_comes_goes_and_comes_back_loses_nothing(
    start: Starter, tmp_path: Path, prefix: str, ledger: Ledger
) -> None:
    server = EmbeddedServer(data_dir=tmp_path / "data", port=0)
    server.start()
    server.stop()
    worker = start("calm", url=server.url)
    worker.line("server_unreachable")
    assert worker.get("/healthz")[0] == 200
    assert worker.get("/readyz")[0] == 503
    with server:
        worker.ready()
        await until(lambda: worker.get("/readyz")[0] == 200)
        async with Producer(server.url, prefix=prefix, enqueue_timeout=40) as producer:

            async def send(number: int) -> JobHandle[JsonValue]:
                act = ledger.act("sleep", 0.05 * (number % 3))
                return await producer.queue("calm").enqueue("act", act, result_ttl=600)

            jobs = [await send(number) for number in range(40)]
            await until(lambda: len(ledger.starts()) > 10)
            server.stop()
            await until(lambda: worker.get("/readyz")[0] == 503)
            server.start()
            jobs += [await send(number) for number in range(20)]
            for job in jobs:
                assert await job.result(120) == worker.child
            assert len(worker.started()) == 1
    # Without a server there is nothing to wait for.
    await until(lambda: worker.get("/readyz")[0] == 503)
    worker.terminate()
    assert worker.wait() == 0


# Settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKER_CONCURRENCY", "0"),
        ("REDIS_URL", "http://localhost"),
        ("WORKER_SHUTDOWN_GRACE", "soon"),
        ("WORKER_TYPE", "light,huge"),
    ],
)
def test_wrong_values_end_the_program_before_it_starts(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert variable in capsys.readouterr().err


def test_wrong_settings_stop_the_program_with_their_name(start: Starter) -> None:
    wrong = {
        "WORKER_QUEUES": "clam",
        "JOBS_FEATURES": "no_such_package",
        "JOBS_PROCESSORS": "no_such_package",
    }
    workers = {variable: start("calm", **{variable: value}) for variable, value in wrong.items()}
    for variable, worker in workers.items():
        assert worker.wait() == 2, variable
        assert (variable if "JOBS" not in variable else "no_such_package") in worker.text()
        assert "Traceback" not in worker.text()
    assert "calm" in workers["WORKER_QUEUES"].text()


def test_taken_port_stops_the_program_only_where_it_was_asked_for(start: Starter) -> None:
    with socket.socket() as asked, socket.socket() as default:
        for taken, port in ((asked, 0), (default, 9464)):
            # Where something else has the default port already, that serves as well; a connection of before that lingers does not.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                taken.bind(("127.0.0.1", port))
                taken.listen()
        port = asked.getsockname()[1]
        refused = start("calm", WORKER_HTTP_PORT=str(port))
        moved = start("calm", WORKER_HTTP_PORT="")
        assert refused.wait() == 2
        assert f"WORKER_HTTP_PORT={port}" in refused.text()
        line = moved.line("http_port_moved")
        assert (line["wanted"], line["port"] != 9464) == (9464, True)
        assert moved.get("/healthz")[0] == 200
