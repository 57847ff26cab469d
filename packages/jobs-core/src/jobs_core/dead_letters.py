"""Dead letters: how a job that failed for good is told to the `dead-letter` queue, and made a job again."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from jobs_core.fingerprints import fingerprint
from jobs_core.options import resolve
from jobs_core.queues.dead_letter.queue import DEAD_LETTER, DeadAttempt, DeadLetter
from jobs_core.wire import (
    BIG,
    OWN_ID,
    AttemptInfo,
    Draft,
    Envelope,
    ErrorInfo,
    RecordHead,
    decode_envelope,
    encode_envelope,
    ended_attempt,
    pack_history_entry,
    parse_header,
    parse_history,
    parse_state,
    trace_id_of,
)

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable

DEAD_LETTER_QUEUE = DEAD_LETTER.queue.name
_HEAD = RecordHead(DEAD_LETTER.wire_name)
_ALIKE = _HEAD.alike(OWN_ID, 3)
_LONGEST_ID = 128
_LARGEST = 1_300_000
_LARGEST_HISTORY = 65_536
_encode_json = msgspec.json.Encoder().encode
_check_json = msgspec.json.Decoder().decode
_NOBODY = ErrorInfo("", "nothing is known of why it failed")


def letter_id(queue: str, job_id: str, failed_ms: int) -> str:
    """Return the id of the dead letter of a job that failed at this time: one for each life of the job.

    It begins with the queue, by which scripts count letters.
    """
    plain = f"{queue}:{job_id}:{failed_ms}"
    if len(plain) <= _LONGEST_ID:
        return plain
    return f"{queue}:{sha256(plain.encode()).hexdigest()}"[:_LONGEST_ID]


def pack_parts(*pieces: bytes) -> bytes:
    """Pack pieces as a script does, each behind its length."""
    return b"".join(part for piece in pieces for part in (len(piece).to_bytes(4, "big"), piece))


def unpack_parts(packed: bytes) -> list[bytes]:
    """Return the pieces that a script packed, each behind its length."""
    pieces: list[bytes] = []
    at = 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "big")
        pieces.append(packed[at + 4 : at + 4 + size])
        at += 4 + size
    return pieces


def make_letter(queue: str, packed: bytes) -> tuple[Draft, DeadLetter]:
    """Make the dead letter of an effect `dead` of this queue, as a job and as what that carries."""
    raw_id, at, record, large, state, past, info, *edges = unpack_parts(packed)
    job_id, failed_ms = raw_id.decode(), int(at)
    header = parse_header(record)
    try:
        envelope = decode_envelope(large or record[header.size :])
    except msgspec.MsgspecError:
        # It failed because nobody could read it; what it was is told nevertheless.
        envelope = Envelope(b"", large or record[header.size :])
    try:
        attempts = parse_history(past)
    except (msgspec.MsgspecError, ValueError, struct.error):
        # What cannot be read of it may keep back neither its letter nor those of the others that failed with it.
        attempts = []
    final = ended_attempt(info)
    if final is not None:
        attempts.append(final)
    error = attempts[-1].error if attempts else _NOBODY
    letter = DeadLetter(
        queue=queue,
        id=job_id,
        name=header.name,
        reason=f"{error.type}: {error.message}" if error.type else error.message,
        group=fingerprint(error),
        failed_at_ms=failed_ms,
        created_at_ms=header.stamp_us // 1000,
        priority=header.priority,
        attempts=tuple(_attempt(each) for each in attempts),
        stalled=parse_state(state).crashes,
        metadata=envelope.metadata or {},
        tags=envelope.tags or (),
        trace_id=trace_id_of(envelope.trace),
        head=b64encode(record[: header.size]).decode(),
        envelope=b64encode(encode_envelope(replace(envelope, payload=b""))).decode(),
        edges=edges[0].decode() if edges else "",
    )
    payload = _encode_json(_sized(letter, envelope))
    resolved = resolve(DEAD_LETTER)
    packed_envelope = encode_envelope(
        Envelope(resolved.policy, payload, envelope.metadata, envelope.tags, envelope.trace)
    )
    own = letter_id(queue, job_id, failed_ms)
    return Draft(own, _HEAD.body(packed_envelope), _ALIKE), letter


def payload_of(letter: DeadLetter) -> bytes | None:
    """Return the payload of the job as its record held it; None where it was left out."""
    if letter.payload_left_out:
        return None
    if isinstance(letter.payload, msgspec.Raw):
        return bytes(letter.payload)
    return b64decode(letter.payload_base64)


def unread(letter: DeadLetter) -> tuple[bytes, Envelope]:
    """Return the head of the record of the job of a letter, and its envelope without the payload."""
    return b64decode(letter.head), decode_envelope(b64decode(letter.envelope))


def remake(head: bytes, name: str, envelope: Envelope, priority: int = 0) -> tuple[bytes, str, bytes]:
    """Return version with flags and priority, name@version, and record from byte 21 on of a job made anew (priority 0: as it was)."""
    packed = encode_envelope(envelope)
    made = bytearray(head)
    made[1] &= ~BIG
    made[3] = priority or made[3]
    made[32:36] = len(packed).to_bytes(4, "big")
    return bytes(made[:4]), name, bytes(made[20:]) + packed


def history_of(letter: DeadLetter) -> bytes:
    """Return the attempts of a letter as the history of its job, the newest that fit."""
    history = b""
    for each in reversed(letter.attempts):
        error = ErrorInfo(each.error_type, each.error, each.stack)
        entry = AttemptInfo(
            each.attempt,
            each.started_at_ms,
            round(each.run_ms * 1000),
            each.worker,
            error,
            round(each.wait_ms * 1000),
        )
        packed = pack_history_entry(entry)
        if len(history) + len(packed) > _LARGEST_HISTORY:
            break
        history = packed + history
    return history


def replay_arguments(
    job_id: str,
    *,
    failed_ms: int = 0,
    priority: int = 0,
    edited: bool = False,
    job: tuple[bytes, str, bytes] = (b"", "", b""),
    history: bytes = b"",
    edges: str = "",
) -> list[Encodable]:
    """Return what the replay script takes of one job."""
    lead, name, body = job
    return [job_id, failed_ms, priority, int(edited), lead, name, body, history, edges]


def _attempt(attempt: AttemptInfo) -> DeadAttempt:
    return DeadAttempt(
        attempt=attempt.attempt,
        started_at_ms=attempt.started_ms,
        wait_ms=attempt.wait_us / 1000,
        run_ms=attempt.run_us / 1000,
        worker=attempt.worker,
        error_type=attempt.error.type,
        error=attempt.error.message,
        stack=attempt.error.stack,
    )


def _sized(letter: DeadLetter, envelope: Envelope) -> DeadLetter:
    """Put the payload in; stacks go first where the letter would be too large, then the payload."""
    payload = envelope.payload
    try:
        if envelope.codec is not None:
            raise ValueError("not plain JSON")
        _check_json(payload)
        whole = replace(letter, payload=msgspec.Raw(payload))
        size = len(payload)
    except (msgspec.MsgspecError, ValueError):
        whole = replace(letter, payload_base64=b64encode(payload).decode())
        size = len(payload) * 4 // 3
    if size + len(_encode_json(letter)) <= _LARGEST:
        return whole
    bare = tuple(replace(each, stack="") for each in letter.attempts[:-1]) + letter.attempts[-1:]
    if size + len(_encode_json(replace(letter, attempts=bare))) <= _LARGEST:
        return replace(whole, attempts=bare)
    return replace(letter, attempts=bare, payload_left_out=True)
