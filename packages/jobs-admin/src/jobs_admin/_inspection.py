"""Why something does not run, and whether what is stored is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_admin import _check, _doctor
from jobs_core.names import check_queue_name

if TYPE_CHECKING:
    from jobs_admin._context import Context
    from jobs_admin._jobs import Jobs
    from jobs_admin.records import CheckReport, Finding


class Inspection:
    """Looks at the server, queues and jobs; what it mends is entered in the audit."""

    def __init__(self, context: Context, jobs: Jobs) -> None:
        """Made by the admin."""
        self._context = context
        self._calls = context.calls
        self._jobs = jobs

    async def doctor(self, queue: str | None, job_id: str | None) -> list[Finding]:
        """Examine the server, a queue or one job."""
        prefix = self._context.prefix
        if queue is None:
            return await _doctor.examine_server(self._calls, prefix)
        check_queue_name(queue)
        if job_id is None:
            return await _doctor.examine_queue(self._calls, prefix, queue, self._context.directory.declared)
        record, located = await self._jobs.look(queue, job_id)
        return await _doctor.examine_job(self._calls, prefix, record, located)

    async def check(self, queue: str | None, *, repair: bool) -> CheckReport:
        """Look whether every invariant holds, and mend what can be mended where that is asked for."""
        if queue is not None:
            await self._context.directory.check(queue)
        report = await _check.check(self._calls, queue, repair=repair)
        for breach in report.breaches:
            if breach.repaired:
                await self._context.audit.enter("repair", breach.queue, breach.code, breach.repaired)
        return report
