"""What is kept of a schedule on the server: its definition, which scripts never look into."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from jobs_core.codecs import Codec
from jobs_core.options import MetaValue
from jobs_core.schedules.recurrence import Recurrence
from jobs_core.wire import Flow

__all__ = [
    "CATCH_UP_MS",
    "GRACE_MS",
    "Misfire",
    "Overlap",
    "ScheduleDefinition",
    "decode_definition",
    "encode_definition",
]

Overlap: TypeAlias = Literal["allow", "skip", "buffer_one", "cancel_previous"]
Misfire: TypeAlias = Literal["run_once", "skip", "run_all"]

GRACE_MS = 10_000
"""A fire that is sent at most this late is on time: no misfire policy is asked."""


CATCH_UP_MS = 86_400_000
"""How far back fires are made up for unless a schedule says otherwise."""


class ScheduleDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it was declared. Times are Unix ms and inclusive; None is no bound.

    `wire_name` to `tags` make its jobs: what their options came to when it was declared. `codec` says how the payload
    is written here, `seals` what is done to it anew for each job. `misfire_max` bounds `run_all`.
    """

    id: str
    queue: str
    wire_name: str
    recurrence: Recurrence
    policy: bytes = b""
    payload: bytes = b""
    codec: str | None = None
    seals: Codec | None = None
    priority: int = 3
    cost: int = 1
    key: str = ""
    unique: bytes = b""
    decide: str = ""
    metadata: dict[str, MetaValue] | None = None
    tags: tuple[str, ...] | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int | None = None
    jitter_ms: int = 0
    overlap: Overlap = "allow"
    misfire: Misfire = "run_once"
    misfire_max: int = 0
    catch_up_ms: int = CATCH_UP_MS
    pause_on_failure: bool = False
    from_code: bool = False
    flow: Flow | None = None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ScheduleDefinition)


def encode_definition(definition: ScheduleDefinition) -> bytes:
    """Return a definition as msgpack."""
    return _encode(definition)


def decode_definition(data: bytes) -> ScheduleDefinition:
    """Return the definition that `encode_definition` wrote. Raises `msgspec.MsgspecError` for anything else."""
    return _decoder.decode(data)
