"""Export reports: what the jobs of this queue carry and answer."""

from jobs_core.queues.reports.queue import (
    DAILY_SUMMARY,
    EXPORT,
    REPORTS,
    DailySummary,
    ExportReport,
    Format,
    ReportResult,
    SummaryResult,
)

__all__ = [
    "DAILY_SUMMARY",
    "EXPORT",
    "REPORTS",
    "DailySummary",
    "ExportReport",
    "Format",
    "ReportResult",
    "SummaryResult",
]
