"""What the page of coverage points at is there: sections of documents, and tests."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from tests.support.documents import ROOT, prose, spans_of, tables

PAGE = ROOT / "docs/coverage.md"
NOT_YET = "not yet"
FEATURES = {
    f"{letter}{number}"
    for letter, last in {"A": 11, "B": 10, "C": 6, "D": 6, "E": 6}.items()
    for number in range(1, last + 1)
} | {"F"}


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of the page: feature, requirement, sections and tests."""
    for _, table in tables(PAGE, "feature"):
        for row in table:
            assert len(row) == 4, row
            yield row[0], row[1], row[2], row[3]


def test_every_feature_is_there() -> None:
    assert {feature for feature, *_ in rows()} == FEATURES


def test_each_row_has_a_section_and_a_test_or_is_not_yet() -> None:
    wrong = [
        requirement
        for _, requirement, section, shown in rows()
        if (section == NOT_YET) != (shown == NOT_YET)
        or not (section == NOT_YET or (re.search(r"\]\([^)]+#[^)]+\)", section) and spans_of(shown)))
    ]
    assert wrong == []


@pytest.mark.parametrize("shown", sorted({test for *_, cell in rows() for test in spans_of(cell)}))
def test_what_shows_it_exists(shown: str) -> None:
    path, _, name = shown.partition("::")
    assert (ROOT / path).is_file(), f"no file {path}"
    assert name in _functions(path)


def test_sections_exist() -> None:
    dead: list[str] = []
    for _, _, cell, _ in rows():
        for target in re.findall(r"\]\(([^)]+)\)", cell):
            path, _, anchor = target.partition("#")
            linked = (PAGE.parent / path).resolve()
            if not linked.is_file() or anchor not in _anchors(path):
                dead.append(target)
    assert dead == []


@cache
def _functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@cache
def _anchors(path: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(PAGE.parent / path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
