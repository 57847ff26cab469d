"""Declare the report queue."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.queue import MEDIUM, Queue

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

    `truncated` tells that the query had more rows than `max_rows`.
    """

    file: str
    rows: int
    truncated: bool
    columns: Sequence[str]
    format: Format
    bytes: int
    duration_ms: int


EXPORT = REPORTS.job("export", payload=ExportReport, result=ReportResult, attempts=3)
