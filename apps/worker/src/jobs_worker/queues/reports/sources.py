"""Read rows from a report source: one SELECT, read-only, within a time limit."""

import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from jobs_core.errors import JobsError, SettingsError
from jobs_core.queues.reports.queue import Scalar
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail

BATCH: Final = 1000

_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_KINDS = ("sqlite", "postgresql", "mysql", "mariadb")
_CONNECT_SECONDS = 10
# No thread may wait for ever for a server that has gone without a word.
_CONNECT_ARGS: Final[Mapping[str, Mapping[str, int]]] = {
    "postgresql": {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    },
    "mysql": {"connect_timeout": _CONNECT_SECONDS, "read_timeout": 600},
    "mariadb": {"connect_timeout": _CONNECT_SECONDS, "read_timeout": 600},
}
_SHOWN = 500
_MAX_VALUE_BYTES = 16 * 1024 * 1024
_INSTRUCTIONS = 20_000

_END = re.compile(r"[;\s]+\Z")
_BEGIN = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(\w*)", re.DOTALL)
# MySQL writes files even in a read-only transaction, and runs what stands in such a comment.
_MYSQL_WRITES = re.compile(r"\b(?:outfile|dumpfile)\b|/\*!|/\*M!", re.IGNORECASE)

_ALLOWED_ACTIONS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_SCHEMA_COLUMNS = ("type", "name", "tbl_name", "rootpage", "sql")
# What full-text search, json_each and others ask when they are opened to be read. The updates are how SQLite
# announces their columns; a real UPDATE of that table is refused by the file's mode and by query_only.
_VIRTUAL_TABLES = frozenset(
    {
        (sqlite3.SQLITE_PRAGMA, "data_version", None),
        (sqlite3.SQLITE_PRAGMA, "page_size", None),
        *((sqlite3.SQLITE_UPDATE, "sqlite_master", name) for name in _SCHEMA_COLUMNS),
    }
)
# How databases name an error: SQLite by number, PostgreSQL by SQLSTATE, MySQL and MariaDB by number. What is
# transient may go well the next time.
_SQLITE_KINDS: Final[Mapping[object, str]] = {
    sqlite3.SQLITE_INTERRUPT: "timeout",
    sqlite3.SQLITE_BUSY: "transient",
    sqlite3.SQLITE_LOCKED: "transient",
    sqlite3.SQLITE_IOERR: "transient",
    sqlite3.SQLITE_AUTH: "write",
    sqlite3.SQLITE_READONLY: "write",
}
_SQLSTATE_KINDS: Final[Mapping[object, str]] = {"57014": "timeout", "25006": "write"}
_SQLSTATE_TRANSIENT = ("08", "40", "53", "55", "57P", "58")
_MYSQL_KINDS: Final[Mapping[object, str]] = {
    **dict.fromkeys((1317, 1969, 3024), "timeout"),
    **dict.fromkeys((1040, 1053, 1203, 1205, 1213, 2003, 2006, 2013), "transient"),
    **dict.fromkeys((1290, 1792), "write"),
}


class SourceUnavailable(JobsError):
    """A report source cannot be read now. The message holds no part of its URL."""

    code = "source_unavailable"

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"report source {source!r} cannot be read: {reason}")


class ExportStopped(JobsError):
    """The job was cancelled, or ran past its timeout, while it read rows."""

    code = "export_stopped"


class Query(NamedTuple):
    """What to ask whom; date-times among the parameters have a zone. `seconds` bounds the time that the database may take, rendering not counted.

    Of more rows than `max_rows` at least one more is given, for the reader to see that there are.
    """

    source: str
    statement: str
    parameters: Mapping[str, Scalar | datetime]
    seconds: float
    max_rows: int


class Rows(NamedTuple):
    """The answer: the columns' names, and the rows as they come."""

    columns: Sequence[str]
    rows: Iterator[Sequence[object]]


@contextmanager
def answer(query: Query, *, stopped: Callable[[], bool]) -> Generator[Rows]:
    """Run a query and give its rows while the block runs.

    Raises Fail for a query that cannot succeed, SourceUnavailable, ExportStopped.
    """
    url = _url(query.source)
    check_statement(query.statement, url.get_backend_name())
    clause = text(query.statement)
    _check_parameters(set(clause.compile().params), set(query.parameters))
    budget = _Budget(query.seconds, stopped)
    with _opened(query, url, budget) as connection:
        with _verdicts(query, url, budget), budget.spent():
            result = connection.execution_options(stream_results=True, max_row_buffer=BATCH).execute(
                clause, {name: _adapted(value, url) for name, value in query.parameters.items()}
            )
            if not result.returns_rows:
                raise Fail("the query returns no rows")
            columns = tuple(result.keys())

        def rows() -> Iterator[Sequence[object]]:
            while True:
                with _verdicts(query, url, budget), budget.spent():
                    batch = result.fetchmany(BATCH)
                budget.check(query)
                if not batch:
                    return
                yield from batch

        try:
            yield Rows(columns, rows())
        finally:
            with _verdicts(query, url, budget):
                result.close()


