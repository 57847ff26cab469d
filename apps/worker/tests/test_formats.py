"""Payloads in msgpack and of earlier versions, through real workers."""

import pytest
from msgspec import Struct
from tests.support import msgpack_handlers as packed
from tests.support.msgpack_handlers import Picture, PictureV1
from tests.support.runtime import running
from tests.support.waiting import until

from jobs_core import JobFailed, JsonValue, Queue, State, upcast
from jobs_worker import JobContext, processor

HANDLERS = (packed.on_loop, packed.in_thread, packed.in_process, packed.anything)


async def test_msgpack_goes_through_every_executor(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        for job in (packed.ON_LOOP, packed.IN_THREAD, packed.IN_PROCESS):
            handle = await worker.producer.enqueue(job, Picture(b"\0\xff"), remove_on_complete=False)
            assert await handle.result(40) == Picture(b"\xff\0")
            record = await handle.status()
            # People are shown JSON, bytes in base64.
            assert (record.payload, record.result) == ({"data": "AP8="}, {"data": "/wA="})


async def test_a_whole_queue_processor_gets_what_msgpack_holds(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        adhoc = worker.producer.queue("packed", format="msgpack")
        handle = await adhoc.enqueue("any", {"data": b"\xff"}, result_ttl=60)  # pyright: ignore[reportArgumentType]
        assert await handle.result(40) == {"data": b"\xff"}


async def test_a_job_of_an_earlier_version_runs_in_a_process(redis_url: str, prefix: str) -> None:
    async with running(redis_url, prefix, *HANDLERS) as worker:
        handle = await worker.producer.enqueue(packed.IN_PROCESS_V1, PictureV1("00ff"))
        assert await handle.result(40) == Picture(b"\xff\0")


class V1(Struct):
    to: str


class V2(Struct):
    to: list[str]


async def test_versions_without_a_way_to_a_handler_wait_for_one_that_knows_them(
    redis_url: str, prefix: str
) -> None:
    queue = Queue("mail")
    first, second = queue.job("send", V1, int), queue.job("send", V2, int, version=2)
    later = queue.job("send", V2, int, version=3)

    @upcast(first, second)
    def _(old: V1) -> V2:
        return V2(old.to.split(","))

    @processor(second)
    async def send(payload: V2, ctx: JobContext) -> int:
        return len(payload.to)

    async with running(redis_url, prefix, send) as worker:
        parked = await worker.producer.enqueue(later, V2(["ada"]))
        old = await worker.producer.enqueue(first, V1("ada,bob"))
        assert await old.result(40) == 2

        async def waits() -> bool:
            return (await parked.status()).state is State.UNROUTABLE

        await until(waits)


async def test_a_failing_upcaster_fails_the_job_for_good_and_keeps_it(redis_url: str, prefix: str) -> None:
    queue = Queue("mail")
    first, second = queue.job("send", V1, int), queue.job("send", V2, int, version=2)

    @upcast(first, second)
    def _(old: V1) -> V2:
        raise LookupError(old.to)

    @processor(second)
    async def send(payload: V2, ctx: JobContext) -> int:
        return 0

    async with running(redis_url, prefix, send) as worker:
        handle = await worker.producer.enqueue(first, V1("ada"))
        with pytest.raises(JobFailed, match=r"payload: .* its upcaster in .* failed: LookupError: ada"):
            await handle.result(40)
        record = await handle.status()
        assert (record.state, record.attempts_made, record.payload) == (State.FAILED, 1, {"to": "ada"})


async def test_the_job_tells_its_format_whatever_the_worker_declares(redis_url: str, prefix: str) -> None:
    async def any_json(payload: JsonValue, ctx: JobContext) -> None: ...

    told = Queue("mail", format="msgpack")
    processor(told)(any_json)
    async with running(redis_url, prefix, any_json) as worker:
        handle = await worker.producer.enqueue(Queue("mail").job("send", V1), V1("ada"))
        assert await handle.done(40) is State.COMPLETED
