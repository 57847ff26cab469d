"""Assembles the Lua files: header, includes, named arguments; one `Script` for each transition.

A file opens with a purpose sentence (`---`) and a header that is read here: `PREFIX` (the one declared key,
from which the keys of the queue derive, all with the same hash tag) or `KEYS`, `ARGV` (names with types),
`REST`, `RETURNS`, `ERRORS`, `INCLUDE`, `FLAGS`. Fragments in `lib/` are one function each and name what they
need themselves; each is included once, in order of need.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

# Plain files: importlib.resources would import modules at the first call, and a process that another thread
# forks meanwhile would wait for ever for the lock of that import.
_FOLDER = Path(__file__).parent / "lua"
_HEADER = re.compile(r"^-- ([A-Z]+): ?(.*)$")
_WORDS = frozenset({"PREFIX", "KEYS", "ARGV", "REST", "RETURNS", "ERRORS", "INCLUDE", "FLAGS"})
_TYPES = ("str", "int")


class Argument(msgspec.Struct, frozen=True):
    """A named argument of a script."""

    name: str
    type: Literal["str", "int"]


class Script(msgspec.Struct, frozen=True):
    """An assembled script: its text as the server gets it, and its contract as the header states it."""

    name: str
    text: str
    sha: str
    purpose: str
    arguments: tuple[Argument, ...]
    rest: str
    returns: str
    errors: tuple[str, ...]
    flags: str


def script_names() -> list[str]:
    """Name every script there is, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.lua"))


@lru_cache(maxsize=256)
def load(name: str, clock: str | None = None) -> Script:
    """Assemble one script. `clock` is the text of a fragment that tells the time in place of the server's.

    Only tests have such a text: no Lua file of the package can tell another time.
    Raises LookupError for an include that does not exist or includes itself, ValueError for a header that
    cannot be read.
    """
    source = _read(f"{name}.lua")
    purpose, header = _parse_header(name, source)
    included: list[str] = []
    for fragment in header.get("INCLUDE", "").replace(",", " ").split():
        _include(fragment, included, (), clock)
    arguments = tuple(_argument(name, spec) for spec in header.get("ARGV", "").split())
    lines = ["#!lua" + (f" flags={header['FLAGS']}" if header.get("FLAGS") else "")]
    if header.get("PREFIX"):
        lines.append("local P = KEYS[1]")
    for position, argument in enumerate(arguments, start=1):
        value = f"ARGV[{position}]"
        lines.append(f"local {argument.name} = {value if argument.type == 'str' else f'tonumber({value})'}")
    fragments = [_strip(_fragment(each, clock)) for each in included]
    text = "\n".join([lines[0], *fragments, *lines[1:], _strip(source)]) + "\n"
    return Script(
        name=name,
        text=text,
        sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        purpose=purpose,
        arguments=arguments,
        rest=header.get("REST", ""),
        returns=header.get("RETURNS", ""),
        errors=tuple(header.get("ERRORS", "").replace(",", " ").split()),
        flags=header.get("FLAGS", ""),
    )


def _read(path: str) -> str:
    try:
        return (_FOLDER / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"no Lua file {path!r} in jobs_core/lua"
        raise LookupError(message) from None


def _fragment(name: str, clock: str | None) -> str:
    return clock if clock is not None and name == "clock" else _read(f"lib/{name}.lua")


def _include(name: str, included: list[str], path: tuple[str, ...], clock: str | None) -> None:
    if name in included:
        return
    if name in path:
        message = f"circular include: {' -> '.join((*path, name))}"
        raise LookupError(message)
    _, header = _parse_header(f"lib/{name}", _fragment(name, clock))
    for needed in header.get("INCLUDE", "").replace(",", " ").split():
        _include(needed, included, (*path, name), clock)
    included.append(name)


def _parse_header(name: str, source: str) -> tuple[str, dict[str, str]]:
    lines = source.splitlines()
    if not lines or not lines[0].startswith("--- "):
        message = f"{name}.lua must open with a purpose sentence: --- Does this."
        raise ValueError(message)
    header: dict[str, str] = {}
    for line in lines[1:]:
        if not line.startswith("--"):
            break
        found = _HEADER.match(line)
        if found:
            if found[1] not in _WORDS or found[1] in header:
                message = f"{name}.lua: the header has {found[1]} twice, or it is no word of a header"
                raise ValueError(message)
            header[found[1]] = found[2].strip()
    return lines[0][4:].strip(), header


def _argument(script: str, spec: str) -> Argument:
    name, _, kind = spec.partition(":")
    if kind not in _TYPES:
        message = f"{script}.lua: argument {spec!r} must be name:str or name:int"
        raise ValueError(message)
    return Argument(name, kind)


def _strip(source: str) -> str:
    """Leave comments out: the server keeps every script it is sent."""
    return "\n".join(
        line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("--")
    )
