"""Packages of features that a test writes, and what they leave behind."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.workers import write_package

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes the package `shop`; what was imported of it goes again."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield lambda modules: write_package(tmp_path, "shop", modules)
    for name in set(sys.modules) - before:
        del sys.modules[name]
