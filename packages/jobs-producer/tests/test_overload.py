import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from typing import cast

import pytest
from tests.support.freezing import frozen
from tests.support.leaping import leap
from tests.support.mail import SEND, Send
from tests.support.waiting import until

from jobs_core.errors import ConnectionFailed, JobsError, OptionError, OutcomeUnknown, Overloaded
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.wire import Verdict
from jobs_producer import JobHandle, Producer
from jobs_producer._lane import BUFFER_BYTES, BUFFER_JOBS, Buffer
from jobs_producer._submission import Call

Outcome = JobHandle[object] | BaseException


@pytest.fixture
async def patient(redis_url: str, prefix: str) -> AsyncIterator[Producer]:
    """Return a producer with time."""
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=60) as producer:
        await producer.enqueue(SEND, Send(to="first"))
        yield producer


async def outcomes(producer: Producer, number: int, payload: Send) -> list[Outcome]:
    found = await asyncio.gather(
        *(producer.enqueue(SEND, payload) for _ in range(number)), return_exceptions=True
    )
    return cast("list[Outcome]", found)


async def waiting(producer: Producer) -> int:
    key = producer._scripts.key("mail") + "waiting"
    return cast("int", await producer._client.call("ZCARD", key))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make the buffer so small that filling it takes a fraction of a deadline."""
    monkeypatch.setattr("jobs_producer._lane.BUFFER_JOBS", 500)
    return 500


async def test_a_full_buffer_overloads_at_the_deadline(
    redis_url: str, prefix: str, server: EmbeddedServer, small: int
) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=60) as producer:
        await producer.enqueue(SEND, Send(to="first"))
        buffer = producer._submitter.buffer
        with frozen(server):
            # Two calls are under way when the buffer is full.
            held = asyncio.create_task(outcomes(producer, small + 256, Send(to="a")))
            await until(lambda: buffer.jobs == small)
            producer._link.timeout = 30
            late = asyncio.create_task(outcomes(producer, 200, Send(to="a")))
            await until(lambda: len(buffer._waiting) == 200)
            leap(30)
            found = await late
            assert Counter(type(each) for each in found) == {Overloaded: 200}
            leap(30)
            kinds = Counter(type(each) for each in await held)
        assert kinds == {OutcomeUnknown: 256, ConnectionFailed: small}
        overloaded = next(each for each in found if isinstance(each, Overloaded))
        assert (overloaded.queue, overloaded.waiting) == ("mail", small)
        assert (await producer.enqueue(SEND, Send(to="b"))).created
        assert (buffer.jobs, buffer.bytes) == (0, 0)


async def test_the_buffer_is_full_at_16_mib(patient: Producer, server: EmbeddedServer) -> None:
    with frozen(server):
        calls = asyncio.create_task(outcomes(patient, 40, Send(to="a", body="x" * 700_000)))
        await until(lambda: patient._submitter.buffer.bytes >= BUFFER_BYTES)
        await until(lambda: len(patient._submitter.buffer._waiting) >= 14)
        assert patient._submitter.buffer.bytes < BUFFER_BYTES + 701_000
    assert all(isinstance(each, JobHandle) for each in await calls)


async def test_those_who_wait_for_room_go_on_when_it_drains(
    patient: Producer, server: EmbeddedServer, small: int
) -> None:
    with frozen(server):
        calls = asyncio.create_task(outcomes(patient, 4 * small, Send(to="a")))
        await until(lambda: patient._submitter.buffer.jobs == small)
    found = await calls
    assert all(isinstance(each, JobHandle) for each in found)
    assert await waiting(patient) == 4 * small + 1
    assert (patient._submitter.buffer.jobs, patient._submitter.buffer.bytes) == (0, 0)


async def test_the_buffer_is_full_at_ten_thousand(patient: Producer, server: EmbeddedServer) -> None:
    with frozen(server):
        calls = asyncio.create_task(outcomes(patient, BUFFER_JOBS + 500, Send(to="a")))
        # The two calls under way are no longer held.
        await until(lambda: len(patient._submitter.buffer._waiting) == 500 - 2 * 128)
        assert patient._submitter.buffer.jobs == BUFFER_JOBS
    assert all(isinstance(each, JobHandle) for each in await calls)


async def test_many_large_jobs_pass(patient: Producer) -> None:
    found = await outcomes(patient, 40, Send(to="a", body="x" * 900_000))
    assert all(isinstance(each, JobHandle) for each in found)


async def test_cancelled_ones_leave_their_room_to_others(
    patient: Producer, server: EmbeddedServer, small: int
) -> None:
    with frozen(server):
        tasks = [asyncio.create_task(patient.enqueue(SEND, Send(to="a"))) for _ in range(4 * small)]
        await until(lambda: patient._submitter.buffer.jobs == small)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, JobHandle) for each in found[1::2])
    assert all(isinstance(each, asyncio.CancelledError) for each in found[::2])
    # Those of the two calls under way were sent before they were cancelled.
    assert await waiting(patient) == 2 * small + 1 + 128
    assert (patient._submitter.buffer.jobs, patient._submitter.buffer.bytes) == (0, 0)


async def test_bulk_waits_for_room_too(patient: Producer, server: EmbeddedServer, small: int) -> None:
    with frozen(server):
        calls = asyncio.create_task(outcomes(patient, 2 * small, Send(to="a")))
        await until(lambda: patient._submitter.buffer.jobs == small)

        async def add_many() -> int:
            return (await patient.enqueue_many(SEND, (Send(to="b") for _ in range(3000)))).created

        bulk = asyncio.create_task(add_many())
        await asyncio.sleep(0)
    await calls
    assert await bulk == 3000


async def test_room_is_given_in_turn() -> None:
    buffer = Buffer()
    deadline = asyncio.get_running_loop().time() + 60
    assert all(buffer.enter(10) for _ in range(BUFFER_JOBS))
    turns: list[int] = []

    async def caller(number: int) -> None:
        await buffer.wait("mail", 10, deadline)
        turns.append(number)

    waiters = [asyncio.create_task(caller(number)) for number in range(6)]
    await asyncio.sleep(0)
    buffer.leave(1, 10)
    # Nobody passes those who wait.
    assert not buffer.enter(10)
    waiters[1].cancel()
    buffer.leave(1, 10)
    # This one was given room, and is cancelled before it could take it.
    waiters[2].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert turns == [0, 3]
    buffer.leave(3, 30)
    await asyncio.gather(*waiters, return_exceptions=True)
    assert turns == [0, 3, 4, 5]
    assert (buffer.jobs, buffer.bytes) == (BUFFER_JOBS - 1, 10 * (BUFFER_JOBS - 1))
    assert buffer.enter(10)


async def test_bytes_make_room_for_as_many_as_fit() -> None:
    buffer = Buffer()
    deadline = asyncio.get_running_loop().time() + 60
    assert buffer.enter(BUFFER_BYTES)
    waiters = [asyncio.create_task(buffer.wait("mail", BUFFER_BYTES // 4, deadline)) for _ in range(6)]
    await asyncio.sleep(0)
    buffer.leave(1, BUFFER_BYTES)
    await asyncio.wait(waiters, timeout=0.01)
    assert sum(each.done() for each in waiters) == 4
    buffer.leave(2, BUFFER_BYTES // 2)
    await asyncio.gather(*waiters)


async def test_close_sends_what_is_unsent(
    redis_url: str, prefix: str, producer: Producer, small: int
) -> None:
    other = Producer(redis_url, prefix=prefix, enqueue_timeout=60)
    await other.connect()
    tasks = [asyncio.create_task(other.enqueue(SEND, Send(to="a"))) for _ in range(3 * small)]
    await asyncio.sleep(0)
    await other.close()
    assert all(handle.created for handle in await asyncio.gather(*tasks))
    assert await waiting(producer) == 3 * small
    for use in (other.enqueue(SEND, Send(to="a")), other.status("mail", "x"), tasks[0].result().result()):
        with pytest.raises(ConnectionFailed, match="is closed"):
            await use
    assert not await other.is_connected()
    await other.close()


async def test_close_gives_up_at_its_timeout(
    redis_url: str, prefix: str, server: EmbeddedServer, small: int
) -> None:
    producer = Producer(redis_url, prefix=prefix, enqueue_timeout=60)
    await producer.connect()
    handle = await producer.enqueue(SEND, Send(to="first"))
    waiter = asyncio.create_task(producer.handle(SEND, handle.id).done())
    with frozen(server):
        tasks = [asyncio.create_task(producer.enqueue(SEND, Send(to="a"))) for _ in range(2 * small)]
        await until(lambda: producer._submitter.buffer.jobs == small)
        before = asyncio.all_tasks()
        await producer.close(0.05)
        found = [*await asyncio.gather(*tasks, return_exceptions=True)]
        with pytest.raises(ConnectionFailed, match="closed"):
            await waiter
    assert {type(each) for each in found} == {OutcomeUnknown, ConnectionFailed}
    assert asyncio.all_tasks() <= before - set(tasks)


async def test_a_closed_producer_connects_again(redis_url: str, prefix: str) -> None:
    producer = Producer(redis_url, prefix=prefix, enqueue_timeout=30)
    handle: JobHandle[object] | None = None
    for number in range(3):
        async with producer:
            assert await producer.is_connected()
            assert producer.connection_info().connected
            made = await producer.enqueue(SEND, Send(to="a"))
            assert await waiting(producer) == number + 1
            if handle is not None:
                # A handle goes with its producer.
                assert (await handle.status()).id == handle.id
            handle = cast("JobHandle[object]", made)


def test_a_producer_belongs_to_one_loop(redis_url: str, prefix: str) -> None:
    producer = Producer(redis_url, prefix=prefix, enqueue_timeout=30)

    async def elsewhere() -> None:
        uses = (producer.enqueue(SEND, Send(to="a")), producer.connect(), producer.close())
        for use in (*uses, producer.status("mail", "x"), producer.handle(SEND, "x").result()):
            with pytest.raises(JobsError, match="another event loop"):
                await use

    async def here() -> None:
        async with producer:
            await producer.enqueue(SEND, Send(to="a"))
            await asyncio.to_thread(asyncio.run, elsewhere())
            assert (await producer.enqueue(SEND, Send(to="a"))).created

    asyncio.run(here())
    asyncio.run(here())


def test_a_loop_that_ended_without_close_is_left_behind(redis_url: str, prefix: str) -> None:
    producer = Producer(redis_url, prefix=prefix, enqueue_timeout=30)

    async def enqueue() -> None:
        await producer.connect()
        await producer.enqueue(SEND, Send(to="a"))

    with warnings.catch_warnings():
        # Python warns of what was not closed.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(enqueue())
        asyncio.run(enqueue())
        asyncio.run(producer.close())
        producer._prepare()
        gc.collect()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5s"])
def test_a_timeout_must_be_a_time(timeout: float) -> None:
    with pytest.raises(OptionError, match="enqueue_timeout"):
        Producer(enqueue_timeout=timeout)


async def test_two_producers_share_a_loop(redis_url: str, prefix: str) -> None:
    async with (
        Producer(redis_url, prefix=prefix, enqueue_timeout=30) as one,
        Producer(redis_url, prefix=prefix) as other,
    ):
        first, second = await asyncio.gather(
            one.enqueue(SEND, Send(to="a")), other.enqueue(SEND, Send(to="b"))
        )
        assert (await one.status("mail", second.id)).id == second.id
        assert (await other.status("mail", first.id)).id == first.id


@pytest.mark.parametrize("begun", [True, False])
async def test_cancelled_flushes_leave_nobody_waiting(
    redis_url: str,
    prefix: str,
    server: EmbeddedServer,
    begun: bool,  # noqa: FBT001
) -> None:
    async with Producer(redis_url, prefix=prefix, enqueue_timeout=60) as producer:
        await producer.enqueue(SEND, Send(to="first"))
        lane = producer._submitter.lanes["mail"]
        with frozen(server):
            calls = [asyncio.create_task(producer.enqueue(SEND, Send(to="a"))) for _ in range(1000)]
            # The callers come in the first turn, the calls are made in the second and leave in the third.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(lane._flushes) == 2
            assert len(lane._pending) == 1000 - 2 * 128
            if begun:
                await asyncio.sleep(0)
            for flush in list(lane._flushes):
                flush.cancel()
            found = await asyncio.gather(*calls, return_exceptions=True)
        assert len(lane._idle) == 2
        kinds = {OutcomeUnknown, ConnectionFailed} if begun else {ConnectionFailed}
        assert {type(each) for each in found} == kinds
        assert (await producer.enqueue(SEND, Send(to="b"))).created
        unknown = [each for each in found if isinstance(each, OutcomeUnknown)]
        assert not unknown or await producer.resubmit(unknown[0])


async def test_an_unexpected_error_stops_nobody_else(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.enqueue(SEND, Send(to="first"))
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    original, broken = Call.send, [1]

    async def send(self: Call, scripts: Scripts, deadline: float) -> list[Verdict]:
        if broken:
            raise ZeroDivisionError(broken.pop())
        return await original(self, scripts, deadline)

    monkeypatch.setattr(Call, "send", send)
    found = await outcomes(producer, 300, Send(to="a"))
    kinds = Counter(type(each) for each in found)
    assert kinds[OutcomeUnknown] > 0
    assert set(kinds) == {OutcomeUnknown, JobHandle}
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]
