"""A queue whose payloads are msgpack, with a job of two versions, and handlers in all three executors."""

from __future__ import annotations

from msgspec import Struct

from jobs_core import Fixed, JsonValue, Queue, upcast
from jobs_worker import JobContext, processor

PACKED = Queue("packed", format="msgpack", default_job_options={"backoff": Fixed(0)})


class Picture(Struct):
    """Bytes, which JSON would blow up by a third."""

    data: bytes


class PictureV1(Struct):
    """The same, as it was before: in hexadecimal digits."""

    digits: str


ON_LOOP = PACKED.job("on-loop", Picture, Picture)
IN_THREAD = PACKED.job("in-thread", Picture, Picture)
IN_PROCESS_V1 = PACKED.job("in-process", PictureV1, Picture, format="json")
IN_PROCESS = PACKED.job("in-process", Picture, Picture, version=2)


@upcast(IN_PROCESS_V1, IN_PROCESS)
def _from_digits(old: PictureV1) -> Picture:
    return Picture(bytes.fromhex(old.digits))


@processor(ON_LOOP)
async def on_loop(payload: Picture, ctx: JobContext) -> Picture:
    return Picture(payload.data[::-1])


@processor(IN_THREAD)
def in_thread(payload: Picture, ctx: JobContext) -> Picture:
    return Picture(payload.data[::-1])


@processor(IN_PROCESS, executor="process")
def in_process(payload: Picture, ctx: JobContext) -> Picture:
    return Picture(payload.data[::-1])


@processor(PACKED)
async def anything(payload: JsonValue, ctx: JobContext) -> JsonValue:
    return payload
