"""Export reports: what the jobs of this queue carry and answer."""

from jobs_core.queues.reports.queue import (
    DAILY_SUMMARY,
    EXPORT,
    REPORT,
    REPORTS,
    DailySummary,
    ExportReport,
    Format,
    Report,
    ReportResult,
    SummaryResult,
)

__all__ = [
    "DAILY_SUMMARY",
    "EXPORT",
    "REPORT",
    "REPORTS",
    "DailySummary",
    "ExportReport",
    "Format",
    "Report",
    "ReportResult",
    "SummaryResult",
]
