"""Replay of what failed for good, by the job or by its dead letter: one transition, at a rate, with changes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from jobs_admin._bulk import Progress
from jobs_admin.records import LetterCount, Outcome
from jobs_core.codecs import Codecs, Place
from jobs_core.dead_letters import (
    DEAD_LETTER_QUEUE,
    history_of,
    letter_id,
    payload_of,
    remake,
    replay_arguments,
    unread,
)
from jobs_core.errors import JobNotFound, JobsError, OptionError, WrongState
from jobs_core.keys import big_key
from jobs_core.queues.dead_letter.queue import DEAD_LETTER, DeadLetter
from jobs_core.scripts import MAX_ITEMS
from jobs_core.states import State
from jobs_core.wire import BIG, decode_envelope, parse_header

if TYPE_CHECKING:
    from jobs_admin._calls import Calls
    from jobs_core.connection.protocol import Encodable
    from jobs_core.payloads import JsonValue
    from jobs_core.queue import JobType
    from jobs_core.scripts import Located
    from jobs_core.wire import Envelope

_HOMES = ("completed", "failed", "waiting", "delayed", "unroutable")
_SHOWN = 2000
_encode_json = msgspec.json.Encoder(order="sorted").encode


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is different in the new life of a job: its priority (0: none other), its payload, which fits `job` where that is known."""

    priority: int = 0
    payload: JsonValue | msgspec.UnsetType = msgspec.UNSET
    job: JobType[object, object] | None = None

    @property
    def edited(self) -> bool:
        """Whether the payload is another one."""
        return self.payload is not msgspec.UNSET

    def apply(
        self, envelope: Envelope, original: bytes, origin: str, place: Place, codecs: Codecs
    ) -> Envelope:
        """Return an envelope with the new payload, which links the original one. Raises PayloadError or OptionError."""
        if not self.edited:
            return replace(envelope, payload=original)
        data, codec = _encode_json(self.payload), None
        if self.job is not None:
            data = self.job.encode(self.job.decode(data, "json"))
            codec = None if self.job.format == "json" else self.job.format
            if self.job.seals:
                data, codec = codecs.seal(place, data, self.job.format, self.job.codec)
        if envelope.codec not in {None, "json", "msgpack"} and self.job is None:
            raise OptionError(
                "payload", "…", "the payload it had is sealed, and nothing declares the job here"
            )
        plain = envelope.codec is None and len(original) <= _SHOWN
        before = original.decode("utf-8", "replace") if plain else f"sha256:{sha256(original).hexdigest()}"
        metadata = {**(envelope.metadata or {}), "edited_from": origin, "edited_original": before}
        return replace(envelope, payload=data, codec=codec, metadata=metadata)


async def replay(
    calls: Calls,
    queue: str,
    ids: Sequence[str],
    changes: Changes,
    *,
    rate: float | None,
    progress: Progress | None,
    dry_run: bool,
) -> list[Outcome]:
    """Replay dead letters (of `dead-letter`) or failed jobs of another queue, by id."""
    outcomes: list[Outcome] = []
    step = _step(rate)
    for start in range(0, len(ids), step):
        chunk = ids[start : start + step]
        outcomes += await _replay_chunk(calls, queue, chunk, changes, dry_run=dry_run)
        if progress is not None:
            progress(len(outcomes), len(ids))
        if rate is not None and start + step < len(ids):
            await asyncio.sleep(len(chunk) / rate)
    if len(ids) == 1 and not outcomes[0].done:
        raise _error(queue, ids[0], outcomes[0].code)
    return [replace(each, code=_code(each)) for each in outcomes]


async def replay_all(
    calls: Calls,
    changes: Changes,
    *,
    queue: str | None,
    name: str | None,
    group: str | None,
    limit: int | None,
    rate: float | None,
    progress: Progress | None,
    dry_run: bool,
) -> int:
    """Replay the dead letters there are now that match. Returns how many."""
    # What fails again while this goes on has a new letter, or it would never end.
    until = await calls.server_ms()
    done = 0
    batch: list[str] = []
    step = _step(rate)

    async def send() -> int:
        sent = len(batch)
        if not dry_run:
            outcomes = await _replay_chunk(calls, DEAD_LETTER_QUEUE, batch, changes, dry_run=False)
            sent = sum(outcome.done for outcome in outcomes)
            if rate is not None:
                await asyncio.sleep(len(batch) / rate)
        batch.clear()
        if progress is not None:
            progress(done + sent, limit)
        return sent

    async for own, letter in _letters(calls):
        if limit is not None and done + len(batch) >= limit:
            break
        if letter.failed_at_ms <= until and _matches(letter, queue, name, group):
            batch.append(own)
        if len(batch) >= step:
            done += await send()
    return done + await send() if batch else done


async def letter_counts(calls: Calls) -> list[LetterCount]:
    """Return how many dead letters there ever were, the most frequent first."""
    key = calls.scripts.key(DEAD_LETTER_QUEUE) + "letters"
    raw = cast("dict[bytes, bytes]", await calls.read(calls.client.call("HGETALL", key)))
    counts: list[LetterCount] = []
    for field, count in raw.items():
        parts = field.decode().split("\n", 2)
        if len(parts) == 3:
            counts.append(LetterCount(queue=parts[0], name=parts[1], group=parts[2], count=int(count)))
    return sorted(counts, key=lambda each: (-each.count, each.queue, each.name, each.group))


