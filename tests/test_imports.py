"""Imports between the members point one way, and their versions belong together."""

import ast
import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint

ROOT = Path(__file__).parent.parent
MEMBERS = sorted(
    path.parent for kind in ("packages", "apps") for path in ROOT.glob(f"{kind}/*/pyproject.toml")
)
PROJECTS = {path.name: tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in MEMBERS}

# What each member may import of the others, wherever in its code.
ALLOWED = {
    "jobs_core": set[str](),
    "jobs_producer": {"jobs_core"},
    "jobs_admin": {"jobs_core"},
    "jobs_worker": {"jobs_core", "jobs_producer", "jobs_admin"},
    "jobs_dashboard": {"jobs_core", "jobs_admin", "jobs_producer"},
    "jobs_api_example": {"jobs_core", "jobs_producer"},
    "jobs_cli": {"jobs_core", "jobs_producer", "jobs_admin"},
}
# What it may import inside a function only, because it is an extra that may not be installed.
ALLOWED_IN_FUNCTIONS = {"jobs_cli": {"jobs_worker", "jobs_dashboard"}}


def sources(package: str) -> list[Path]:
    return sorted(next(ROOT.glob(f"*/*/src/{package}")).rglob("*.py"))


def imports(body: list[ast.stmt], *, in_function: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the first part of every imported name, and whether a function body imports it."""
    for statement in body:
        for node, inside in _walk(statement, in_function=in_function):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], inside) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.split(".")[0], inside


def _walk(node: ast.AST, *, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, in_function
    inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, in_function=inside)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    others = ALLOWED.keys() - {package}
    anywhere, in_functions = ALLOWED[package], ALLOWED_IN_FUNCTIONS.get(package, set())
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name, inside in imports(ast.parse(path.read_text(), str(path)).body)
        if name in others and name not in anywhere and not (inside and name in in_functions)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_every_imported_member_is_declared(package: str) -> None:
    name = package.replace("_", "-")
    project = PROJECTS[next(path.name for path in MEMBERS if PROJECTS[path.name]["name"] == name)]
    required = {_name(line) for line in project["dependencies"]}
    optional = {_name(line) for lines in project.get("optional-dependencies", {}).values() for line in lines}
    used = {
        (imported.replace("_", "-"), inside)
        for path in sources(package)
        for imported, inside in imports(ast.parse(path.read_text(), str(path)).body)
        if imported in ALLOWED and imported != package
    }
    assert [pair for pair in used if pair[0] not in required and not (pair[1] and pair[0] in optional)] == []


def test_all_members_are_covered() -> None:
    assert {project["name"].replace("-", "_") for project in PROJECTS.values()} == ALLOWED.keys()


def test_the_environment_installs_all_members() -> None:
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]["default"]
    listed = {member["path"] for member in workspace["workspace"]["members"]}
    assert listed == {str(path.relative_to(ROOT)) for path in MEMBERS}


def test_versions_agree() -> None:
    assert len({project["version"] for project in PROJECTS.values()}) == 1


def test_members_pin_each_other_compatibly() -> None:
    version = next(iter(PROJECTS.values()))["version"]
    names = {project["name"] for project in PROJECTS.values()}
    wrong = [
        f"{project['name']}: {line}"
        for project in PROJECTS.values()
        for line in itertools.chain(
            project["dependencies"], *project.get("optional-dependencies", {}).values()
        )
        # A member's extras name its other extras without a version: they are of the same wheel.
        if _name(line) in names - {project["name"]} and not line.endswith(f"~={version}")
    ]
    assert wrong == []


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_a_member_is_typed_and_needs_the_same_python(member: Path) -> None:
    project = PROJECTS[member.name]
    assert project["requires-python"] == ">=3.11"
    assert (member / "src" / project["name"].replace("-", "_") / "py.typed").is_file()


def _name(requirement: str) -> str:
    return requirement.partition("[")[0].partition("~")[0].partition(">")[0].strip()
