"""Tools: the ones that come with the system, those of a package, and what a job cannot do with them."""

import hashlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.http_server import HttpServer, serving
from tests.support.runtime import running

from jobs_core.errors import DeclarationError
from jobs_core.payloads import JsonValue
from jobs_core.queues.tool_execution import RUN_TOOL, TOOL_EXECUTION, RunTool
from jobs_worker import Fail, JobContext
from jobs_worker.processors import marks_of
from jobs_worker.queues.tool_execution import tools as builtin
from jobs_worker.queues.tool_execution.processor import run_tool
from jobs_worker.tools import (
    Tool,
    ToolAnswerError,
    ToolArgumentError,
    UnknownTool,
    find_tool,
    load_tools,
    tool,
)

TOOLS = load_tools(None)
Write = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FILES_URL", str(tmp_path))
    return tmp_path


def call(name: str, **arguments: JsonValue) -> JsonValue:
    return TOOLS[name].call(arguments, JobContext.for_test("tool-execution", "run"))


# What comes with the system


async def fetched(**arguments: JsonValue) -> builtin.Fetched:
    return await builtin.http_fetch(**arguments)  # pyright: ignore[reportArgumentType]


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpServer]:
    async with serving() as server:
        monkeypatch.setenv("TOOL_ALLOW_HOSTS", f"127.0.0.1:{server.port}")
        yield server


async def test_a_page_is_fetched(site: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    site.reply(200, "Grüße", Content_Type="text/plain")
    site.reply(200, "x" * 10)
    assert await fetched(url=site.url) == builtin.Fetched(200, "text/plain", "Grüße", truncated=False)
    assert (await fetched(url=site.url, max_bytes=5)).truncated
    monkeypatch.delenv("TOOL_ALLOW_HOSTS")
    with pytest.raises(Fail, match="not a public address"):
        await fetched(url=site.url)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript(
            "CREATE TABLE o (id INTEGER, at DATE, b BLOB); INSERT INTO o VALUES (1, NULL, x'ff'), (2, 'x', NULL)"
        )
    connection.close()
    monkeypatch.setenv("REPORT_SOURCES", f"shop=sqlite:///{tmp_path}/shop.db")


@pytest.mark.usefixtures("shop")
def test_a_source_is_asked() -> None:
    assert call(
        "sql-query", source="shop", query="SELECT id, b FROM o WHERE id = :id", parameters={"id": 1}
    ) == {
        "columns": ["id", "b"],
        "rows": [[1, "ff"]],
        "truncated": False,
    }
    assert call("sql-query", source="shop", query="SELECT id FROM o", max_rows=1) == {
        "columns": ["id"],
        "rows": [[1]],
        "truncated": True,
    }
    with pytest.raises(Fail, match="begin with SELECT"):
        call("sql-query", source="shop", query="DELETE FROM o")
    with pytest.raises(Fail, match="no report source 'other'"):
        call("sql-query", source="other", query="SELECT 1")


def test_a_file_is_digested(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"abc")
    assert call("file-digest", path="a.txt") == {"digest": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
    assert call("file-digest", path="a.txt", algorithm="md5") == {
        "digest": hashlib.md5(b"abc", usedforsecurity=False).hexdigest(),
        "bytes": 3,
    }
    with pytest.raises(Fail, match=r"no file 'b\.txt'"):
        call("file-digest", path="b.txt")
    with pytest.raises(Fail, match="leaves the folder"):
        call("file-digest", path="../a.txt")


def test_records_are_converted_there_and_back(folder: Path) -> None:
    (folder / "a.csv").write_text('id,name\r\n1,"Ada, L."\r\n2,\r\n')
    assert call("file-convert", source="a.csv", output="b.jsonl") == {
        "output": "b.jsonl",
        "records": 2,
        "bytes": 49,
    }
    assert call("file-convert", source="b.jsonl", output="c.json")
    assert json.loads((folder / "c.json").read_text()) == [
        {"id": "1", "name": "Ada, L."},
        {"id": "2", "name": ""},
    ]
    assert call("file-convert", source="c.json", output="d.csv")
    assert (folder / "d.csv").read_bytes() == (folder / "a.csv").read_bytes()
    (folder / "e.json").write_text('[{"a": null, "b": [1]}, {"a": true}]')
    assert call("file-convert", source="e.json", output="f.csv")
    assert (folder / "f.csv").read_text() == "a,b\n,[1]\ntrue,\n"
    for empty in ("csv", "jsonl"):
        (folder / f"g.{empty}").write_text("")
        assert call("file-convert", source=f"g.{empty}", output="h.json")
        assert json.loads((folder / "h.json").read_text()) == []
    assert call("file-convert", source="h.json", output="i.csv")


@pytest.mark.parametrize(
    ("content", "source", "output", "reason"),
    [
        ("a\n1,2\n", "a.csv", "b.json", "more cells"),
        ("{", "a.jsonl", "b.json", "no table"),
        ('[{"a": 1}, {"b": 1}]', "a.json", "b.csv", "first one has not: b"),
        ("", "a.csv", "b.xlsx", "ends in none of"),
        ("", "a.csv", "a.csv", "source itself"),
        ("", "a.csv", "/b.csv", "is absolute"),
    ],
)
def test_what_is_no_table_fails_for_good(
    folder: Path, content: str, source: str, output: str, reason: str
) -> None:
    (folder / source).write_text(content)
    with pytest.raises(Fail, match=reason):
        call("file-convert", source=source, output=output)
    assert not (folder / "b.json").exists()


# What a job can say


@pytest.mark.parametrize("name", ["os.system", "file_digest", "__import__", "builtins.eval", "File-Digest"])
def test_a_name_means_a_tool_and_nothing_else(name: str) -> None:
    with pytest.raises(UnknownTool):
        find_tool(TOOLS, name)
    with pytest.raises(Fail, match="there is no tool"):
        run_tool(RunTool(tool=name), JobContext.for_test("tool-execution", "run"))


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(UnknownTool, match="did you mean file-digest"):
        find_tool(TOOLS, "file-digset")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "missing required field `path`"),
        ({"path": 7}, r"Expected `str`, got `int` - at `\$\.path`"),
        ({"path": "a", "algorithm": "crc32"}, "Invalid enum value"),
        ({"path": "a", "ctx": None}, "unknown field `ctx`"),
        ({"path": "a", "shell": True}, "unknown field `shell`"),
    ],
    ids=repr,
)
def test_arguments_are_checked_against_the_signature(arguments: dict[str, JsonValue], reason: str) -> None:
    with pytest.raises(ToolArgumentError, match=reason):
        call("file-digest", **arguments)
    with pytest.raises(Fail, match="do not fit tool 'file-digest'"):
        run_tool(RunTool(tool="file-digest", arguments=arguments), JobContext.for_test())