async def _replay_chunk(
    calls: Calls, queue: str, ids: Sequence[str], changes: Changes, *, dry_run: bool
) -> list[Outcome]:
    verdicts: dict[str, str] = {}
    found: dict[str, list[tuple[str, list[Encodable]]]] = {}
    located = await calls.read(calls.scripts.lookup(queue, ids=ids))
    for own, each in zip(ids, located, strict=True):
        if queue == DEAD_LETTER_QUEUE:
            letter = await _open(calls, own, each)
            if letter is None:
                verdicts[own] = "0"
            else:
                found.setdefault(letter.queue, []).append((own, _of_letter(calls, letter, changes)))
        elif each.state != State.FAILED:
            verdicts[own] = each.state or "0"
        else:
            found.setdefault(queue, []).append((own, await _of_job(calls, queue, own, each, changes)))
    for source, jobs in found.items():
        if dry_run:
            verdicts |= {own: "1" for own, _ in jobs}
            continue
        flat = [part for _, arguments in jobs for part in arguments]
        answers = await calls.change(calls.scripts.replay(source, jobs=flat))
        verdicts |= {own: verdict for (own, _), verdict in zip(jobs, answers, strict=True)}
        await calls.relay(source)
    return [
        Outcome(
            own, done=verdicts[own] == "1", code=verdicts[own], message=_message(queue, own, verdicts[own])
        )
        for own in ids
    ]


async def _letters(calls: Calls) -> AsyncIterator[tuple[str, DeadLetter]]:
    """Yield the dead letters there are, home by home, the oldest first."""
    for home in _HOMES:
        score = last = ""
        while True:
            page = await calls.read(
                calls.scripts.page(
                    DEAD_LETTER_QUEUE, home=home, newest=False, score=score, job_id=last, limit=MAX_ITEMS
                )
            )
            located = (
                await calls.read(calls.scripts.lookup(DEAD_LETTER_QUEUE, ids=page.ids)) if page.ids else []
            )
            for own, each in zip(page.ids, located, strict=True):
                letter = await _open(calls, own, each)
                if letter is not None:
                    yield own, letter
            score, last = page.score, page.id
            if not last:
                break


async def _open(calls: Calls, own: str, located: Located) -> DeadLetter | None:
    """Return what a dead letter says; None for what is gone, or is none."""
    if not located.record:
        return None
    header = parse_header(located.record)
    packed = located.record[header.size :]
    if header.flags & BIG:
        packed = await _large(calls, DEAD_LETTER_QUEUE, own)
    if not packed or header.name != DEAD_LETTER.wire_name:
        return None
    return DEAD_LETTER.decode(decode_envelope(packed).payload)


async def _large(calls: Calls, queue: str, job_id: str) -> bytes:
    key = big_key(calls.scripts.key(queue), job_id)
    return cast("bytes | None", await calls.read(calls.client.call("GET", key))) or b""


def _of_letter(calls: Calls, letter: DeadLetter, changes: Changes) -> list[Encodable]:
    payload = payload_of(letter)
    job = (b"", "", b"")
    if payload is not None or changes.edited:
        origin = letter_id(letter.queue, letter.id, letter.failed_at_ms)
        head, envelope = unread(letter)
        place = Place(letter.queue, letter.name, letter.id)
        edited = changes.apply(envelope, payload or b"", origin, place, calls.scripts.codecs or Codecs())
        job = remake(head, letter.name, edited, changes.priority)
    return replay_arguments(
        letter.id,
        failed_ms=letter.failed_at_ms,
        priority=changes.priority,
        edited=changes.edited,
        job=job,
        history=history_of(letter),
        edges=letter.edges,
    )


async def _of_job(
    calls: Calls, queue: str, job_id: str, located: Located, changes: Changes
) -> list[Encodable]:
    if not changes.edited:
        return replay_arguments(job_id, priority=changes.priority)
    header = parse_header(located.record)
    packed = located.record[header.size :]
    if header.flags & BIG:
        packed = await _large(calls, queue, job_id)
    envelope = decode_envelope(packed)
    place = Place(queue, header.name, job_id)
    edited = changes.apply(
        envelope, envelope.payload, f"{queue}:{job_id}", place, calls.scripts.codecs or Codecs()
    )
    job = remake(located.record[: header.size], header.name, edited, changes.priority)
    return replay_arguments(job_id, priority=changes.priority, edited=True, job=job)


def _matches(letter: DeadLetter, queue: str | None, name: str | None, group: str | None) -> bool:
    return (
        queue in {None, letter.queue}
        and (name is None or name == letter.name or letter.name.rpartition("@")[0] == name)
        and (group is None or group in letter.group)
    )


def _step(rate: float | None) -> int:
    if rate is None:
        return MAX_ITEMS
    if not (math.isfinite(rate) and rate > 0):
        raise OptionError("rate", rate, "it must be more than 0 jobs a second")
    return max(1, min(MAX_ITEMS, math.ceil(rate / 4)))


def _error(queue: str, job_id: str, verdict: str) -> JobsError:
    if verdict == "0":
        return JobNotFound(queue, job_id)
    said = {"finished": "removed", "replayed": "replayed already"}
    return WrongState(queue, job_id, said.get(verdict, verdict), [State.FAILED])


def _message(queue: str, job_id: str, verdict: str) -> str:
    return "" if verdict == "1" else _error(queue, job_id, verdict).message


def _code(outcome: Outcome) -> str:
    return "" if outcome.done else _error("", outcome.id, outcome.code).code
