import ast
import inspect
import re
from pathlib import Path

import pytest
from tests.support.engine import CLOCK

from jobs_core import loader
from jobs_core.connection import client_for, parse_address
from jobs_core.loader import Argument, load, script_names
from jobs_core.scripts import Scripts

LUA = Path(loader.__file__).parent / "lua"
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua"))
SOURCES = sorted(path.relative_to(LUA).as_posix() for path in LUA.rglob("*.lua"))


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let the loader read from a dict."""
    files: dict[str, str] = {}

    def read(path: str) -> str:
        try:
            return files[path]
        except KeyError:
            raise LookupError(path) from None

    load.cache_clear()
    monkeypatch.setattr(loader, "_read", read)
    return files


def fragment(name: str, *, include: str = "") -> str:
    header = f"-- INCLUDE: {include}\n" if include else ""
    return f"--- Is a fragment.\n{header}local function {name}()\nend\n"


def functions(text: str) -> list[str]:
    return re.findall(r"^local function (\w+)", text, re.MULTILINE)


def test_all_scripts_are_named() -> None:
    assert script_names() == SCRIPTS


def test_fragments_come_once_and_before_who_needs_them(files: dict[str, str]) -> None:
    files["do.lua"] = "--- Does.\n-- INCLUDE: a b\na()\n"
    files["lib/a.lua"] = fragment("a", include="c d")
    files["lib/b.lua"] = fragment("b", include="d, a")
    files["lib/c.lua"] = fragment("c", include="d")
    files["lib/d.lua"] = fragment("d")
    assert functions(load("do").text) == ["d", "c", "a", "b"]


def test_a_script_has_its_flags_arguments_and_no_comments(files: dict[str, str]) -> None:
    files["do.lua"] = (
        "--- Does.\n-- And more.\n-- PREFIX: P\n-- ARGV: owner:str lease_ms:int\n-- REST: ids\n"
        "-- RETURNS: 1\n-- ERRORS: GONE, STALE\n-- FLAGS: allow-oom\n\n-- Why.\nreturn 1\n"
    )
    script = load("do")
    assert script.text == (
        "#!lua flags=allow-oom\n"
        "local P = KEYS[1]\nlocal owner = ARGV[1]\nlocal lease_ms = tonumber(ARGV[2])\nreturn 1\n"
    )
    assert (script.purpose, script.rest, script.returns, script.flags) == ("Does.", "ids", "1", "allow-oom")
    assert script.arguments == (Argument("owner", "str"), Argument("lease_ms", "int"))
    assert script.errors == ("GONE", "STALE")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"lib/a.lua": fragment("a", include="b"), "lib/b.lua": fragment("b", include="a")}, "a -> b -> a"),
        ({"lib/a.lua": fragment("a", include="a")}, "a -> a"),
        ({"lib/a.lua": fragment("a", include="nowhere")}, "lib/nowhere.lua"),
        ({}, "lib/a.lua"),
    ],
)
def test_a_wrong_include_is_named(files: dict[str, str], changed: dict[str, str], error: str) -> None:
    files["do.lua"] = "--- Does.\n-- INCLUDE: a\nreturn 1\n"
    files.update(changed)
    with pytest.raises(LookupError, match=re.escape(error)):
        load("do")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "return 1",
        "-- Does.\n",
        "--- Does.\n-- ARGV: id\n",
        "--- Does.\n-- ARGV: id:bytes\n",
        "--- Does.\n-- INCLUDES: a\n",
        "--- Does.\n-- REST: a\n-- REST: b\n",
    ],
)
def test_a_header_that_cannot_be_read_is_refused(files: dict[str, str], source: str) -> None:
    files["do.lua"] = source
    with pytest.raises(ValueError, match=r"do\.lua"):
        load("do")


def test_a_script_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match=r"nothing\.lua"):
        load("nothing")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_header_is_complete(name: str) -> None:
    script = load(name)
    assert script.purpose.endswith(".")
    assert script.returns
    assert set(script.flags.split()) <= {"allow-oom", "no-writes"}
    own = (LUA / f"{name}.lua").read_text()
    raised = set(re.findall(r'error_reply\("([A-Z_]+)', script.text)) - {"STALE"}
    assert raised <= set(script.errors), "an error that the header does not name"
    assert ("STALE" in script.errors) == ("session_verdict" in own)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_adding_jobs_is_refused_when_memory_is_full(name: str) -> None:
    assert (load(name).flags == "") == (
        name
        in {
            "enqueue",
            "apply",
            "log",
            "replay",
            "schedule_put",
            "schedule_tick",
            "schedule_trigger",
            "flow_open",
            "flow_add",
        }
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_production_has_no_clock_but_the_servers(name: str) -> None:
    text = load(name).text
    assert "test-clock" not in text
    assert text.count('"TIME"') == text.count("local function clock") <= 1
    moved = load(name, CLOCK).text
    assert '"TIME"' not in moved


def test_no_fragment_of_the_package_tells_another_time() -> None:
    assert [each for each in SOURCES if "clock" in Path(each).stem] == ["lib/clock.lua"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_facade_takes_what_the_header_names(name: str) -> None:
    method = getattr(Scripts, name, None) or getattr(Scripts, f"{name}_")
    # Scripts of the whole system are of no queue.
    parameters = list(inspect.signature(method).parameters.values())[
        1 if name.startswith("alert_") or name == "rights" else 2 :
    ]
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters)
    names = [each.name for each in parameters if each.name != "deadline"]
    # `id` is a function of Python's.
    expected = [{"id": "job_id", "from": "from_"}.get(each.name, each.name) for each in load(name).arguments]
    assert names[: len(expected)] == expected
    assert len(names) - len(expected) == (1 if load(name).rest else 0)


def test_the_facade_runs_nothing_else() -> None:
    methods = {name for name, _ in inspect.getmembers(Scripts, inspect.iscoroutinefunction)}
    assert {name.rstrip("_") for name in methods if name[0] != "_"} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_test(name: str) -> None:
    source = (Path(__file__).parent / "scripts" / f"test_{name}.py").read_text()
    assert any(isinstance(node, ast.AsyncFunctionDef) for node in ast.parse(source).body)


# A number becomes text by `%.0f` alone: Lua writes 1.7953083788347e+15 for the microseconds of a day. So only
# what is text already may stand beside `..`, and nothing is given to tostring.
TEXTS = re.compile(
    r"S|(q\.)?P|home|ids?|schedule_id|owners?|sessions?|inbox|name|waiters|state|body|past|infos|names|to|top|verbs|dead|m|ARGV"
    r"|found|key|score|after|lead|header|last|at|args|origin|scores|keys|field|days?|hist|kind|actor|reason|what|family|list"
)


@pytest.mark.parametrize("source", SOURCES)
def test_no_number_becomes_text_by_accident(source: str) -> None:
    lines = (LUA / source).read_text().splitlines()
    code = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    code = re.sub(r'"(\\.|[^"\\])*"', "S", code)
    assert "tostring" not in code
    assert len(re.findall(r"\.\.", code)) == code.count(" .. ")
    for before, after in re.findall(r"([\w.]+)(?:\[[^\]]*\])? \.\. (?=\(?([\w.]+))", code):
        assert TEXTS.fullmatch(before), before
        assert TEXTS.fullmatch(after), after


async def test_the_server_takes_every_script(redis_url: str) -> None:
    client = client_for(parse_address(redis_url))
    await client.connect(timeout=40)
    try:
        for name in SCRIPTS:
            for script in (load(name), load(name, CLOCK)):
                assert await client.call("SCRIPT", "LOAD", script.text) == script.sha.encode()
    finally:
        await client.close()
