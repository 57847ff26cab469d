"""The scripts by which people change queues and jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jobs_core.scripts.caller import MAX_BYTES, MAX_ITEMS, ScriptCaller
from jobs_core.scripts.reading import texts
from jobs_core.scripts.replies import Cancelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs_core.connection.protocol import Encodable, Reply


# Of one job to replay: how many arguments it has, and how many of them a call takes.
_REPLAY_PARTS = 9
_REPLAY_JOBS = 16


class ChangeScripts(ScriptCaller):
    """A method for each script of an operator."""

    async def limit(self, queue: str, *, limits: Mapping[str, str]) -> bool:
        """Set limits live; they hold over the declared ones. Returns whether anything changed.

        `max_active` and `key_active` are numbers, `rate` and `key_rate` are "max per_ms burst"; "0" lifts a limit, ""
        takes it back to what code declares. Raises ServerError BAD_LIMIT for anything else.
        """
        return await self._run("limit", queue, [text for pair in limits.items() for text in pair]) == 1

    async def pause(
        self, queue: str, *, what: str = "", for_ms: int = 0, actor: str = "", reason: str = ""
    ) -> bool:
        """Pause a queue, or of it what `what` says (`job:NAME`, `key:KEY`), for `for_ms` if that is not 0.

        Returns False if it was paused already.
        """
        return await self._run("pause", queue, (what, for_ms, actor, reason)) == 1

    async def resume(self, queue: str, *, what: str = "") -> bool:
        """Resume a queue, or what `what` names. Returns False if it was running already."""
        return await self._run("resume", queue, (what,)) == 1

    async def priority(self, queue: str, *, priority: int, ids: Sequence[str]) -> list[str]:
        """Give waiting or delayed jobs another priority.

        Returns for each "1", "0" (not known) or the state it is in instead; large ones take more than one call.
        """
        return await self._each("priority", queue, (priority,), ids)

    async def reschedule(
        self, queue: str, *, delay_ms: int = 0, run_at_ms: int = 0, ids: Sequence[str]
    ) -> list[str]:
        """Make waiting or delayed jobs due after a delay, or at an instant (Unix ms). Returns as `priority`."""
        return await self._each("reschedule", queue, (delay_ms, run_at_ms), ids)

    async def retry(self, queue: str, *, ids: Sequence[str]) -> list[str]:
        """Put failed jobs back with fresh budgets.

        Returns for each "1", "0" (not known) or the state it is in instead.
        """
        return await self._each("retry", queue, (), ids)

    async def replay(self, queue: str, *, jobs: Sequence[Encodable]) -> list[str]:
        """Replay jobs that failed for good, given flat as the script takes them.

        Returns for each "1", "0" (not known), "replayed" (this life of it was before) or the state it is in.
        """
        verdicts: list[str] = []
        while rest := jobs[len(verdicts) * _REPLAY_PARTS :]:
            verdicts += texts(await self._run("replay", queue, _replay_call(rest)))
        return verdicts

    async def remove(self, queue: str, *, ids: Sequence[str]) -> list[str]:
        """Remove jobs. Returns for each "1", "0" (not known) or "active" (refused)."""
        return await self._each("remove", queue, (), ids)

    async def cancel(self, queue: str, *, ids: Sequence[str], deadline: float | None = None) -> Cancelled:
        """Cancel jobs; large ones take more than one call."""
        verdicts: list[str] = []
        posted: list[int] = []
        while rest := ids[len(verdicts) : len(verdicts) + MAX_ITEMS]:
            reply = await self._run("cancel", queue, (*rest,), deadline)
            told, entries = cast("tuple[Reply, list[bytes]]", reply)
            verdicts += texts(told)
            posted += map(int, entries)
        return Cancelled(verdicts, posted)

    async def clean(self, queue: str, *, home: str, age_ms: int, limit: int) -> int:
        """Remove finished jobs older than an age, at most 500 a call. Returns how many."""
        return cast("int", await self._run("clean", queue, (home, age_ms, limit)))

    async def drain(self, queue: str, *, home: str, limit: int) -> tuple[int, int]:
        """Remove waiting or delayed jobs, at most 500 a call.

        Returns how many, and how many are left in that home.
        """
        removed, left = cast("list[int]", await self._run("drain", queue, (home, limit)))
        return removed, left

    async def obliterate(self, queue: str, *, force: bool) -> tuple[int, int, int]:
        """Take everything of a queue away.

        Returns (jobs taken away, jobs that run, left in the trash for `trim`). The first is -2 where jobs run and
        `force` is not given, -1 while an earlier trash is still being emptied (call again).
        """
        jobs, running, left = cast("list[int]", await self._run("obliterate", queue, (int(force),)))
        return jobs, running, left

    async def mend(self, queue: str, *, code: str, about: Sequence[str]) -> bytes:
        """Mend breaches of one code, at most 128, that are still there.

        Returns for each b"1" (mended), b"0" (it holds by now) or b"-" (no script can mend it).
        """
        return cast("bytes", await self._run("mend", queue, (code, *about)))


def _replay_call(jobs: Sequence[Encodable]) -> Sequence[Encodable]:
    """Return the first of what is to be replayed: a job moves as ten other commands would, and may bring all of it."""
    size = 0
    for at in range(0, min(len(jobs), _REPLAY_JOBS * _REPLAY_PARTS), _REPLAY_PARTS):
        size += sum(len(part) for part in jobs[at : at + _REPLAY_PARTS] if isinstance(part, bytes | str))
        if at and size > MAX_BYTES:
            return jobs[:at]
    return jobs[: _REPLAY_JOBS * _REPLAY_PARTS]
