"""Ends of jobs as they are told to the flows that follow them: read by the relay, kept by the flow, read by whoever asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from jobs_core.dead_letters import unpack_parts
from jobs_core.flows.edges import parse_edge
from jobs_core.flows.modes import STATES, Mode, Sign
from jobs_core.wire import (
    Before,
    Flow,
    decode_envelope,
    encode_envelope,
    end_note,
    ended_attempt,
    parse_finish,
)

if TYPE_CHECKING:
    from jobs_core.connection.protocol import Encodable

MESSAGE_CAP = 500


class Ended(msgspec.Struct, array_like=True, frozen=True):
    """How a job ended that a flow follows: `name` is name@version where it ran, `result` as its queue keeps results.

    `dropped` says that the job which waited does without it: it did not complete, and its edge says `remove`.
    """

    queue: str
    id: str
    name: str = ""
    result: bytes | None = None
    codec: str | None = None
    error_type: str = ""
    error: str = ""
    dropped: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ended).decode
_decode_any = msgspec.msgpack.Decoder().decode
_encode_json = msgspec.json.Encoder().encode
_SIGNS = {
    "completed": Sign.COMPLETED,
    "failed": Sign.FAILED,
    "poison": Sign.FAILED,
    "child": Sign.FAILED,
    "cancelled": Sign.CANCELLED,
    "skipped": Sign.SKIPPED,
    "expired": Sign.EXPIRED,
    "removed": Sign.REMOVED,
    "": Sign.MISSING,
}


def sign_of(state: str, info: bytes) -> Sign:
    """Return how a job ended, of the state that a script found it in and of what is told of it. Raises ValueError."""
    if state == "finished" or (state == "cancelled" and info.startswith(b"skipped")):
        finish = parse_finish(info)
        state = finish.state if finish is not None else end_note(info)[0]
    sign = _SIGNS.get(state)
    if sign is None:
        raise ValueError(f"a job that ended as {state!r} is not known here; is a newer release at work?")
    return sign


def read_ended(told: bytes) -> tuple[Sign, Ended]:
    """Return what a flow keeps of one of its jobs that ended."""
    return Sign(chr(told[0])), _decode(told[1:])


def resolution(source: str, target: str, content: bytes) -> bytes | list[list[Encodable]]:
    """Return what an end in the outbox of a queue means for its target.

    That is what `apply` takes of each edge, or the jobs that follow a failure, in msgpack as an effect `jobs` has them. Raises
    ValueError, MsgspecError or struct.error for what cannot be read.
    """
    rest, raw_id, state, _, info = unpack_parts(content)
    job_id = raw_id.decode()
    sign = sign_of(state.decode(), info)
    ended = _ended(source, job_id, sign, info)
    if rest.startswith(b"!:"):
        return _with_failure(bytes.fromhex(rest[2:].decode()), ended, sign)
    told = b"" if sign is Sign.COMPLETED and ended.result is None else _encode(ended)
    dropped = told if sign is Sign.COMPLETED else _encode(replace(ended, dropped=True))
    who = f"{source} {job_id}"
    edges = [parse_edge(target, each) for each in rest.decode().split(";")]
    return [
        [*(edge.flow, edge.ordinal, edge.how, sign.value, who), dropped if edge.mode is Mode.REMOVE else told]
        for edge in edges
    ]


def _ended(source: str, job_id: str, sign: Sign, info: bytes) -> Ended:
    finish = parse_finish(info)
    if finish is not None and finish.error is None:
        # One that was cancelled while it ran left no error.
        return Ended(source, job_id, finish.name, finish.result, finish.codec, error=end_reason(sign))
    failed = ended_attempt(info) if sign is Sign.FAILED else None
    name = "" if finish is None else finish.name
    if failed is None:
        return Ended(source, job_id, name, error=end_reason(sign))
    return Ended(source, job_id, name, error_type=failed.error.type, error=failed.error.message[:MESSAGE_CAP])


def end_reason(sign: Sign) -> str:
    """Say in words how a job ended that did not complete."""
    return {
        Sign.COMPLETED: "",
        Sign.FAILED: "it failed",
        Sign.CANCELLED: "it was cancelled",
        Sign.EXPIRED: "it expired before it started",
        Sign.REMOVED: "it was removed",
        Sign.SKIPPED: "it was skipped",
        Sign.MISSING: "nothing is known of it",
    }[sign]


def _with_failure(content: bytes, ended: Ended, sign: Sign) -> bytes:
    """Return the jobs that follow a failure with what is known of it, which their handlers find in `ctx.previous`."""
    failure = _encode_json({"state": STATES[sign], "error_type": ended.error_type, "error": ended.error})
    before = Before(ended.queue, ended.name, ended.id, failure)
    groups = cast("list[Encodable]", _decode_any(content))
    at = 0
    while at < len(groups):
        count = cast("int", groups[at])
        for place in range(at + 7, at + 6 + 2 * count, 2):
            groups[place] = _behind(cast("bytes", groups[place]), before)
        at += 6 + 2 * count
    return _encode(groups)


def _behind(body: bytes, before: Before) -> bytes:
    """Return the record of a new job, from byte 21 on, as that of one which follows another."""
    head = 16 + body[0] + body[1] + int.from_bytes(body[2:4], "big")
    envelope = decode_envelope(body[head:])
    flow = Flow(before=before) if envelope.flow is None else replace(envelope.flow, before=before)
    packed = encode_envelope(replace(envelope, flow=flow))
    return b"".join((body[:12], len(packed).to_bytes(4, "big"), body[16:head], packed))
