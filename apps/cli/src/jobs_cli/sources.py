"""Which files `jobs dev` watches, and what counts as a change."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

# Its signature names trio, which is not installed.
from watchfiles import Change, DefaultFilter, awatch  # pyright: ignore[reportUnknownVariableType]

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

__all__ = ["Sources", "changes", "watched"]

_SUFFIXES = (".py", ".lua", ".html", ".txt")
_OUTPUTS = (1, 2)


class Sources(DefaultFilter):
    """Source files: none of environments and caches, and nothing that our own programs write."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".hatch", ".jobs", "venv")

    def __init__(self, *, written: Sequence[Path] = ()) -> None:
        """Take the folders that jobs write to."""
        super().__init__(ignore_paths=written)

    def __call__(self, change: Change, path: str) -> bool:
        """Tell whether a change matters."""
        return path.endswith(_SUFFIXES) and super().__call__(change, path) and not _is_our_output(path)


def watched(root: Path, packages: Iterable[str]) -> list[Path]:
    """Return the folders to watch: the root, and those of the packages that lie elsewhere.

    Nothing is imported: of `shop.queues` it is `shop` that is watched. What is not there is for the worker
    to complain about.
    """
    folders = [root.resolve()]
    for name in dict.fromkeys(package.partition(".")[0] for package in packages):
        spec = find_spec(name)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(location).resolve()
            if folder.is_dir() and not any(folder.is_relative_to(known) for known in folders):
                folders.append(folder)
    return folders


async def changes(folders: Iterable[Path], sources: Sources) -> AsyncGenerator[list[Path]]:
    """Yield the files that changed, those of one moment together, for as long as it is iterated."""
    async for changed in awatch(*folders, watch_filter=sources, debounce=400, step=50):
        yield sorted({Path(path) for _, path in changed})


def _is_our_output(path: str) -> bool:
    """Tell whether a file is where our output goes: a line about each change would be the next one."""
    try:
        named = os.stat(path)  # noqa: PTH116 - the path is a str, and is asked about often
        return any(os.path.samestat(named, os.fstat(output)) for output in _OUTPUTS)
    except OSError:
        return False
