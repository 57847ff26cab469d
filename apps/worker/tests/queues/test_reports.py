"""Reports on a real database, opened again and read."""

import csv
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import openpyxl
import pypdf
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from jobs_core.downloads import open_download
from jobs_core.errors import PayloadError, SettingsError
from jobs_core.queues.reports import EXPORT, ExportReport, Format, ReportResult
from jobs_worker import Fail, JobContext
from jobs_worker.files import FileStore, store
from jobs_worker.processors import marks_of
from jobs_worker.queues.reports.cells import as_csv, as_text
from jobs_worker.queues.reports.csv_file import write_csv
from jobs_worker.queues.reports.pdf_file import write_pdf
from jobs_worker.queues.reports.processor import export
from jobs_worker.queues.reports.sources import (
    ExportStopped,
    Rows,
    SourceUnavailable,
    _told,
    check_statement,
)
from jobs_worker.queues.reports.xlsx_file import sheet_name, write_xlsx
from jobs_worker.testing import Kit
from jobs_worker.time_limits import TimeLimit

FORMATS: tuple[Format, ...] = ("csv", "xlsx", "pdf")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
COUNT_FOR_EVER = ENDLESS.replace("SELECT x FROM n", "SELECT count(*) FROM n")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop ünd 100%.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL, paid INTEGER, note TEXT);
            INSERT INTO orders VALUES
                (1, 'Ada Lovelace', 12.5, 1, NULL),
                (2, 'Žluťoučký kůň', 1200.0, 0, 'second "quoted", with comma'),
                (3, '=HYPERLINK("http://evil.example")', -3.25, 1, '+1');
            CREATE VIRTUAL TABLE words USING fts5(word);
            INSERT INTO words VALUES ('needle in a haystack');
        """)
    connection.close()
    return path


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: Path) -> FileStore:
    monkeypatch.setenv("FILES_URL", str(tmp_path / "files"))
    monkeypatch.setenv("REPORT_SOURCES", f"shop=sqlite:///{database}, other=sqlite:////nowhere/at-all.db")
    return store()


def context(job_id: str = "job-1") -> JobContext:
    return JobContext.for_test("reports", "export", job_id=job_id)


def run(
    query: str = "SELECT * FROM orders ORDER BY id", file_format: Format = "csv", **fields: object
) -> ReportResult:
    payload = ExportReport(**{"source": "shop", "query": query, "format": file_format, **fields})  # pyright: ignore[reportArgumentType]
    return export(EXPORT.decode(EXPORT.encode(payload)), context())


def lines(files: FileStore, path: str) -> list[list[str]]:
    content = files.read_bytes(path)
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(StringIO(content.decode("utf-8-sig"), newline="")))


def test_csv_has_a_header_and_all_rows(files: FileStore) -> None:
    result = run()
    assert result.file == "reports/job-1.csv"
    assert (result.rows, result.truncated, result.format) == (3, False, "csv")
    assert list(result.columns) == ["id", "customer", "total", "paid", "note"]
    assert result.bytes == files.size(result.file)
    assert result.duration_ms >= 0
    assert lines(files, result.file) == [
        ["id", "customer", "total", "paid", "note"],
        ["1", "Ada Lovelace", "12.5", "1", ""],
        ["2", "Žluťoučký kůň", "1200.0", "0", 'second "quoted", with comma'],
        ["3", '\'=HYPERLINK("http://evil.example")', "-3.25", "1", "'+1"],
    ]
    assert files.read_bytes(result.file).count(b"\r\n") == 4


def test_the_result_has_a_link_where_there_is_a_secret(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (run().download_url, run().expires_at) == (None, None)
    monkeypatch.setenv("DOWNLOAD_SECRET", "s3cret-of-the-shop-1")
    result = EXPORT.decode_result(EXPORT.encode_result(run()))
    assert result.download_url is not None
    assert result.expires_at is not None
    assert timedelta(hours=23) < result.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    parts = urlsplit(result.download_url)
    found = open_download(parts.path.removeprefix("/download/"), dict(parse_qsl(parts.query)))
    assert b"".join(found.chunks()) == files.read_bytes(result.file)


def test_xlsx_has_typed_cells(files: FileStore) -> None:
    result = run(file_format="xlsx", title="Orders: 2026/27 [all]")
    workbook = openpyxl.load_workbook(BytesIO(files.read_bytes(result.file)))
    sheet = workbook.worksheets[0]
    assert sheet.title == "Orders  2026 27  all"
    assert workbook.properties.title == "Orders: 2026/27 [all]"
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:E4"
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["B"].width > 30
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("id", "customer", "total", "paid", "note")
    assert rows[1] == (1, "Ada Lovelace", 12.5, 1, None)
    assert rows[3] == (3, '=HYPERLINK("http://evil.example")', -3.25, 1, "+1")
    assert sheet["B4"].data_type == "s", "text that looks like a formula is text"
    assert sheet["B4"].hyperlink is None


def test_pdf_has_title_time_pages_and_text_of_all_scripts(files: FileStore) -> None:
    days = [datetime.now(UTC)]
    result = run(file_format="pdf", title="Übersicht — Ελληνικά, Кириллица")
    days.append(datetime.now(UTC))
    reader = pypdf.PdfReader(BytesIO(files.read_bytes(result.file)))
    text = reader.pages[0].extract_text()
    assert reader.metadata is not None
    assert reader.metadata.title == "Übersicht — Ελληνικά, Кириллица"
    for expected in (
        "Übersicht — Ελληνικά, Кириллица",
        "id customer total paid note",
        "1 Ada Lovelace 12.5 1",
        "Žluťoučký kůň",
        "Page 1 of 1",
    ):
        assert expected in text
    assert any(f"Generated {day:%Y-%m-%d}" in text for day in days)


def test_a_pdf_repeats_its_header_on_every_page(files: FileStore) -> None:
    query = ENDLESS.replace("SELECT x FROM n", "SELECT x AS number, 'row ' || x AS words FROM n LIMIT 200")
    result = run(query, "pdf")
    pages = [page.extract_text() for page in pypdf.PdfReader(BytesIO(files.read_bytes(result.file))).pages]
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert "number words" in page
        assert f"Page {number} of {len(pages)}" in page
    together = "\n".join(pages)
    assert [line for line in together.splitlines() if "row" in line] == [
        f"{number} row {number}" for number in range(1, 201)
    ]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_query_without_rows_gives_the_header(files: FileStore, file_format: Format) -> None:
    result = run("SELECT id, customer FROM orders WHERE id = 99", file_format)
    assert (result.rows, list(result.columns)) == (0, ["id", "customer"])
    content = files.read_bytes(result.file)
    if file_format == "csv":
        assert lines(files, result.file) == [["id", "customer"]]
    elif file_format == "xlsx":
        assert list(openpyxl.load_workbook(BytesIO(content)).worksheets[0].values) == [("id", "customer")]
    else:
        assert "id customer" in pypdf.PdfReader(BytesIO(content)).pages[0].extract_text()


def test_parameters_are_bound_and_never_pasted(files: FileStore) -> None:
    result = run(
        "SELECT id FROM orders WHERE customer = :name OR total > :least OR :flag AND note IS :none",
        parameters={"name": "x' OR 1=1 --", "least": 1000.5, "flag": False, "none": None},
    )
    assert lines(files, result.file) == [["id"], ["2"]]


@pytest.mark.parametrize(
    ("query", "parameters", "reason"),
    [
        ("SELECT :a, :b", {"a": 1}, "parameters that are not given: b"),
        ("SELECT :a", {"a": 1, "c": 2}, "does not name these parameters: c"),
        ("SELECT :a", {"a": 2**70}, "cannot be run"),
    ],
)
@pytest.mark.usefixtures("files")
def test_parameters_must_fit_the_query(query: str, parameters: dict[str, object], reason: str) -> None:
    with pytest.raises(Fail, match=reason):
        run(query, parameters=parameters)


def test_columns_may_share_a_name(files: FileStore) -> None:
    result = run("SELECT 1 AS a, 2 AS a, '12:30' AS \"the time\"")
    assert lines(files, result.file) == [["a", "a", "the time"], ["1", "2", "12:30"]]


def test_comments_and_a_final_semicolon_are_allowed(files: FileStore) -> None:
    result = run("-- first\n/* second */ select 1 as a ; \n")
    assert lines(files, result.file) == [["a"], ["1"]]


def test_full_text_search_and_json_are_reading(files: FileStore) -> None:
    result = run("SELECT word, value FROM words, json_each('[7]') WHERE words MATCH 'haystack'")
    assert lines(files, result.file)[1] == ["needle in a haystack", "7"]


NO_SELECT = [
    "INSERT INTO orders (id) VALUES (9)",
    "INSERT INTO orders (id) VALUES (9) RETURNING id",
    "DELETE FROM orders",
    "DROP TABLE orders",
    "PRAGMA writable_schema = 1",
    "ATTACH DATABASE '/tmp/x.db' AS x",
    "VACUUM",
    "EXPLAIN DELETE FROM orders",
    "SELECT 1; DELETE FROM orders",
    "SELECT ';'",
    "SELECT 1\x00",
    ";",
    "-- SELECT",
    "/* SELECT */ DELETE FROM orders",
    "/* /* */ DELETE FROM orders -- */ SELECT 1",
]
HIDDEN_WRITES = [
    "WITH x AS (SELECT 1) DELETE FROM orders",
    "WITH x AS (SELECT 1) INSERT INTO orders (id) SELECT * FROM x",
    "WITH x AS (SELECT 1) UPDATE sqlite_master SET type = 'x'",
    "WITH x AS (SELECT 1) REPLACE INTO words VALUES ('x')",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT * FROM pragma_table_info('orders')",
    "SELECT fts3_tokenizer('simple', x'00')",
]


@pytest.mark.parametrize("query", NO_SELECT + HIDDEN_WRITES)
def test_writing_fails_for_good(files: FileStore, database: Path, query: str) -> None:
    before = database.read_bytes()
    with pytest.raises(Fail):
        run(query)
    assert database.read_bytes() == before
    assert list(files.list()) == []


@pytest.mark.usefixtures("files")
def test_the_reason_says_that_sources_are_read_only() -> None:
    with pytest.raises(Fail, match="begin with SELECT or WITH: reports only read"):
        run("DELETE FROM orders")
    with pytest.raises(Fail, match=r"tries to write, and report sources are read-only: not authorized"):
        run("WITH x AS (SELECT 1) DELETE FROM orders")
    with pytest.raises(Fail, match="one statement"):
        run("SELECT 1; SELECT 2")


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
@pytest.mark.parametrize("statement", NO_SELECT)
def test_only_one_select_is_a_statement(dialect: str, statement: str) -> None:
    with pytest.raises(Fail):
        check_statement(statement, dialect)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "SELECT 1 into/**/dumpfile '/tmp/x'",
        "SELECT /*!50000 1 */",
        "SELECT /*M! 1 */",
    ],
)
def test_mysql_may_not_write_files(statement: str) -> None:
    with pytest.raises(Fail, match="may not write files"):
        check_statement(statement, "mysql")
    check_statement(statement, "postgresql")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT absent FROM orders", "no such column: absent"),
        ("SELECT FROM WHERE", "syntax error"),
    ],
)
@pytest.mark.usefixtures("files")
def test_wrong_sql_fails_for_good(query: str, reason: str) -> None:
    with pytest.raises(Fail, match=f"the query is wrong.*{reason}"):
        run(query)


def test_a_query_that_fails_half_way_leaves_the_old_file(files: FileStore) -> None:
    run()
    old = files.read_bytes("reports/job-1.csv")
    with pytest.raises(Fail, match="the query is wrong"):
        # Sums of such size overflow, after 5000 rows that are good.
        run(ENDLESS.replace("SELECT x FROM n", "SELECT abs(-9223372036854775807 - (x > 5000)) FROM n"))
    assert files.read_bytes("reports/job-1.csv") == old
    assert list(files.list()) == ["reports/job-1.csv"]


@pytest.mark.parametrize("query", [ENDLESS, COUNT_FOR_EVER])
def test_the_time_limit_holds(files: FileStore, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr("jobs_worker.queues.reports.processor.TIME_LIMIT", 0.05)
    with pytest.raises(Fail, match=r"longer than its time limit of 0\.05 s"):
        run(query, max_rows=1_000_000)
    assert list(files.list()) == []


def test_the_timeout_of_the_job_is_the_limit(files: FileStore) -> None:
    ctx = context()
    ctx.limit = TimeLimit(0.3, None)
    payload = ExportReport(source="shop", query=COUNT_FOR_EVER, format="csv")
    with pytest.raises(Fail, match=r"longer than its time limit of 0(\.\d+)? s"):
        export(payload, ctx)
    assert list(files.list()) == []


def test_a_cancelled_job_stops_in_the_middle_of_its_query(files: FileStore) -> None:
    ctx = context()
    payload = ExportReport(source="shop", query=COUNT_FOR_EVER, format="csv")
    threading.Timer(0.05, lambda: setattr(ctx, "cancelled", True)).start()
    with pytest.raises(ExportStopped):
        export(payload, ctx)
    assert list(files.list()) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_rows_beyond_the_limit_are_left_out_and_told(files: FileStore, file_format: Format) -> None:
    result = run(ENDLESS, file_format, max_rows=2500)
    assert (result.rows, result.truncated) == (2500, True)
    if file_format == "csv":
        assert lines(files, result.file)[-1] == ["2500"]
    exact = run("SELECT * FROM orders", file_format, max_rows=3)
    assert (exact.rows, exact.truncated) == (3, False)


def test_progress_counts_rows(files: FileStore) -> None:
    ctx = context()
    export(ExportReport(source="shop", query=ENDLESS, format="csv", max_rows=2500), ctx)
    assert [(each.percent, each.current, each.total) for each in ctx.progress_log] == [
        (None, 1000, None),
        (None, 2000, None),
        (100.0, 2500, 2500),
    ]
    assert files.exists("reports/job-1.csv")


@pytest.mark.usefixtures("files")
def test_an_unknown_source_fails_for_good() -> None:
    with pytest.raises(Fail, match="no report source 'sales'; REPORT_SOURCES names other, shop"):
        run(source="sales")


def test_a_source_that_cannot_be_reached_is_tried_again(files: FileStore) -> None:
    with pytest.raises(SourceUnavailable, match="report source 'other' cannot be read"):
        run(source="other")
    assert list(files.list()) == []


@pytest.mark.usefixtures("files")
def test_a_locked_database_is_tried_again(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs_worker.queues.reports.sources._CONNECT_SECONDS", 0)
    lock = sqlite3.connect(database, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(SourceUnavailable, match="database is locked"):
            run()
    finally:
        lock.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "oracle://scott:tiger@host/db",
        "postgresql+asyncpg://scott:tiger@host/db",
        "nonsense://scott:tiger@host/db",
        "post gres://scott:tiger@host",
    ],
)
@pytest.mark.usefixtures("files")
def test_a_source_of_another_kind_is_wrong_configuration(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REPORT_SOURCES", f"shop={url}")
    with pytest.raises(SettingsError, match="REPORT_SOURCES") as caught:
        run()
    assert "tiger" not in str(caught.value)


def test_no_message_holds_credentials() -> None:
    url = make_url("postgresql+psycopg://scott:ti%40ger@host/db?sslpassword=hidden")
    error = OperationalError(
        "SELECT secret_column", {}, Exception('scott:ti@ger:ti%40ger:hidden\n  "scott" was refused')
    )
    assert _told(error, url) == '***:***:***:*** "***" was refused'


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("../x.csv", "leaves the folder"),
        ("/etc/x.csv", "is absolute"),
        ("a\\b.csv", "backslash"),
        ("x.pdf", "ends in .pdf, but the format is csv"),
    ],
)
def test_an_output_that_makes_no_sense_fails_for_good(files: FileStore, output: str, reason: str) -> None:
    with pytest.raises(Fail, match=reason):
        run(output=output)
    assert list(files.list()) == []


def test_a_second_attempt_overwrites_its_own_output(files: FileStore) -> None:
    run()
    result = run("SELECT 1 AS a")
    assert lines(files, result.file) == [["a"], ["1"]]
    assert list(files.list()) == ["reports/job-1.csv"]
    assert run(output="mine/sales.CSV").file == "mine/sales.CSV"


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "\uff1d1", "-1 day, 0:00:00"):
        assert as_csv(text) == f"'{text}"
    for value in (-1, -1.5, Decimal("-2.50"), "a=1", "1-2", "", None, date(2026, 1, 2)):
        assert not as_csv(value).startswith("'")
    assert as_csv(timedelta(days=-1)) == "'-1 day, 0:00:00"


def test_header_names_are_guarded_too() -> None:
    file = BytesIO()
    write_csv(file, Rows(["=1+1", "b"], iter([])), "t")
    assert file.getvalue() == b"\xef\xbb\xbf'=1+1,b\r\n"


def test_values_become_text() -> None:
    assert [
        as_text(value)
        for value in (
            True,
            Decimal("1E+3"),
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            date(2026, 1, 2),
            time(3, 4),
            b"\x00\xff",
            memoryview(b"\x01"),
            {"a": [Decimal("1.5"), None]},
            UUID(int=1),
            float("nan"),
        )
    ] == [
        "true",
        "1000",
        "2026-01-02 03:04:05+00:00",
        "2026-01-02",
        "03:04:00",
        "00ff",
        "01",
        '{"a":["1.5",null]}',
        "00000000-0000-0000-0000-000000000001",
        "nan",
    ]


def opened(columns: Sequence[str], *rows: Sequence[object]) -> list[tuple[object, ...]]:
    file = BytesIO()
    write_xlsx(file, Rows(columns, iter(rows)), "t")
    return list(openpyxl.load_workbook(file).worksheets[0].iter_rows(min_row=2, values_only=True))


def test_excel_gets_types_and_keeps_what_it_cannot_hold_as_text() -> None:
    vienna = timezone(timedelta(hours=1))
    ((*typed,),) = opened(
        list("abcdefgh"),
        [
            True,
            10**14,
            Decimal("12.50"),
            datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - databases give such
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=vienna),
            date(2026, 1, 2),
            time(3, 4, 5),
            timedelta(hours=30),
        ],
    )
    assert typed == [
        True,
        10**14,
        12.5,
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - Excel knows no zones
        datetime(2026, 1, 2, 2, 4, 5),  # noqa: DTZ001 - as above, in UTC
        datetime(2026, 1, 2),  # noqa: DTZ001 - openpyxl has no dates
        time(3, 4, 5),
        timedelta(hours=30),
    ]
    ((*kept,),) = opened(
        list("abcdefg"),
        [
            10**15 + 1,
            Decimal("1234567890.123456789"),
            float("inf"),
            date(1815, 12, 10),
            timedelta(days=-1),
            b"\xff",
            "x" * 40_000,
        ],
    )
    assert kept == [
        "1000000000000001",
        "1234567890.123456789",
        "inf",
        "1815-12-10",
        "-1 day, 0:00:00",
        "ff",
        "x" * 32_767,
    ]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Sales", "Sales"),
        ("a/b:c", "a b c"),
        ("'quoted'", "quoted"),
        ("[]", "Report"),
        ("History", "Report"),
        ("x" * 50, "x" * 31),
    ],
)
def test_a_title_becomes_a_sheet_name(title: str, name: str) -> None:
    assert sheet_name(title) == name


def pages(columns: Sequence[str], rows: Iterator[Sequence[object]], title: str = "t") -> list[str]:
    file = BytesIO()
    write_pdf(file, Rows(columns, rows), title)
    return [page.extract_text() for page in pypdf.PdfReader(file).pages]


def test_a_pdf_shows_what_its_fonts_have_and_marks_what_they_have_not() -> None:
    (text,) = pages(["a", "b"], iter([["ქართული Հայերեն 😀", "\U000f0000 {nb} \x07bell"]]))
    assert "ქართული Հայերեն 😀" in text
    assert "\ufffd {nb} bell" in text
    (shaped,) = pages(["a"], iter([["שלום"]]))
    assert "שלום" in shaped


def test_long_cells_wrap_and_at_last_are_cut() -> None:
    (text,) = pages(["id", "words", "more"], iter([[1, "word " * 150, "x" * 400], [2, "b", "c"]]))
    assert text.count("word") == 151
    assert text.count("x") == 400
    (cut, *_) = pages(["id", "words"], iter([[1, "word " * 5000], [2, "after"]]))
    assert "…" in cut
    assert "2 after" in cut


def test_numbers_of_later_rows_are_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs_worker.queues.reports.pdf_file._SAMPLE", 50)
    numbers = range(940, 1100)
    text = "\n".join(pages(["id", "text"], ((number, "x" * 200) for number in numbers)))
    assert {word for word in text.split() if word.isdigit()} >= {str(number) for number in numbers}


def test_many_columns_become_small_and_too_many_are_refused() -> None:
    names = [f"c{number}" for number in range(40)]
    (text,) = pages(names, iter([list(range(40))]))
    assert "c0 c1 c2" in text
    with pytest.raises(Fail, match="40 columns, not 41"):
        pages([*names, "c40"], iter([]))
    with pytest.raises(Fail, match="16384 columns"):
        opened(["a"] * 16_385)


def test_the_payload_is_checked_before_it_is_sent() -> None:
    for wrong in ({"format": "doc"}, {"max_rows": 0}, {"parameters": {"a": [1]}}):
        fields: dict[str, object] = {"source": "shop", "query": "SELECT 1", "format": "csv", **wrong}
        with pytest.raises(PayloadError):
            EXPORT.encode(ExportReport(**fields))  # pyright: ignore[reportArgumentType]


def test_two_run_at_a_time_and_only_where_sources_are_named() -> None:
    (spec,) = marks_of(export)
    assert (spec.concurrency, spec.is_async, spec.requires) == (2, False, ("REPORT_SOURCES",))
    assert EXPORT.queue.weight == "medium"


async def test_a_scheduled_report_is_there_each_morning(files: FileStore, redis_url: str) -> None:
    payload = ExportReport(source="shop", query="SELECT id FROM orders ORDER BY id", format="csv")
    async with Kit(export, url=redis_url, now=datetime(2026, 3, 27, 12, tzinfo=UTC)) as kit:
        written = await kit.producer.schedules.upsert(
            "orders", EXPORT, payload, cron="0 6 * * *", timezone="Europe/Berlin", options={"attempts": 2}
        )
        await kit.advance(timedelta(days=3))
        record = await kit.admin.schedules.get("reports", written.id)
        assert record.last_at is not None
        # The clocks went forward in the night to the 29th.
        assert (record.fired, record.last_at.hour) == (3, 4)
        assert record.last_job is not None
        assert (await kit.admin.job("reports", record.last_job)).state == "completed"
    reports = list(files.list("reports"))
    assert len(reports) == 3
    assert all(
        files.read_bytes(report).decode("utf-8-sig").split() == ["id", "1", "2", "3"] for report in reports
    )
