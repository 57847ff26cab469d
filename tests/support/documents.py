"""Read the project's documents: their code, links and headings."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A fenced block: the language it is marked with, its text, and the line where it begins."""

    language: str
    text: str
    line: int


def documents() -> list[Path]:
    """Return every document of the project."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of these languages, or of all."""
    text = path.read_text()
    found = [
        Block(match[2], match[3], text.count("\n", 0, match.start()) + 1) for match in _FENCE.finditer(text)
    ]
    return [block for block in found if not languages or block.language in languages]


def prose(path: Path) -> str:
    """Return the text without its fenced blocks."""
    return _FENCE.sub("", path.read_text())


def spans(path: Path) -> list[str]:
    """Return what stands between single backticks."""
    return _SPAN.findall(prose(path))


def shell_lines(path: Path) -> Iterator[str]:
    """Yield the commands of shell blocks, one line each; in console blocks those after a prompt."""
    for block in blocks(path, "sh", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if block.language == "sh":
                yield line
            elif line.startswith("$ "):
                yield line[2:]


def tables(path: Path, heading: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the tables whose first column is headed so: the section it is in, and the cells of each row."""
    section = ""
    lines = iter(path.read_text().splitlines())
    for line in lines:
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith(f"| {heading} |"):
            next(lines)
            yield section, _rows(lines)


def files_of(path: Path) -> dict[str, str]:
    """Return the Python files that a document shows, by the path in their first line."""
    return {
        first.removeprefix("# "): block.text
        for block in blocks(path, "python")
        if re.fullmatch(r"# [\w/]+\.py", first := block.text.partition("\n")[0])
    }


def _rows(lines: Iterator[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def spans_of(cell: str) -> Sequence[str]:
    """Return what stands between backticks in one cell."""
    return _SPAN.findall(cell)
