"""One tick: read which schedules of a queue are due, decide, send. Any number of processes may do it at once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

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
from jobs_core.scripts import MAX_BYTES
from jobs_core.wire import pack_drafts

if TYPE_CHECKING:
    from jobs_core.codecs import Codecs
    from jobs_core.schedules.plan import Plan
    from jobs_core.schedules.store import Stored
    from jobs_core.scripts import Scripts

__all__ = ["Ticker"]

_AT_ONCE = 64
_AT_MOST_S = 2.0
_PUT_OFF_MS = 60_000
_FIRES_A_CALL = 128
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
            counts = await asyncio.gather(*(self._tick(stored, now_ms) for stored in due))
            ours = [count for count in counts if count >= 0]
            sent += sum(ours)
            if not ours:
                # Nothing is due, or others are at it.
                break
        return sent

    async def _tick(self, stored: Stored, now_ms: int) -> int:
        """Send one schedule's fires; a fault of one, which would come again at once, must not hold up the others."""
        try:
            if stored.fault:
                return await self._put_off(stored, now_ms, stored.fault)
            plan = make_plan(stored.recurring, stored.next_ms, stored.fired, now_ms)
            return await self._send(stored, plan)
        except ServerFull:
            raise
        except (OptionError, CodecError, ConfigurationError, PayloadTooLarge, ServerError, OSError) as error:
            return await self._put_off(stored, now_ms, str(error))

    async def _send(self, stored: Stored, plan: Plan) -> int:
        definition = stored.definition
        fires, overlapped, following, late = list(plan.sent), 0, plan.next_ms, plan.late
        most = max(min(_FIRES_A_CALL, MAX_BYTES // (len(definition.payload) + 1)), 1)
        if definition.overlap != "allow" and fires:
            # Of several at once one would be left anyway; those that are late come first.
            overlapped, late, fires = len(fires) - 1, int(late == len(fires)), fires[-1:]
        elif len(fires) > most:
            # The others are due still, and follow with the next call.
            following, late, fires = fires[most], min(late, most), fires[:most]
        drafts = [await make_fire(definition, fire_ms, self._codecs) for fire_ms in fires]
        return await self._schedules.scripts.schedule_tick(
            self._queue,
            schedule_id=definition.id,
            version=stored.version,
            expected_ms=stored.next_ms,
            next_ms=following or 0,
            act_ms=act_ms(definition, following),
            last_ms=fires[-1] if fires else 0,
            last_job=drafts[-1].id if drafts else "",
            limit=definition.limit or 0,
            late=late,
            skipped=plan.skipped,
            missed=plan.missed,
            overlapped=overlapped,
            stops=int(definition.overlap == "cancel_previous"),
            note="",
            jobs=pack_drafts(drafts),
        )

    async def _put_off(self, stored: Stored, now_ms: int, why: str) -> int:
        """Try again in a minute, perhaps in a process that can: the zone, a key or a file may be missing here."""
        _log.warning(
            "schedule %s of queue %s is put off for 60 s: %s", stored.definition.id, self._queue, why
        )
        return await self._schedules.scripts.schedule_tick(
            self._queue,
            schedule_id=stored.definition.id,
            version=stored.version,
            expected_ms=stored.next_ms,
            next_ms=stored.next_ms,
            act_ms=now_ms + _PUT_OFF_MS,
            last_ms=0,
            last_job="",
            limit=0,
            late=0,
            skipped=0,
            missed=0,
            overlapped=0,
            stops=0,
            note=why[:500].replace("\n", " "),
            jobs=(),
        )
