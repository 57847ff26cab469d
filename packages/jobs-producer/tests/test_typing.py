"""What a type checker says to right and wrong uses of the producers."""

import importlib.util
from pathlib import Path

import pytest
from tests.support.checking import check_calls

FOLDER = Path(__file__).parent / "typing"


@pytest.mark.lint
@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_good_calls_pass_and_bad_calls_are_reported() -> None:
    check_calls(FOLDER)


def test_bad_calls_are_many() -> None:
    assert (FOLDER / "bad_calls.py").read_text().count("# pyright: ignore[") > 25