# Tools of one's own


def test_a_function_becomes_a_tool_and_stays_a_function() -> None:
    @tool("add")
    async def add(ctx: JobContext, left: int, *, right: int = 2) -> int:
        ctx.progress(50)
        return left + right

    made = next(value for value in vars(add).values() if isinstance(value, Tool))
    ctx = JobContext.for_test()
    assert made.call({"left": 1}, ctx) == 3
    assert made.call({"left": 1, "right": 4}, ctx) == 5
    assert len(ctx.progress_log) == 2


def test_an_answer_that_json_cannot_carry_is_told() -> None:
    @tool("odd")
    def odd() -> object:
        return object()

    made = next(value for value in vars(odd).values() if isinstance(value, Tool))
    with pytest.raises(ToolAnswerError, match="tool 'odd' returned"):
        made.call({}, JobContext.for_test())


def untyped(what: int) -> None: ...
def several(*what: int) -> None: ...
def foreign(what: JobContext) -> None: ...


# As a function without annotations.
del untyped.__annotations__["what"]


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("no good", lambda: None, "a name is 1 to 64"),
        ("untyped", untyped, "'what' of tool 'untyped' needs a type"),
        ("several", several, "needs a type and a name"),
        ("foreign", foreign, "cannot come as JSON"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_told(
    name: str, function: Callable[..., None], reason: str
) -> None:
    with pytest.raises(DeclarationError, match=reason):
        tool(name)(function)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write(package: str, source: str) -> None:
        folder = tmp_path / package / "rates"
        folder.mkdir(parents=True)
        (folder / "tools.py").write_text(f"from jobs_worker.tools import tool\n{source}")

    return write


def test_tools_are_found_in_the_packages_of_processors(packages: Callable[[str, str], None]) -> None:
    packages("tool_shop_a", '@tool("rate")\ndef rate(base: str) -> float:\n    return 1.5\n')
    packages("tool_shop_b", '@tool("rate")\ndef rate(base: str) -> float:\n    return 1.6\n')
    assert set(load_tools(["tool_shop_a"])) == {"rate"}
    assert set(load_tools(["builtin", "tool_shop_a"])) == {"rate", *TOOLS}
    with pytest.raises(DeclarationError, match="already declared"):
        load_tools(["tool_shop_a", "tool_shop_b"])


async def test_a_tool_runs_in_a_process_of_its_own(redis_url: str, prefix: str, folder: Path) -> None:
    assert (TOOL_EXECUTION.weight, TOOL_EXECUTION.concurrency) == ("medium", 10)
    (spec,) = marks_of(run_tool)
    assert spec.executor == "process"
    (folder / "a.txt").write_bytes(b"abc")
    async with running(redis_url, prefix, run_tool, concurrency=1) as here:
        job = await here.producer.enqueue(RUN_TOOL, RunTool(tool="file-digest", arguments={"path": "a.txt"}))
        result = await job.result(40)
        assert result.output == {"digest": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
        wrong = await here.producer.enqueue(RUN_TOOL, RunTool(tool="gone"))
        await wrong.done(40)
        record = await wrong.status()
        assert (record.state, record.attempts_made) == ("failed", 1)
        assert "there is no tool 'gone'" in str(record.failed_reason)
