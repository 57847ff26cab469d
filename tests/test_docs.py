"""What documents name is there: links, files, variables, commands, flags, targets. Their code compiles."""

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from textwrap import indent

import pytest
from tests.support.documents import ROOT, blocks, documents, prose, shell_lines, spans, spans_of, tables

from jobs_cli.main import COMMANDS, SHORT, run
from jobs_core.errors import SettingsError
from jobs_core.settings import CommonSettings, DashboardSettings, FeatureSettings, WorkerSettings

CONFIGURATION = ROOT / "docs/configuration.md"
SETTINGS = (CommonSettings, WorkerSettings, DashboardSettings, FeatureSettings)
# Set by the worker for processes of its own.
INTERNAL = re.compile(r"JOBS_(CHILD|EXECUTOR)_")
PAGES = pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)


# Links and files


@PAGES
def test_links_lead_somewhere(page: Path) -> None:
    dead: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(page))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            dead.append(target)
    assert dead == []


@PAGES
def test_files_that_are_named_are_there(page: Path) -> None:
    named = [span for span in spans(page) if re.match(r"(packages|apps|tests|docs|docker|demo)/", span)]
    # The guide's own feature, and paths that leave something out.
    assert [
        name
        for name in named
        if "thumbnails" not in name and "..." not in name and not (ROOT / name.partition("::")[0]).exists()
    ] == []


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^ +- .*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_ways_in_lead_to_every_page(page: str) -> None:
    linked = set(re.findall(r"\]\((?:docs/)?([a-z-]+\.md)", (ROOT / page).read_text()))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# Code


@PAGES
def test_python_blocks_compile_and_import_what_exists(page: Path) -> None:
    wrong: list[str] = []
    for block in blocks(page, "python"):
        # Blocks await, and answer requests, as if they stood in a function.
        tree = ast.parse(f"async def block():\n{indent(block.text, '    ')}", f"{page.name}:{block.line}")
        compile(tree, f"{page.name}:{block.line}", "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jobs_"):
                module = import_module(node.module or "")
                wrong += [
                    f"line {block.line}: {node.module}.{alias.name}"
                    for alias in node.names
                    if not hasattr(module, alias.name)
                ]
    assert wrong == []


# Commands


@PAGES
def test_commands_and_their_flags_exist(page: Path) -> None:
    wrong: list[str] = []
    for line in [*shell_lines(page), *spans(page)]:
        for words in _calls(line):
            name = _command(words)
            if name is None:
                wrong.append(line)
                continue
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            unknown = flags - {"--help", *_flags(name)}
            wrong += [f"{line}: {flag}" for flag in unknown]
    assert wrong == []


@cache
def _flags(name: str) -> set[str]:
    """Return the flags that the help of a command shows."""
    with redirect_stdout(StringIO()) as shown:
        run([*name.split(), "--help"])
    return set(re.findall(r"--[a-z-]+", shown.getvalue()))


