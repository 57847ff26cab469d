"""Inspect and control queues, jobs and workers."""

from __future__ import annotations

from jobs_admin._bulk import Progress
from jobs_admin._events import EVENT_KINDS, Event, EventListener
from jobs_admin._limits import LiveLimits
from jobs_admin.admin import Admin
from jobs_admin.errors import Unanswered
from jobs_admin.records import (
    Breach,
    Cancellation,
    CheckReport,
    Finding,
    HistoryPage,
    HistoryRecord,
    JobDetail,
    LetterCount,
    LimitRecord,
    MetricsRecord,
    MinuteRecord,
    Outcome,
    Page,
    QueueRecord,
    Severity,
    WorkerRecord,
)

__all__ = [
    "EVENT_KINDS",
    "Admin",
    "Breach",
    "Cancellation",
    "CheckReport",
    "Event",
    "EventListener",
    "Finding",
    "HistoryPage",
    "HistoryRecord",
    "JobDetail",
    "LetterCount",
    "LimitRecord",
    "LiveLimits",
    "MetricsRecord",
    "MinuteRecord",
    "Outcome",
    "Page",
    "Progress",
    "QueueRecord",
    "Severity",
    "Unanswered",
    "WorkerRecord",
]
