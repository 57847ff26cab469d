import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from tests.support.freezing import frozen
from tests.support.leaping import leap
from tests.support.mail import NOTE, SEND, Calls, Receipt, Send, Settler
from tests.support.ports import free_port
from tests.support.waiting import wait_until

from jobs_core.connection import client_for, parse_address
from jobs_core.errors import (
    ConfigurationError,
    ConnectionFailed,
    DeclarationError,
    JobNotFound,
    JobsError,
    OptionError,
    OutcomeUnknown,
    PayloadError,
    ResultNotKept,
    ResultTimeout,
)
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.states import State
from jobs_producer import Producer, SyncJobHandle, SyncProducer

FORKS = Path(__file__).parent / "forks.py"


@pytest.fixture
def opened(sync: SyncProducer) -> Iterator[SyncProducer]:
    """Return a producer for threads that is closed in the end."""
    with sync:
        yield sync


@pytest.fixture
def others() -> set[threading.Thread]:
    """Return the threads that were there before."""
    return set(threading.enumerate())


def own_threads(others: set[threading.Thread]) -> int:
    return [thread.name for thread in set(threading.enumerate()) - others].count("jobs-producer")


def waiting(producer: SyncProducer) -> int:
    async def count(inner: Producer) -> int:
        key = inner._scripts.key("mail") + "waiting"
        return cast("int", await inner._client.call("ZCARD", key))

    return producer.run(count)


def settle(producer: SyncProducer, verb: str = "complete") -> None:
    async def work(inner: Producer) -> None:
        settler = Settler(inner._scripts)
        await (settler.complete() if verb == "complete" else settler.fail())

    producer.run(work)


def test_it_does_what_the_other_does(opened: SyncProducer) -> None:
    handle = opened.enqueue(SEND, Send(to="a"), job_id="one", priority="high", tags=["x"])
    assert isinstance(handle, SyncJobHandle)
    assert (handle.id, handle.queue, handle.name, handle.created) == ("one", "mail", "send", True)
    assert repr(handle) == "SyncJobHandle(mail/send one)"
    assert (handle.status().priority, opened.status("mail", "one").tags) == ("high", ("x",))
    with pytest.raises(ResultTimeout):
        handle.result(timeout=0.01)
    settle(opened)
    assert handle.result(timeout=5) == Receipt(sent=True)
    assert opened.handle(SEND, "one").result(timeout=5) == Receipt(sent=True)
    assert handle.done(timeout=5) is State.COMPLETED
    assert not opened.enqueue(SEND, Send(to="a"), job_id="one").created
    with pytest.raises(ResultNotKept):
        opened.enqueue(NOTE, Send(to="a")).result()
    with pytest.raises(PayloadError):
        opened.enqueue(SEND, Send(to=5))  # pyright: ignore[reportArgumentType]
    with pytest.raises(JobNotFound):
        opened.status("mail", "nobody")
    with pytest.raises(OptionError):
        opened.resubmit(OutcomeUnknown("one"))
    assert opened.is_connected()
    assert opened.connection_info().connected


