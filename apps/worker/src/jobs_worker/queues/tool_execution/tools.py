"""The tools that come with the system: fetch a page, ask a named source, digest and convert files."""

from collections.abc import Mapping, Sequence
from hashlib import new as new_hash
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jobs_core.payloads import JsonValue
from jobs_core.queues.reports.queue import Scalar
from jobs_core.settings import FeatureSettings
from jobs_worker import Fail, JobContext
from jobs_worker.files import FilePathError, store
from jobs_worker.tools import tool

_READ = 1024 * 1024
_SECONDS = 30.0
_JSON = (str, int, float, type(None))
Path = Annotated[str, Meta(min_length=1, max_length=1024)]


class Fetched(Struct, frozen=True):
    """An HTTP answer, its body read as text."""

    status: int
    content_type: str
    text: str
    truncated: bool


class Answered(Struct, frozen=True):
    """Rows of a query; `truncated` tells that there were more."""

    columns: Sequence[str]
    rows: Sequence[Sequence[JsonValue]]
    truncated: bool


class Digested(Struct, frozen=True):
    """The digest of a file, in hexadecimal."""

    digest: str
    bytes: int


class Converted(Struct, frozen=True):
    """A file that was written, and how many records it has."""

    output: str
    records: int
    bytes: int


@tool("http-fetch")
async def http_fetch(
    url: Annotated[str, Meta(min_length=1, max_length=8192)],
    timeout: Annotated[float, Meta(gt=0, le=60)] = 20.0,
    max_bytes: Annotated[int, Meta(ge=1, le=1_000_000)] = 200_000,
) -> Fetched:
    """Get a page. Private addresses are refused unless TOOL_ALLOW_HOSTS names the host."""
    # Only here: a worker that fetches nothing need not have the HTTP client installed.
    from jobs_worker.http import AddressRefused, AllowedHosts, guarded_session  # noqa: PLC0415

    allowed = FeatureSettings.from_env().tool_allow_hosts
    async with guarded_session(AllowedHosts(allowed)) as session:
        try:
            reply = await session.request("GET", url, timeout=timeout, max_body=max_bytes)
        except AddressRefused as error:
            raise Fail(f"{error} (TOOL_ALLOW_HOSTS)") from error
    return Fetched(
        status=reply.status,
        content_type=reply.headers.get("Content-Type", ""),
        text=reply.body.decode(errors="replace"),
        truncated=reply.truncated,
    )


@tool("sql-query")
def sql_query(
    ctx: JobContext,
    source: Annotated[str, Meta(min_length=1, max_length=64)],
    query: Annotated[str, Meta(min_length=1, max_length=100_000)],
    parameters: Mapping[str, Scalar] = {},
    max_rows: Annotated[int, Meta(ge=1, le=1000)] = 100,
) -> Answered:
    """Ask a source of REPORT_SOURCES one read-only SELECT, as reports do."""
    # Only here: a worker that asks nothing need not have the database drivers installed.
    from jobs_worker.queues.reports.cells import as_text  # noqa: PLC0415
    from jobs_worker.queues.reports.sources import Query, answer  # noqa: PLC0415

    left = ctx.remaining
    seconds = _SECONDS if left is None else min(_SECONDS, left * 0.9)
    asked = Query(source, query, parameters, seconds, max_rows)
    rows: list[list[JsonValue]] = []
    with answer(asked, stopped=lambda: ctx.cancelled) as found:
        for row in found.rows:
            if len(rows) == max_rows:
                return Answered(found.columns, rows, truncated=True)
            rows.append([value if isinstance(value, _JSON) else as_text(value) for value in row])
        return Answered(found.columns, rows, truncated=False)


@tool("file-digest")
def file_digest(
    path: Path, algorithm: Literal["sha256", "sha512", "sha1", "md5", "blake2b"] = "sha256"
) -> Digested:
    """Digest a file under FILES_URL."""
    digest, size = new_hash(algorithm, usedforsecurity=False), 0
    try:
        with store().open(path, "rb") as file:
            while data := file.read(_READ):
                digest.update(data)
                size += len(data)
    except (FileNotFoundError, FilePathError) as error:
        raise Fail(_told(path, error)) from error
    return Digested(digest.hexdigest(), size)


@tool("file-convert")
def file_convert(source: Path, output: Path) -> Converted:
    """Write a table of records in another format: CSV, JSON Lines or JSON, as the suffixes of the paths say."""
    # Only here, to keep this module short.
    from jobs_worker.queues.tool_execution.conversion import convert  # noqa: PLC0415

    files = store()
    try:
        records = convert(files, source, output)
        return Converted(output, records, files.size(output))
    except (FileNotFoundError, FilePathError) as error:
        raise Fail(_told(source, error)) from error


def _told(path: str, error: Exception) -> str:
    return str(error) if isinstance(error, FilePathError) else f"there is no file {path!r} under FILES_URL"
