"""The jobs of a schedule: how its definition is made of a job type and a payload, and each job of its definition."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec.structs import replace

from jobs_core.codecs import Codecs, Place
from jobs_core.errors import OptionError
from jobs_core.flows.successors import make_plan
from jobs_core.ids import new_job_id
from jobs_core.options import DefaultJobOptions, JobOptions, resolve
from jobs_core.records import job_name
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.options import Timing, check_schedule_id, default_id
from jobs_core.tracing import create
from jobs_core.wire import EXPIRES, KEYED, OWN_ID, UNIQUE, Draft, Envelope, RecordHead, encode_envelope

if TYPE_CHECKING:
    from jobs_core.options import Resolved
    from jobs_core.queue import JobType

__all__ = [
    "check_timing",
    "fire_id",
    "hand_id",
    "is_fire_of",
    "make_definition",
    "make_fire",
    "same_definition",
]

P = TypeVar("P")
R = TypeVar("R")

_CONFLICTS = {"skip": "conflict=skip", "buffer_one": "conflict=keep_last"}
_SENT_AT_ITS_TIME = "the job of a schedule has none: each is sent at its time"
_is_new_id = re.compile(r"[0-9a-f]{24}").fullmatch
_head = lru_cache(maxsize=4096)(RecordHead)


def make_definition(
    schedule_id: str | None,
    job_type: JobType[P, R],
    payload: P,
    timing: Timing,
    *,
    service: DefaultJobOptions | None = None,
    codecs: Codecs | None = None,
    from_code: bool = False,
) -> ScheduleDefinition:
    """Return what is kept of a schedule; without an id it is queue:job:spec.

    The options of its jobs are decided now, as at an enqueue. Raises PayloadError, PayloadTooLarge, OptionError, CodecError or
    ConfigurationError.
    """
    known = cast("JobType[object, object]", job_type)
    chosen = check_schedule_id(default_id(known, timing.recurrence) if schedule_id is None else schedule_id)
    resolved = check_timing(known, timing, service)
    plan = make_plan(resolved, service=service, codecs=codecs)
    data = job_type.encode(payload)
    codec = None if job_type.format == "json" else job_type.format
    seals = None
    if job_type.seals:
        # What lies with the schedule stays with it: only its jobs' payloads go into files.
        seals, kept = job_type.codec, replace(job_type.codec, offload=False)
        place = Place(job_type.queue.name, job_type.wire_name, _kept_as(chosen))
        data, codec = (codecs or Codecs()).seal(place, data, job_type.format, kept)
        job_type.check_size(len(data), "payload")
    return ScheduleDefinition(
        id=chosen,
        queue=job_type.queue.name,
        wire_name=job_type.wire_name,
        recurrence=timing.recurrence,
        policy=resolved.policy,
        payload=data,
        codec=codec,
        seals=seals,
        priority=resolved.priority,
        cost=resolved.cost,
        key=job_type.key_of(payload, resolved.key),
        unique=b"" if resolved.rule is None else resolved.rule.value(job_type.name, payload),
        decide=resolved.decide,
        metadata=resolved.metadata,
        tags=resolved.tags,
        start_ms=timing.start_ms,
        end_ms=timing.end_ms,
        limit=timing.limit,
        jitter_ms=timing.jitter_ms,
        overlap=timing.overlap,
        misfire=timing.misfire,
        misfire_max=timing.misfire_max,
        catch_up_ms=timing.catch_up_ms,
        pause_on_failure=timing.pause_on_failure,
        from_code=from_code,
        flow=None if plan is None else plan.flow,
    )


def check_timing(
    job_type: JobType[object, object], timing: Timing, service: DefaultJobOptions | None = None
) -> Resolved:
    """Return what the options of a schedule's jobs come to. Raises OptionError for those that it cannot have."""
    given = cast("dict[str, object]", timing.options)
    for option in ("delay", "run_at", "job_id", "deadline", "debounce"):
        if given.get(option) is not None:
            raise OptionError(f"options.{option}", given[option], _SENT_AT_ITS_TIME)
    resolved = resolve(job_type, cast("JobOptions", timing.options), service)
    if resolved.delay_ms:
        raise OptionError("debounce", job_type.name, _SENT_AT_ITS_TIME)
    if resolved.rule is not None and timing.overlap in _CONFLICTS:
        reason = f"the job has {resolved.rule.option} already, which says what becomes of a second one"
        raise OptionError("overlap", timing.overlap, reason)
    return resolved


