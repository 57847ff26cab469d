"""Export reports: what the jobs of this queue carry and answer."""

from jobs_core.queues.reports.queue import EXPORT, REPORTS, ExportReport, Format, ReportResult

__all__ = ["EXPORT", "REPORTS", "ExportReport", "Format", "ReportResult"]
