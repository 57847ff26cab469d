"""Queues on a server that Sentinel watches: whoever works goes on at the primary that it names."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio.sentinel import Sentinel
from tests.support.ports import free_port
from tests.support.refusals import refusal
from tests.support.sentinels import Watched
from tests.support.waiting import WITHIN, until

from jobs_admin import Admin
from jobs_core import ConfigurationError, Queue
from jobs_core.connection import parse_address
from jobs_core.connection.sentinel import PrimaryFinder
from jobs_producer import Producer
from jobs_worker import JobContext, Worker, processor


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path) as watched:
        yield watched


@pytest.mark.parametrize(
    "dies", [pytest.param(True, id="dies"), pytest.param(False, id="steps-back", marks=pytest.mark.chaos)]
)
async def test_work_goes_on_at_the_primary_that_the_sentinels_name(
    watched: Watched, prefix: str, *, dies: bool
) -> None:
    job = Queue("sums").job("add", payload=int, result=int)

    @processor(job)
    async def add(payload: int, _: JobContext) -> int:
        return payload + 1

    producer = Producer(watched.url, prefix=prefix, enqueue_timeout=WITHIN)
    admin = Admin(watched.url, prefix=prefix)
    async with producer, admin, Worker(processors=[add], url=watched.url, prefix=prefix):
        first, second = watched.servers
        assert await (await producer.enqueue(job, 1)).result(WITHIN) == 2
        assert producer.connection_info().nodes == (f"redis://127.0.0.1:{first.port}/0",)
        late = await producer.enqueue(job, 2, delay=3600, job_id="late")
        assert first.ask("WAIT", 1, 5000) == 1
        if dies:
            first.server.kill()
            watched.notice()
        else:
            # It stays, and refuses what is written.
            watched.fail_over()
            await until(lambda: second.role == "master" and first.role == "slave")
        assert await (await producer.enqueue(job, 3)).result(WITHIN) == 4
        await admin.promote("sums", "late")
        assert await late.result(WITHIN) == 3
        assert producer.connection_info().nodes == (f"redis://127.0.0.1:{second.port}/0",)
        assert (await admin.check()).breaches == ()


async def test_who_is_cancelled_when_it_has_asked_leaves_no_connection(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.create_task(PrimaryFinder(parse_address(watched.url)).find())
    close = Sentinel.aclose

    async def closing(sentinel: Sentinel) -> None:
        asking.cancel()
        await close(sentinel)

    monkeypatch.setattr(Sentinel, "aclose", closing)
    with pytest.raises(asyncio.CancelledError):
        await asking
    # Who counts them is one.
    await until(lambda: str(watched.sentinel.ask("CLIENT", "LIST")).count(" cmd=") == 1)


async def test_what_sentinels_do_not_know_is_said(watched: Watched, prefix: str) -> None:
    unknown = watched.url.replace("/main", "/other")
    with pytest.raises(ConfigurationError, match="know no service 'other'"):
        await Producer(unknown, prefix=prefix).connect()
    away = f"redis+sentinel://127.0.0.1:{free_port()}/main"
    await refusal(away, prefix, "no sentinel answers")
    # One that does not answer is passed over.
    both = watched.url.replace("//", f"//127.0.0.1:{free_port()},")
    async with Producer(both, prefix=prefix) as producer:
        assert producer.connection_info().role == "master"
    first, second = watched.servers
    first.server.kill()
    watched.notice()
    # Not before it is over: one that breaks off is tried again after seconds.
    await until(lambda: watched.knows(second))
    await asyncio.to_thread(second.server.kill)
    await refusal(watched.url, prefix, "for down")