def same_definition(one: ScheduleDefinition, other: ScheduleDefinition, codecs: Codecs) -> bool:
    """Tell whether two definitions say the same; encrypted payloads differ each time, so they are opened."""
    if one == other:
        return True
    bare = [replace(each, payload=b"", codec=None) for each in (one, other)]
    return one.seals is not None and bare[0] == bare[1] and _opened(one, codecs) == _opened(other, codecs)


def fire_id(schedule_id: str, fire_ms: int) -> str:
    """Return the id of the job of one fire: the same whoever sends it."""
    return f"{schedule_id}:{fire_ms}"


def hand_id(schedule_id: str) -> str:
    """Return a new id for a job that somebody has a schedule send out of turn."""
    return f"{schedule_id}:{new_job_id()}"


def is_fire_of(schedule_id: str, job_id: str) -> bool:
    """Tell whether a job has the id of one that this schedule sent, at one of its times or out of turn."""
    fire = job_id.removeprefix(f"{schedule_id}:")
    return fire != job_id and (fire.isdecimal() or _is_new_id(fire) is not None)


async def make_fire(
    definition: ScheduleDefinition,
    fire_ms: int,
    codecs: Codecs,
    *,
    job_id: str = "",
    remembered: bool = False,
    overlaps: bool = False,
) -> Draft:
    """Return the job of one fire.

    `remembered`: its id is known for 24 h after it, as one that a caller gave; `overlaps`: whatever the schedule says, runs
    before it are left alone. Raises CodecError, or ConfigurationError where keys are missing.
    """
    made = job_id or fire_id(definition.id, fire_ms)
    data, codec, seals = definition.payload, definition.codec, definition.seals
    if seals is not None:
        place = Place(definition.queue, definition.wire_name, made)
        plain, form = _opened(definition, codecs)
        if Codecs.is_slow(seals, len(plain)):
            data, codec = await asyncio.to_thread(codecs.seal, place, plain, form, seals)
        else:
            data, codec = codecs.seal(place, plain, form, seals)
    unique, decide = definition.unique, [definition.decide] if definition.decide else []
    conflict = None if overlaps else _CONFLICTS.get(definition.overlap)
    if conflict is not None:
        # No job name has such a character, so no key of a caller's is like it.
        unique = b"d@" + definition.id.encode()
        decide.append(conflict)
    envelope = Envelope(
        definition.policy,
        data,
        definition.metadata,
        definition.tags,
        create(definition.queue, job_name(definition.wire_name), made),
        codec,
        schedule=(definition.id, fire_ms),
        flow=definition.flow,
    )
    flags = (
        (OWN_ID if remembered else 0)
        | (EXPIRES if "expires=" in definition.decide else 0)
        | (KEYED if definition.key else 0)
        | (UNIQUE if unique else 0)
    )
    head = _head(definition.wire_name)
    return Draft(
        made,
        head.body(encode_envelope(envelope), key=definition.key.encode(), unique=unique),
        head.alike(
            flags,
            definition.priority,
            definition.cost if definition.cost > 1 else 0,
            0,
            fire_ms,
            ",".join([*decide, "scheduled=1"]),
        ),
    )


def _kept_as(schedule_id: str) -> str:
    return f"schedule:{schedule_id}"


def _opened(definition: ScheduleDefinition, codecs: Codecs) -> tuple[bytes, str]:
    place = Place(definition.queue, definition.wire_name, _kept_as(definition.id))
    return codecs.open(place, definition.payload, definition.codec)
