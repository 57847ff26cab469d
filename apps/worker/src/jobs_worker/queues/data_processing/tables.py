"""The database in which a part is worked on: in this process, with a bound on its memory, and what it says put into words."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import duckdb

from jobs_worker import Fail
from jobs_worker.files import FileStore

# What does not fit in is put aside on disk.
MEMORY = "256MB"
_LONGEST_ROW = 16 * 1024 * 1024
_ABANDONED_AFTER = 24 * 3600.0
_PREFIX = "jobs-data-"

# What it says of a wrong CSV, besides the row.
_TOLD = (
    "Expected Number of Columns",
    "Value with unterminated quote",
    "Invalid unicode",
    "Maximum line size",
)

Value = str | int | float | bool | None


class Tables:
    """A database of one job, which is gone with it; `folder` is for what the job needs on disk meanwhile."""

    def __init__(self, files: FileStore, folder: Path) -> None:
        self._files = files
        self.folder = folder
        # One thread: parts run side by side already, and a sum of floats is the same each time.
        self._connection = duckdb.connect(
            config={
                "threads": 1,
                "memory_limit": MEMORY,
                "temp_directory": str(folder / "aside"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        self._addresses: dict[str, str] = {}

    def close(self) -> None:
        """Forget all of it."""
        self._connection.close()

    def parquet(self, path: str) -> str:
        """Return a file under FILES_URL as a literal of SQL. Raises FilePathError."""
        address, system = self._files.address(path)
        if system is not None and not self._addresses:
            register = cast("Callable[[object], None]", getattr(self._connection, "register_filesystem"))  # noqa: B009 - fsspec has no types
            register(system)
        self._addresses[address] = path
        return text(address)

    def said(self, error: duckdb.Error) -> str:
        """Return what is wrong, in one line: no path of this machine, and no row."""
        lines = [line.strip() for line in str(error).splitlines()]
        first = lines[0].partition("Error: ")[2] or lines[0]
        for address, path in self._addresses.items():
            first = first.replace(address, path)
        if first.startswith("CSV Error"):
            told = next((line for line in lines if line.startswith(_TOLD)), "")
            return f"{first.removeprefix('CSV Error on ').lower()}: {told[:1].lower()}{told[1:]}"
        return first

    def run(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Value, ...]]:
        """Run a statement, and return the rows of its answer. Raises duckdb.Error."""
        return self._connection.execute(sql, list(values)).fetchall()

    def columns(self, relation: str) -> dict[str, str]:
        """Return the columns of a relation with their types. Raises duckdb.Error."""
        return {str(row[0]): str(row[1]) for row in self.run(f"DESCRIBE SELECT * FROM {relation}")}  # noqa: S608 - built here

    def write(self, query: str, values: Sequence[object], target: Path, how: str) -> int:
        """Write what a query answers to a file of this machine. Returns how many rows. Raises duckdb.Error."""
        rows = self.run(f"COPY ({query}) TO {text(str(target))} ({how})", values)
        return int(rows[0][0] or 0)


@contextmanager
def tables(files: FileStore) -> Generator[Tables]:
    """Open a database for one job. Raises Fail for what the database says of the job's data."""
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        opened = Tables(files, Path(folder))
        try:
            yield opened
        except (duckdb.DataError, duckdb.ProgrammingError) as error:
            raise Fail(opened.said(error)) from error
        finally:
            opened.close()


def csv_relation(file: Path, columns: Sequence[str], delimiter: str, *, quoted: bool) -> str:
    """Return rows of a CSV as a relation of SQL, all of them text. Nothing is null, but a quoted nothing is an empty text."""
    types = ", ".join(f"{text(column)}: 'VARCHAR'" for column in columns)
    mark = "'\"'" if quoted else "''"
    return (
        f"read_csv({text(str(file))}, header=false, auto_detect=false, new_line='\\n', delim={text(delimiter)}, quote={mark}, escape={mark}, "
        f"nullstr='', allow_quoted_nulls=false, strict_mode=true, max_line_size={_LONGEST_ROW}, columns={{{types}}})"
    )


def name(column: str) -> str:
    """Return the name of a column as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def _sweep() -> None:
    """Remove what killed jobs left on this machine."""
    oldest = time.time() - _ABANDONED_AFTER
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.stat().st_mtime < oldest and left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
