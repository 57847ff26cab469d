"""What a job asks for, as SQL over the rows of its file. Names are quoted and values are parameters: no text of a payload is run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeAlias

from jobs_core.queues.data_processing.queue import Condition, MapFile, Measure, ReduceFile, Scalar
from jobs_worker import Fail
from jobs_worker.queues.data_processing.tables import name

Task: TypeAlias = MapFile | ReduceFile

_COMPARED = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)


class Statement:
    """What each part is asked for, and what all of them together are, over the columns of a file with their types."""

    def __init__(self, task: Task, columns: Mapping[str, str], *, untyped: bool) -> None:
        """Check the names against those of the file; `untyped` says that a column is text only as long as nobody says more. Raises Fail."""
        self.task = task
        self._columns = {
            column: _duck_type(task.types[column]) if column in task.types else kind
            for column, kind in columns.items()
        }
        self._need(task.types)
        self._need(each.column for each in task.where)
        if isinstance(task, MapFile):
            self._need(task.columns)
            self._need(task.rename)
        else:
            self._need(task.group_by)
            self._need(each.column for each in task.measures if each.column is not None)
            self._need_types(task, untyped=untyped)
        refuse_twins(self.names, "the output")

    @property
    def names(self) -> list[str]:
        """The columns of what is written."""
        if isinstance(self.task, ReduceFile):
            return [*self.task.group_by, *(each.label for each in self.task.measures)]
        return [self.task.rename.get(column, column) for column in self.task.columns or self._columns]

    def typed(self, relation: str) -> str:
        """Return the rows of a relation with the types that the job says, of the columns that it reads."""
        chosen = [
            f"CAST({name(column)} AS {self._columns[column]}) AS {name(column)}"
            if column in self.task.types
            else name(column)
            for column in self._read()
        ]
        return f"(SELECT {', '.join(chosen) or '1'} FROM {relation})"  # noqa: S608 - quoted

    def part(self, relation: str) -> tuple[str, list[object]]:
        """Return the query of a part, with its values."""
        where, values = self._where()
        rows = f"{self.typed(relation)}{where}"
        task = self.task
        if isinstance(task, MapFile):
            chosen = [
                f"{name(old)} AS {name(new)}"
                for old, new in zip(task.columns or self._columns, self.names, strict=True)
            ]
            return f"SELECT {', '.join(chosen)} FROM {rows}", values  # noqa: S608 - quoted
        keys = [f"{name(column)} AS k{number}" for number, column in enumerate(task.group_by)]
        figures = [self._partial(number, each) for number, each in enumerate(task.measures)]
        query = f"SELECT {', '.join([*keys, 'count(*) AS n', *figures])} FROM {rows}"  # noqa: S608 - quoted
        return query + _grouped("GROUP BY", [name(column) for column in task.group_by]), values

    def whole(self, relation: str, *, counted: bool = False) -> str:
        """Return the query over what the parts wrote: the rows of the output; with `counted`, of how many rows of the source they are."""
        task = self.task
        if isinstance(task, MapFile):
            return f"SELECT {'count(*)' if counted else '*'} FROM {relation}"  # noqa: S608 - built here
        if counted:
            return f"SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM {relation}"  # noqa: S608 - built here
        keys = [f"k{number} AS {name(column)}" for number, column in enumerate(task.group_by)]
        figures = [
            f"{self._joined(number, each)} AS {name(each.label)}" for number, each in enumerate(task.measures)
        ]
        places = [f"k{number}" for number in range(len(keys))]
        grouped = _grouped("GROUP BY", places) + _grouped("ORDER BY", places)
        return f"SELECT {', '.join([*keys, *figures])} FROM {relation}{grouped}"  # noqa: S608 - quoted

    def wrong_values(self, relation: str) -> tuple[str, list[str]] | None:
        """Return a query for the first value of each typed column that is none of its type, and these columns; None without any."""
        typed = [column for column in self.task.types if column in self._read()]
        looked = [
            f"(SELECT {name(column)} FROM {relation} WHERE {name(column)} IS NOT NULL AND "  # noqa: S608 - quoted
            f"TRY_CAST({name(column)} AS {self._columns[column]}) IS NULL LIMIT 1)"
            for column in typed
        ]
        return (f"SELECT {', '.join(looked)}", typed) if typed else None

    def compared(self) -> Iterator[tuple[str, Scalar]]:
        """Go through the values that rows are compared with, each with the type of its column."""
        for each in self.task.where:
            value = each.value
            if each.op == "contains" or value is None:
                continue
            for one in [value] if isinstance(value, str | int | float) else value:
                yield self._columns[each.column], one

    def _read(self) -> list[str]:
        """Return the columns that anything is done with; of a map all, since its query names those that it writes."""
        task = self.task
        if isinstance(task, MapFile):
            wanted = {*(task.columns or self._columns)}
        else:
            wanted = {*task.group_by, *(each.column for each in task.measures if each.column is not None)}
        wanted |= {each.column for each in task.where}
        return [column for column in self._columns if column in wanted]

    def _partial(self, number: int, measure: Measure) -> str:
        column = "*" if measure.column is None else name(measure.column)
        if measure.op == "mean":
            return f"{self._sum(measure)} AS m{number}, count({column}) AS c{number}"
        return f"{self._sum(measure) if measure.op == 'sum' else f'{measure.op}({column})'} AS m{number}"

    def _sum(self, measure: Measure) -> str:
        """Return a sum in a type that Parquet holds exactly."""
        column = measure.column or ""
        exact = self._columns[column] in _WHOLE
        return f"CAST(sum({name(column)}) AS DECIMAL(38, 0))" if exact else f"sum({name(column)})"

    def _joined(self, number: int, measure: Measure) -> str:
        match measure.op:
            case "count":
                return f"CAST(coalesce(sum(m{number}), 0) AS BIGINT)"
            case "sum":
                whole = self._columns[measure.column or ""] in _WHOLE
                return f"CAST(sum(m{number}) AS BIGINT)" if whole else f"sum(m{number})"
            case "mean":
                return f"CAST(sum(m{number}) AS DOUBLE) / nullif(sum(c{number}), 0)"
            case _:
                return f"{measure.op}(m{number})"

    def _where(self) -> tuple[str, list[object]]:
        conditions: list[str] = []
        values: list[object] = []
        for each in self.task.where:
            sql, its = self._condition(each)
            conditions.append(sql)
            values += its
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values

    def _condition(self, each: Condition) -> tuple[str, list[object]]:
        column, kind, value = name(each.column), self._columns[each.column], each.value
        if each.op in {"is-null", "not-null"}:
            return f"{column} IS {'NOT ' if each.op == 'not-null' else ''}NULL", []
        many = not isinstance(value, str | int | float | None)
        if many != (each.op == "in") or value is None:
            raise Fail(
                f"where: {each.op!r} on {each.column!r} needs {'a list' if each.op == 'in' else 'one value'}"
            )
        if isinstance(value, str | int | float):
            if kind == "VARCHAR" and not isinstance(value, str):
                raise Fail(
                    f"where: column {each.column!r} is text; {_say_type(each.column)}, or compare it with text"
                )
            if each.op == "contains":
                return f"contains(CAST({column} AS VARCHAR), ?)", [str(value)]
            return f"{column} {_COMPARED[each.op]} CAST(? AS {kind})", [value]
        places = ", ".join(f"CAST(? AS {kind})" for _ in value)
        return f"{column} IN ({places})", list(value)

    def _need(self, columns: Iterable[str]) -> None:
        for column in columns:
            if column not in self._columns:
                near = get_close_matches(column, self._columns, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join([*self._columns][:20])}"
                raise Fail(f"{self.task.source!r} has no column {column!r}; {hint}")

    def _need_types(self, task: ReduceFile, *, untyped: bool) -> None:
        """Refuse to reckon with text: 9 is less than 10 as a number alone."""
        for each in task.measures:
            column = each.column
            if column is None or each.op == "count" or self._columns[column] != "VARCHAR":
                continue
            if each.op in {"sum", "mean"} or (untyped and column not in task.types):
                raise Fail(f"{each.op}: column {column!r} is text; {_say_type(column)}")


def _duck_type(kind: str) -> str:
    if kind.startswith("decimal"):
        return f"DECIMAL(38, {kind[8:-1] or 9})"
    return _TYPES[kind]


def _say_type(column: str) -> str:
    return f"say what it holds, as in types={{{column!r}: 'decimal'}}"


def _grouped(how: str, columns: Sequence[str]) -> str:
    return f" {how} {', '.join(columns)}" if columns else ""


def refuse_twins(names: Sequence[str], what: str) -> None:
    """Refuse names that are the same but for their case: the database does not tell them apart. Raises Fail."""
    seen: dict[str, str] = {}
    for each in names:
        if each.lower() in seen:
            raise Fail(
                f"{what} has the columns {seen[each.lower()]!r} and {each!r}: names have to differ, in more than case"
            )
        seen[each.lower()] = each
