"""Declare the report queue."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.queue import MEDIUM, Queue
from jobs_core.queues.email.queue import MAIL_REPORT, MailReport

REPORTS = Queue("reports", profile=MEDIUM)

Format: TypeAlias = Literal["csv", "xlsx", "pdf"]
Scalar: TypeAlias = str | int | float | bool | None


class ExportReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer one SQL query in a file.

    `source` names a database of the worker's `REPORT_SOURCES`. `query` is one SELECT statement, or WITH and
    SELECT, that names its `parameters` as `:name`. `output` is a path under `FILES_URL`, by default
    `reports/<job id>` with the format's suffix. Rows beyond `max_rows` are left out, and the result says so.
    """

    source: Annotated[str, Meta(min_length=1, max_length=64)]
    query: Annotated[str, Meta(min_length=1, max_length=100_000)]
    format: Format
    parameters: Mapping[str, Scalar] = {}
    title: Annotated[str, Meta(min_length=1, max_length=200)] = "Report"
    output: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    max_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000


class ReportResult(Struct, frozen=True, kw_only=True):
    """The file that was written: `file` is its path under `FILES_URL`, `rows` counts without the header.

    `truncated` tells that the query had more rows than `max_rows`. At `download_url` anybody can get the file until `expires_at`;
    both are None where the worker has no `DOWNLOAD_SECRET`.
    """

    file: str
    rows: int
    truncated: bool
    columns: Sequence[str]
    format: Format
    bytes: int
    duration_ms: int
    download_url: str | None = None
    expires_at: datetime | None = None


class DailySummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Write what each queue did in the last hours to a file: `reports/<job id>` with the format's suffix."""

    hours: Annotated[int, Meta(ge=1, le=24 * 31)] = 24
    format: Format = "pdf"


class SummaryResult(Struct, frozen=True, kw_only=True):
    """The file that was written: its path under `FILES_URL`, a row for each of its `rows` queues.

    `completed` and `failed` count the jobs of all queues. `download_url` and `expires_at` are as those of `ReportResult`.
    """

    file: str
    rows: int
    completed: int
    failed: int
    format: Format
    bytes: int
    download_url: str | None = None
    expires_at: datetime | None = None


EXPORT = REPORTS.job("export", payload=ExportReport, result=ReportResult, attempts=3)
DAILY_SUMMARY = REPORTS.job("daily-summary", payload=DailySummary, result=SummaryResult, attempts=3)
REPORTS.cron(
    "0 6 * * *",
    DAILY_SUMMARY,
    DailySummary(),
    schedule_id="daily-summary",
    requires=("SUMMARY_TO",),
    overlap="skip",
    options={"chain_to": [MAIL_REPORT.call(MailReport(title="Daily summary"))]},
)
