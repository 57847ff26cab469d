"""Schedules as the server has them: the bytes of its rows, and their compare-and-set."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from jobs_core.schedules.definition import ScheduleDefinition, decode_definition, encode_definition
from jobs_core.schedules.recurrence import AfterCompletion, At, anchored, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Reply
    from jobs_core.scripts import Scripts

__all__ = ["ACTIVE", "ENDED", "NEVER_MS", "PAUSED", "Schedules", "Stored", "act_ms", "schedule_times"]

ACTIVE, PAUSED, ENDED = 1, 2, 3
NEVER_MS = 2**53 - 1
"""The place of a schedule that does not fire."""
_STATE = struct.Struct(">IQQQQQIIIIBB")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the server has it. Times in Unix ms, 0 is never.

    `fired` jobs were sent, `late` of them later than the grace; of the other fires `skipped` fell to the misfire policy,
    `missed` were older than the catch-up window, `overlapped` found the run before still there. `note_ms`, `actor` and
    `note` say since when, by whom and why it is paused, or why a fire was put off. `fault` says why the definition
    cannot be read here ("": it can).
    """

    definition: ScheduleDefinition
    version: int
    since_ms: int
    next_ms: int
    fired: int
    last_ms: int
    late: int
    skipped: int
    missed: int
    overlapped: int
    status: int
    last_job: str
    note_ms: int = 0
    actor: str = ""
    note: str = ""
    fault: str = ""

    @property
    def recurring(self) -> ScheduleDefinition:
        """The definition with its anchor, which unless it was given is when the schedule was made."""
        recurrence = anchored(self.definition.recurrence, self.since_ms)
        if recurrence is self.definition.recurrence:
            return self.definition
        return replace(self.definition, recurrence=recurrence)


def act_ms(definition: ScheduleDefinition, fire_ms: int | None) -> int:
    """Return when a fire is sent: at its time, or so much later as its jitter says."""
    return 0 if not fire_ms else fire_ms + spread(definition.id, fire_ms, definition.jitter_ms)


def schedule_times(state: bytes) -> tuple[int, int, int, int]:
    """Return since, next and last (ms) and the status of a schedule."""
    fields = _STATE.unpack_from(state)
    return fields[1], fields[2], fields[4], fields[11]


class Schedules:
    """The rows of schedules: what others build on."""

    def __init__(self, scripts: Scripts) -> None:
        """Bind to the scripts of a client."""
        self.scripts = scripts

    async def put(
        self,
        definition: ScheduleDefinition,
        *,
        seen: Stored | None,
        since_ms: int,
        next_ms: int | None,
        deadline: float | None = None,
    ) -> int:
        """Write a schedule as it was seen; returns its version, 0 where another call came between."""
        recurrence = definition.recurrence
        return await self.scripts.schedule_put(
            definition.queue,
            schedule_id=definition.id,
            version=0 if seen is None else seen.version,
            expected_ms=0 if seen is None else seen.next_ms,
            definition=encode_definition(definition),
            since_ms=since_ms,
            next_ms=next_ms or 0,
            act_ms=act_ms(definition, next_ms),
            delay_ms=recurrence.delay_ms if isinstance(recurrence, AfterCompletion) else 0,
            halts=int(definition.pause_on_failure),
            deadline=deadline,
        )

    async def named(
        self, queue: str, ids: Sequence[str], *, deadline: float | None = None
    ) -> tuple[int, list[Stored]]:
        """Return the server's time (ms) and the schedules of these ids that are there."""
        now_ms, _, found = _rows(await self.scripts.schedule_rows(queue, ids=ids, deadline=deadline))
        return now_ms, found

    async def due(self, queue: str, *, limit: int) -> tuple[int, list[Stored]]:
        """Return the server's time (ms) and the schedules that are due, at most `limit`."""
        now_ms, _, found = _rows(await self.scripts.schedule_due(queue, limit=limit))
        return now_ms, found

    async def page(
        self, queue: str, *, offset: int = 0, limit: int = 128, deadline: float | None = None
    ) -> tuple[int, list[Stored]]:
        """Return how many schedules there are, and some of them, the next to fire first."""
        reply = await self.scripts.schedule_page(queue, offset=offset, limit=limit, deadline=deadline)
        _, count, found = _rows(reply)
        return count, found


def _rows(reply: Sequence[Reply]) -> tuple[int, int, list[Stored]]:
    now, count, *flat = reply
    found = [
        _stored(*cast("tuple[bytes, bytes, bytes, bytes]", tuple(flat[at : at + 4])))
        for at in range(0, len(flat), 4)
    ]
    return int(cast("bytes", now)), cast("int", count), found


def _stored(schedule_id: bytes, row: bytes, packed: bytes, note: bytes) -> Stored:
    version, since, upcoming, fired, last, _, late, skipped, missed, overlapped, _, status = (
        _STATE.unpack_from(packed)
    )
    fault = ""
    try:
        definition = decode_definition(row)
    except (msgspec.MsgspecError, ValueError) as error:
        fault = f"its definition cannot be read by this version: {error}"
        definition = ScheduleDefinition(id=schedule_id.decode(), queue="", wire_name="?@1", recurrence=At(()))
    when, actor, why, *_ = [*note.decode(errors="replace").split("\n", 2), "", ""]
    return Stored(
        definition=definition,
        version=version,
        since_ms=since,
        next_ms=upcoming,
        fired=fired,
        last_ms=last,
        late=late,
        skipped=skipped,
        missed=missed,
        overlapped=overlapped,
        status=status,
        last_job=packed[_STATE.size :].decode(),
        note_ms=int(when or 0),
        actor=actor,
        note=why,
        fault=fault,
    )
