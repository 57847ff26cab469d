"""Jobs that are added over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, cast

import msgspec

from jobs_core.errors import JobNotFound, JobsError, OptionError, PayloadError
from jobs_core.json_options import parse_options
from jobs_core.options import JobOptions
from jobs_core.payloads import JsonValue
from jobs_core.queue import JobType
from jobs_core.records import JobRecord
from jobs_core.states import State
from jobs_dashboard.bodies import Enqueue, Enqueued, EnqueueItem
from jobs_dashboard.call import Answer, Call
from jobs_dashboard.problems import problem_of
from jobs_dashboard.records import Name


async def enqueue_jobs(
    call: Call,
    queue: Name,
    body: Enqueue | Annotated[list[Enqueue], msgspec.Meta(min_length=1, max_length=500)],
) -> Answer[Enqueued | tuple[EnqueueItem, ...]]:
    """Add a job (202), or up to 500 of them (207, with what became of each, in the order given).

    The payload has to fit the type that code declares; of a queue that none declares here any JSON is taken.
    """
    if isinstance(body, Enqueue):
        job = await _enqueue(call, queue, body)
        await call.acting().note("enqueue", queue, f"id:{job.id}", int(job.created))
        return Answer(job)
    items = tuple(await asyncio.gather(*(_item(call, queue, each) for each in body)))
    created = [each.job.id for each in items if each.job is not None and each.job.created]
    await call.acting().note("enqueue", queue, f"id:{','.join(created[:20])}", len(created))
    return Answer(items, 207)


async def job_type_of(call: Call, queue: str, name: str) -> JobType[object, object]:
    """Return the type of a job, which takes any JSON where no code declares its queue. Raises UnknownQueue or UnknownJob."""
    if queue in call.services.catalog.queues:
        return declared_job(call, queue, name)
    await call.admin.stats(queue)
    dynamic = call.services.producer.queue(queue).declaration.dynamic_job(name)
    return cast("JobType[object, object]", dynamic)


def read_payload(
    call: Call, job_type: JobType[object, object], raw: msgspec.Raw | msgspec.UnsetType
) -> object:
    """Return a payload of JSON as its type has it, whatever format it is stored in. Raises PayloadError."""
    try:
        return job_type.decode(b"{}" if isinstance(raw, msgspec.UnsetType) else bytes(raw), "json")
    except PayloadError as error:
        raise call.services.unrepeated(job_type, error) from None


def declared_job(call: Call, queue: str, name: str) -> JobType[object, object]:
    """Return the type of a job that code declares, by name or name@version. Raises UnknownQueue or UnknownJob."""
    bare, at, version = name.rpartition("@")
    numbered = bool(at) and version.isdecimal() and len(version) < 10
    catalog = call.services.catalog
    return catalog.job(queue, bare, int(version)) if numbered else catalog.job(queue, name)


def read_options(call: Call, given: Mapping[str, JsonValue]) -> JobOptions:
    """Return job options. Raises OptionError; of the jobs that are to follow also UnknownQueue, UnknownJob or PayloadError."""
    try:
        return parse_options(given, partial(declared_job, call))
    except PayloadError as error:
        raise call.services.unrepeated(call.services.catalog.job(error.queue, error.job), error) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError("options", None, str(error)) from None


async def _item(call: Call, queue: str, wanted: Enqueue) -> EnqueueItem:
    try:
        return EnqueueItem(status=202, job=await _enqueue(call, queue, wanted))
    except JobsError as error:
        problem = problem_of(error)
        return EnqueueItem(status=problem.status, problem=problem)


async def _enqueue(call: Call, queue: str, wanted: Enqueue) -> Enqueued:
    job_type = await job_type_of(call, queue, wanted.name)
    payload = read_payload(call, job_type, wanted.payload)
    options = read_options(call, wanted.options)
    try:
        handle = await call.services.producer.enqueue(job_type, payload, **options)
    except PayloadError as error:
        own = (error.queue, error.job) == (queue, job_type.name)
        told = job_type if own else call.services.catalog.job(error.queue, error.job)
        raise call.services.unrepeated(told, error) from None
    try:
        record = await call.admin.job(queue, handle.id)
    except JobNotFound:
        # It ended already, and nothing of it is kept.
        record = JobRecord(
            id=handle.id,
            queue=queue,
            name=handle.name,
            payload=None,
            state=State.COMPLETED,
            priority="normal",
            created_at=datetime.now(UTC),
        )
    return Enqueued(**msgspec.structs.asdict(record), created=handle.created, outcome=handle.outcome)
