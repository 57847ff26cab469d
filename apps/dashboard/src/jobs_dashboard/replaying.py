"""Replays of single jobs, by the job or by its dead letter, as the forms of the pages ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.errors import PayloadError, UnknownJob, UnknownQueue
from jobs_core.records import job_name
from jobs_dashboard.roles import Role

if TYPE_CHECKING:
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType
    from jobs_dashboard.bodies import Replay
    from jobs_dashboard.call import Call

__all__ = ["replay"]


async def replay(call: Call, queue: str, job_id: str, wanted: Replay) -> None:
    """Replay a failed job of a queue, or the job of a dead letter. Raises what `Admin.replay` does, and Refused."""
    admin = call.acting(wanted.reason)
    if isinstance(wanted.payload, msgspec.UnsetType):
        await admin.replay(job_id, queue=queue, priority=wanted.priority)
        return
    call.require(Role.ADMIN, "A replay with another payload")
    payload = cast("JsonValue", msgspec.json.decode(bytes(wanted.payload)))
    record = await call.admin.job(queue, job_id)
    source, name = record.queue, record.name
    if queue == DEAD_LETTER_QUEUE and isinstance(record.payload, Mapping):
        source, name = str(record.payload.get("queue", "")), str(record.payload.get("name", ""))
    job_type = _declared(call, source, name)
    try:
        await admin.replay(job_id, queue=queue, priority=wanted.priority, payload=payload, job=job_type)
    except PayloadError as error:
        raise error if job_type is None else call.services.unrepeated(job_type, error) from None


def _declared(call: Call, queue: str, name: str) -> JobType[object, object] | None:
    bare = job_name(name)
    version = name.rpartition("@")[2] if bare != name else ""
    try:
        return call.services.catalog.job(queue, bare, int(version) if version else None)
    except (UnknownQueue, UnknownJob):
        return None
