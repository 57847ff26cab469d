"""The files of a new queue or project, from templates: text with `$names` in it, no code until it is filled."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import msgspec

from jobs_core.errors import JobsError, OptionError
from jobs_core.names import check_queue_name
from jobs_core.queue import WEIGHT_CLASSES

__all__ = ["FileExists", "Packages", "project_files", "queue_files", "write_all"]

FIRST_QUEUE: Final = "greetings"
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_TIMEOUTS = {"light": "30", "medium": "300", "heavy": "3600"}
_PROJECT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "jobs.env": "jobs.env",
    ".gitignore": "gitignore",
}


class FileExists(JobsError):
    """A file that was to be written is there already. None was written."""

    code = "file_exists"

    def __init__(self, path: Path) -> None:
        """Say which."""
        self.path = path
        super().__init__(
            f"{path} is there already, so nothing was written. Choose another name, or remove it."
        )


class Packages(msgspec.Struct, frozen=True):
    """The packages of a feature: where its declaration goes, and where its handlers go."""

    queues: str
    workers: str

    @classmethod
    def below(cls, package: str) -> Packages:
        """Return those of a package. Raises OptionError."""
        if not _DOTTED.fullmatch(package) or any(map(keyword.iskeyword, package.split("."))):
            raise OptionError("into", package, "a Python package such as shop")
        return cls(f"{package}.queues", f"{package}.workers")


def queue_files(queue: str, profile: str, packages: Packages) -> dict[PurePosixPath, str]:
    """Return the files of a queue by their paths, and their texts. Raises OptionError."""
    check_queue_name(queue)
    if profile not in WEIGHT_CLASSES:
        raise OptionError("profile", profile, f"it must be one of {', '.join(WEIGHT_CLASSES)}")
    words = [word for word in re.split(r"[^A-Za-z0-9]+", queue) if word]
    folder = "_".join(words).lower()
    if not folder.isidentifier() or keyword.iskeyword(folder):
        raise OptionError("name", queue, "its folder would be no Python package: begin with a letter")
    camel = "".join(word[0].upper() + word[1:] for word in words)
    called = f"process_{folder}(payload, ctx)"
    names = {
        "queue": queue,
        "folder": folder,
        "queues": packages.queues,
        "workers": packages.workers,
        "PROFILE": profile.upper(),
        "timeout": _TIMEOUTS[profile],
        "QUEUE": folder.upper(),
        "JOB": f"PROCESS_{folder.upper()}",
        "Task": f"Process{camel}",
        "Done": f"{camel}Result",
        "handler": f"process_{folder}",
        "called": f"asyncio.run({called})" if profile != "heavy" else called,
        # A heavy queue runs its handlers in processes, for which there is no event loop to share.
        "define": "def" if profile == "heavy" else "async def",
    }
    declared, handled = _folder(packages.queues), _folder(packages.workers)
    made = {
        declared / folder / "queue.py": _filled("queue/queue.py", names),
        handled / folder / "processor.py": _filled("queue/processor.py", names),
        PurePosixPath("tests") / f"test_{folder}.py": _filled("queue/test.py", names),
    }
    for package in (declared / folder, handled / folder):
        made[package / "__init__.py"] = ""
    return made


def project_files(name: str, profile: str) -> dict[PurePosixPath, str]:
    """Return the files of a project with one queue, by their paths below its folder. Raises OptionError."""
    package = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or not package.isidentifier():
        raise OptionError("name", name, "it must begin with a letter, and hold letters, digits, . _ -")
    packages = Packages.below(package)
    names = {"name": name, "package": package, "queue": FIRST_QUEUE}
    made = {PurePosixPath(path): _filled(f"project/{source}", names) for path, source in _PROJECT.items()}
    made |= queue_files(FIRST_QUEUE, profile, packages)
    for parent in (PurePosixPath(package), _folder(packages.queues), _folder(packages.workers)):
        made[parent / "__init__.py"] = ""
    return made


def write_all(root: Path, made: Mapping[PurePosixPath, str]) -> list[Path]:
    """Write all files, or none where one is there already; an empty `__init__.py` may be. Raises FileExists."""
    new = [path for path in made if not (made[path] == "" and (root / path).exists())]
    for path in new:
        if (root / path).exists():
            raise FileExists(root / path)
    for path in new:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(made[path])
    return [root / path for path in new]


def first_own(packages: Iterable[str] | None) -> str | None:
    """Return the first package that is not that of the predefined queues."""
    return next((package for package in packages or () if package != "builtin"), None)


def _folder(package: str) -> PurePosixPath:
    return PurePosixPath(*package.split("."))


def _filled(template: str, names: Mapping[str, str]) -> str:
    text = files("jobs_cli").joinpath("templates", f"{template}.txt").read_text()
    return Template(text).substitute(names)
