"""Finds what code declares: walks feature packages for `queue.py` and gathers their queues in a `Catalog`.

A feature is a folder. `shop/queues/invoices/queue.py` declares queues and
`shop/workers/invoices/processor.py` holds their handlers: the equal folder name joins the two.
Nothing registers itself anywhere.
"""

from __future__ import annotations

import os
import pkgutil
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, ModuleType

from jobs_core.errors import DeclarationError, UnknownJob, UnknownQueue
from jobs_core.names import nearest
from jobs_core.queue import JobType, Queue, differences

__all__ = [
    "ALWAYS",
    "BUILTIN",
    "Catalog",
    "imported",
    "load_features",
    "processor_modules",
    "report_type_modules",
    "tool_modules",
    "workflow_modules",
]

BUILTIN = "builtin"
"""The name that stands for the packages that come with the system."""

_BUILTIN_FEATURES = "jobs_core.queues"
_BUILTIN_PROCESSORS = "jobs_worker.queues"
ALWAYS = {"dead-letter": "dead_letter"}
"""Queues that are there whatever packages are named, and their folders: all others send there what failed for good."""


class Catalog:
    """The queues that code declares, each with the feature folder it was found in."""

    def __init__(self, found: Iterable[tuple[Queue, str]] = ()) -> None:
        """Gather queues, each with its folder.

        Raises `DeclarationError` where two queues of one name are declared differently.
        """
        self._queues: dict[str, Queue] = {}
        self._folders: dict[str, str] = {}
        for queue, folder in found:
            known = self._queues.setdefault(queue.name, queue)
            self._folders.setdefault(queue.name, folder)
            if known is not queue:
                _check_same(known, queue)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Return the declared queues by name."""
        return MappingProxyType(self._queues)

    @property
    def sources(self) -> Mapping[str, str]:
        """Return where each queue (`email`) and job (`email/send-email@1`) is declared, as `path:line`."""
        sources = {queue.name: queue.source for queue in self._queues.values()}
        for queue in self._queues.values():
            sources |= {f"{queue.name}/{name}": job.source for name, job in queue.versions.items()}
        return sources

    def queue(self, name: str) -> Queue:
        """Return the declared queue. Raises `UnknownQueue`."""
        try:
            return self._queues[name]
        except KeyError:
            raise UnknownQueue(name, nearest(name, self._queues)) from None

    def job(self, queue: str, name: str, version: int | None = None) -> JobType[object, object]:
        """Return the declared job, its highest version unless one is asked for.

        Raises `UnknownQueue` or `UnknownJob`.
        """
        declared = self.queue(queue)
        job = declared.jobs.get(name) if version is None else declared.versions.get(f"{name}@{version}")
        if job is not None:
            return job
        if version is None or name not in declared.jobs:
            raise UnknownJob(queue, name, nearest(name, declared.jobs))
        raise UnknownJob(
            queue, f"{name}@{version}", [one for one in declared.versions if one.startswith(f"{name}@")]
        )

    def folder_of(self, queue: str) -> str:
        """Return the feature folder of the declared queue. Raises `UnknownQueue`."""
        return self._folders[self.queue(queue).name]

    def __repr__(self) -> str:
        return f"Catalog({', '.join(self._queues)})"


def load_features(packages: Sequence[str] | None = None) -> Catalog:
    """Import the `queue.py` of every feature folder in the packages and return what they declare.

    None means the built-in features; `builtin` in the list keeps them beside others. Raises
    `DeclarationError` for a package that is not there or holds none, a module that cannot be imported, and
    two different declarations of one name.
    """
    listed = dict(_listed(packages, _BUILTIN_FEATURES, "queue"))
    modules = [(imported(name), folder) for name, folder in listed.items()]
    return Catalog(_declared(modules))


def processor_modules(
    packages: Sequence[str] | None, catalog: Catalog, served: Collection[str]
) -> list[tuple[str, str]]:
    """Return the `processor.py` modules to import for the served queues, as (module name, folder).

    A folder that has a feature folder of the same name counts only if that declares a served queue, so that
    a worker needs no libraries of the others. A built-in one needs a feature folder: JOBS_FEATURES may leave
    the built-in features out while JOBS_PROCESSORS is unset. Nothing but parent packages is imported.
    Raises `DeclarationError`.
    """
    declared: dict[str, set[str]] = {}
    for name in catalog.queues:
        declared.setdefault(catalog.folder_of(name), set()).add(name)
    return [
        (module, folder)
        for module, folder in dict(_listed(packages, _BUILTIN_PROCESSORS, "processor")).items()
        if (
            not declared[folder].isdisjoint(served)
            if folder in declared
            else not module.startswith(f"{_BUILTIN_PROCESSORS}.")
        )
    ]


def tool_modules(packages: Sequence[str] | None) -> list[str]:
    """Return the `tools.py` modules in the packages of processors; a package need not have one. Raises `DeclarationError`."""
    return _modules(packages, _BUILTIN_PROCESSORS, "tools")


def report_type_modules(packages: Sequence[str] | None) -> list[str]:
    """Return the `report_types.py` modules in the packages of processors; a package need not have one. Raises `DeclarationError`."""
    return _modules(packages, _BUILTIN_PROCESSORS, "report_types")


def workflow_modules(packages: Sequence[str] | None) -> list[str]:
    """Return the `workflows.py` modules in the feature packages; a package need not have one. Raises `DeclarationError`."""
    return _modules(packages, _BUILTIN_FEATURES, "workflows")


def _modules(packages: Sequence[str] | None, builtin: str, leaf: str) -> list[str]:
    named = [builtin if one == BUILTIN else one for one in packages or [BUILTIN]]
    found: dict[str, None] = {}
    for package in named:
        found |= dict.fromkeys(module for module, _ in _leaves(package, _locations(package) or [], leaf))
    return list(found)


def _listed(packages: Sequence[str] | None, builtin: str, leaf: str) -> Iterator[tuple[str, str]]:
    """Yield (module name, folder) of the leaf modules; one may come twice where the packages overlap."""
    named = [builtin if one == BUILTIN else one for one in packages or [BUILTIN]]
    for package in dict.fromkeys(named):
        locations = _locations(package)
        if locations is None:
            reason = "there is no such Python package. Is it installed, and its name right?"
            raise DeclarationError(package, reason)
        found = list(_leaves(package, locations, leaf))
        if not found:
            reason = f"neither the package nor a sub-package of it has a module {leaf}.py"
            raise DeclarationError(package, reason)
        yield from found
    if builtin not in named:
        for module, folder in _leaves(builtin, _locations(builtin) or [], leaf):
            if folder in ALWAYS.values():
                yield module, folder


def _locations(package: str) -> list[str] | None:
    """Return the folders of a package; its parents are imported, it is not."""
    try:
        spec = find_spec(package)
    except Exception as error:
        # A parent that is not there is one thing, a parent that misses a library of its own another.
        if isinstance(error, ModuleNotFoundError) and f"{package}.".startswith(f"{error.name}."):
            return None
        raise DeclarationError(package, f"its parent package cannot be imported: {_told(error)}") from error
    locations = spec.submodule_search_locations if spec else None
    return None if locations is None else [*locations]


def _leaves(package: str, locations: list[str], leaf: str) -> Iterator[tuple[str, str]]:
    """Yield the leaf modules in a package and its sub-packages by name, without importing them."""
    packages = {module.name: module.ispkg for module in pkgutil.iter_modules(locations)}
    if packages.get(leaf) is False:
        yield f"{package}.{leaf}", package.rpartition(".")[2]
    # A folder without __init__.py is a package too, which pkgutil passes by.
    folders = {name for name in _bare_folders(locations) if name not in packages}
    for name in sorted(folders | {name for name, is_package in packages.items() if is_package}):
        inside = [str(path) for path in (Path(location, name) for location in locations) if path.is_dir()]
        yield from _leaves(f"{package}.{name}", inside, leaf)


def _bare_folders(locations: list[str]) -> Iterator[str]:
    for location in filter(Path.is_dir, map(Path, locations)):
        for entry in location.iterdir():
            # Not through links, which may lead back up.
            if entry.name.isidentifier() and entry.is_dir() and not entry.is_symlink():
                yield entry.name


def imported(name: str) -> ModuleType:
    """Import a feature module. Raises `DeclarationError` with the file and line where that fails."""
    try:
        return import_module(name)
    except DeclarationError:
        raise
    except Exception as error:
        # A feature module is other people's code: whatever it raises must name the file to look at.
        raise DeclarationError(_culprit(name, error), f"{name} cannot be imported: {_told(error)}") from error


def _culprit(name: str, error: Exception) -> str:
    """Return `path:line` of the line in the module that failed, or the module's path, or its name."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    tail = name.replace(".", os.sep) + ".py"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.endswith(tail):
            return f"{frame.filename}:{frame.lineno}"
    return name


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _declared(modules: Sequence[tuple[ModuleType, str]]) -> Iterator[tuple[Queue, str]]:
    """Yield the queues of the modules with the folder each belongs to.

    A module that uses another feature's queue has it among its names too, so a queue belongs where it was
    made; one that a helper elsewhere made belongs to the first module that names it. One that only its jobs
    have a name for is found by these, in the module that made it: elsewhere they are used, not declared.
    """
    folders = {module.__name__: folder for module, folder in modules}
    seen: set[int] = set()
    for module, folder in modules:
        for value in vars(module).values():
            queue = value
            if isinstance(value, JobType) and value.queue.module == module.__name__:
                queue = value.queue
            if isinstance(queue, Queue) and id(queue) not in seen:
                seen.add(id(queue))
                yield queue, folders.get(queue.module, folder)


def _check_same(known: Queue, other: Queue) -> None:
    """Refuse a second queue of the same name that says, or holds, something else."""
    different = differences(known.declaration, other.declaration)
    if not different:
        jobs = {name: job.declaration for name, job in known.versions.items()}
        different = differences(jobs, {name: job.declaration for name, job in other.versions.items()})
    if different:
        raise DeclarationError(
            other.source,
            f"queue {known.name!r} is already declared in {known.source}, with {different}. "
            f"Import it from there, or give one of them another name",
        )
