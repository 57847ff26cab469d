"""Write one report: ask a source, write the answer as a file."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from jobs_core.downloads import make_link
from jobs_core.queues.reports.queue import (
    EXPORT,
    REPORT,
    ExportReport,
    Report,
    ReportResult,
    Scalar,
)
from jobs_core.settings import CommonSettings
from jobs_worker import Fail, JobContext, processor
from jobs_worker.files import FilePathError, job_path, store
from jobs_worker.queues.reports.sources import BATCH, Query, Rows, answer
from jobs_worker.queues.reports.writers import WRITERS
from jobs_worker.report_types import ReportType, ReportTypeError, find_report_type, load_report_types

TIME_LIMIT: Final = 60.0

# What the database may take of a job's own timeout: the rest is for the file, and for saying what was wrong.
_SHARE = 0.9


@processor(EXPORT, concurrency=2, requires=("REPORT_SOURCES",))
def export(payload: ExportReport, ctx: JobContext) -> ReportResult:
    """Write the rows of one query; fail for good where trying again cannot help."""
    return _written(payload, payload.source, payload.query, payload.parameters, payload.title, ctx)


@processor(REPORT, concurrency=2, requires=("REPORT_SOURCES",))
def report(payload: Report, ctx: JobContext) -> ReportResult:
    """Write the report of a declared type; a job can name one, its days and a tenant, and nothing else."""
    days = payload.days(ctx.scheduled_for)
    try:
        kind = find_report_type(_types(), payload.type)
        values = kind.values(days, payload.tenant)
    except ReportTypeError as error:
        raise Fail(str(error)) from error
    title = payload.title or kind.title_of(days, payload.tenant)
    return _written(payload, kind.source, kind.query, values, title, ctx)


@lru_cache(maxsize=1)
def _types() -> dict[str, ReportType]:
    # Once in each process: what is imported stays.
    return load_report_types(CommonSettings.from_env().processors)


def _written(  # noqa: PLR0917 - what both jobs come to, by position
    payload: ExportReport | Report,
    source: str,
    statement: str,
    parameters: Mapping[str, Scalar | datetime],
    title: str,
    ctx: JobContext,
) -> ReportResult:
    began = time.monotonic()
    path = _output(payload, ctx)
    seconds = TIME_LIMIT if ctx.remaining is None else ctx.remaining * _SHARE
    query = Query(source, statement, parameters, seconds, payload.max_rows)
    files = store()
    try:
        with answer(query, stopped=lambda: ctx.cancelled) as found, files.open(path, "wb") as file:
            counted = _Counted(found.rows, payload.max_rows, ctx)
            WRITERS[payload.format](file, Rows(found.columns, iter(counted)), title)
    except FilePathError as error:
        raise Fail(str(error)) from error
    link = make_link(path)
    ctx.progress(100, current=counted.rows, total=counted.rows, message="rows written")
    return ReportResult(
        file=path,
        rows=counted.rows,
        truncated=counted.truncated,
        columns=found.columns,
        format=payload.format,
        bytes=files.size(path),
        duration_ms=round((time.monotonic() - began) * 1000),
        download_url=link and link.url,
        expires_at=link and link.expires_at,
    )


class _Counted:
    """Passes rows on up to a limit, and reports how many."""

    def __init__(self, rows: Iterator[Sequence[object]], limit: int, ctx: JobContext) -> None:
        self.rows = 0
        self.truncated = False
        self._source = rows
        self._limit = limit
        self._ctx = ctx

    def __iter__(self) -> Iterator[Sequence[object]]:
        for row in self._source:
            if self.rows == self._limit:
                self.truncated = True
                return
            yield row
            self.rows += 1
            if self.rows % BATCH == 0:
                # Of how many is known at the end alone.
                self._ctx.progress(current=self.rows, message="rows written")


def _output(payload: ExportReport | Report, ctx: JobContext) -> str:
    suffix = f".{payload.format}"
    if payload.output is None:
        return job_path("reports", ctx.job_id, suffix)
    given = PurePosixPath(payload.output).suffix.lower()
    if given and given != suffix:
        raise Fail(f"output ends in {given}, but the format is {payload.format}")
    return payload.output
