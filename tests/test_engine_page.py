"""The page on the engine names every key, error and script that there is."""

import re
from pathlib import Path

import pytest
from tests.support.documents import ROOT
from tests.support.invariants import TYPES

from jobs_core import loader
from jobs_core.loader import load, script_names

PAGE = (ROOT / "docs" / "engine.md").read_text()
LUA = Path(loader.__file__).parent / "lua"
TABLES = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
NAMED = {name for first in TABLES for name in re.findall(r"`([^`]+)`", first)}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_key_is_in_the_table(kind: str) -> None:
    assert TYPES[kind] <= NAMED


def test_no_script_uses_another_key() -> None:
    text = "\n".join(path.read_text() for path in LUA.rglob("*.lua"))
    used = set(re.findall(r'\bP \.\. "([^"]+)"', text))
    parts = {name if ":" not in name else name.split(":")[0] + ":" for name in NAMED}
    assert used <= parts


@pytest.mark.parametrize("name", script_names())
def test_every_error_is_in_the_table(name: str) -> None:
    words = {word.split()[0] for word in NAMED}
    assert set(load(name).errors) <= words
