"""Standard output: one JSON document for programs, tables for people, plain ones where it is no terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

__all__ = ["cell", "milliseconds", "print_fields", "print_json", "print_table"]


def print_json(value: object) -> None:
    """Print one JSON document, indented on a terminal."""
    text = msgspec.json.encode(value)
    print((msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings; numbers stand to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(len(columns))]
    if sys.stdout.isatty():
        _print_rich(columns, cells, numeric)
        return
    widths = [max(len(text) for text in column) for column in zip(columns, *cells, strict=True)]
    for row in [[column.upper() for column in columns], *cells]:
        padded = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ]
        print("  ".join(padded).rstrip())


def print_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    shown = [(name, cell(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        print(f"{name:{width}}  {text}".rstrip())


def cell(value: object) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        case list() | tuple():
            return ", ".join(str(each) for each in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            # What a job or its failure says may hold anything, a terminal's control characters too.
            return "".join(each if each.isprintable() else " " for each in str(value))


def milliseconds(value: float | None) -> str:
    """Return a duration given in ms as people read it."""
    if value is None:
        return "-"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} ms"


_is_number = re.compile(r"-|[\d.,]+( (ms|s|min|h|d)|%)?").fullmatch


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    Console().print(table)
