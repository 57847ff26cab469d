"""Write rows as an Excel workbook of one sheet."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, Protocol, cast

from jobs_worker import Fail
from jobs_worker.queues.reports.cells import as_text, is_exact
from jobs_worker.queues.reports.sources import Rows

MAX_COLUMNS: Final = 16_384
_MAX_TEXT = 32_767
_WIDEST = 60
_FIRST_YEAR = 1900
_FORMATS: Final = {
    datetime: "yyyy-mm-dd hh:mm:ss",
    date: "yyyy-mm-dd",
    time: "hh:mm:ss",
    timedelta: "[h]:mm:ss",
}
_OPTIONS: Final = {
    # Rows go to a temporary file as they come.
    "constant_memory": True,
    "default_date_format": _FORMATS[datetime],
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class _Sheet(Protocol):
    """The part of XlsxWriter's worksheet that is used; the package ships no types."""

    def write_string(self, row: int, col: int, string: str, cell_format: object = None) -> int: ...
    def write_number(self, row: int, col: int, number: float | Decimal) -> int: ...
    def write_boolean(self, row: int, col: int, boolean: bool) -> int: ...  # noqa: FBT001 - its signature
    def write_datetime(
        self, row: int, col: int, date: date | time | timedelta, cell_format: object
    ) -> int: ...
    def freeze_panes(self, row: int, col: int) -> None: ...
    def set_column(self, first_col: int, last_col: int, width: float) -> int: ...
    def autofilter(self, first_row: int, first_col: int, last_row: int, last_col: int) -> int: ...


class _Book(Protocol):
    """The same of its workbook."""

    def set_properties(self, properties: Mapping[str, object]) -> None: ...
    def add_worksheet(self, name: str) -> _Sheet: ...
    def add_format(self, properties: Mapping[str, object]) -> object: ...
    def close(self) -> None: ...


_open = cast("Callable[[BinaryIO, Mapping[str, object]], _Book]", import_module("xlsxwriter").Workbook)


def write_xlsx(file: BinaryIO, rows: Rows, title: str) -> None:
    """Write typed cells under a bold header that stays in view. Raises Fail for too many columns."""
    if len(rows.columns) > MAX_COLUMNS:
        raise Fail(f"a sheet has {MAX_COLUMNS} columns at most, not {len(rows.columns)}; export csv")
    with TemporaryDirectory() as directory:
        workbook = _open(file, {**_OPTIONS, "tmpdir": directory})
        try:
            _fill(workbook, rows, title)
        finally:
            # Also after an error, since it closes the temporary file.
            workbook.close()


def _fill(workbook: _Book, rows: Rows, title: str) -> None:
    workbook.set_properties({"title": title, "created": datetime.now(UTC).replace(tzinfo=None)})
    sheet = workbook.add_worksheet(sheet_name(title))
    bold = workbook.add_format({"bold": True, "bottom": 1})
    formats = {kind: workbook.add_format({"num_format": shown}) for kind, shown in _FORMATS.items()}
    for column, name in enumerate(rows.columns):
        sheet.write_string(0, column, name[:_MAX_TEXT], bold)
    sheet.freeze_panes(1, 0)
    widths = [len(name) for name in rows.columns]
    number = 0
    for number, row in enumerate(rows.rows, 1):
        for column, value in enumerate(row):
            if value is not None:
                length = _write(sheet, number, column, value, formats)
                widths[column] = max(widths[column], length)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(width, _WIDEST) + 2)
    sheet.autofilter(0, 0, number, len(rows.columns) - 1)


def _write(sheet: _Sheet, row: int, column: int, value: object, formats: Mapping[type, object]) -> int:
    """Write one cell and return about how many characters it shows."""
    # A datetime is a date too, and a bool an int.
    match value:
        case bool():
            sheet.write_boolean(row, column, value)
            width = 5
        case int() | float() | Decimal() if is_exact(value):
            sheet.write_number(row, column, value)
            width = len(str(value))
        case datetime() if value.year > _FIRST_YEAR:
            sheet.write_datetime(row, column, _naive(value), formats[datetime])
            width = 19
        case date() if value.year > _FIRST_YEAR:
            sheet.write_datetime(row, column, value, formats[date])
            width = 10
        case time():
            sheet.write_datetime(row, column, value.replace(tzinfo=None), formats[time])
            width = 8
        case timedelta() if value >= timedelta(0):
            sheet.write_datetime(row, column, value, formats[timedelta])
            width = 10
        case _:
            text = as_text(value)[:_MAX_TEXT]
            sheet.write_string(row, column, text)
            width = max(map(len, text[:1000].splitlines()), default=0)
    return width


def _naive(value: datetime) -> datetime:
    """Return the time without its zone, which Excel does not know: in UTC."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def sheet_name(title: str) -> str:
    """Return the title as Excel lets a sheet be called."""
    name = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", title)[:31].strip("' ")
    return name if name and name.lower() != "history" else "Report"
