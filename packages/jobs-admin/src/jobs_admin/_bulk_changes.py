"""Changes of very many jobs at once: all that a query means, or all of a queue in a state, each entered in the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from jobs_admin import _bulk, _verdicts, _where
from jobs_admin._bulk import checked_limit
from jobs_admin._listing import make_filter
from jobs_admin.records import BulkRecord
from jobs_core.durations import Duration, to_ms
from jobs_core.errors import OptionError
from jobs_core.options import as_priority
from jobs_core.registry import forget_queue
from jobs_core.states import Priority, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from jobs_admin._bulk import Progress
    from jobs_admin._context import Context
    from jobs_core.records import JobRecord

BulkVerb: TypeAlias = Literal["retry", "promote", "cancel", "remove", "reschedule", "priority"]
"""What can be done to all jobs that a query means."""


class Change(NamedTuple):
    """A change of many jobs: what makes it, what tells that a job is so already, and the text of it for the audit."""

    verb: _verdicts.Verb
    there: Callable[[JobRecord], bool]
    detail: str = ""


class BulkChanges:
    """Changes in bounded calls, that end although jobs keep coming. `dry_run` only counts, and is not in the audit."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._context = context
        self._calls = context.calls
        self._directory = context.directory

    async def bulk(
        self,
        verb: BulkVerb,
        queue: str,
        query: str,
        make: Callable[[int], Change],
        *,
        limit: int | None,
        rate: float | None,
        cursor: str | None,
        dry_run: bool,
        progress: Progress | None,
    ) -> BulkRecord:
        """Change all jobs that a query means and that there were when this began; `make` is given that instant in Unix ms."""
        if not query.strip():
            raise OptionError(
                "query", query, "say which jobs; state:failed means all that failed, for example"
            )
        if rate is not None and rate <= 0:
            raise OptionError("rate", rate, "it must be more than 0 jobs a second")
        wanted = make_filter(None, None, None, query)
        states = _where.sources(verb, wanted.query.states)
        change = make(await self._calls.server_ms())
        await self._directory.check(queue)
        bound = _where.Bound(limit=checked_limit(limit), rate=rate or 0.0, cursor=cursor)
        wanted = msgspec.structs.replace(wanted, states=states)
        total = None
        if not wanted.picky:
            sizes = (await self._directory.tally(queue)).sizes
            total = sum(sizes[state] for state in states)
            total = total if limit is None else min(total, limit)
        count, after = await _where.change_where(
            self._calls,
            queue,
            None if dry_run else change.verb,
            wanted,
            bound,
            there=change.there,
            total=total,
            progress=progress,
            shown=self._context.shown,
        )
        text = wanted.query.text
        await self._enter(verb, queue, text, count, dry_run=dry_run, detail=change.detail)
        return BulkRecord(verb=verb, query=text, count=count, dry_run=dry_run, cursor=after)

    async def retry_failed(
        self, queue: str, *, limit: int | None, dry_run: bool, progress: Progress | None
    ) -> int:
        """Put back the jobs that have failed until now, oldest first."""
        await self._directory.check(queue)
        count = await _bulk.retry_failed(
            self._calls, queue, limit=checked_limit(limit), dry_run=dry_run, progress=progress
        )
        return await self._enter("retry", queue, "state:failed", count, dry_run=dry_run)

    async def clean(
        self,
        queue: str,
        state: Sequence[State | str] | State | str,
        *,
        older_than: Duration,
        limit: int | None,
        dry_run: bool,
        progress: Progress | None,
    ) -> int:
        """Remove jobs that ended at least so long ago, oldest first."""
        age_ms = to_ms(older_than, name="older_than")
        homes = make_filter(state, None, None).states
        for home in homes:
            if not home.final:
                finals = ", ".join(each for each in State if each.final)
                raise OptionError("state", home.value, f"only ended jobs can be cleaned: {finals}")
        await self._directory.check(queue)
        count = await _bulk.clean(
            self._calls,
            queue,
            homes,
            age_ms=age_ms,
            limit=checked_limit(limit),
            dry_run=dry_run,
            progress=progress,
        )
        which = f"state:{','.join(homes)} age>{age_ms / 1000:.12g}s"
        return await self._enter("clean", queue, which, count, dry_run=dry_run)

    async def obliterate(self, queue: str, *, force: bool, dry_run: bool, progress: Progress | None) -> int:
        """Take away everything that a queue has. Raises QueueBusy while jobs run, unless forced."""
        await self._directory.check(queue)
        count = await _bulk.obliterate(self._calls, queue, force=force, dry_run=dry_run, progress=progress)
        scripts = self._calls.scripts
        if not dry_run and all(owner.dead for owner in await self._calls.read(scripts.owners(queue))):
            # Nobody serves it: it is listed again as soon as somebody uses it.
            await self._calls.change(forget_queue(scripts.client, scripts.prefix, queue))
        detail = "forced" if force else ""
        return await self._enter("obliterate", queue, "", count, dry_run=dry_run, detail=detail)

    async def drain(self, queue: str, *, delayed: bool, dry_run: bool, progress: Progress | None) -> int:
        """Remove the jobs that wait, at most as many as there were at the start."""
        homes = ("waiting", "delayed") if delayed else ("waiting",)
        sizes = (await self._directory.tally(queue)).sizes
        total = sum(sizes[home] for home in homes)
        count = await _bulk.drain(self._calls, queue, homes, total, dry_run=dry_run, progress=progress)
        return await self._enter("drain", queue, f"state:{','.join(homes)}", count, dry_run=dry_run)

    async def _enter(
        self, verb: str, queue: str, which: str, count: int, *, dry_run: bool, detail: str = ""
    ) -> int:
        if not dry_run:
            await self._context.audit.enter(verb, queue, which, count, detail)
        return count


def make_change(
    verb: BulkVerb,
    to: Priority | int | str | None,
    delay: Duration | None,
    run_at: datetime | None,
    now_ms: int,
) -> Change:
    """Return what a verb does to jobs, as of an instant. Raises OptionError."""
    match verb:
        case "retry":
            return Change(_verdicts.retry, _never)
        case "promote":
            return Change(_verdicts.promote, _never)
        case "cancel":
            return Change(_verdicts.cancel_many, _never)
        case "remove":
            return Change(_verdicts.remove, _never)
        case "priority":
            if to is None:
                raise OptionError("to", to, "say which priority")
            number = as_priority(to)
            name = Priority(number).name.lower()

            def has_it(job: JobRecord) -> bool:
                return job.priority == name

            return Change(_verdicts.priority(number), has_it, f"to {name}")
        case "reschedule":
            delay_ms, run_at_ms, detail = _verdicts.due_time(delay, run_at)
            # One instant for all of them, or those moved would be met again further on.
            at_ms = run_at_ms or now_ms + delay_ms

            def there(job: JobRecord) -> bool:
                return job.run_at is not None and round(job.run_at.timestamp() * 1000) == at_ms

            return Change(_verdicts.reschedule(0, at_ms), there, detail)


def _never(_: JobRecord) -> bool:
    return False
