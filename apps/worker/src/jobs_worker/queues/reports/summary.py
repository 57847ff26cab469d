"""Write the daily summary: a row for each queue."""

import asyncio
from typing import Final

from jobs_core.downloads import make_link
from jobs_core.queues.reports.queue import DAILY_SUMMARY, DailySummary, SummaryResult
from jobs_worker import JobContext, processor
from jobs_worker.files import job_path, store
from jobs_worker.queue_totals import QueueTotals, open_admin, read_totals
from jobs_worker.queues.reports.sources import Rows
from jobs_worker.queues.reports.writers import WRITERS

_COLUMNS: Final = ("queue", "completed", "failed", "retried", "waiting now", "failed, kept")


@processor(DAILY_SUMMARY, concurrency=3)
async def daily_summary(payload: DailySummary, ctx: JobContext) -> SummaryResult:
    """Write what the queues did in the last hours to a file."""
    totals = await read_totals(await ctx.shared(open_admin), payload.hours)
    path = job_path("reports", ctx.job_id, f".{payload.format}")
    size = await asyncio.to_thread(_write, path, payload, totals)
    link = make_link(path)
    return SummaryResult(
        file=path,
        rows=len(totals),
        completed=sum(each.completed for each in totals),
        failed=sum(each.failed for each in totals),
        format=payload.format,
        bytes=size,
        download_url=link and link.url,
        expires_at=link and link.expires_at,
    )


def _write(path: str, payload: DailySummary, totals: list[QueueTotals]) -> int:
    files = store()
    with files.open(path, "wb") as file:
        WRITERS[payload.format](file, Rows(_COLUMNS, iter(totals)), f"Jobs of the last {payload.hours} hours")
    return files.size(path)
