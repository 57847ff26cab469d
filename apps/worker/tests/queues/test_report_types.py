"""Reports of declared types: their ranges of days, their tenants, and what cannot be asked for."""

import csv
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from tests.support.runtime import running

from jobs_core.errors import DeclarationError, PayloadError
from jobs_core.queues.reports import REPORT, Report, ReportResult
from jobs_core.queues.reports.ranges import Days, days_before
from jobs_worker import Fail, JobContext
from jobs_worker.files import store
from jobs_worker.processors import marks_of
from jobs_worker.queues.reports import processor
from jobs_worker.queues.reports.processor import report
from jobs_worker.report_types import ReportType, load_report_types

SALES = """
from jobs_worker.report_types import ReportType

SALES = ReportType(
    "sales",
    source="shop",
    query="SELECT id, total FROM sales WHERE tenant = :tenant AND paid_at >= :start AND paid_at < :end ORDER BY id",
    title="Sales",
)
ALL_SALES = ReportType(
    "all-sales", source="shop", query="SELECT sum(total) FROM sales WHERE day BETWEEN :first_day AND :last_day"
)
"""
PARIS = "Europe/Paris"
Write = Callable[[str, str], None]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(package: str, source: str) -> None:
        folder = tmp_path / package / "sales"
        folder.mkdir(parents=True)
        (folder / "report_types.py").write_text(source)

    return write


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: Write) -> Iterator[None]:
    """Let a shop have sold something around the last day of October in Paris, where clocks were changed on the 25th."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE sales (id INTEGER, tenant TEXT, paid_at TEXT, day TEXT, total REAL)")
        connection.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?, ?)",
            [
                (1, "acme", "2026-09-30 21:59:59", "2026-09-30", 1),
                (2, "acme", "2026-09-30 22:00:00", "2026-10-01", 2),
                (3, "acme", "2026-10-31 22:59:59", "2026-10-31", 4),
                (4, "acme", "2026-10-31 23:00:00", "2026-11-01", 8),
                (5, "zeta", "2026-10-15 12:00:00", "2026-10-15", 16),
            ],
        )
    connection.close()
    monkeypatch.setenv("FILES_URL", str(tmp_path / "files"))
    monkeypatch.setenv("REPORT_SOURCES", f"shop=sqlite:///{tmp_path}/shop.db")
    packages("report_shop", SALES)
    monkeypatch.setenv("JOBS_PROCESSORS", "builtin,report_shop")
    processor._types.cache_clear()
    yield
    processor._types.cache_clear()


def october(**changed: object) -> Report:
    given: dict[str, object] = {
        "type": "sales",
        "format": "csv",
        "start": date(2026, 10, 1),
        "end": date(2026, 10, 31),
        "timezone": PARIS,
        "tenant": "acme",
    }
    return Report(**{**given, **changed})  # pyright: ignore[reportArgumentType]


def run(payload: Report) -> ReportResult:
    return report(payload, JobContext.for_test("reports", "report", job_id="r"))


def rows(result: ReportResult) -> list[list[str]]:
    text = store().read_bytes(result.file).decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline="")))[1:]


@pytest.mark.usefixtures("shop")
def test_it_has_the_rows_of_its_tenant_and_its_days_on_the_clock_of_its_zone() -> None:
    assert rows(run(october())) == [["2", "2.0"], ["3", "4.0"]]
    assert rows(run(october(tenant="zeta"))) == [["5", "16.0"]]
    assert rows(run(october(timezone="UTC"))) == [["3", "4.0"], ["4", "8.0"]]
    assert rows(run(october(type="all-sales", tenant=None))) == [["22.0"]]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("form", ["pdf", "xlsx"])
def test_it_has_the_form_that_was_asked_for(form: str) -> None:
    result = run(october(format=form))
    assert (result.file, result.rows, result.format) == (f"reports/r.{form}", 2, form)
    assert store().read_bytes(result.file)[:2] == {"pdf": b"%P", "xlsx": b"PK"}[form]


def test_its_title_says_what_it_is_about() -> None:
    kind = ReportType("a", source="s", query="SELECT :start", title="Sales")
    assert (
        kind.title_of(Days(date(2026, 10, 1), date(2026, 10, 31)), "acme")
        == "Sales, 2026-10-01 to 2026-10-31, acme"
    )
    assert kind.title_of(Days(date(2026, 10, 1), date(2026, 10, 1)), None) == "Sales, 2026-10-01"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (october(type="sale"), "did you mean sales"),
        (october(tenant=None), "give `tenant`"),
        (october(type="all-sales"), "leave `tenant` out"),
        (october(output="a.pdf"), "the format is csv"),
    ],
)
def test_what_cannot_be_asked_for_fails_for_good(payload: Report, reason: str) -> None:
    with pytest.raises(Fail, match=reason):
        run(payload)
    assert not store().list("reports")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"type": "sales"}', "format"),
        ('{"type": "no good", "format": "csv", "last": "day"}', r"\$\.type"),
        ('{"type": "sales", "format": "csv"}', "give the days"),
        ('{"type": "sales", "format": "csv", "start": "2026-10-01"}', "give the days"),
        ('{"type": "sales", "format": "csv", "last": "day", "start": "2026-10-01"}', "not both"),
        (
            '{"type": "sales", "format": "csv", "start": "2026-10-02", "end": "2026-10-01"}',
            "end must not lie",
        ),
        (
            '{"type": "sales", "format": "csv", "start": "2026-10-01T00:00:00", "end": "2026-10-02"}',
            r"\$\.start",
        ),
        ('{"type": "sales", "format": "csv", "last": "day", "timezone": "Europe/Pariss"}', "Europe/Paris"),
        ('{"type": "sales", "format": "csv", "last": "year"}', r"\$\.last"),
    ],
)
def test_a_payload_that_means_no_range_is_refused(payload: str, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        REPORT.decode(payload.encode())


@pytest.mark.parametrize(
    ("last", "timezone", "days"),
    [
        ("day", "UTC", ("2026-10-31", "2026-10-31")),
        ("day", PARIS, ("2026-10-31", "2026-10-31")),
        ("day", "America/New_York", ("2026-10-30", "2026-10-30")),
        ("week", PARIS, ("2026-10-19", "2026-10-25")),
        ("month", PARIS, ("2026-10-01", "2026-10-31")),
        ("month", "America/New_York", ("2026-09-01", "2026-09-30")),
    ],
)
def test_the_last_days_are_those_that_were_over_when_it_was_due(
    last: str, timezone: str, days: tuple[str, str]
) -> None:
    found = days_before(datetime(2026, 11, 1, 0, 30, tzinfo=UTC), last, timezone)  # pyright: ignore[reportArgumentType]
    assert (found.first.isoformat(), found.last.isoformat()) == days


def test_a_day_begins_after_a_gap_at_midnight_and_ends_after_as_many_hours_as_it_has() -> None:
    day = Days(date(2026, 10, 25), date(2026, 10, 25), PARIS)
    assert (day.end - day.start).total_seconds() == 25 * 3600
    # In Beirut clocks skip from 00:00 to 01:00.
    assert Days(date(2026, 3, 29), date(2026, 3, 29), "Asia/Beirut").start == datetime(
        2026, 3, 28, 22, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        ("no good", "SELECT :start", "a name is 1 to 64"),
        ("a", "SELECT 1", "names no part of the range"),
        ("a", "SELECT :start WHERE day < :until", ":until; there is only"),
        ("a", r"SELECT 1 WHERE t = '\:start' AND x::text = :tenant", "names no part of the range"),
    ],
)
def test_a_type_that_would_pass_over_what_is_asked_is_told(name: str, query: str, reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason):
        ReportType(name, source="shop", query=query)


def test_types_are_found_in_the_packages_of_processors(packages: Write) -> None:
    packages("report_shop_a", SALES)
    packages("report_shop_b", SALES.replace("total", "tax"))
    assert set(load_report_types(["builtin", "report_shop_a"])) == {"sales", "all-sales"}
    with pytest.raises(DeclarationError, match="already declared"):
        load_report_types(["report_shop_a", "report_shop_b"])


@pytest.mark.usefixtures("shop")
async def test_a_schedule_reports_the_days_before_it_was_due(redis_url: str, prefix: str) -> None:
    (spec,) = marks_of(report)
    assert (spec.concurrency, spec.requires) == (2, ("REPORT_SOURCES",))
    payload = Report(type="sales", format="csv", last="month", timezone=PARIS, tenant="acme")
    async with running(redis_url, prefix, report) as here:
        schedules = here.producer.schedules
        await schedules.upsert("sales", REPORT, payload, cron="0 6 1 * *", timezone=PARIS)
        # One of the past stands for one that comes: the job knows for when it is.
        first = datetime(2026, 11, 1, 6, tzinfo=UTC)
        assert await schedules.backfill("reports", "sales", first.replace(hour=0), first) == 1
        job = here.producer.handle(REPORT, f"sales:{round(first.timestamp() - 3600) * 1000}")
        result = await job.result(40)
    assert rows(result) == [["2", "2.0"], ["3", "4.0"]]
