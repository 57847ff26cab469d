import asyncio
import gc
import pickle
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TypeVar, cast

import pytest
from tests.support.leaping import leap
from tests.support.mail import SEND, Calls, Send, Settler
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.waiting import until

from jobs_core.errors import ConfigurationError, ConnectionFailed, OptionError, OutcomeUnknown, ServerRefused
from jobs_core.options import JobOptions
from jobs_core.schedules.store import Schedules as Store
from jobs_core.scripts import Scripts
from jobs_core.server import EmbeddedServer
from jobs_producer import JobHandle, Producer
from jobs_producer._submission import Submission

T = TypeVar("T")
Make = Callable[..., Producer]


async def waiting(scripts: Scripts) -> list[str]:
    found = await scripts.client.call("ZRANGE", scripts.key("mail") + "waiting", 0, -1)
    return [each.decode() for each in cast("list[bytes]", found)]


async def added(scripts: Scripts) -> int:
    """Return how many jobs were ever added."""
    return int(
        cast("bytes", await scripts.client.call("HGET", scripts.key("mail") + "stats", "added:send@1")) or 0
    )


# Below the time after which a connection that is silent is made again.
SOON = 5.0


async def given_up(
    producer: Producer, met: Awaitable[None], *calls: Coroutine[object, object, T]
) -> list[T | BaseException]:
    """Begin calls, and let their time be over when the proxy has met them; only these have as little as `SOON`."""
    patience, producer._link.timeout = producer._link.timeout, SOON
    begun = [asyncio.create_task(call) for call in calls]
    await met
    producer._link.timeout = patience
    leap(SOON)
    return await asyncio.gather(*begun, return_exceptions=True)


async def lost(producer: Producer, proxy: Proxy, *sends: Send, job_id: str = "") -> list[OutcomeUnknown]:
    """Enqueue where every reply is lost."""
    await producer.enqueue(SEND, Send(to="first"))
    proxy.drop_replies = True
    options: JobOptions = {"job_id": job_id} if job_id else {}
    calls = (producer.enqueue(SEND, each, **options) for each in sends)
    errors = await given_up(producer, proxy.reply_dropped(), *calls)
    proxy.drop_replies = False
    proxy.reset()
    assert all(isinstance(error, OutcomeUnknown) for error in errors)
    return cast("list[OutcomeUnknown]", errors)


@pytest.fixture
async def distant(make: Make, proxy: Proxy) -> Producer:
    """Return a producer whose way to the server is the proxy."""
    producer = make(proxy.url, enqueue_timeout=60)
    await producer.connect()
    return producer


async def test_a_call_whose_reply_was_lost_applies_once(make: Make, proxy: Proxy, scripts: Scripts) -> None:
    producer = make(proxy.url)
    await producer.connect()
    await producer.enqueue(SEND, Send(to="first"))
    for _ in range(3):
        proxy.drop_replies = True
        calls = [asyncio.create_task(producer.enqueue(SEND, Send(to="a"))) for _ in range(100)]
        await proxy.reply_dropped()
        proxy.drop_replies = False
        proxy.reset()
        assert all(handle.created for handle in await asyncio.gather(*calls))
    assert await added(scripts) == 301


async def test_a_job_that_ended_meanwhile_is_not_added_again(
    make: Make, proxy: Proxy, scripts: Scripts, settler: Settler
) -> None:
    producer = make(proxy.url)
    await producer.connect()
    await producer.enqueue(SEND, Send(to="first"))
    await settler.complete()
    proxy.drop_replies = True
    call = asyncio.create_task(producer.enqueue(SEND, Send(to="a")))
    await until(lambda: waiting(scripts))
    (job_id,) = await settler.complete()
    proxy.drop_replies = False
    proxy.reset()
    handle = await call
    assert (handle.id, handle.created) == (job_id, True)
    assert (await waiting(scripts), await added(scripts)) == ([], 2)