def check_statement(statement: str, dialect: str) -> None:
    """Raise Fail unless the text is one SELECT. That it reads only is for the database to see to."""
    body = _END.sub("", statement)
    begin = _BEGIN.match(body)
    if "\x00" in body:
        raise Fail("the query holds a NUL character")
    # Databases disagree on where a literal ends; so no semicolon within, and no way to hide one.
    if ";" in body:
        raise Fail("the query must be one statement; pass text that holds a semicolon as a parameter")
    if begin is None or begin[1].lower() not in {"select", "with"}:
        raise Fail("the query must begin with SELECT or WITH: reports only read")
    if dialect in {"mysql", "mariadb"} and _MYSQL_WRITES.search(body):
        raise Fail("the query may not write files, nor hold a conditional comment")


class _Budget:
    """How long the database may still take. What passes while rows are written is not its fault."""

    def __init__(self, seconds: float, stopped: Callable[[], bool]) -> None:
        self.left = seconds
        self._stopped = stopped
        self._deadline = float("inf")

    @contextmanager
    def spent(self) -> Generator[None]:
        began = time.monotonic()
        self._deadline = began + self.left
        try:
            yield
        finally:
            self._deadline = float("inf")
            self.left -= time.monotonic() - began

    def over(self) -> bool:
        return self._stopped() or time.monotonic() > self._deadline

    def check(self, query: Query) -> None:
        if self._stopped():
            raise ExportStopped("the export was stopped: its job was cancelled or ran past its timeout")
        if self.left <= 0:
            raise Fail(f"the query took longer than its time limit of {query.seconds:.3g} s")


def _adapted(value: Scalar | datetime, url: URL) -> Scalar | datetime:
    """Return a parameter as the database compares it: where columns have no zone, an instant is told in UTC."""
    if not isinstance(value, datetime):
        return value
    match url.get_backend_name():
        case "postgresql":
            return value
        case "sqlite":
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        case _:
            return value.astimezone(UTC).replace(tzinfo=None)


@lru_cache(maxsize=64)
def _engine(url: URL) -> Engine:
    """Return the engine of a URL. It connects anew for each report: no lock or setting stays for the next."""
    if url.get_backend_name() == "sqlite":
        # SQLAlchemy itself would open the file for writing.
        return create_engine("sqlite://", creator=lambda: _open_sqlite(url), poolclass=NullPool)
    arguments = _CONNECT_ARGS[url.get_backend_name()]
    return create_engine(url, connect_args=arguments, hide_parameters=True, poolclass=NullPool)


def _url(source: str) -> URL:
    sources = FeatureSettings.from_env().report_sources
    if source not in sources:
        known = ", ".join(sorted(sources)) or "none"
        raise Fail(f"there is no report source {source!r}; REPORT_SOURCES names {known}")
    try:
        url = make_url(sources[source])
    except ArgumentError:
        raise _misconfigured() from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    in_file = url.drivername == "sqlite" and url.database not in {None, "", ":memory:"}
    if not in_file and url.drivername not in _DRIVERS.values():
        raise _misconfigured()
    return url


def _misconfigured() -> SettingsError:
    # Its value is not shown: it may hold a password.
    return SettingsError("REPORT_SOURCES", "***", f"name=URL pairs of a file or server: {', '.join(_KINDS)}")


def _open_sqlite(url: URL) -> sqlite3.Connection:
    path = Path(url.database or "").absolute()
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_CONNECT_SECONDS, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    # A value is built whole in memory; the default would let it take a gigabyte.
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.text_factory = _decoded
    return connection


def _decoded(value: bytes) -> str:
    return value.decode(errors="replace")


