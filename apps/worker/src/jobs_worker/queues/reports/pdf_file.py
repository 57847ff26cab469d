"""Write rows as a PDF: a table over as many pages as it takes."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from secrets import token_hex
from typing import BinaryIO, Final, Literal, NamedTuple

from fpdf import FPDF

from jobs_worker import Fail
from jobs_worker.queues.reports.cells import as_text, is_number
from jobs_worker.queues.reports.fonts import LINE_HEIGHT, Typesetter
from jobs_worker.queues.reports.sources import Rows

MAX_COLUMNS: Final = 40

_SAMPLE = 5000
_MARGIN = 10.0
_PADDING = 1.0
_FOOT = 12.0
_TITLE_SIZE = 14.0
_SMALL_SIZE = 7.0
_MAX_LINES = 12
_ELLIPSIS = "…"
# The smaller a column's share of the page, the smaller the letters: least share in mm, size in points.
_SIZES = ((25.0, 8.0), (14.0, 6.5), (0.0, 5.0))


class _Column(NamedTuple):
    x: float
    width: float
    align: Literal["L", "R"]


class _Document(FPDF):
    """Pages with their number at the foot."""

    def __init__(self) -> None:
        super().__init__(orientation="landscape", unit="mm", format="A4")
        self.set_auto_page_break(auto=False)
        self.set_margin(_MARGIN)
        self.c_margin = 0
        # Not the usual {nb}, which a row may hold.
        self.alias_nb_pages(f"{{{token_hex(8)}}}")
        self.setter = Typesetter(self)

    def footer(self) -> None:
        """Write the number of the page and of all pages, which is filled in at the end."""
        size = self.font_size_pt
        self.setter.set_size(_SMALL_SIZE)
        self.set_xy(_MARGIN, self.h - _FOOT + 2)
        # Only cell() fills in the number of all pages.
        self.cell(text=f"Page {self.page_no()} of {self.str_alias_nb_pages}")
        self.setter.set_size(size)


def write_pdf(file: BinaryIO, rows: Rows, title: str) -> None:
    """Write title, time and table; the header is repeated on each page. Raises Fail for too many columns.

    A cell is wrapped into its column and cut after 12 lines; a character that no font has becomes U+FFFD.
    """
    if len(rows.columns) > MAX_COLUMNS:
        raise Fail(f"a PDF page holds {MAX_COLUMNS} columns, not {len(rows.columns)}; export csv or xlsx")
    now = datetime.now(UTC)
    pdf = _Document()
    pdf.set_title(title)
    pdf.set_creation_date(now)
    pdf.add_page()
    _write_title(pdf, title, now)
    pdf.setter.set_size(next(size for share, size in _SIZES if pdf.epw / len(rows.columns) >= share))
    first = list(islice(rows.rows, _SAMPLE))
    _Table(pdf, rows.columns, first).write(chain(first, rows.rows))
    pdf.output(file)


def _write_title(pdf: _Document, title: str, now: datetime) -> None:
    setter = pdf.setter
    setter.set_size(_TITLE_SIZE)
    for line in _wrapped(setter, title, pdf.epw):
        setter.write(_MARGIN, pdf.get_y(), line, pdf.epw)
        pdf.set_y(pdf.get_y() + pdf.font_size * LINE_HEIGHT)
    setter.set_size(_SMALL_SIZE)
    setter.write(_MARGIN, pdf.get_y(), f"Generated {now:%Y-%m-%d %H:%M:%S} UTC", pdf.epw)
    pdf.set_y(pdf.get_y() + pdf.font_size * 2 * LINE_HEIGHT)


class _Table:
    """Columns as wide as the sample wants them, and the place of the next row."""

    def __init__(self, pdf: _Document, names: Sequence[str], sample: Sequence[Sequence[object]]) -> None:
        self._pdf = pdf
        self._names = names
        self._line = pdf.font_size * LINE_HEIGHT
        wanted: list[float] = []
        numeric: list[bool] = []
        for number, name in enumerate(names):
            values = [row[number] for row in sample]
            texts = [name, *map(as_text, values)]
            found = [value for value in values if value is not None]
            numeric.append(bool(found) and all(map(is_number, found)))
            # Of more rows than were looked at, the numbers may have more digits, and should not be broken.
            room = pdf.setter.width("000") if numeric[-1] and len(sample) == _SAMPLE else 0.0
            wanted.append(max(self._natural(text) for text in texts) + room + 2 * _PADDING)
        self._columns = list(_laid_out(wanted, numeric, pdf.epw))

    def write(self, rows: Iterator[Sequence[object]]) -> None:
        """Write all rows, beginning where the page is."""
        self._write_header()
        for row in rows:
            cells = [
                _wrapped(self._pdf.setter, as_text(value), column.width - 2 * _PADDING)
                for value, column in zip(row, self._columns, strict=True)
            ]
            if self._pdf.get_y() + self._height(cells) > self._pdf.h - _FOOT:
                self._pdf.add_page()
                self._write_header()
            self._write_row(cells)

    def _natural(self, text: str) -> float:
        setter = self._pdf.setter
        return max((setter.width(setter.prepared(line)) for line in text[:500].splitlines()), default=0.0)

    def _height(self, cells: Sequence[Sequence[str]]) -> float:
        return max(1, *map(len, cells)) * self._line + _PADDING

    def _write_header(self) -> None:
        pdf = self._pdf
        cells = [
            _wrapped(pdf.setter, name, column.width - 2 * _PADDING)
            for name, column in zip(self._names, self._columns, strict=True)
        ]
        pdf.set_fill_color(225)
        pdf.rect(_MARGIN, pdf.get_y(), pdf.epw, self._height(cells), style="F")
        self._write_row(cells)

    def _write_row(self, cells: Sequence[Sequence[str]]) -> None:
        pdf = self._pdf
        top = pdf.get_y()
        for lines, column in zip(cells, self._columns, strict=True):
            for number, line in enumerate(lines):
                x, y = column.x + _PADDING, top + _PADDING / 2 + number * self._line
                pdf.setter.write(x, y, line, column.width - 2 * _PADDING, column.align)
        bottom = top + self._height(cells)
        pdf.set_draw_color(200)
        pdf.line(_MARGIN, bottom, _MARGIN + pdf.epw, bottom)
        pdf.set_y(bottom)


def _laid_out(wanted: Sequence[float], numeric: Sequence[bool], whole: float) -> Iterator[_Column]:
    """Divide the page: all get what they want and a share of the rest, or the widest ones give way."""
    widths = [0.0] * len(wanted)
    left = whole
    for place, number in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        widths[number] = min(wanted[number], left / (len(wanted) - place))
        left -= widths[number]
    x = _MARGIN
    for width, right in zip(widths, numeric, strict=True):
        shared = width + left * width / (whole - left)
        yield _Column(x, shared, "R" if right else "L")
        x += shared


def _wrapped(setter: Typesetter, text: str, width: float) -> Sequence[str]:
    """Return the text in lines that fit, broken at spaces where there are any, cut after twelve."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = setter.prepared(paragraph)
        while setter.width(line) > width:
            fits = setter.fitting(line, width)
            space = line.rfind(" ", 1, fits + 1)
            cut = space if space > 0 else fits
            lines.append(line[:cut])
            line = line[cut:].lstrip(" ")
            if len(lines) > _MAX_LINES:
                break
        lines.append(line)
        if len(lines) > _MAX_LINES:
            last = lines[_MAX_LINES - 1]
            return [*lines[: _MAX_LINES - 1], last[: max(0, setter.fitting(last, width) - 2)] + _ELLIPSIS]
    return lines
