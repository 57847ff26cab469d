"""What is kept of a schedule on the server: its definition, which scripts never look into."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from jobs_core.schedules.recurrence import Recurrence

__all__ = ["GRACE_MS", "Misfire", "Overlap", "ScheduleDefinition", "decode_definition", "encode_definition"]

Overlap: TypeAlias = Literal["allow", "skip", "buffer_one", "cancel_previous"]
Misfire: TypeAlias = Literal["run_once", "skip", "run_all"]

GRACE_MS = 10_000
"""A fire that is sent at most this late is on time: no misfire policy is asked."""


class ScheduleDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it was declared. Times are Unix ms and inclusive; None is no bound.

    `lead`, `name` and `body` are the parts of the record that each of its jobs gets (see `wire.Draft`), `payload`
    is shown to people. `misfire_max` bounds `run_all`.
    """

    id: str
    queue: str
    recurrence: Recurrence
    lead: bytes
    name: bytes
    body: bytes
    payload: bytes = b""
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int | None = None
    jitter_ms: int = 0
    overlap: Overlap = "allow"
    misfire: Misfire = "run_once"
    misfire_max: int = 0
    catch_up_ms: int = 86_400_000
    pause_on_failure: bool = False
    from_code: bool = False

    @property
    def fingerprint(self) -> str:
        """Tell one definition from another: an upsert with the same one changes nothing."""
        return blake2b(encode_definition(self), digest_size=16).hexdigest()


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ScheduleDefinition)


def encode_definition(definition: ScheduleDefinition) -> bytes:
    """Return a definition as msgpack."""
    return _encode(definition)


def decode_definition(data: bytes) -> ScheduleDefinition:
    """Return the definition that `encode_definition` wrote. Raises `msgspec.MsgspecError` for anything else."""
    return _decoder.decode(data)
