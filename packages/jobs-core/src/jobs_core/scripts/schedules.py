"""The scripts of schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_core.scripts.caller import ScriptCaller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_core.connection.protocol import Encodable, Reply


class ScheduleScripts(ScriptCaller):
    """A method for each script of schedules."""

    async def schedule_put(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        expected_ms: int,
        definition: bytes,
        since_ms: int,
        next_ms: int,
        act_ms: int,
        delay_ms: int,
        halts: int,
        deadline: float | None = None,
    ) -> int:
        """Write a schedule as it was seen (version 0: none). Returns its version now, 0 where it was changed meanwhile.

        `act_ms` is when the next fire is sent, `delay_ms` that of one which counts from the end of a run.
        """
        times = (since_ms, next_ms, act_ms, delay_ms)
        args = (schedule_id, version, expected_ms, definition, *times, halts)
        return cast("int", await self._run("schedule_put", queue, args, deadline))

    async def schedule_remove(
        self, queue: str, *, schedule_id: str, keep_job: int, deadline: float | None = None
    ) -> int:
        """Remove a schedule: 1, 2 with the job that it sent last and that had not started, 0 where it is not known."""
        return cast("int", await self._run("schedule_remove", queue, (schedule_id, keep_job), deadline))

    async def schedule_pause(
        self, queue: str, *, schedule_id: str, actor: str, reason: str, deadline: float | None = None
    ) -> int:
        """Pause a schedule: 1, 0 it was paused already, -1 not known, -2 it has ended."""
        return cast("int", await self._run("schedule_pause", queue, (schedule_id, actor, reason), deadline))

    async def schedule_resume(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        expected_ms: int,
        next_ms: int,
        act_ms: int,
        deadline: float | None = None,
    ) -> int:
        """Resume a schedule as it was seen: 1, 0 it was not paused, -1 not known, -2 changed meanwhile."""
        args = (schedule_id, version, expected_ms, next_ms, act_ms)
        return cast("int", await self._run("schedule_resume", queue, args, deadline))

    async def schedule_rows(
        self, queue: str, *, ids: Sequence[str], deadline: float | None = None
    ) -> list[Reply]:
        """Read schedules by id: now (ms), how many there are, then id, definition, state, note of each."""
        return cast("list[Reply]", await self._run("schedule_rows", queue, tuple(ids), deadline))

    async def schedule_page(
        self, queue: str, *, offset: int, limit: int, deadline: float | None = None
    ) -> list[Reply]:
        """Read schedules in the order of their fires, as `schedule_rows`."""
        return cast("list[Reply]", await self._run("schedule_page", queue, (offset, limit), deadline))

    async def schedule_due(self, queue: str, *, limit: int) -> list[Reply]:
        """Read schedules that are due, the longest first, as `schedule_rows`."""
        return cast("list[Reply]", await self._run("schedule_due", queue, (limit,)))

    async def schedule_tick(self, queue: str, *, schedules: Sequence[Encodable]) -> list[int]:
        """Send the fires of schedules that are due, given flat as the script takes them.

        Returns of each how many, -1 where somebody else has ticked it.
        """
        return cast("list[int]", await self._run("schedule_tick", queue, tuple(schedules)))

    async def schedule_trigger(
        self,
        queue: str,
        *,
        schedule_id: str,
        version: int,
        last_job: str,
        stops: int,
        jobs: Sequence[Encodable],
        deadline: float | None = None,
    ) -> bytes | None:
        """Send jobs of a schedule out of turn. Returns what became of each, None where it was changed meanwhile."""
        args = (schedule_id, version, last_job, stops, *jobs)
        return cast("bytes | None", await self._run("schedule_trigger", queue, args, deadline))
