"""Where a CSV can be cut: between records, never within one, however many line breaks its fields hold.

Whether a line break ends a record depends on every quotation mark before it. So the file is read once, in constant memory, and
its quotation marks are counted: where their number is odd, a field is open. That holds where quotation marks stand as RFC 4180 has
them (around a whole field, doubled within), which is checked on the way, so a file that is written otherwise is refused and not cut wrongly.
"""

import csv
import re
from functools import lru_cache
from io import StringIO
from itertools import pairwise
from typing import BinaryIO

from jobs_worker import Fail

_BLOCK = 1024 * 1024
_LONGEST = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"

Span = tuple[int, int]


def read_header(file: BinaryIO, delimiter: str, *, quoted: bool) -> tuple[list[str], int]:
    """Return the names in the first record, and the byte at which the rows begin. Raises Fail."""
    block = file.read(_BLOCK)
    end = _record_end(block, 0, inside=False) if quoted else block.find(b"\n") + 1 or None
    end = len(block) if end is None else end
    if not block or end == _BLOCK:
        raise Fail("it is empty" if not block else "its first record, the header, is larger than 1 MiB")
    try:
        text = block[:end].removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise Fail("it is not in UTF-8") from error
    style = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    record = next(csv.reader(StringIO(text, newline=""), delimiter=delimiter, quoting=style))
    return record, end


def split_csv(
    file: BinaryIO, begin: int, size: int, part_bytes: int, delimiter: str, *, quoted: bool
) -> list[Span]:
    """Return the spans of bytes, of about `part_bytes` each, that hold whole records. Raises Fail."""
    file.seek(begin)
    starts, target, at, inside = [begin], begin + part_bytes, begin, False
    # A block ends with a line, so that what stands around a quotation mark is always in one.
    while block := file.read(_BLOCK) + file.readline(_LONGEST):
        if quoted:
            _check(block, delimiter, at, inside=inside)
        while target < at + len(block):
            start = max(target - at, 0)
            end = _record_end(block, start, inside=inside) if quoted else block.find(b"\n", start) + 1 or None
            if end is None:
                break
            starts.append(at + end)
            target = at + end + part_bytes
        inside ^= quoted and bool(block.count(b'"') % 2)
        at += len(block)
    if inside:
        raise Fail("a quotation mark is never closed")
    bounds = [*(start for start in starts if start < size), size]
    return list(pairwise(bounds))


def copy_records(source: BinaryIO, span: Span, target: BinaryIO, *, quoted: bool) -> None:
    """Copy whole records, with a line feed behind each: what stands between quotation marks stays as it is."""
    source.seek(span[0])
    left, inside = span[1] - span[0], False
    while left and (block := source.read(min(left, _BLOCK))):
        left -= len(block)
        if left and block.endswith(b"\r"):
            block += source.read(1)
            left -= 1
        pieces = block.split(b'"') if quoted else [block]
        first = int(inside)
        pieces[first::2] = [piece.replace(b"\r\n", b"\n") for piece in pieces[first::2]]
        target.write(b'"'.join(pieces))
        inside ^= not len(pieces) % 2


def _record_end(block: bytes, start: int, *, inside: bool) -> int | None:
    """Return where the first record ends that ends at or behind `start`; None where none does within the block."""
    quoted = inside ^ bool(block.count(b'"', 0, start) % 2)
    while True:
        if quoted:
            start = block.find(b'"', start) + 1
            if not start:
                return None
        newline = block.find(b"\n", start)
        if newline < 0:
            return None
        mark = block.find(b'"', start, newline)
        if mark < 0:
            return newline + 1
        start, quoted = mark + 1, True


def _check(block: bytes, delimiter: str, at: int, *, inside: bool) -> None:
    """Look at each quotation mark of some lines. Raises Fail where one stands where none may."""
    if b'"' in block and not _sound(delimiter, inside=inside).fullmatch(block):
        raise Fail(
            f"between its bytes {at} and {at + len(block)} a quotation mark stands within a field that is not quoted, or behind "
            "one that is; give `quoted=False` if quotation marks have no meaning in this file"
        )


@lru_cache(maxsize=8)
def _sound(delimiter: str, *, inside: bool) -> re.Pattern[bytes]:
    """Return what whole lines match, or those that begin inside of a quoted field. Nothing between two marks is a mark that was doubled."""
    cut = re.escape(delimiter)
    opening, closing = rf'(?:\A|(?<=[{cut}\n"]))"', rf'"(?=[{cut}\r\n"]|\Z)'
    lines = rf'(?:[^"]*+{opening}[^"]*+{closing})*+[^"]*+(?:{opening}[^"]*+)?+'
    return re.compile((rf'[^"]*+(?:{closing}{lines})?+' if inside else lines).encode())
