"""What runs handlers, and packages of features that a test writes, with what they leave behind."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support.runtime import Lines, Run, captured_lines, running
from tests.support.workers import write_package

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def run(redis_url: str, prefix: str) -> Run:
    """Return what runs handlers against the server, as `running` does."""
    return partial(running, redis_url, prefix)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return the log lines that a worker writes, those of level debug too."""
    with captured_lines("debug") as lines:
        yield lines


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes the package `shop`; what was imported of it goes again."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield lambda modules: write_package(tmp_path, "shop", modules)
    for name in set(sys.modules) - before:
        del sys.modules[name]