async def test_at_the_deadline_the_outcome_is_unknown(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    await distant.enqueue(SEND, Send(to="first"))
    proxy.drop_replies = True
    distant._link.timeout = 8
    call = asyncio.create_task(distant.enqueue(SEND, Send(to="a")))
    await proxy.reply_dropped()
    leap(2)
    assert len(await waiting(scripts)) == 2
    assert not call.done()
    leap(6)
    with pytest.raises(OutcomeUnknown, match="resubmit") as caught:
        await call
    assert caught.value.job_id in await waiting(scripts)


@pytest.mark.parametrize("times", [1, 3])
async def test_a_call_that_arrived_is_not_applied_again(
    distant: Producer, proxy: Proxy, scripts: Scripts, times: int
) -> None:
    (error,) = await lost(distant, proxy, Send(to="a"))
    for _ in range(times):
        assert await distant.resubmit(error) is True
    assert await added(scripts) == 2


async def swallowed(producer: Producer, proxy: Proxy) -> OutcomeUnknown:
    """Enqueue where nothing arrives, and leave it so."""
    proxy.black_hole = True
    (error,) = await given_up(producer, proxy.swallowed(), producer.enqueue(SEND, Send(to="a")))
    assert isinstance(error, OutcomeUnknown)
    return error


async def test_a_call_that_did_not_arrive_is_applied_once(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    await distant.enqueue(SEND, Send(to="first"))
    error = await swallowed(distant, proxy)
    proxy.reset()
    proxy.black_hole = False
    assert await added(scripts) == 1
    assert await distant.resubmit(error) is True
    assert await distant.resubmit(error) is True
    assert await added(scripts) == 2


async def test_a_call_that_arrives_late_is_applied_once(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    await distant.enqueue(SEND, Send(to="first"))
    error = await swallowed(distant, proxy)
    again = asyncio.create_task(distant.resubmit(error))
    await asyncio.sleep(0)
    proxy.black_hole = False
    assert await again is True
    assert await added(scripts) == 2


async def test_jobs_of_one_call_are_sent_again_together(
    distant: Producer, proxy: Proxy, scripts: Scripts, calls: Calls
) -> None:
    errors = await lost(distant, proxy, *(Send(to=f"u{index}") for index in range(100)))
    submissions = [cast("Submission", error.submission) for error in errors]
    batches = {(each.call.session, each.call.seq) for each in submissions}
    before = len(calls)
    assert all(await asyncio.gather(*(distant.resubmit(error) for error in errors * 3)))
    assert len(calls) - before == len(batches) < 10
    assert await added(scripts) == 101


async def test_a_cancelled_resubmit_leaves_the_others_alone(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    errors = await lost(distant, proxy, Send(to="a"), Send(to="b"))
    first, second = (asyncio.create_task(distant.resubmit(error)) for error in errors)
    await asyncio.sleep(0)
    first.cancel()
    assert await second is True
    assert await added(scripts) == 3


async def test_a_resubmit_tells_whose_job_was_created(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    errors = await lost(distant, proxy, Send(to="a"), Send(to="a"), job_id="one")
    verdicts = [await distant.resubmit(error) for error in errors]
    assert verdicts == [True, False]
    assert (await waiting(scripts))[1:] == ["one"]


async def test_it_stays_unknown_as_long_as_the_server_is_away(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    (error,) = await lost(distant, proxy, Send(to="a"))
    proxy.refuse = True
    proxy.reset()
    (again,) = await given_up(distant, asyncio.sleep(0), distant.resubmit(error))
    proxy.refuse = False
    assert isinstance(again, OutcomeUnknown)
    assert again.job_id == error.job_id
    assert await distant.resubmit(again) is True
    assert await added(scripts) == 2


async def test_another_process_may_send_it_again(
    distant: Producer, make: Make, proxy: Proxy, scripts: Scripts
) -> None:
    (error,) = await lost(distant, proxy, Send(to="a"))
    thawed = pickle.loads(pickle.dumps(error))
    await distant.close()
    other = make(proxy.url)
    await other.connect()
    assert await other.resubmit(thawed) is True
    assert await added(scripts) == 2


async def test_a_call_that_must_not_be_sent_again_is_refused(
    distant: Producer, proxy: Proxy, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="holds no call"):
        await producer.resubmit(OutcomeUnknown("id", "mail"))
    (error,) = await lost(distant, proxy, Send(to="a"))
    with pytest.raises(OptionError, match="not to this server"):
        await producer.resubmit(error)
    monkeypatch.setattr("jobs_producer._submission.time.time", lambda: time.monotonic() + 1e10)
    with pytest.raises(OptionError, match="older than 1 h"):
        await distant.resubmit(error)


async def test_where_nothing_was_sent_nothing_was_applied(
    distant: Producer, proxy: Proxy, scripts: Scripts
) -> None:
    await distant.enqueue(SEND, Send(to="first"))
    proxy.refuse = True
    proxy.reset()
    await until(lambda: not distant.connection_info().connected)
    calls = (distant.enqueue(SEND, Send(to="a")) for _ in range(300))
    errors = await given_up(distant, asyncio.sleep(0), *calls)
    assert {type(error) for error in errors} == {ConnectionFailed}
    assert len(set(map(id, errors))) == 300
    assert not await distant.is_connected()
    proxy.refuse = False
    assert (await distant.enqueue(SEND, Send(to="a"))).created
    assert await added(scripts) == 2


async def test_every_caller_has_its_own_time(make: Make, proxy: Proxy) -> None:
    producer = make(proxy.url, enqueue_timeout=0.5)
    await producer.connect()

    async def timed() -> float:
        began = time.monotonic()
        with pytest.raises((OutcomeUnknown, ConnectionFailed)):
            await producer.enqueue(SEND, Send(to="a"))
        return time.monotonic() - began

    proxy.black_hole = True
    callers: list[asyncio.Task[float]] = []
    for _ in range(10):
        callers.append(asyncio.create_task(timed()))
        await asyncio.sleep(0.05)
    times = await asyncio.gather(*callers)
    proxy.black_hole = False
    # A call gives up with the first of its callers: at most a twentieth before the others.
    assert min(times) > 0.47


async def test_a_server_that_is_down_at_start_is_an_error_and_leaves_nothing_behind(prefix: str) -> None:
    port, before = free_port(), asyncio.all_tasks()
    producer = Producer(f"redis://127.0.0.1:{port}/0", prefix=prefix)
    producer._link.timeout = 0.1
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port}"):
        await producer.connect()
    assert asyncio.all_tasks() <= before
    producer._link.timeout = 30
    with pytest.raises(ConfigurationError, match="not connected"):
        await producer.enqueue(SEND, Send(to="a"))
    with EmbeddedServer(port=port):
        async with producer:
            assert (await producer.enqueue(SEND, Send(to="a"))).created
    gc.collect()


async def test_a_server_that_evicts_is_refused(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(options={"maxmemory-policy": "allkeys-lru"}) as server:
        producer, before = Producer(server.url, prefix=prefix), asyncio.all_tasks()
        with pytest.raises(ServerRefused, match="allkeys-lru"):
            await producer.connect()
        assert asyncio.all_tasks() <= before
        monkeypatch.setenv("JOBS_ALLOW_EVICTION", "1")
        async with producer:
            assert await producer.is_connected()


async def restarted(server: EmbeddedServer, producer: Producer, number: int) -> list[JobHandle[object]]:
    """Enqueue many jobs at once while the server is killed and comes back, twice."""
    done = 0
    handles: list[JobHandle[object]] = []

    async def caller(numbers: list[int]) -> None:
        nonlocal done
        for index in numbers:
            own: JobOptions = {"job_id": f"own-{index}"} if index % 10 == 0 else {}
            handles.append(
                cast("JobHandle[object]", await producer.enqueue(SEND, Send(to=f"u{index}"), **own))
            )
            done += 1

    callers = [asyncio.create_task(caller(list(range(start, number, 200)))) for start in range(200)]
    for part in (0.3, 0.6):
        await until(lambda part=part: done > part * number, what=f"{part} of the jobs")
        server.kill()
        await asyncio.to_thread(server.start)
    await asyncio.gather(*callers)
    return handles


@pytest.mark.chaos
async def test_a_server_that_restarts_loses_and_repeats_nothing(prefix: str, tmp_path: Path) -> None:
    number = 50_000
    with EmbeddedServer(data_dir=tmp_path, options={"appendfsync": "always"}) as server:
        async with Producer(server.url, prefix=prefix, enqueue_timeout=30) as producer:
            handles = await restarted(server, producer, number)
            assert all(handle.created for handle in handles)
            assert len({handle.id for handle in handles}) == number
            there = await waiting(producer._scripts)
            assert await added(producer._scripts) == number
            assert set(there) == {handle.id for handle in handles}


async def test_more_than_the_buffer_holds_survive_a_restart(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs_producer._lane.BUFFER_JOBS", 1000)
    number = 4000
    with EmbeddedServer(data_dir=tmp_path, options={"appendfsync": "always"}) as server:
        async with Producer(server.url, prefix=prefix, enqueue_timeout=55) as producer:
            calls = [asyncio.create_task(producer.enqueue(SEND, Send(to="a"))) for _ in range(number)]
            await until(lambda: sum(call.done() for call in calls) > 600)
            server.kill()
            await asyncio.to_thread(server.start)
            ids = {handle.id for handle in await asyncio.gather(*calls)}
            assert len(ids) == await added(producer._scripts) == number
            assert set(await waiting(producer._scripts)) == ids


async def test_a_server_that_comes_back_empty_is_told_the_declaration(make: Make, prefix: str) -> None:
    with EmbeddedServer() as server:
        producer = make(server.url)
        await producer.connect()
        await producer.enqueue(SEND, Send(to="a"))
        server.kill()
        await asyncio.to_thread(server.start)
        await until(producer.is_connected)
        await producer.enqueue(SEND, Send(to="a"))
        key = producer._scripts.key("mail") + "cfg"
        assert await producer._client.call("HGET", key, "max_stalled") == b"3"


async def test_a_schedule_whose_reply_was_lost_says_what_became_of_it(
    make: Make, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = make(proxy.url)
    await producer.connect()
    put, sent = Store.put, asyncio.Event()

    async def put_without_reply(*args: object, **fields: object) -> int:
        if not sent.is_set():
            sent.set()
            proxy.drop_replies = True
        return await put(*args, **fields)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Store, "put", put_without_reply)

    async def upsert(to: str) -> str:
        sent.clear()
        call = asyncio.create_task(producer.schedules.upsert("s", SEND, Send(to=to), cron="@daily"))
        await sent.wait()
        await proxy.reply_dropped()
        proxy.drop_replies = False
        proxy.reset()
        return (await call).outcome

    assert await upsert("ada") == "created"
    assert await upsert("eve") == "changed"
    assert (await producer.schedules.upsert("s", SEND, Send(to="eve"), cron="@daily")).outcome == "unchanged"


async def test_of_two_that_write_the_same_schedule_at_once_one_created_it(
    make: Make, redis_url: str, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(redis_url), make(redis_url)
    await asyncio.gather(first.connect(), second.connect())
    put = Store.put
    told: list[str] = []

    async def put_second(*args: object, **fields: object) -> int:
        if not told:
            told.append("")
            began = await server_ms(scripts)
            await until(lambda: later_than(scripts, began))
            told[0] = (await second.schedules.upsert("s", SEND, Send(to="ada"), cron="@daily")).outcome
        return await put(*args, **fields)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Store, "put", put_second)
    handle = await first.schedules.upsert("s", SEND, Send(to="ada"), cron="@daily")
    assert (told, handle.outcome) == (["created"], "unchanged")


async def server_ms(scripts: Scripts) -> int:
    seconds, micros = cast("list[bytes]", await scripts.client.call("TIME"))
    return int(seconds) * 1000 + int(micros) // 1000


async def later_than(scripts: Scripts, began_ms: int) -> bool:
    return await server_ms(scripts) > began_ms
