"""Inspect and control queues, jobs and workers."""

from __future__ import annotations

from jobs_admin._bulk import Progress
from jobs_admin._events import EVENT_KINDS, Event, EventListener
from jobs_admin._limits import LiveLimits
from jobs_admin._query import Query, parse_query
from jobs_admin._schedules import ScheduleAdmin
from jobs_admin._totals import JobTotals, QueueTotals
from jobs_admin.admin import Admin, BulkVerb
from jobs_admin.errors import QueueBusy, Unanswered
from jobs_admin.records import (
    AuditPage,
    AuditRecord,
    Breach,
    BulkRecord,
    Cancellation,
    CheckReport,
    Finding,
    HealthRecord,
    HistoryPage,
    HistoryRecord,
    JobDetail,
    JobLogs,
    LetterCount,
    LimitRecord,
    LiveRecord,
    MetricsRecord,
    MinuteRecord,
    Outcome,
    Page,
    PauseRecord,
    PlanField,
    PlanRecord,
    QueueRecord,
    ScaleRecord,
    ScalerQueue,
    ScalerRecord,
    Severity,
    WorkerRecord,
    WorkerStack,
)
from jobs_admin.redaction import Redaction

__all__ = [
    "EVENT_KINDS",
    "Admin",
    "AuditPage",
    "AuditRecord",
    "Breach",
    "BulkRecord",
    "BulkVerb",
    "Cancellation",
    "CheckReport",
    "Event",
    "EventListener",
    "Finding",
    "HealthRecord",
    "HistoryPage",
    "HistoryRecord",
    "JobDetail",
    "JobLogs",
    "JobTotals",
    "LetterCount",
    "LimitRecord",
    "LiveLimits",
    "LiveRecord",
    "MetricsRecord",
    "MinuteRecord",
    "Outcome",
    "Page",
    "PauseRecord",
    "PlanField",
    "PlanRecord",
    "Progress",
    "Query",
    "QueueBusy",
    "QueueRecord",
    "QueueTotals",
    "Redaction",
    "ScaleRecord",
    "ScalerQueue",
    "ScalerRecord",
    "ScheduleAdmin",
    "Severity",
    "Unanswered",
    "WorkerRecord",
    "WorkerStack",
    "parse_query",
]
