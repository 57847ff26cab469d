"""What failed for good, as an operator counts it and runs it again, each replay entered in the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from jobs_admin import _replay
from jobs_admin._bulk import checked_limit
from jobs_admin._changes import named
from jobs_core.dead_letters import DEAD_LETTER_QUEUE
from jobs_core.errors import OptionError
from jobs_core.names import check_queue_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_admin._bulk import Progress
    from jobs_admin._context import Context
    from jobs_admin._jobs import Jobs
    from jobs_admin.records import LetterCount, Outcome


class DeadLetters:
    """Dead letters, and the failed jobs of all queues."""

    def __init__(self, context: Context, jobs: Jobs) -> None:
        """Made by the admin."""
        self._calls = context.calls
        self._audit = context.audit
        self._redaction = context.redaction
        self._jobs = jobs

    async def replay(
        self,
        queue: str,
        ids: Sequence[str],
        changes: _replay.Changes,
        *,
        rate: float | None,
        dry_run: bool,
        progress: Progress | None,
    ) -> list[Outcome]:
        """Run again the jobs of dead letters, or failed jobs of another queue, by id."""
        check_queue_name(queue)
        if changes.payload is not msgspec.UNSET:
            if len(ids) != 1:
                raise OptionError("payload", "…", "another payload can only be given for one job")
            if self._redaction is not None:
                record, _ = await self._jobs.find(queue, ids[0])
                payload = self._redaction.restore(record, changes.payload)
                changes = msgspec.structs.replace(changes, payload=payload)
        outcomes = await _replay.replay(
            self._calls, queue, ids, changes, rate=rate, progress=progress, dry_run=dry_run
        )
        if not dry_run:
            done = [each.id for each in outcomes if each.done]
            detail = "edited" if changes.edited else ""
            await self._audit.enter("replay", queue, named(done), len(done), detail)
        return outcomes

    async def replay_all(
        self,
        changes: _replay.Changes,
        *,
        queue: str | None,
        name: str | None,
        group: str | None,
        limit: int | None,
        rate: float | None,
        dry_run: bool,
        progress: Progress | None,
    ) -> int:
        """Run again the jobs of the dead letters that there are now and that match. Returns how many."""
        count = await _replay.replay_all(
            self._calls,
            changes,
            queue=queue,
            name=name,
            group=group,
            limit=checked_limit(limit),
            rate=rate,
            progress=progress,
            dry_run=dry_run,
        )
        if not dry_run:
            chosen = {"queue": queue, "name": name, "error": group}
            which = " ".join(f"{field}:{value}" for field, value in chosen.items() if value)
            await self._audit.enter("replay", DEAD_LETTER_QUEUE, which, count)
        return count

    async def counts(self, queue: str | None) -> list[LetterCount]:
        """Count the dead letters there ever were, of a queue or of all."""
        counts = await _replay.letter_counts(self._calls)
        return [each for each in counts if queue in {None, each.queue}]
