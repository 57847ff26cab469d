"""The `@workflow` decorator: makes a function a workflow that jobs of the queue `workflow` may run by its name.

    @workflow("user-onboarding")
    def user_onboarding(onboarding: Onboarding) -> Workflow: ...

    await producer.enqueue_workflow(user_onboarding, Onboarding(user_id=123))

Declared workflows stand in modules `workflows.py` of the packages that JOBS_FEATURES names.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import msgspec

from jobs_core.discovery import imported, workflow_modules
from jobs_core.errors import DeclarationError, JobsError, PayloadError
from jobs_core.names import nearest
from jobs_core.payloads import JsonValue
from jobs_producer.workflows import Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeclaredWorkflow", "UnknownWorkflow", "find_workflow", "load_workflows", "workflow"]

P = TypeVar("P")

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class UnknownWorkflow(JobsError):
    """A job named a workflow that no code of this worker declares."""

    code = "unknown_workflow"

    def __init__(self, name: str, near: Sequence[str]) -> None:
        self.name = name
        self.nearest = tuple(near)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(
            f"There is no workflow {name!r} here.{hint} It is declared by @workflow in a module workflows.py of a package that "
            f"JOBS_FEATURES names."
        )


class DeclaredWorkflow(Generic[P]):
    """A function that makes a workflow of its input. Made by `workflow`; calling it calls the function."""

    def __init__(self, name: str, function: Callable[[P], Workflow]) -> None:
        """Made by `workflow`. Raises DeclarationError."""
        code = getattr(function, "__code__", None)
        self.source: Final = (
            f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)
        )
        if not _NAME.fullmatch(name):
            reason = f"workflow {name!r}: a name is 1 to 64 of the characters A-Z a-z 0-9 . _ -"
            raise DeclarationError(self.source, reason)
        self.name: Final = name
        self.function: Final = function
        self.module: Final = str(getattr(function, "__module__", ""))
        self.input_type: Final = self._input_type()
        self.__doc__ = function.__doc__

    def __call__(self, given: P) -> Workflow:
        """Make the workflow."""
        return self.function(given)

    def __repr__(self) -> str:
        return f"DeclaredWorkflow({self.name!r})"

    def encode(self, given: P) -> JsonValue:
        """Return an input as it travels. Raises PayloadError where it does not fit."""
        plain = cast("JsonValue", msgspec.to_builtins(given, str_keys=True))
        self._convert(plain)
        return plain

    def make(self, given: JsonValue) -> Workflow:
        """Make the workflow of an input as it travelled.

        Raises PayloadError where that does not fit, DeclarationError where the function returns no workflow, and what it raises.
        """
        made = cast("object", self.function(self._convert(given)))
        if not isinstance(made, Workflow):
            reason = f"workflow {self.name!r} has to return a Workflow, and returned a {type(made).__name__}"
            raise DeclarationError(self.source, reason)
        return made

    def _convert(self, given: JsonValue) -> P:
        try:
            return msgspec.convert(given, cast("type[P]", self.input_type), strict=True)
        except msgspec.ValidationError as error:
            raise PayloadError("workflow", self.name, "$", str(error), what="input") from error

    def _input_type(self) -> object:
        parameters = [*inspect.signature(self.function).parameters.values()]
        try:
            hints = typing.get_type_hints(self.function, include_extras=True)
        except NameError as error:
            reason = f"the types of workflow {self.name!r} are not there when it runs: {error}"
            raise DeclarationError(self.source, reason) from error
        if len(parameters) != 1 or parameters[0].name not in hints:
            reason = f"workflow {self.name!r} takes one parameter, its input, which needs a type"
            raise DeclarationError(self.source, reason)
        kind = hints[parameters[0].name]
        try:
            msgspec.json.schema(kind)
        except (TypeError, NameError) as error:
            reason = f"the input of workflow {self.name!r} cannot come as JSON: {error}"
            raise DeclarationError(self.source, reason) from error
        return cast("object", kind)


def workflow(name: str) -> Callable[[Callable[[P], Workflow]], DeclaredWorkflow[P]]:
    """Make a function a workflow that is run by this name. It takes one typed input and returns a `Workflow`. Raises DeclarationError."""

    def declare(function: Callable[[P], Workflow]) -> DeclaredWorkflow[P]:
        return DeclaredWorkflow(name, function)

    return declare


def load_workflows(packages: Sequence[str] | None) -> dict[str, DeclaredWorkflow[object]]:
    """Import the `workflows.py` of every feature folder in the packages, and return what they declare by name.

    None means the built-in features, which declare none. Raises DeclarationError, also for two workflows of one name.
    """
    found: dict[str, DeclaredWorkflow[object]] = {}
    for module in map(imported, workflow_modules(packages)):
        for value in vars(module).values():
            if not isinstance(value, DeclaredWorkflow) or value.module != module.__name__:
                continue
            each = cast("DeclaredWorkflow[object]", value)
            known = found.setdefault(each.name, each)
            if known is not each:
                reason = f"workflow {each.name!r} is already declared in {known.source}"
                raise DeclarationError(each.source, reason)
    return found


def find_workflow(workflows: Mapping[str, DeclaredWorkflow[object]], name: str) -> DeclaredWorkflow[object]:
    """Return a workflow by its name. Raises UnknownWorkflow with the nearest names."""
    found = workflows.get(name)
    if found is None:
        raise UnknownWorkflow(name, nearest(name, workflows))
    return found
