import asyncio
import time
from collections.abc import Callable
from typing import cast

import pytest
from msgspec import Struct
from tests.support.freezing import frozen
from tests.support.mail import MAIL, NOTE, SEND, Receipt, Send, Settler
from tests.support.proxy import Proxy
from tests.support.waiting import until

from jobs_core.errors import (
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobsError,
    PayloadError,
    ResultExpired,
    ResultNotKept,
    ResultTimeout,
)
from jobs_core.keys import inbox_channel
from jobs_core.options import Keep
from jobs_core.queue import Queue
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_core.states import State
from jobs_core.wire import Others
from jobs_producer import JobHandle, Producer

Make = Callable[..., Producer]


async def awaited(scripts: Scripts, number: int = 1) -> None:
    """Wait until so many jobs are awaited."""
    await until(lambda: _awaited(scripts, number), what=f"{number} jobs are awaited")


async def _awaited(scripts: Scripts, number: int) -> bool:
    return await scripts.client.call("HLEN", scripts.key("mail") + "waiters") == number


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each look the time that a busy machine needs."""
    monkeypatch.setattr("jobs_producer._inbox._LOOK", 30.0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make whoever waits rely on messages alone."""
    monkeypatch.setattr("jobs_producer._inbox._LOOK_AGAIN", 1000.0)


