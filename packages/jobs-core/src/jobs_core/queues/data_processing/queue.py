"""Declare the queue for large files of rows: CSV and Parquet, in parts that run side by side."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from jobs_core.queue import HEAVY, Queue

DATA_PROCESSING = Queue("data-processing", profile=HEAVY, concurrency=3)

Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Scalar: TypeAlias = str | int | float | bool | None
Type: TypeAlias = Annotated[
    str, Meta(pattern=r"^(text|integer|decimal(\([0-9]\))?|float|boolean|date|timestamp)$")
]
"""What a column holds. `decimal` is exact, with 9 places after the point, `decimal(2)` with 2."""
MAX_PARTS = 1000


class Condition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a row must fulfil: its column compared with `value`, a list for `in`, none for `is-null` and `not-null`."""

    column: Name
    op: Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "is-null", "not-null"]
    value: Scalar | Annotated[Sequence[Scalar], Meta(min_length=1, max_length=1000)] = None


class Measure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of a group. `count` without a column counts rows, else what is not null.

    It is called `name` in the output, by default `OP_COLUMN`, or `count`. Raises ValueError where the column is missing.
    """

    op: Literal["count", "sum", "min", "max", "mean"]
    column: Name | None = None
    name: Name | None = None

    def __post_init__(self) -> None:
        """Refuse a figure of nothing."""
        if self.column is None and self.op != "count":
            raise ValueError(f"{self.op} needs a `column`")

    @property
    def label(self) -> str:
        """What it is called in the output."""
        return self.name or (self.op if self.column is None else f"{self.op}_{self.column}")


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of rows under `FILES_URL`: `.csv`, `.tsv` (both with a header, UTF-8) or `.parquet`.

    Rows that do not fulfil all of `where` are left out. Columns of a CSV are text unless `types` says otherwise; `delimiter` stands
    between them, and without `quoted` its quotation marks mean nothing. `part_bytes` is about how large the parts are that jobs of
    their own take on; there are at most 1,000.
    """

    source: Path
    where: Annotated[Sequence[Condition], Meta(max_length=100)] = ()
    types: Mapping[Name, Type] = {}
    delimiter: Annotated[str, Meta(pattern=r"^[,;|\t]$")] | None = None
    quoted: bool = True
    part_bytes: Annotated[int, Meta(ge=65_536, le=1 << 30)] = 64 * 1024 * 1024


class MapFile(Source, frozen=True, kw_only=True, omit_defaults=True):
    """Choose, rename, convert and filter, row by row, into `output`; by default `data/<job id>.parquet`.

    Its suffix says the format. Without `columns` all are written, in their order; `rename` is old name → new name.
    """

    output: Path | None = None
    columns: Annotated[Sequence[Name], Meta(max_length=10_000)] = ()
    rename: Mapping[Name, Name] = {}


class MappedFile(Struct, frozen=True, kw_only=True):
    """The file that was written: its path under `FILES_URL`, its rows in the order of the source, its columns."""

    output: str
    rows: int
    columns: Sequence[str]
    parts: int
    bytes: int


class ReduceFile(Source, frozen=True, kw_only=True, omit_defaults=True):
    """Work out the measures of each group of rows into `output`, by default `data/<job id>.parquet`.

    A group are the rows with the same values in `group_by`, null among them; without it all rows are one.
    """

    measures: Annotated[Sequence[Measure], Meta(min_length=1, max_length=100)]
    group_by: Annotated[Sequence[Name], Meta(max_length=20)] = ()
    output: Path | None = None


class ReducedFile(Struct, frozen=True, kw_only=True):
    """The file that was written, with a row for each of its `groups`, sorted by `group_by`.

    `rows` is how many rows of the source are in them. `first` holds the first 100 groups; decimals and times are text there.
    """

    output: str
    groups: int
    rows: int
    columns: Sequence[str]
    first: Sequence[Mapping[str, Scalar]]
    parts: int
    bytes: int


class FilePart(Struct, frozen=True, kw_only=True):
    """A part of a file, by its number in the plan, which is where what to do with it is written down."""

    plan: Path
    number: int


class ProcessedPart(Struct, frozen=True, kw_only=True):
    """What came of a part: where it lies, of how many rows of the source."""

    path: str
    rows: int


class TidyParts(Struct, frozen=True, kw_only=True):
    """Delete what the parts of a job that completed wrote."""

    folder: Path


MAP_FILE = DATA_PROCESSING.job("map", payload=MapFile, result=MappedFile, attempts=3, timeout=3600)
REDUCE_FILE = DATA_PROCESSING.job("reduce", payload=ReduceFile, result=ReducedFile, attempts=3, timeout=3600)
# Of each of the two above there is one for each part of its file: they are their children.
PROCESS_PART = DATA_PROCESSING.job("part", payload=FilePart, result=ProcessedPart, attempts=3, timeout=3600)
TIDY_PARTS = DATA_PROCESSING.job("tidy", payload=TidyParts, timeout=600)
