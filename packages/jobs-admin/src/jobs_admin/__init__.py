"""Inspect and control queues, jobs and workers."""

from __future__ import annotations

from jobs_admin._bulk import Progress
from jobs_admin._limits import LiveLimits
from jobs_admin.admin import Admin
from jobs_admin.errors import Unanswered
from jobs_admin.records import (
    Breach,
    Cancellation,
    CheckReport,
    Finding,
    JobDetail,
    LetterCount,
    LimitRecord,
    MetricsRecord,
    Outcome,
    Page,
    QueueRecord,
    Severity,
    WorkerRecord,
)

__all__ = [
    "Admin",
    "Breach",
    "Cancellation",
    "CheckReport",
    "Finding",
    "JobDetail",
    "LetterCount",
    "LimitRecord",
    "LiveLimits",
    "MetricsRecord",
    "Outcome",
    "Page",
    "Progress",
    "QueueRecord",
    "Severity",
    "Unanswered",
    "WorkerRecord",
]
