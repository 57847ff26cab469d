"""Payloads as handlers take them, and results as they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jobs_core.errors import CodecError, ConfigurationError, PayloadError, PayloadTooLarge
from jobs_core.payloads import decode_any
from jobs_core.upcasts import upcasted
from jobs_worker.judging import BadPayload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.codecs import Codecs, Place
    from jobs_core.queue import JobType, Queue, Upcast

_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


class Written(msgspec.Struct, frozen=True):
    """A result that an executor process wrote, checked against its type; `codec` as in FinishInfo."""

    data: bytes
    codec: str | None


def decode_payload(
    job: JobType[object, object] | None, data: bytes, form: str, upcasts: Sequence[Upcast] = ()
) -> object:
    """Return the payload as its handler takes it; without a job type whatever it holds.

    `upcasts` lead from the version of the job to that of the handler. Raises BadPayload.
    """
    try:
        if upcasts:
            return upcasted(upcasts, upcasts[0].before.decode(data, form))
        return decode_any(data, form) if job is None else job.decode(data, form)
    except (PayloadError, PayloadTooLarge, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadPayload(str(error)) from error


def seal_result(
    codecs: Codecs, route: tuple[Queue, JobType[object, object] | None], place: Place, result: object
) -> Written:
    """Write a result and take it through the codec of its job, or of its queue. Raises as `encode_result`, and CodecError."""
    queue, job = route
    data, text = encode_result(queue, job, result)
    codec = queue.codec if job is None else job.codec
    stored, text = codecs.seal(place, data, text or "json", codec)
    if job is not None:
        job.check_size(len(stored), "result")
    return Written(stored, text)


def open_payload(codecs: Codecs, place: Place, data: bytes, text: str) -> tuple[bytes, str]:
    """Undo what was done to a payload. Raises BadPayload where that will never be possible, else what the files raise."""
    try:
        return codecs.open(place, data, text)
    except (CodecError, ConfigurationError) as error:
        raise BadPayload(str(error)) from error


def encode_result(
    queue: Queue, job: JobType[object, object] | None, result: object
) -> tuple[bytes, str | None]:
    """Return a result as it is kept, and its codec. Raises PayloadError or PayloadTooLarge."""
    form = queue.format if job is None else job.format
    if job is not None:
        data = job.encode_result(result)
    elif form == "json":
        data = _encode_json(result)
    else:
        data = _encode_msgpack(result)
    return data, None if form == "json" else form