def test_items_that_cannot_be_gone_through_leave_nothing_behind(opened: SyncProducer) -> None:
    class Cursor:
        def __iter__(self) -> Iterator[Send]:
            raise RuntimeError("the table is gone")

    with pytest.raises(OptionError, match="an iterable of payloads"):
        opened.enqueue_many(SEND, Send(to="ada"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(RuntimeError, match="the table is gone"):
        opened.enqueue_many(SEND, Cursor())
    assert opened.run(_other_tasks) == []


def test_a_report_that_fails_ends_the_call_when_it_has_ended(opened: SyncProducer) -> None:
    def report(done: int, total: int | None) -> None:
        raise RuntimeError(f"no terminal for {done} of {total}")

    with pytest.raises(RuntimeError, match=r"no terminal for \d+ of 3000"):
        opened.enqueue_many(SEND, [Send(to="ada")] * 3000, progress=report)
    assert opened.run(_other_tasks) == []


async def _other_tasks(_: Producer) -> list[str]:
    names = [str(task.get_coro()) for task in asyncio.all_tasks()]
    return [name for name in names if "enqueue_many" in name]


def test_queues_by_name(opened: SyncProducer) -> None:
    queue = opened.queue("adhoc", concurrency=3)
    assert queue.name == opened.queue("adhoc").name == "adhoc"
    with pytest.raises(DeclarationError):
        opened.queue("adhoc", concurrency=4)
    handle = queue.enqueue("anything", {"a": [1]}, result_ttl=60)
    assert handle.status().payload == {"a": [1]}
    assert queue.handle("anything", handle.id).status().name == "anything"


def test_nothing_connects_before_the_first_call(sync: SyncProducer, others: set[threading.Thread]) -> None:
    assert not sync.connection_info().connected
    assert sync.handle(SEND, "x").id == "x"
    sync.queue("adhoc")
    sync.close()
    assert own_threads(others) == 0
    assert sync.enqueue(SEND, Send(to="a")).created
    sync.close()


def test_twenty_threads_share_round_trips(opened: SyncProducer, calls: Calls, server: EmbeddedServer) -> None:
    opened.enqueue(SEND, Send(to="first"))

    def taken() -> int:
        return sum(map(len, calls)) + opened._producer._submitter.buffer.jobs - 1

    with ThreadPoolExecutor(20) as pool:
        with frozen(server):
            made = [pool.submit(opened.enqueue, SEND, Send(to="a")) for _ in range(20)]
            wait_until(lambda: taken() == 20)
        ids = {each.result().id for each in made}
    assert len(ids) == waiting(opened) - 1 == 20
    # After the first one: what was there when the next call left, and the others with the one behind it.
    assert len(calls) <= 3


def test_what_threads_enqueue_is_each_ones_own(opened: SyncProducer) -> None:
    ready = threading.Barrier(20)

    def caller(number: int) -> list[tuple[str, object]]:
        ready.wait()
        sent = [
            (f"{number}-{index}", opened.enqueue(SEND, Send(to=f"{number}-{index}"))) for index in range(20)
        ]
        return [(to, handle.status().payload) for to, handle in sent]

    with ThreadPoolExecutor(20) as pool:
        found = [each for told in pool.map(caller, range(20)) for each in told]
    assert waiting(opened) == 400
    assert all(payload == {"to": to, "body": "", "weight": None} for to, payload in found)


def test_threads_that_come_first_connect_once(sync: SyncProducer, others: set[threading.Thread]) -> None:
    ready = threading.Barrier(20)

    def caller(_: int) -> bool:
        ready.wait()
        return sync.enqueue(SEND, Send(to="a")).created

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(caller, range(20)))
    assert own_threads(others) == 1
    sync.close()


def test_a_server_that_is_down_keeps_threads_waiting_once(prefix: str, others: set[threading.Thread]) -> None:
    port = free_port()
    producer = SyncProducer(f"redis://127.0.0.1:{port}/0", prefix=prefix)
    producer._producer._link.timeout = 0.8

    def caller(_: int) -> JobsError:
        with pytest.raises(ConnectionFailed) as caught:
            producer.enqueue(SEND, Send(to="a"))
        return caught.value

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        errors = list(pool.map(caller, range(20)))
    # One after the other they would take 16 s.
    assert time.monotonic() - began < 12
    assert len(set(map(id, errors))) == 20
    assert not producer.is_connected()
    assert own_threads(others) == 0
    producer._producer._link.timeout = 30
    with EmbeddedServer(port=port):
        assert producer.enqueue(SEND, Send(to="a")).created
        producer.close()


def test_close_and_use_again(sync: SyncProducer) -> None:
    handles: list[SyncJobHandle[Receipt]] = []
    for number in range(3):
        handles.append(sync.enqueue(SEND, Send(to="a")))
        assert waiting(sync) == number + 1
        sync.close()
        sync.close()
    # Handles of before go on too.
    assert [handle.status().id for handle in handles] == [handle.id for handle in handles]
    sync.close()


def test_close_while_threads_call(sync: SyncProducer) -> None:
    failures: list[BaseException] = []
    done: list[str] = []
    ready = threading.Barrier(9)

    def caller() -> None:
        ready.wait()
        for _ in range(50):
            try:
                done.append(sync.enqueue(SEND, Send(to="a")).id)
            except ConnectionFailed:
                continue
            except BaseException as error:  # noqa: BLE001 - told below
                failures.append(error)

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    ready.wait()
    for _ in range(10):
        sync.close()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert len(done) > 0
    assert waiting(sync) == len(done)
    sync.close()


def test_close_wakes_who_waits(sync: SyncProducer) -> None:
    handle = sync.enqueue(SEND, Send(to="a"))
    with ThreadPoolExecutor(1) as pool:
        waiter = pool.submit(handle.result)

        wait_until(lambda: sync._producer._inbox._waiting)
        sync.close()
        with pytest.raises(ConnectionFailed, match="closed"):
            waiter.result(40)


def test_close_gives_up_at_its_timeout(sync: SyncProducer, server: EmbeddedServer) -> None:
    sync.enqueue(SEND, Send(to="a"))
    with ThreadPoolExecutor(1) as pool, frozen(server):
        call = pool.submit(sync.enqueue, SEND, Send(to="b"))
        wait_until(lambda: sync._producer._submitter.lanes["mail"].busy)
        sync.close(0.05)
        with pytest.raises(OutcomeUnknown):
            call.result(40)


def test_an_outcome_may_be_asked_for_after_a_reconnect(
    redis_url: str, prefix: str, server: EmbeddedServer
) -> None:
    with SyncProducer(redis_url, prefix=prefix, enqueue_timeout=60) as sync:
        sync.enqueue(SEND, Send(to="a"))
        (node,) = sync._producer._client.nodes()
        with ThreadPoolExecutor(1) as pool, frozen(server):
            call = pool.submit(sync.enqueue, SEND, Send(to="b"))
            wait_until(lambda: node.protocol is not None and node.protocol.oldest())
            leap(60, sync._producer._link.loop)
            with pytest.raises(OutcomeUnknown) as caught:
                call.result()
        sync.close()
        assert sync.resubmit(caught.value)
        assert waiting(sync) == 2


def test_a_coroutine_may_not_wait_for_its_own_thread(opened: SyncProducer) -> None:
    async def work(inner: Producer) -> None:
        assert (await inner.enqueue(SEND, Send(to="a"))).created
        for use in (lambda: opened.enqueue(SEND, Send(to="a")), opened.close):
            with pytest.raises(ConfigurationError, match="await the Producer"):
                use()

    opened.run(work)


async def test_a_program_with_a_loop_may_use_it_in_threads(sync: SyncProducer, scripts: Scripts) -> None:
    handles = await asyncio.gather(*(asyncio.to_thread(sync.enqueue, SEND, Send(to="a")) for _ in range(20)))
    assert len({handle.id for handle in handles}) == 20
    await asyncio.to_thread(sync.close)


def run(scenario: str, url: str, prefix: str) -> tuple[int, str, list[str]]:
    """Run a scenario; returns its exit code, what it printed, and what it complained of."""
    process = subprocess.Popen(
        [sys.executable, str(FORKS), scenario, url, prefix],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        start_new_session=True,
    )
    try:
        printed, complaints = process.communicate(timeout=50)
    except subprocess.TimeoutExpired:
        # Its children too: a fork that goes wrong leaves some that hang.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return (
        process.returncode,
        printed,
        [line for line in complaints.splitlines() if "append-only" not in line],
    )


def count(url: str, prefix: str) -> int:
    async def ask() -> int:
        client = client_for(parse_address(url))
        await client.connect(timeout=40)
        found = await client.call("ZCARD", f"{prefix}:{{mail}}:waiting")
        await client.close()
        return cast("int", found)

    return asyncio.run(ask())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize(
    "scenario",
    [
        "before_the_first_call",
        "in_the_middle",
        "under_threads",
        "with_multiprocessing",
        "with_a_handle",
        "child_closes",
        "interrupted",
        "left_open",
    ],
)
def test_one_producer_serves_all_processes(redis_url: str, prefix: str, scenario: str) -> None:
    code, printed, complaints = run(scenario, redis_url, prefix)
    assert (code, complaints) == (0, [])
    assert int(printed) == count(redis_url, prefix)
