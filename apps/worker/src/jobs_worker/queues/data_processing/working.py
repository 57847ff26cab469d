"""What is done with one part, and with what all of them wrote."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from jobs_core.queues.data_processing.queue import Scalar
from jobs_worker import Fail
from jobs_worker.files import FileStore
from jobs_worker.queues.data_processing.plans import Plan, delimiter_of, suffix_of
from jobs_worker.queues.data_processing.splitting import Span, copy_records
from jobs_worker.queues.data_processing.tables import Tables, csv_relation, name, text

FIRST = 100
_PIECE = 1024 * 1024
_PARQUET = "FORMAT parquet, COMPRESSION zstd"
_SHOWN = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "BOOLEAN", "VARCHAR")


class Joined(NamedTuple):
    """The file that was written; `first` are its first rows."""

    path: str
    rows: int
    bytes: int
    first: Sequence[Mapping[str, Scalar]]


def work_on(files: FileStore, opened: Tables, plan: Plan, number: int, target: str) -> int:
    """Do with one part what the plan says, and write what comes of it. Returns how many rows of the source that is of."""
    if files.size(plan.task.source) != plan.size:
        raise Fail("it has changed since it was split; enqueue the job again")
    span = plan.spans[number]
    relation = _part_relation(files, opened, plan, span)
    written = opened.folder / "part.parquet"
    query, values = plan.statement.part(relation)
    try:
        opened.write(query, values, written, _PARQUET)
    except duckdb.ConversionException as error:
        raise Fail(_wrong_value(opened, plan, relation) or opened.said(error)) from error
    except duckdb.InvalidInputException as error:
        raise Fail(f"in its part from {span[0]} on, {opened.said(error)}") from error
    rows = opened.run(plan.statement.whole(f"read_parquet({text(str(written))})", counted=True))
    _store(files, written, target)
    return int(rows[0][0] or 0)


def join_parts(files: FileStore, opened: Tables, plan: Plan, parts: Sequence[str], output: str) -> Joined:
    """Write the file that a job is to write, of what its parts wrote, in their order."""
    wrote = ", ".join(opened.parquet(part) for part in parts)
    joined, suffix = opened.folder / "joined.parquet", suffix_of(output)
    rows = opened.write(plan.statement.whole(f"read_parquet([{wrote}])"), (), joined, _PARQUET)
    relation = f"read_parquet({text(str(joined))})"
    if suffix != ".parquet":
        plain = opened.folder / "joined.csv"
        delimiter = text("\t" if suffix == ".tsv" else ",")
        opened.write(f"FROM {relation}", (), plain, f"FORMAT csv, HEADER, DELIMITER {delimiter}")
        first, joined = _first(opened, relation), plain
    else:
        first = _first(opened, relation)
    _store(files, joined, output)
    return Joined(output, rows, joined.stat().st_size, first)


def _part_relation(files: FileStore, opened: Tables, plan: Plan, span: Span) -> str:
    task, (begin, end) = plan.task, span
    delimiter = delimiter_of(task)
    if delimiter is None:
        source = opened.parquet(task.source)
        # Row groups outside of these rows are not read.
        return f"(SELECT * FROM read_parquet({source}, file_row_number=true) WHERE file_row_number BETWEEN {begin} AND {end - 1})"  # noqa: S608 - numbers
    copy = opened.folder / "part.csv"
    with files.open(task.source) as file, copy.open("wb") as target:
        copy_records(file, span, target, quoted=task.quoted)
    return csv_relation(copy, [*plan.columns], delimiter, quoted=task.quoted)


def _wrong_value(opened: Tables, plan: Plan, relation: str) -> str | None:
    """Say which value of which column is not what the job says it is."""
    asked = plan.statement.wrong_values(relation)
    if asked is None:
        return None
    query, columns = asked
    for column, value in zip(columns, opened.run(query)[0], strict=True):
        if value is not None:
            return f"column {column!r} holds {str(value)[:100]!r}, which is no {plan.task.types[column]}"
    return None


def _first(opened: Tables, relation: str) -> list[dict[str, Scalar]]:
    columns = opened.columns(relation)
    shown = [
        name(column) if kind in _SHOWN else f"CAST({name(column)} AS VARCHAR)"
        for column, kind in columns.items()
    ]
    rows = opened.run(f"SELECT {', '.join(shown)} FROM {relation} LIMIT {FIRST}")  # noqa: S608 - quoted
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _store(files: FileStore, file: Path, target: str) -> None:
    """Put a file under FILES_URL, whole or not at all."""
    with file.open("rb") as source, files.open(target, "wb") as place:
        shutil.copyfileobj(source, place, _PIECE)
