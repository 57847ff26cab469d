"""One tick: read which schedules of a queue are due, decide, send. Any number of processes may do it at once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from jobs_core.errors import (
    CodecError,
    ConfigurationError,
    OptionError,
    PayloadTooLarge,
    ServerError,
    ServerFull,
)
from jobs_core.schedules.fires import make_fire
from jobs_core.schedules.plan import make_plan
from jobs_core.schedules.store import Schedules, act_ms
from jobs_core.scripts import MAX_BYTES, MAX_ITEMS
from jobs_core.wire import pack_drafts

if TYPE_CHECKING:
    from jobs_core.codecs import Codecs
    from jobs_core.connection.protocol import Encodable
    from jobs_core.schedules.plan import Plan
    from jobs_core.schedules.store import Stored
    from jobs_core.scripts import Scripts

__all__ = ["Ticker"]

_AT_ONCE = 64
_AT_MOST_S = 2.0
_PUT_OFF_MS = 60_000
_log = logging.getLogger("jobs_core")


class Ticker:
    """Sends what the schedules of a queue have due."""

    def __init__(self, scripts: Scripts, queue: str, codecs: Codecs) -> None:
        """`codecs` have the keys and files of encrypted payloads."""
        self._schedules = Schedules(scripts)
        self._queue = queue
        self._codecs = codecs

    async def run(self) -> int:
        """Send what is due, for 2 s at most, and return how many jobs this process sent; what is left is due again at once.

        Raises what the scripts raise.
        """
        loop = asyncio.get_running_loop()
        sent, until = 0, loop.time() + _AT_MOST_S
        while loop.time() < until:
            now_ms, due = await self._schedules.due(self._queue, limit=_AT_ONCE)
            ticks = [await self._tick(stored, now_ms) for stored in due]
            ours = [count for count in await self._send(ticks) if count >= 0]
            sent += sum(ours)
            if not ours:
                # Nothing is due, or others are at it.
                break
        return sent

    async def _tick(self, stored: Stored, now_ms: int) -> _Tick:
        """Work out what is sent of one schedule."""
        if stored.fault:
            return self._put_off(stored, now_ms, stored.fault)
        try:
            return await self._planned(
                stored, make_plan(stored.recurring, stored.next_ms, stored.fired, now_ms), now_ms
            )
        except (OptionError, CodecError, ConfigurationError, PayloadTooLarge, OSError) as error:
            return self._put_off(stored, now_ms, str(error))

    async def _planned(self, stored: Stored, plan: Plan, now_ms: int) -> _Tick:
        definition = stored.definition
        fires, overlapped, following, late = list(plan.sent), 0, plan.next_ms, plan.late
        most = max(min(MAX_ITEMS, MAX_BYTES // (len(definition.payload) + 1)), 1)
        if definition.overlap != "allow" and fires:
            # Of several at once one would be left anyway; those that are late come first.
            overlapped, late, fires = len(fires) - 1, int(late == len(fires)), fires[-1:]
        elif len(fires) > most:
            # The others are due still, and follow with the next call.
            following, late, fires = fires[most], min(late, most), fires[:most]
        drafts = [await make_fire(definition, fire_ms, self._codecs) for fire_ms in fires]
        jobs = pack_drafts(drafts)
        return _Tick(
            stored,
            now_ms,
            [
                definition.id,
                stored.version,
                stored.next_ms,
                following or 0,
                act_ms(definition, following),
                fires[-1] if fires else 0,
                drafts[-1].id if drafts else "",
                definition.limit or 0,
                late,
                plan.skipped,
                plan.missed,
                overlapped,
                int(definition.overlap == "cancel_previous"),
                "",
                len(drafts),
                len(jobs),
                *jobs,
            ],
            len(drafts),
            sum(len(draft.body) for draft in drafts),
        )

    def _put_off(self, stored: Stored, now_ms: int, why: str) -> _Tick:
        """Try again in a minute, perhaps in a process that can: the zone, a key or a file may be missing here."""
        _log.warning(
            "schedule %s of queue %s is put off for 60 s: %s", stored.definition.id, self._queue, why
        )
        moved = (stored.definition.id, stored.version, stored.next_ms, stored.next_ms, now_ms + _PUT_OFF_MS)
        none = (0, "", 0, 0, 0, 0, 0, 0)
        return _Tick(stored, now_ms, [*moved, *none, why[:500].replace("\n", " "), 0, 0])

    async def _send(self, ticks: list[_Tick]) -> list[int]:
        """Send ticks, as many in a call as its bounds allow. Returns how many jobs of each were sent, -1 where it was not ours."""
        counts: list[int] = []
        while len(counts) < len(ticks):
            some: list[_Tick] = []
            jobs = size = 0
            for tick in ticks[len(counts) :]:
                jobs, size = jobs + tick.jobs, size + tick.size
                if some and (jobs > MAX_ITEMS or size > MAX_BYTES):
                    break
                some.append(tick)
            counts += await self._call(some)
        return counts

    async def _call(self, ticks: list[_Tick]) -> list[int]:
        arguments = [part for tick in ticks for part in tick.arguments]
        try:
            return await self._schedules.scripts.schedule_tick(self._queue, schedules=arguments)
        except ServerFull:
            raise
        except (ServerError, PayloadTooLarge) as error:
            # A fault of one, which would come again at once, must not hold up the others.
            if len(ticks) > 1:
                return [count for tick in ticks for count in await self._call([tick])]
            (tick,) = ticks
            if not tick.jobs:
                raise
            return await self._call([self._put_off(tick.stored, tick.now_ms, str(error))])


class _Tick(msgspec.Struct, frozen=True):
    """What is to be sent of one schedule: the arguments of the script, the number of jobs and their bytes."""

    stored: Stored
    now_ms: int
    arguments: list[Encodable]
    jobs: int = 0
    size: int = 0
