"""What all parts of a file have in common: checked and written down once, before any of them runs."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

import msgspec

from jobs_core.queues.data_processing.queue import MAX_PARTS, MapFile, ReduceFile
from jobs_worker import Fail
from jobs_worker.files import FilePathError, FileStore, job_path
from jobs_worker.queues.data_processing.splitting import Span, read_header, split_csv
from jobs_worker.queues.data_processing.statements import Statement, Task, refuse_twins
from jobs_worker.queues.data_processing.tables import Tables, name

PARTS = "data/parts"
_KEPT = timedelta(days=7)
_FORMATS = {".csv": ",", ".tsv": "\t", ".parquet": None}


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done. `size` is that of the file when it was split, `columns` are all that it has, with their types.

    `spans` are its parts, in order: bytes of a CSV, rows of a Parquet file, from the first to before the second number.
    """

    size: int
    spans: list[Span]
    columns: dict[str, str]
    map: MapFile | None = None
    reduce: ReduceFile | None = None

    @property
    def task(self) -> Task:
        """The payload of the job whose parts these are."""
        task = self.map or self.reduce
        if task is None:
            raise Fail("the plan of this part says nothing to be done")
        return task

    @property
    def statement(self) -> Statement:
        """The task as SQL. Raises Fail."""
        return Statement(self.task, self.columns, untyped=delimiter_of(self.task) is not None)


@contextmanager
def refused(source: str) -> Generator[None]:
    """Say of which file it is that a job failed for good."""
    try:
        yield
    except FileNotFoundError as error:
        raise Fail(f"there is no file {error.filename or source!r} under FILES_URL") from error
    except FilePathError as error:
        raise Fail(str(error)) from error
    except Fail as error:
        told = str(error)
        raise Fail(told if told.startswith(repr(source)) else f"{source!r}: {told}") from error


def folder_of(job_id: str, created: datetime) -> str:
    """Return where the parts of a job lie: the day is in the path, so what a cancelled job left is found by its age."""
    return job_path(f"{PARTS}/{created.date()}", job_id, "")


def part_path(folder: str, number: int) -> str:
    """Return where a part writes."""
    return f"{folder}/{number:06}.parquet"


def sweep(files: FileStore) -> None:
    """Delete parts of jobs that were cancelled, or failed, a week ago."""
    oldest = (datetime.now(UTC) - _KEPT).date()
    for path in files.list(PARTS):
        day = path.removeprefix(f"{PARTS}/").partition("/")[0]
        try:
            old = date.fromisoformat(day) < oldest
        except ValueError:
            continue
        if old:
            files.delete(path)


def make_plan(files: FileStore, opened: Tables, task: Task, output: str) -> Plan:
    """Look at the file, check what is asked of it, and split it. Raises Fail, FilePathError, FileNotFoundError."""
    delimiter = delimiter_of(task)
    size = files.size(task.source)
    # Before any work, though it is only written at the end.
    files.exists(output)
    if output == task.source:
        raise Fail("output is the source itself")
    suffix_of(output)
    part_bytes = max(task.part_bytes, -(-size // MAX_PARTS))
    if delimiter is None:
        relation = f"read_parquet({opened.parquet(task.source)})"
        columns = opened.columns(relation)
        spans = _row_groups(opened, task.source, part_bytes)
    else:
        with files.open(task.source) as file:
            names, begin = read_header(file, delimiter, quoted=task.quoted)
            if not all(names):
                raise Fail("a column of its header has no name")
            refuse_twins(names, "its header")
            columns = dict.fromkeys(names, "VARCHAR")
            spans = split_csv(file, begin, size, part_bytes, delimiter, quoted=task.quoted)
    plan = Plan(
        size=size,
        spans=spans or [(size, size)],
        columns=columns,
        map=task if isinstance(task, MapFile) else None,
        reduce=task if isinstance(task, ReduceFile) else None,
    )
    _try_out(opened, plan)
    return plan


def write_plan(files: FileStore, path: str, plan: Plan) -> None:
    """Write down a plan."""
    files.write_bytes(path, msgspec.json.encode(plan))


def read_plan(files: FileStore, path: str) -> Plan:
    """Return a plan. Raises Fail."""
    try:
        return msgspec.json.decode(files.read_bytes(path), type=Plan)
    except FileNotFoundError as error:
        raise Fail(f"the plan {path!r} is gone: its job ended, or began more than a week ago") from error
    except msgspec.MsgspecError as error:
        raise Fail(f"{path!r} is no plan: {error}") from error
    except FilePathError as error:
        raise Fail(str(error)) from error


def output_of(task: Task, job_id: str) -> str:
    """Return where a job writes."""
    return task.output or job_path("data", job_id, ".parquet")


def suffix_of(path: str) -> str:
    """Return the suffix that says the format of a file. Raises Fail for one that says none."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in _FORMATS:
        raise Fail(f"{path!r} says no format: a name ends in {', '.join(_FORMATS)}")
    return suffix


def delimiter_of(task: Task) -> str | None:
    """Return what stands between the fields of the source; None where it is a Parquet file. Raises Fail."""
    plain = _FORMATS[suffix_of(task.source)]
    return None if plain is None else task.delimiter or plain


def _row_groups(opened: Tables, source: str, part_bytes: int) -> list[Span]:
    """Return the spans of rows of row groups that have about `part_bytes` together."""
    groups = opened.run(
        "SELECT max(row_group_num_rows), sum(total_compressed_size) FROM "  # noqa: S608 - a literal
        f"parquet_metadata({opened.parquet(source)}) GROUP BY row_group_id ORDER BY row_group_id"
    )
    spans: list[Span] = []
    begin = end = held = 0
    for rows, size in groups:
        if end > begin and held + int(size or 0) > part_bytes:
            spans.append((begin, end))
            begin, held = end, 0
        end, held = end + int(rows or 0), held + int(size or 0)
    return [*spans, (begin, end)] if end > begin else spans


def _try_out(opened: Tables, plan: Plan) -> None:
    """Ask all of it of no rows: what the database refuses, it refuses before the parts begin."""
    columns = ", ".join(f"{name(column)} {kind}" for column, kind in plan.columns.items())
    opened.run(f"CREATE TABLE nothing ({columns})")
    statement = plan.statement
    for kind, value in statement.compared():
        # Of no rows a value is never looked at.
        opened.run(f"SELECT CAST(? AS {kind})", [value])
    query, values = statement.part("nothing")
    opened.run(f"CREATE TABLE parts AS {query}", values)
    opened.run(statement.whole("parts"))
