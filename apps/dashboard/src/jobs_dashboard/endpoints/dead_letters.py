"""Dead letters: what failed for good, with all that is needed to understand it and to run it again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from jobs_admin import LetterCount
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.errors import JobNotFound, UnknownQueue
from jobs_core.queues.dead_letter.queue import DeadLetter
from jobs_core.records import AttemptRecord, JobRecord, job_name
from jobs_core.states import Priority
from jobs_dashboard.bodies import Changed, ReasonQuery, Replay
from jobs_dashboard.call import Call
from jobs_dashboard.records import JobId, Letter, LetterGroupsQuery, LetterPage, LettersQuery
from jobs_dashboard.replaying import replay

_AS_IT_WAS = Replay()


async def list_dead_letters(call: Call, query: LettersQuery) -> LetterPage:
    """List dead letters, of a queue, a job, a kind of error; a page may be short before the end."""
    chosen = {"queue": query.queue, "group": query.group}
    terms = [f"payload.{field}={_quoted(value)}" for field, value in chosen.items() if value is not None]
    if query.name is not None:
        # What a letter says has a version.
        terms.append(f"payload.name:{_quoted(query.name if '@' in query.name else query.name + '@')}")
    try:
        page = await call.admin.jobs(
            DEAD_LETTER_QUEUE,
            query=" ".join([*terms, query.q]).strip() or None,
            limit=query.limit,
            cursor=query.cursor,
        )
    except UnknownQueue:
        # Nothing has failed for good yet.
        return LetterPage(letters=())
    letters = [letter for each in page.jobs if (letter := _letter(each)) is not None]
    return LetterPage(letters=tuple(letters), cursor=page.cursor)


async def list_dead_letter_groups(call: Call, query: LetterGroupsQuery) -> list[LetterCount]:
    """Count the dead letters there ever were by queue, job and kind of error, the most frequent first."""
    return (await call.admin.dead_letter_counts(query.queue))[:500]


async def get_dead_letter(call: Call, letter_id: JobId) -> Letter:
    """Tell what is known of a dead letter."""
    letter = _letter(await call.admin.job(DEAD_LETTER_QUEUE, letter_id))
    if letter is None:
        raise JobNotFound(DEAD_LETTER_QUEUE, letter_id)
    return letter


async def replay_dead_letter(call: Call, letter_id: JobId, body: Replay = _AS_IT_WAS) -> Changed:
    """Run the job of a dead letter again, with another priority or payload if wanted. Each failure is replayed once."""
    await replay(call, DEAD_LETTER_QUEUE, letter_id, body)
    return Changed(changed=True)


async def remove_dead_letter(call: Call, letter_id: JobId, query: ReasonQuery) -> None:
    """Remove a dead letter; the failed job stays if it is kept."""
    await call.acting(query.reason).remove(DEAD_LETTER_QUEUE, letter_id)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _letter(record: JobRecord) -> Letter | None:
    """Return the letter that a job of the queue is; None for one that is none, or cannot be read."""
    told = record.payload
    if not isinstance(told, Mapping):
        return None
    try:
        found = msgspec.convert({key: told[key] for key in told if key != "payload"}, DeadLetter)
    except msgspec.ValidationError:
        return None
    return Letter(
        id=record.id,
        state=record.state,
        queue=found.queue,
        job=found.id,
        name=job_name(found.name),
        version=found.name.rpartition("@")[2],
        payload=told.get("payload"),
        payload_known="payload" in told,
        reason=found.reason,
        group=found.group,
        failed_at=_utc(found.failed_at_ms),
        created_at=_utc(found.created_at_ms),
        priority=Priority(found.priority).name.lower(),
        stalled=found.stalled,
        attempts=tuple(
            AttemptRecord(
                attempt=each.attempt,
                started_at=_utc(each.started_at_ms),
                wait_ms=each.wait_ms,
                run_ms=each.run_ms,
                worker=each.worker,
                error_type=each.error_type,
                error=each.error,
                stack=each.stack,
            )
            for each in found.attempts
        ),
        metadata=found.metadata,
        tags=found.tags,
        trace_id=found.trace_id,
    )


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