@contextmanager
def _opened(query: Query, url: URL, budget: _Budget) -> Generator[Connection]:
    """Connect, and let the connection do nothing but read, for so long."""
    try:
        connection = _engine(url).connect()
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise SourceUnavailable(
            query.source, f"this worker lacks the driver for {url.drivername} ({error})"
        ) from None
    except DBAPIError as error:
        raise SourceUnavailable(query.source, _told(error, url)) from None
    with connection:
        with _verdicts(query, url, budget):
            _restrict(connection, url, budget, query.max_rows)
        yield connection


def _restrict(connection: Connection, url: URL, budget: _Budget, max_rows: int) -> None:
    limit_ms = max(1, int(budget.left * 1000))
    match url.get_backend_name():
        case "sqlite":
            raw = connection.connection.dbapi_connection
            if not isinstance(raw, sqlite3.Connection):
                raise TypeError(f"{url.drivername} is no driver of the standard library's kind")
            raw.set_authorizer(_authorize)
            raw.set_progress_handler(budget.over, _INSTRUCTIONS)
        case "postgresql":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            # Holds for each batch that is fetched; the budget holds for all of them.
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit_ms}")
        case _:
            if getattr(connection.dialect, "is_mariadb", False):
                connection.exec_driver_sql(f"SET SESSION max_statement_time = {limit_ms / 1000}")
            else:
                connection.exec_driver_sql(f"SET SESSION max_execution_time = {limit_ms}")
            # Its driver reads all rows that are left before it lets go of them: let there be few.
            connection.exec_driver_sql(f"SET SESSION sql_select_limit = {max_rows + 1}")
            connection.exec_driver_sql("START TRANSACTION READ ONLY")


def _authorize(
    action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    loading = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
    allowed = (action in _ALLOWED_ACTIONS and not loading) or (action, first, second) in _VIRTUAL_TABLES
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _check_parameters(named: set[str], given: set[str]) -> None:
    if missing := sorted(named - given):
        names = ", ".join(missing)
        raise Fail(f"the query names parameters that are not given: {names} (a colon that names none is \\:)")
    if unknown := sorted(given - named):
        raise Fail(f"the query does not name these parameters: {', '.join(unknown)}")


@contextmanager
def _verdicts(query: Query, url: URL, budget: _Budget) -> Generator[None]:
    """Tell what can never succeed from what may, and keep credentials out of both."""
    try:
        yield
    except DBAPIError as error:
        raise _verdict(error, query, url, budget) from None
    except (SQLAlchemyError, OverflowError, ValueError) as error:
        raise Fail(f"the query cannot be run: {_shortened(str(error), url)}") from None


def _verdict(error: DBAPIError, query: Query, url: URL, budget: _Budget) -> Exception:
    reason = _told(error, url)
    kind = _kind(error, url.get_backend_name())
    if kind == "timeout":
        budget.left = min(budget.left, 0.0)
        try:
            budget.check(query)
        except (Fail, ExportStopped) as verdict:
            return verdict
    if kind == "transient" or error.connection_invalidated:
        return SourceUnavailable(query.source, reason)
    if kind == "write":
        return Fail(f"the query tries to write, and report sources are read-only: {reason}")
    return Fail(f"the query is wrong: {reason}")


def _kind(error: DBAPIError, backend: str) -> str:
    """Return `timeout`, `transient`, `write` or `wrong`."""
    original = error.orig
    match backend:
        case "sqlite":
            # The low byte; the others say more than is asked here.
            number = getattr(original, "sqlite_errorcode", 0) & 0xFF
            kinds = _SQLITE_KINDS
        case "postgresql":
            number = getattr(original, "sqlstate", None) or ""
            kinds = _SQLSTATE_KINDS if number in _SQLSTATE_KINDS else {number: _sqlstate_class(number)}
        case _:
            number = original.args[0] if original is not None and original.args else 0
            kinds = _MYSQL_KINDS
    return kinds.get(number, "wrong")


def _sqlstate_class(state: str) -> str:
    # No state: the connection broke before the server could name one.
    return "transient" if not state or state.startswith(_SQLSTATE_TRANSIENT) else "wrong"


def _told(error: DBAPIError, url: URL) -> str:
    """Return what the driver says, without the statement and its parameters that SQLAlchemy would add."""
    original = error.orig
    words = [str(each) for each in original.args if isinstance(each, str)] if original is not None else []
    return _shortened(" ".join(words) or type(error).__name__, url)


def _shortened(message: str, url: URL) -> str:
    secrets = [url.password, url.username, *(str(each) for each in url.query.values())]
    for secret in secrets:
        for shown in {str(secret), quote(str(secret), safe="")} if secret else ():
            message = message.replace(shown, "***")
    return " ".join(message.split())[:_SHOWN]