@PAGES
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = re.findall(r"(?:`|^ +|^)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)
    assert set(named) - targets == set()


def _calls(line: str) -> Iterator[list[str]]:
    """Yield the words after `jobs` or `jobsctl` of every call of it in a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    call: list[str] | None = None
    expected = True
    try:
        words = list(lexer)
    except ValueError:
        # Prose in a code span, with an apostrophe.
        return
    for word in [*words, ";"]:
        if set(word) <= set("|&;()<>"):
            expected = True
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif expected and word in {"jobs", "jobsctl"}:
            call = []
        elif word != "env" and "=" not in word:
            expected = False


def _command(words: list[str]) -> str | None:
    """Return the command that the words begin with, "" where they name none by intention."""
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z-]+", words[0]):
        return ""
    names = (" ".join(words[:2]), SHORT.get(words[0], words[0]))
    return next((name for name in names if name in COMMANDS), None)


# Variables


class Recorder(dict[str, str]):
    """An environment that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.asked.add(key)
        return default


def read_by(settings: Iterable[type[CommonSettings] | type[FeatureSettings]]) -> set[str]:
    recorder = Recorder()
    for each in settings:
        each.from_env(recorder)
    return recorder.asked


def read_directly() -> set[str]:
    """Return the variables that code reads by itself, or requires of a worker."""
    found: set[str] = set()
    for path in [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("apps/*/src/**/*.py")]:
        text = path.read_text()
        found.update(re.findall(r"environ(?:\.get|\.pop)?[(\[]\s*\"([A-Z_]+)\"", text))
        found.update(re.findall(r"(?:\.get|read_flag)\(\"(JOBS_[A-Z_]+)\"", text))
        for required in re.findall(r"requires=\(([^)]*)\)", text):
            found.update(re.findall(r"\"([A-Z_]+)\"", required))
    return {name for name in found if not INTERNAL.match(name)}


def rows() -> dict[str, list[str]]:
    """Return the documented variables with what is said of them."""
    return {
        spans_of(cells[0])[0]: cells[1:] for _, table in tables(CONFIGURATION, "variable") for cells in table
    }


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    assert set(rows()) == read_by(SETTINGS) | read_directly()


def test_variables_in_other_documents_are_documented() -> None:
    known = rows().keys() | {"JOBS_TEST_SERVER_BIN", "SSL_CERT_FILE"}
    named = {
        name
        for page in documents()
        for _, table in tables(page, "variable")
        for cells in table
        for name in spans_of(cells[0])
    }
    assert named - known == set()


def test_names_that_are_taken_are_those_nothing_reads() -> None:
    taken = {
        spans_of(cells[0])[0]
        for section, table in tables(CONFIGURATION, "variable")
        if section == "Names that are taken"
        for cells in table
    }
    own = read_by([FeatureSettings]) - read_by((CommonSettings, WorkerSettings, DashboardSettings))
    assert taken == {name for name in own if name.lower() not in used_fields()} - read_directly()


def test_documented_defaults_are_the_defaults() -> None:
    wrong = [
        name
        for name, (default, *_) in rows().items()
        if spans_of(default)
        and any(_values(each, name, spans_of(default)[0]) != _values(each) for each in SETTINGS)
    ]
    assert wrong == []


def test_documented_values_are_allowed() -> None:
    wrong: list[str] = []
    for name, (_, allowed, _) in rows().items():
        for value in spans_of(allowed):
            try:
                for each in SETTINGS:
                    each.from_env({name: value})
            except SettingsError as error:
                wrong.append(str(error))
    assert wrong == []


def test_every_variable_is_one_that_some_program_goes_by() -> None:
    used = used_fields()
    without = {name for name, field in _fields().items() if field not in used}
    assert without - read_directly() == set()


def used_fields() -> set[str]:
    """Return the fields of settings that code looks at."""
    sources = [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("apps/*/src/**/*.py")]
    code = "\n".join(path.read_text() for path in sources if path.name != "settings.py")
    return set(re.findall(r"(?:settings|Settings\.from_env\(\))\.([a-z_]+)", code))


def _fields() -> Mapping[str, str]:
    """Return the fields of the programs' settings by their variables, those with a name that says so."""
    fields: dict[str, str] = {}
    for name in read_by((CommonSettings, WorkerSettings, DashboardSettings)):
        for prefix in ("JOBS_", "WORKER_", "DASHBOARD_", ""):
            field = name.removeprefix(prefix).lower()
            if any(field in each.__struct_fields__ for each in SETTINGS):
                fields[name] = field
                break
    return fields


def _values(
    settings: type[CommonSettings] | type[FeatureSettings], name: str = "", value: str = ""
) -> object:
    read = settings.from_env({name: value} if name else {})
    # Whether a port was asked for is no value.
    return {field: getattr(read, field) for field in read.__struct_fields__ if field != "http_port_given"}
