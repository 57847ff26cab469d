"""New queues and projects: what is written runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.workers import WorkerProcess

if TYPE_CHECKING:
    from conftest import Jobs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_in(folder: Path, *line: str, **variables: str) -> str:
    """Run a module in a folder, as its owner would, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *line],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ".", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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

    run_in(project, "ruff", "check", "--isolated", "--select", "F,UP,B,RUF", ".")
    assert "4 passed" in run_in(project, "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests")
    packages = {name: value for name, _, value in (pair.partition("=") for pair in exported.split())}
    with WorkerProcess(url=jobs.url, prefix=jobs.prefix, path=project, **packages) as worker:
        worker.ready()
        for queue in ("greetings", "Video-clips.v2"):
            line = ["jobs_cli", "enqueue", queue, "process", '{"text": "one two"}', "--wait"]
            assert run_in(project, *line, **packages) == '{"words":2}\n'
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
