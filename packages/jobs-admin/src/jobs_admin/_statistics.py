"""What is counted and measured of queues: now, by the minute, and of what ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jobs_admin import _health
from jobs_admin._errors import read_errors
from jobs_admin._listing import check_bounds
from jobs_admin._measures import (
    MAX_MINUTES,
    Spread,
    minute_records,
    read_history,
    read_minutes,
    read_spreads,
)
from jobs_admin._numbers import live_record, metrics_record, queue_record
from jobs_admin._pauses import pauses
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import ConnectionFailed, OptionError
from jobs_core.measures import MINUTES_A_DAY, added_minutes
from jobs_core.names import check_queue_name
from jobs_core.states import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobs_admin._context import Context
    from jobs_admin.records import (
        ErrorGroups,
        HealthRecord,
        HistoryPage,
        LiveRecord,
        MetricsRecord,
        MinuteRecord,
        QueueRecord,
    )


class Statistics:
    """The figures of queues. Nothing is changed by asking."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._directory = context.directory

    async def queues(self) -> list[QueueRecord]:
        """Count every queue."""
        return [queue_record(name, tally) for name, tally in (await self._directory.tallies()).items()]

    async def live(self, skip: Collection[str]) -> list[LiveRecord]:
        """Count every queue but those to skip, with what is watched second by second."""
        return [live_record(name, tally) for name, tally in (await self._directory.tallies(skip)).items()]

    async def stats(self, queue: str) -> QueueRecord:
        """Count one queue, and name what of it is paused."""
        record = queue_record(queue, await self._directory.tally(queue))
        if record.pauses:
            return msgspec.structs.replace(record, paused_parts=tuple(await pauses(self._calls, queue)))
        return record

    async def metrics(self, queue: str | None) -> MetricsRecord:
        """Measure one queue, or all of them together and each."""
        scripts = self._calls.scripts
        if queue is not None:
            tally = await self._directory.tally(queue)
            spreads = await self._calls.read(read_spreads(scripts, [queue]))
            return metrics_record(queue, [tally], spreads[queue])
        tallies = await self._directory.tallies()
        spreads = await self._calls.read(read_spreads(scripts, [*tallies]))
        each = tuple(metrics_record(name, [tally], spreads[name]) for name, tally in tallies.items())
        total = metrics_record(None, [*tallies.values()], sum(spreads.values(), Spread()))
        return msgspec.structs.replace(total, queues=each)

    async def health(
        self, queue: str, *, max_waiting: int | None, max_failed: int | None, max_age: Duration | None
    ) -> HealthRecord:
        """Say whether a queue is within thresholds; a server that does not answer is unhealthy, and no error."""
        _health.check_thresholds(max_waiting, max_failed)
        age_ms = None if max_age is None else to_ms(max_age, name="max_age")
        try:
            tally = await self._directory.tally(queue)
        except ConnectionFailed as error:
            return _health.unanswered(check_queue_name(queue), error.message)
        return _health.judge(
            queue_record(queue, tally),
            tally.longest_wait_ms,
            max_waiting=max_waiting,
            max_failed=max_failed,
            max_age_ms=age_ms,
        )

    async def series(self, queue: str | None, minutes: int) -> tuple[MinuteRecord, ...]:
        """Return what a queue, or all together, did in each of the last minutes, oldest first."""
        _check_minutes(minutes, MAX_MINUTES)
        names = await self._directory.chosen(queue)
        now_ms = await self._calls.server_ms()
        told = await self._calls.read(read_minutes(self._calls.scripts, names, now_ms, minutes))
        return minute_records(added_minutes(told.values(), minutes), now_ms, minutes)

    async def errors(self, minutes: int, queue: str | None) -> ErrorGroups:
        """Group what failed for good in the last minutes by the fingerprint of its error."""
        _check_minutes(minutes, MINUTES_A_DAY)
        names = await self._directory.chosen(queue)
        now_ms = await self._calls.server_ms()
        return await self._calls.read(read_errors(self._calls.scripts, names, now_ms, minutes))

    async def history(
        self,
        queue: str,
        *,
        outcome: State | str | None,
        name: str | None,
        schedule: str | None,
        limit: int,
        cursor: str | None,
    ) -> HistoryPage:
        """List the last jobs of a queue that ended, newest first."""
        check_bounds(limit, 0, cursor)
        await self._directory.check(queue)
        return await self._calls.read(
            read_history(
                self._calls.scripts,
                queue,
                outcome=outcome.value if isinstance(outcome, State) else outcome,
                name=name,
                schedule=schedule,
                limit=limit,
                cursor=cursor,
            )
        )


def _check_minutes(minutes: int, most: int) -> None:
    if not 1 <= minutes <= most:
        raise OptionError("minutes", minutes, f"it must be 1 to {most}")
