"""New queues and projects: what is written runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.workers import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Jobs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call_tests(file: Path) -> int:
    """Call the test functions of a file that was written, in this process: to begin another takes longer than they do."""
    spec = importlib.util.spec_from_file_location(f"written_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [function for name, function in vars(module).items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


@pytest.fixture
def forget() -> Iterator[None]:
    """Let what was imported of the package that is written go again."""
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] == "my_shop"]:
        del sys.modules[name]


@pytest.mark.usefixtures("forget")
def test_a_new_project_and_a_new_queue_work_at_once(
    jobs: Jobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs("new-project", "my-shop").code == 0
    project = folder / "my-shop"
    assert {path.name for path in project.iterdir()} == {
        ".gitignore",
        "README.md",
        "jobs.env",
        "my_shop",
        "pyproject.toml",
        "tests",
    }
    exported = "JOBS_FEATURES=my_shop.queues JOBS_PROCESSORS=my_shop.workers"
    assert exported in (project / "jobs.env").read_text()
    monkeypatch.chdir(project)
    ran = jobs("new-queue", "Video-clips.v2", "--profile", "heavy", "--into", "my_shop")
    assert (ran.code, ran.err) == (0, "")
    assert exported in ran.out

    lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,UP,B,RUF", "."]
    linted = subprocess.run(lint, cwd=project, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    assert [call_tests(file) for file in sorted((project / "tests").glob("*.py"))] == [2, 2]
    packages = {name: value for name, _, value in (pair.partition("=") for pair in exported.split())}
    for name, value in packages.items():
        monkeypatch.setenv(name, value)
    with WorkerProcess(url=jobs.url, prefix=jobs.prefix, path=project, **packages) as worker:
        worker.ready()
        for queue in ("greetings", "Video-clips.v2"):
            assert jobs("enqueue", queue, "process", '{"text": "one two"}', "--wait").out == '{"words":2}\n'
    again = jobs("new-queue", "Video-clips.v2", "--into", "my_shop")
    assert again.code == 1
    assert "is there already, so nothing was written" in again.err


def test_the_packages_are_those_of_the_environment(
    jobs: Jobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "say the package to write into" in jobs("new-queue", "clips").err
    monkeypatch.setenv("JOBS_FEATURES", "builtin,shop.declared")
    monkeypatch.setenv("JOBS_PROCESSORS", "shop.handled")
    ran = jobs("new-queue", "clips", "--json")
    assert ran.json == {
        "written": [
            "shop/declared/clips/queue.py",
            "shop/handled/clips/processor.py",
            "tests/test_clips.py",
            "shop/declared/clips/__init__.py",
            "shop/handled/clips/__init__.py",
        ]
    }
    before = (folder / "shop/declared/clips/queue.py").read_text()
    (folder / "shop/handled/clips/processor.py").unlink()
    assert jobs("new-queue", "clips").code == 1
    assert (folder / "shop/declared/clips/queue.py").read_text() == before
    assert not (folder / "shop/handled/clips/processor.py").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["new-queue", "no good", "--into", "shop"], "a name is 1 to 64"),
        (["new-queue", "7up", "--into", "shop"], "begin with a letter"),
        (["new-queue", "class", "--into", "shop"], "no Python package"),
        (["new-queue", "clips", "--into", "../shop"], "a Python package such as shop"),
        (["new-queue", "clips", "--into", "shop", "--profile", "fat"], "must be one of light, medium, heavy"),
        (["new-project", "../shop"], "must begin with a letter"),
    ],
)
def test_what_cannot_be_written_is_told(jobs: Jobs, folder: Path, arguments: list[str], told: str) -> None:
    ran = jobs(*arguments)
    assert ran.code == 2
    assert told in ran.err
    assert [*folder.iterdir()] == []