async def test_a_result_comes_typed(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    await settler.complete()
    assert await handle.result(timeout=40) == Receipt(sent=True)
    assert await handle.done(timeout=40) is State.COMPLETED
    record = await handle.status()
    assert (record.state, record.result, record.attempts_made) == (State.COMPLETED, {"sent": True}, 1)
    assert record.payload is None


@pytest.mark.usefixtures("soon")
async def test_a_message_tells_that_a_job_ended(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiters = [asyncio.create_task(handle.result()) for _ in range(3)]
    state = asyncio.create_task(handle.done(timeout=40))
    await awaited(settler.scripts)
    await settler.complete(result=b'{"sent":false}')
    assert await asyncio.gather(*waiters) == [Receipt(sent=False)] * 3
    assert await state is State.COMPLETED
    assert not producer._inbox._waiting
    assert await _awaited(settler.scripts, 0)


async def test_a_result_of_none_is_a_result(producer: Producer, settler: Settler) -> None:
    handle = await producer.queue("mail").enqueue("anything", result_ttl=60)
    await settler.complete(result=b"null")
    assert await handle.result(timeout=40) is None


async def test_a_result_that_does_not_fit_is_an_error(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    await settler.complete(result=b'{"sent":"yes"}')
    with pytest.raises(PayloadError, match=r"result .* \$.sent"):
        await handle.result(timeout=40)


@pytest.mark.parametrize("removed", [True, 0, False, 5])
async def test_a_job_that_failed_says_why(
    producer: Producer,
    settler: Settler,
    removed: bool | int,  # noqa: FBT001
) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"), remove_on_fail=removed)
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(settler.scripts)
    await settler.fail()
    with pytest.raises(JobFailed, match="no such mailbox") as caught:
        await waiter
    assert (caught.value.queue, caught.value.job_id) == ("mail", handle.id)
    assert caught.value.reason == "ValueError: no such mailbox"
    assert await handle.done(timeout=40) is State.FAILED


async def test_a_job_that_failed_without_a_trace_still_failed(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(
        SEND, Send(to="a"), remove_on_fail=True, remove_on_complete=False, result_ttl=0
    )
    waiters = asyncio.gather(handle.result(timeout=40), handle.done(timeout=40), return_exceptions=True)
    await awaited(settler.scripts)
    await settler.fail()
    failed, state = await waiters
    assert isinstance(failed, JobFailed)
    assert state is State.FAILED


async def test_a_job_whose_workers_died_says_so(producer: Producer, settler: Settler) -> None:
    poison = Queue("poison", max_stalled=0).job("send", Send, Receipt)
    handle = await producer.enqueue(poison, Send(to="a"))
    worker = Settler(settler.scripts, "poison")
    await worker.claim()
    await settler.scripts.release("poison", owner=worker.owner, others=Others.CHARGED)
    with pytest.raises(JobFailed, match="worker died 1 times"):
        await handle.result(timeout=40)


async def test_a_timeout_leaves_the_job_alone(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    began = time.monotonic()
    with pytest.raises(ResultTimeout) as caught:
        await handle.result(timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 30
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.timeout == 0.1
    with pytest.raises(ResultTimeout):
        await handle.done(timeout=0.01)
    await settler.complete()
    assert await handle.result(timeout=40) == Receipt(sent=True)


async def test_no_time_is_enough_for_a_look(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    with pytest.raises(ResultTimeout):
        await handle.result(timeout=0)
    with pytest.raises(ResultTimeout):
        await handle.done(timeout=-1)
    await settler.complete()
    assert await handle.result(timeout=0) == Receipt(sent=True)
    assert await handle.done(timeout=0) is State.COMPLETED


async def test_a_silent_server_is_a_timeout_too(
    producer: Producer, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_producer._inbox._LOOK", 0.2)
    handle = await producer.enqueue(SEND, Send(to="a"))
    began = time.monotonic()
    with frozen(server), pytest.raises(ResultTimeout):
        await handle.result(timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 30


async def test_what_keeps_no_result_says_so_before_it_waits(
    producer: Producer, make: Make, settler: Settler
) -> None:
    handles = [
        await producer.enqueue(NOTE, Send(to="a")),
        await producer.enqueue(SEND, Send(to="a"), result_ttl=0),
        await producer.enqueue(NOTE, Send(to="a", body="x" * 100_000)),
        await producer.queue("mail").enqueue("anything"),
    ]
    other = make()
    await other.connect()
    handles += [other.handle(NOTE, handle.id) for handle in handles]
    for handle in handles:
        with pytest.raises(ResultNotKept):
            await handle.result()
    await settler.complete()
    assert await handles[0].done(timeout=0) is None


async def test_what_is_kept_has_a_result(producer: Producer, settler: Settler) -> None:
    for keep in (False, 5, Keep(age=60)):
        handle = await producer.enqueue(SEND, Send(to="a"), result_ttl=0, remove_on_complete=keep)
        waiter = asyncio.create_task(handle.result(timeout=40))
        await awaited(settler.scripts)
        await settler.complete()
        assert await waiter == Receipt(sent=True)


async def test_a_handle_made_elsewhere_gives_the_result(make: Make, settler: Settler) -> None:
    here, there = make(), make()
    await here.connect()
    await there.connect()
    job_id = (await here.enqueue(SEND, Send(to="a", body="x" * 100_000))).id
    handle = there.handle(SEND, job_id)
    assert not handle.created
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(settler.scripts)
    await settler.complete()
    assert await waiter == Receipt(sent=True)


async def test_the_policy_of_the_first_call_counts(producer: Producer, settler: Settler) -> None:
    await producer.enqueue(SEND, Send(to="a"), job_id="kept")
    await producer.enqueue(NOTE, Send(to="a"), job_id="unkept")
    # Another call of the same id changes nothing of what was decided.
    kept = await producer.enqueue(SEND, Send(to="a"), job_id="kept", result_ttl=0)
    unkept = await producer.enqueue(SEND, Send(to="a"), job_id="unkept")
    with pytest.raises(ResultNotKept):
        await unkept.result()
    await settler.complete()
    assert await kept.result(timeout=40) == Receipt(sent=True)


async def test_what_was_never_there_is_not_found(producer: Producer) -> None:
    handle = producer.handle(SEND, "nobody")
    with pytest.raises(JobNotFound):
        await handle.result(timeout=40)
    with pytest.raises(JobNotFound):
        await handle.status()
    assert await handle.done(timeout=40) is None


async def test_a_result_that_is_no_longer_kept_has_expired(
    producer: Producer, scripts: Scripts, settler: Settler
) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"), job_id="one", result_ttl=0.001)
    await settler.complete()
    await until(lambda: scripts.trim("mail"))
    with pytest.raises(ResultExpired):
        await handle.result(timeout=40)
    again = await producer.enqueue(SEND, Send(to="a"), job_id="one")
    assert not again.created
    with pytest.raises(ResultExpired):
        await again.result(timeout=40)
    with pytest.raises(JobNotFound):
        await producer.handle(SEND, "one").result(timeout=40)
    assert await handle.done(timeout=40) is None


async def test_a_job_that_was_removed_is_not_found(producer: Producer, scripts: Scripts) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(scripts)
    await scripts.remove("mail", ids=[handle.id])
    with pytest.raises(JobNotFound):
        await waiter


async def test_a_message_of_another_end_is_understood(producer: Producer, scripts: Scripts) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    key, channel = scripts.key("mail"), inbox_channel(scripts.key("mail"), producer._inbox._name)
    ends = (("cancelled", JobCancelled), ("expired", JobExpired), ("completed", ResultExpired))
    for state, kind in ends:
        waiter = asyncio.create_task(handle.result(timeout=40))
        await awaited(scripts)
        await scripts.client.call("HDEL", key + "waiters", handle.id)
        await scripts.client.call("ZREM", key + "waiting", handle.id)
        await scripts.client.call("SPUBLISH", channel, f"{state} {handle.id}")
        with pytest.raises(kind):
            await waiter
        await scripts.client.call("ZADD", key + "waiting", 1, handle.id)


@pytest.mark.usefixtures("soon")
async def test_an_id_with_spaces_is_awaited_too(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"), job_id="an id  with spaces é ")
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(settler.scripts)
    await settler.complete()
    assert await waiter == Receipt(sent=True)


@pytest.mark.usefixtures("soon")
async def test_a_thousand_waiters_share_a_subscription(
    producer: Producer, scripts: Scripts, settler: Settler
) -> None:
    handles = await asyncio.gather(*(producer.enqueue(SEND, Send(to="a")) for _ in range(1000)))
    waiters = [asyncio.create_task(handle.result()) for handle in handles]
    await awaited(scripts, 1000)
    channels = cast("list[bytes]", await scripts.client.call("PUBSUB", "SHARDCHANNELS"))
    mine = scripts.key("mail").encode()
    assert sum(channel.startswith(mine) for channel in channels) == 1
    while await settler.complete():
        pass
    assert await asyncio.gather(*waiters) == [Receipt(sent=True)] * 1000
    assert not producer._inbox._waiting


@pytest.mark.usefixtures("soon")
async def test_a_message_lost_with_its_connection_is_made_up_for_by_the_next_one(
    producer: Producer, scripts: Scripts, settler: Settler
) -> None:
    handles = await asyncio.gather(*(producer.enqueue(SEND, Send(to="a")) for _ in range(50)))
    waiters = [asyncio.create_task(handle.result()) for handle in handles]
    await awaited(scripts, 50)
    jobs = await settler.claim()
    clients = cast("bytes", await scripts.client.call("CLIENT", "LIST")).decode()
    (mine,) = [line.split()[0][3:] for line in clients.splitlines() if "name=jobs:producer" in line]
    killed = scripts.client.call("CLIENT", "KILL", "ID", mine)
    # The messages go to nobody, and nobody looks again but for the new connection.
    settled = settler._settle("complete", jobs, b'{"sent":true}', None)
    await asyncio.gather(killed, settled)
    assert await asyncio.gather(*waiters) == [Receipt(sent=True)] * 50


async def test_whoever_waits_survives_a_long_silence(make: Make, proxy: Proxy, settler: Settler) -> None:
    producer = make(proxy.url)
    await producer.connect()
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(settler.scripts)
    proxy.refuse = True
    proxy.reset()
    await settler.complete()
    await until(lambda: not producer.connection_info().connected)
    proxy.refuse = False
    assert await waiter == Receipt(sent=True)


async def test_a_look_comes_again_without_a_message(
    producer: Producer, scripts: Scripts, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_producer._inbox._LOOK_AGAIN", 0.05)
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(scripts)
    await scripts.client.call("HDEL", scripts.key("mail") + "waiters", handle.id)
    await settler.complete()
    assert await waiter == Receipt(sent=True)


async def test_a_waiter_that_is_cancelled_leaves_the_others(producer: Producer, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiters = [asyncio.create_task(handle.result(timeout=40)) for _ in range(3)]
    await awaited(settler.scripts)
    waiters[1].cancel()
    await settler.complete()
    found = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert (found[0], found[2]) == (Receipt(sent=True), Receipt(sent=True))


async def test_a_retried_job_is_awaited_again(producer: Producer, scripts: Scripts, settler: Settler) -> None:
    handle = await producer.enqueue(SEND, Send(to="a"))
    await settler.fail()
    with pytest.raises(JobFailed):
        await handle.result(timeout=40)
    await scripts.retry("mail", ids=[handle.id])
    waiter = asyncio.create_task(handle.result(timeout=40))
    await awaited(scripts)
    await settler.complete()
    assert await waiter == Receipt(sent=True)


async def test_a_closed_producer_lets_nobody_wait(make: Make, scripts: Scripts) -> None:
    producer = make()
    await producer.connect()
    handle = await producer.enqueue(SEND, Send(to="a"))
    waiter = asyncio.create_task(handle.result())
    await awaited(scripts)
    await producer.close()
    with pytest.raises(JobsError, match="closed"):
        await waiter


async def test_handles_of_a_queue_by_name(producer: Producer, settler: Settler) -> None:
    queue = producer.queue("mail")
    made = await queue.enqueue("anything", {"a": [1, None, "x"]}, result_ttl=60)
    assert isinstance(made, JobHandle)
    await settler.complete(result=b'[1,{"b":null}]')
    assert await queue.handle("anything", made.id).result(timeout=40) == [1, {"b": None}]
    assert MAIL.name == queue.name


class Wide(Struct, frozen=True):
    """A result with room."""

    text: str


async def test_a_large_result_comes_whole(producer: Producer, settler: Settler) -> None:
    wide = MAIL.job("wide", Send, Wide)
    handle = await producer.enqueue(wide, Send(to="a"))
    await settler.complete(result=wide.encode_result(Wide("é" * 400_000)))
    assert (await handle.result(timeout=40)).text == "é" * 400_000
