"""What can be done to schedules, whoever asks: each call reads a row, works out times, and writes it by compare-and-set."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec.structs import replace

from jobs_core.errors import OptionError, ScheduleEnded, ScheduleNotFound
from jobs_core.options import instant_ms
from jobs_core.schedules.definition import ScheduleDefinition
from jobs_core.schedules.fires import hand_id, make_fire, same_definition
from jobs_core.schedules.plan import first_fire, upcoming
from jobs_core.schedules.recurrence import AfterCompletion, Every, anchored, fires
from jobs_core.schedules.store import ENDED, PAUSED, Schedules, Stored, act_ms
from jobs_core.scripts import MAX_BYTES, MAX_ITEMS
from jobs_core.wire import pack_drafts, parse_verdicts

if TYPE_CHECKING:
    from jobs_core.codecs import Codecs
    from jobs_core.scripts import Scripts
    from jobs_core.wire import Verdict

__all__ = ["MOST_BACKFILLED", "Book", "Written"]

Written: TypeAlias = Literal["created", "changed", "unchanged"]
"""What an upsert did."""

MOST_BACKFILLED = 10_000
_MOST_SHOWN = 1000


class Book:
    """The schedules of a server. Times are Unix ms; `deadline` is loop time, and ConnectionFailed is raised past it."""

    def __init__(self, scripts: Scripts, codecs: Codecs) -> None:
        """`codecs` have the keys and files of encrypted payloads."""
        self._schedules = Schedules(scripts)
        self._scripts = scripts
        self._codecs = codecs

    async def upsert(
        self, definition: ScheduleDefinition, *, deadline: float | None = None
    ) -> tuple[Written, Stored]:
        """Write a schedule. One that says the same changes nothing, and one whose times say the same keeps its phase.

        Returns what that did, also where the reply to the write was lost and it was sent again, and the schedule. Raises
        ScheduleNotFound where somebody removed it at once.
        """
        queue = definition.queue
        refused: tuple[Written, int, int] | None = None
        while True:
            now_ms, found = await self._schedules.named(queue, [definition.id], deadline=deadline)
            seen = found[0] if found else None
            if (
                seen is not None
                and not seen.fault
                and same_definition(seen.definition, definition, self._codecs)
            ):
                # A write that is refused may be the second sending of one that was applied: then it is found as it was sent.
                ours = refused is not None and refused[1:] == (seen.version, seen.since_ms)
                return refused[0] if refused is not None and ours else "unchanged", seen
            since_ms, next_ms = _phase(definition, seen, now_ms)
            outcome: Written = "created" if seen is None else "changed"
            if await self._schedules.put(
                definition, seen=seen, since_ms=since_ms, next_ms=next_ms, deadline=deadline
            ):
                # Whoever writes it after us has the last word: it is not written again.
                return outcome, await self.find(queue, definition.id, deadline=deadline)
            refused = outcome, 1 if seen is None else seen.version + 1, since_ms

    async def find(self, queue: str, schedule_id: str, *, deadline: float | None = None) -> Stored:
        """Return a schedule. Raises ScheduleNotFound."""
        _, stored = await self._find(queue, schedule_id, deadline)
        return stored

    async def page(
        self, queue: str, *, offset: int = 0, limit: int = MAX_ITEMS, deadline: float | None = None
    ) -> tuple[int, list[Stored]]:
        """Return how many schedules a queue has, and some of them, the next to fire first."""
        total, found = await self._schedules.page(
            queue, offset=offset, limit=min(limit, MAX_ITEMS), deadline=deadline
        )
        while found and len(found) < min(limit, total - offset):
            # Large ones take more than one call.
            left = min(limit - len(found), MAX_ITEMS)
            total, more = await self._schedules.page(
                queue, offset=offset + len(found), limit=left, deadline=deadline
            )
            if not more:
                break
            found += more
        return total, found

    async def remove(
        self, queue: str, schedule_id: str, *, keep_job: bool = False, deadline: float | None = None
    ) -> bool:
        """Remove a schedule, and the job that it sent last if that has not started. Returns whether it did so to a job.

        Raises ScheduleNotFound.
        """
        verdict = await self._scripts.schedule_remove(
            queue, schedule_id=schedule_id, keep_job=int(keep_job), deadline=deadline
        )
        if not verdict:
            raise ScheduleNotFound(queue, schedule_id)
        return verdict == 2

    async def pause(
        self,
        queue: str,
        schedule_id: str,
        *,
        actor: str = "",
        reason: str = "",
        deadline: float | None = None,
    ) -> bool:
        """Pause a schedule; False if it was paused already. Raises ScheduleNotFound or ScheduleEnded."""
        verdict = await self._scripts.schedule_pause(
            queue, schedule_id=schedule_id, actor=actor.replace("\n", " "), reason=reason, deadline=deadline
        )
        if verdict == -1:
            raise ScheduleNotFound(queue, schedule_id)
        if verdict == -2:
            raise ScheduleEnded(queue, schedule_id)
        return verdict == 1

    async def resume(self, queue: str, schedule_id: str, *, deadline: float | None = None) -> bool:
        """Let a schedule go on with its next fire from now; False if it was not paused. Raises ScheduleNotFound."""
        while True:
            now_ms, seen = await self._find(queue, schedule_id, deadline)
            if seen.status != PAUSED:
                return False
            next_ms = _from_now_on(seen, now_ms)
            verdict = await self._scripts.schedule_resume(
                queue,
                schedule_id=schedule_id,
                version=seen.version,
                expected_ms=seen.next_ms,
                next_ms=next_ms or 0,
                act_ms=act_ms(seen.definition, next_ms),
                deadline=deadline,
            )
            if verdict >= 0:
                return verdict == 1

    async def trigger(
        self, queue: str, schedule_id: str, *, deadline: float | None = None
    ) -> tuple[str, Verdict, ScheduleDefinition]:
        """Send a job of a schedule now; its turn stays as it is.

        Returns the id of the job that stands for it, what became of it, and the definition. Raises ScheduleNotFound.
        """
        job_id = hand_id(schedule_id)
        while True:
            now_ms, seen = await self._find(queue, schedule_id, deadline)
            draft = await make_fire(seen.definition, now_ms, self._codecs, job_id=job_id, remembered=True)
            reply = await self._scripts.schedule_trigger(
                queue,
                schedule_id=schedule_id,
                version=seen.version,
                last_job=job_id,
                stops=int(seen.definition.overlap == "cancel_previous"),
                jobs=pack_drafts([draft]),
                deadline=deadline,
            )
            if reply is not None:
                (verdict,) = parse_verdicts(reply)
                return verdict.survivor or job_id, verdict, seen.definition

    async def backfill(
        self, queue: str, schedule_id: str, start: datetime, end: datetime, *, deadline: float | None = None
    ) -> int:
        """Send a job for every fire of a range of the past, both ends included; returns how many.

        Runs that are there are left alone. A fire whose job is still there, or that was backfilled in the last 24 h, is passed over.
        Raises ScheduleNotFound, or OptionError for a range that is not over, ends before it begins, or has more than 10,000 fires.
        """
        from_ms, until_ms = instant_ms("start", start), instant_ms("end", end)
        if until_ms < from_ms:
            raise OptionError("end", end, f"it lies before the start, {start.isoformat()}")
        now_ms, seen = await self._find(queue, schedule_id, deadline)
        asked = _past_fires(seen, from_ms, until_ms, now_ms, end)
        definition = seen.definition
        size = max(min(MAX_ITEMS, MAX_BYTES // (len(definition.payload) + 1)), 1)
        created, at = 0, 0
        while at < len(asked):
            some = asked[at : at + size]
            drafts = [
                await make_fire(definition, each, self._codecs, remembered=True, overlaps=True)
                for each in some
            ]
            reply = await self._scripts.schedule_trigger(
                queue,
                schedule_id=schedule_id,
                version=seen.version,
                last_job="",
                stops=0,
                jobs=pack_drafts(drafts),
                deadline=deadline,
            )
            if reply is None:
                _, seen = await self._find(queue, schedule_id, deadline)
                definition = seen.definition
                continue
            created += sum(verdict.sign == "1" for verdict in parse_verdicts(reply))
            at += len(some)
        return created

    async def next(
        self, queue: str, schedule_id: str, count: int, *, deadline: float | None = None
    ) -> list[int]:
        """Return the next fires of a schedule, at most `count`; of a paused one those it would have if it were resumed now.

        Raises ScheduleNotFound or OptionError.
        """
        if not isinstance(count, int) or not 1 <= count <= _MOST_SHOWN:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("n", count, f"it must be a whole number from 1 to {_MOST_SHOWN}")
        now_ms, seen = await self._find(queue, schedule_id, deadline)
        if seen.status == ENDED:
            return []
        definition = seen.recurring
        begin = _from_now_on(seen, now_ms) if seen.status == PAUSED else seen.next_ms or None
        left = count if definition.limit is None else min(count, definition.limit - seen.fired)
        return upcoming(definition, begin, left)

    async def _find(self, queue: str, schedule_id: str, deadline: float | None) -> tuple[int, Stored]:
        now_ms, found = await self._schedules.named(queue, [schedule_id], deadline=deadline)
        if not found:
            raise ScheduleNotFound(queue, schedule_id)
        return now_ms, found[0]


def _phase(definition: ScheduleDefinition, seen: Stored | None, now_ms: int) -> tuple[int, int | None]:
    """Return since when a schedule counts that is about to be written, and its next fire."""
    if seen is None:
        return now_ms, _first(definition, now_ms, now_ms)
    old = seen.definition
    since_ms = seen.since_ms if old.recurrence == definition.recurrence else now_ms
    if definition.limit is not None and seen.fired >= definition.limit:
        return since_ms, None
    times = [(each.recurrence, each.start_ms, each.end_ms, each.jitter_ms) for each in (old, definition)]
    runs_on = isinstance(old.recurrence, AfterCompletion) and isinstance(
        definition.recurrence, AfterCompletion
    )
    if seen.status != ENDED and (times[0] == times[1] or (runs_on and not seen.next_ms)):
        return seen.since_ms, seen.next_ms or None
    # What was sent at this very time was sent.
    return since_ms, _first(definition, since_ms, max(now_ms, seen.last_ms + 1))


def _first(definition: ScheduleDefinition, since_ms: int, from_ms: int) -> int | None:
    recurrence = definition.recurrence
    if isinstance(recurrence, Every) and not recurrence.anchor_ms:
        # The first one comes an interval after the schedule was made.
        from_ms = max(from_ms, since_ms + 1)
    return _next(replace(definition, recurrence=anchored(recurrence, since_ms)), from_ms)


def _from_now_on(seen: Stored, now_ms: int) -> int | None:
    """Return the next fire of a paused schedule; of one that waits for the end of a run None."""
    if isinstance(seen.definition.recurrence, AfterCompletion):
        return max(seen.next_ms, now_ms) if seen.next_ms else None
    return _next(seen.recurring, max(now_ms, seen.last_ms + 1))


def _next(definition: ScheduleDefinition, from_ms: int) -> int | None:
    recurrence = definition.recurrence
    if isinstance(recurrence, AfterCompletion):
        at = max(recurrence.first_ms, from_ms)
        return at if definition.end_ms is None or at <= definition.end_ms else None
    return first_fire(definition, from_ms)


def _past_fires(seen: Stored, from_ms: int, until_ms: int, now_ms: int, end: datetime) -> list[int]:
    definition = seen.recurring
    if isinstance(definition.recurrence, AfterCompletion):
        raise OptionError(
            "after_completion",
            definition.id,
            "its times follow from its runs, so there are none to make up for",
        )
    if until_ms > now_ms:
        raise OptionError("end", end, "it lies in the future; the schedule sends those fires itself")
    definition = _reaching_back(definition, from_ms)
    first = max(from_ms, definition.start_ms or 0)
    last = min(until_ms, until_ms if definition.end_ms is None else definition.end_ms)
    found: list[int] = []
    for fire_ms in fires(definition.recurrence, first - 1, last):
        found.append(fire_ms)
        if len(found) > MOST_BACKFILLED:
            raise OptionError(
                "end", end, f"the range has over {MOST_BACKFILLED:,} fires; backfill it in parts"
            )
    return found


def _reaching_back(definition: ScheduleDefinition, from_ms: int) -> ScheduleDefinition:
    """Count an interval back from its anchor: what is asked for lies before it as a rule."""
    recurrence = definition.recurrence
    if not isinstance(recurrence, Every) or recurrence.anchor_ms <= from_ms:
        return definition
    steps = -(-(recurrence.anchor_ms - from_ms) // recurrence.interval_ms)
    earlier = Every(recurrence.interval_ms, recurrence.anchor_ms - steps * recurrence.interval_ms)
    return replace(definition, recurrence=earlier)
