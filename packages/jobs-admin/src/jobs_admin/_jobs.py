"""Jobs as an operator reads them: one, a page of them, and what their handlers logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from jobs_admin._listing import check_bounds, list_page
from jobs_admin._neighbours import Neighbours, Place
from jobs_admin._numbers import failed_attempts
from jobs_admin.records import JobDetail, JobLogs
from jobs_core.errors import JobNotFound, OptionError
from jobs_core.names import check_job_id, check_queue_name
from jobs_core.records import build_record, log_records
from jobs_core.states import State

if TYPE_CHECKING:
    from jobs_admin._context import Context
    from jobs_admin._listing import Filter
    from jobs_admin.records import Page
    from jobs_admin.redaction import Redaction
    from jobs_core.records import JobRecord, LogRecord
    from jobs_core.scripts import Located

_LOG_LINES = 1000
_CURSOR = re.compile(r"(\d{1,20}-\d{1,20})?").fullmatch


class Jobs:
    """The jobs of queues. Nothing is changed by asking."""

    def __init__(self, context: Context) -> None:
        """Made by the admin."""
        self._context = context
        self._calls = context.calls
        self._neighbours = Neighbours(context.calls, context.directory.names)

    async def find(self, queue: str, job_id: str) -> tuple[JobRecord, Located]:
        """Return a job as it is stored, with nothing hidden. Raises JobNotFound."""
        scripts = self._calls.scripts
        (located,) = await self._calls.read(scripts.lookup(check_queue_name(queue), ids=[job_id]))
        record = await self._calls.read(build_record(scripts, queue, job_id, located))
        if record is None:
            raise JobNotFound(queue, job_id)
        return record, located

    async def look(self, queue: str, job_id: str) -> tuple[JobRecord, Located]:
        """Return what may be shown of a job, with what it waits for. Raises JobNotFound or UnknownQueue."""
        record, located = await self._found(queue, job_id)
        return self._context.shown(record), located

    async def detail(self, queue: str, job_id: str) -> JobDetail:
        """Return the same with its attempts that failed. Raises JobNotFound."""
        record, located = await self._found(queue, job_id)
        history = tuple(failed_attempts(located))
        return self._context.shown(JobDetail(**msgspec.structs.asdict(record), history=history))

    async def page(self, queue: str, wanted: Filter, *, limit: int, offset: int, cursor: str | None) -> Page:
        """List the jobs that a filter lets through, state by state."""
        check_bounds(limit, offset, cursor)
        await self._context.directory.check(queue)
        now_ms = await self._calls.server_ms() if wanted.query.picky else 0
        return await self._calls.read(
            list_page(
                *(self._calls.scripts, queue, wanted),
                limit=limit,
                offset=offset,
                cursor=cursor,
                now_ms=now_ms,
                shown=self._context.shown,
            )
        )

    async def logs(self, queue: str, job_id: str, *, after: str, limit: int) -> JobLogs:
        """Return what the handlers of a job logged, after a cursor."""
        check_queue_name(queue)
        if not 1 <= limit <= _LOG_LINES:
            raise OptionError("limit", limit, f"it must be 1 to {_LOG_LINES:,}")
        if not _CURSOR(after):
            raise OptionError("after", after, "it must be the cursor of a line")
        found = await self._calls.read(
            self._calls.scripts.logs(queue, job_id=check_job_id(job_id), after=after, count=limit)
        )
        lines = tuple(log_records(found))
        redaction = self._context.redaction
        if redaction is not None and lines:
            lines = await self._redacted(redaction, queue, job_id, lines)
        more = len(lines) == limit and limit < found.kept
        return JobLogs(lines=lines, truncated=found.dropped > 0, cursor=lines[-1].cursor if more else None)

    async def _found(self, queue: str, job_id: str) -> tuple[JobRecord, Located]:
        try:
            record, located = await self.find(queue, job_id)
        except JobNotFound:
            await self._context.directory.check(queue)
            raise
        if record.state is not State.BLOCKED:
            return record, located
        awaited = await self._neighbours.waits_for(Place(record.queue, record.id), located)
        return msgspec.structs.replace(record, waits_for=awaited), located

    async def _redacted(
        self, redaction: Redaction, queue: str, job_id: str, lines: tuple[LogRecord, ...]
    ) -> tuple[LogRecord, ...]:
        try:
            record, _ = await self.find(queue, job_id)
        except JobNotFound:
            # The lines outlast it by a moment, in which nobody can tell what they may show.
            return ()
        return redaction.logs(record, lines)
