"""Declare the report queue."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.errors import OptionError
from jobs_core.queue import MEDIUM, Queue
from jobs_core.queues.email.queue import MAIL_REPORT, MailReport
from jobs_core.queues.reports.ranges import Days, Last, days_before
from jobs_core.schedules.zones import load_zone

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


class Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Write a report of a declared type, for a range of days and a tenant.

    `type` names a `ReportType` of the worker: a payload holds no query. The range is whole days on the wall clock of `timezone` (an
    IANA name): from `start` to `end`, both included, or the `last` day, week or month that was over when the job was due, which is
    what a schedule wants. `tenant` is needed where the type tells tenants apart, and refused where it does not. `title`, `output`
    and `max_rows` are as those of an export; the title is by default that of the type.
    """

    type: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    format: Format
    start: date | None = None
    end: date | None = None
    last: Last | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    tenant: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    title: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    output: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    max_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000

    def __post_init__(self) -> None:
        """Check what belongs together. Raises ValueError."""
        try:
            load_zone(self.timezone)
        except OptionError as error:
            raise ValueError(f"timezone: {error.reason}") from error
        if self.last is not None:
            if self.start is not None or self.end is not None:
                raise ValueError("give start and end, or last, not both")
        elif self.start is None or self.end is None:
            raise ValueError("give the days by start and end, such as 2026-10-01 and 2026-10-31, or by last")
        elif not date(1970, 1, 1) <= self.start <= self.end < date(9000, 1, 1):
            raise ValueError("end must not lie before start, and neither before 1970 nor after 8999")

    def days(self, due: datetime) -> Days:
        """Return the range of a job that was due at an instant."""
        if self.last is not None:
            return days_before(due, self.last, self.timezone)
        if self.start is None or self.end is None:
            raise ValueError("a report without a range")
        return Days(self.start, self.end, self.timezone)


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
REPORT = REPORTS.job("report", payload=Report, result=ReportResult, attempts=3)
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
