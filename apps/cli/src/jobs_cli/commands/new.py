"""Commands that write the files of a queue, or of a project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobs_cli.arguments import Json, option
from jobs_cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs_cli.scaffold import Packages

Profile = Annotated[str, option("Weight class: light (the default), medium or heavy.")]


def new_queue(
    name: Annotated[str, Parameter(help="Name of the queue, such as video-clips.")],
    /,
    *,
    profile: Profile = "light",
    into: Annotated[
        str | None, option("Package to write into; without it those of JOBS_FEATURES and JOBS_PROCESSORS.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a feature folder that works: declaration, handler and a test; edit it from there."""
    from jobs_cli.scaffold import queue_files, write_all

    packages = _packages(into)
    written = write_all(Path.cwd(), queue_files(name, profile, packages))
    if _told(written, json=json):
        return
    print("\nNext:")
    if into is not None:
        print(f"  export JOBS_FEATURES={packages.queues} JOBS_PROCESSORS={packages.workers}")
    print(f"  env jobs worker --type {profile}")
    print(f'  env jobs enqueue {name} process \'{{"text": "one two"}}\' --wait')


def new_project(
    name: Annotated[str, Parameter(help="Name of the project; its folder is made here.")],
    /,
    *,
    profile: Annotated[
        str, option("Weight class of its first queue: light (the default), medium or heavy.")
    ] = "light",
    json: Json = False,
) -> None:
    """Write a project of your own with one queue, its handler and its test."""
    from jobs_cli.scaffold import project_files, write_all

    written = write_all(Path.cwd() / name, project_files(name, profile))
    if not _told(written, json=json):
        print(f"\nNext: cd {name}, and see README.md there.")


def _packages(into: str | None) -> Packages:
    from jobs_cli.scaffold import Packages, first_own
    from jobs_core.errors import OptionError
    from jobs_core.settings import CommonSettings

    if into is not None:
        return Packages.below(into)
    settings = CommonSettings.from_env()
    queues, workers = first_own(settings.features), first_own(settings.processors)
    if queues is None or workers is None:
        raise OptionError(
            "into",
            "",
            "say the package to write into, such as shop, or set JOBS_FEATURES and JOBS_PROCESSORS",
        )
    return Packages(queues, workers)


def _told(written: Sequence[Path], *, json: bool) -> bool:
    shown = [os.path.relpath(path) for path in written]
    if json:
        print_json({"written": shown})
        return True
    for path in shown:
        print(f"wrote {path}")
    return False
