"""The `@tool` decorator: makes a function a tool that jobs of `tool-execution` may call by its name.

    @tool("exchange-rate")
    def exchange_rate(base: str, quote: str) -> float: ...

Tools stand in modules `tools.py` of the packages that JOBS_PROCESSORS names. A job gives a name and arguments, nothing
else: the name is looked up among the tools that are there, and the arguments are checked against the signature.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from jobs_core.discovery import imported, tool_modules
from jobs_core.errors import DeclarationError, JobsError
from jobs_core.names import nearest
from jobs_core.payloads import JsonValue
from jobs_worker.context import JobContext

if TYPE_CHECKING:
    from types import ModuleType

Tooled = TypeVar("Tooled", bound=Callable[..., object])

_MARK = "__jobs_tool__"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class UnknownTool(JobsError):
    """A job named a tool that this worker does not have."""

    code = "unknown_tool"

    def __init__(self, tool: str, near: Sequence[str]) -> None:
        self.tool = tool
        self.near = tuple(near)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"there is no tool {tool!r} at this worker{hint}")


class ToolArgumentError(JobsError):
    """The arguments of a job do not fit the signature of its tool. `reason` names the place."""

    code = "tool_argument_error"

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        self.reason = reason
        super().__init__(f"the arguments do not fit tool {tool!r}: {reason}")


class ToolAnswerError(JobsError):
    """A tool returned something that JSON cannot carry."""

    code = "tool_answer_error"

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        self.reason = reason
        super().__init__(f"tool {tool!r} returned what JSON cannot carry: {reason}")


class Tool(msgspec.Struct, frozen=True):
    """A function with its name, and the type that its arguments make."""

    name: str
    function: Callable[..., object]
    arguments: type[msgspec.Struct]
    takes_context: bool
    source: str

    def call(self, arguments: Mapping[str, JsonValue], ctx: JobContext) -> JsonValue:
        """Check the arguments, call the function, and return its answer as JSON holds it.

        Raises ToolArgumentError, ToolAnswerError, and whatever the function raises.
        """
        try:
            checked = msgspec.convert(dict(arguments), self.arguments, strict=True)
        except msgspec.ValidationError as error:
            raise ToolArgumentError(self.name, str(error)) from error
        named: dict[str, object] = msgspec.structs.asdict(checked)
        if self.takes_context:
            named["ctx"] = ctx
        answer = self.function(**named)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(cast("Coroutine[object, object, object]", answer))
        try:
            return cast("JsonValue", msgspec.json.decode(msgspec.json.encode(answer)))
        except (TypeError, ValueError) as error:
            raise ToolAnswerError(self.name, str(error)) from error


def tool(name: str) -> Callable[[Tooled], Tooled]:
    """Make a function a tool. Its parameters need types that JSON can carry; one named `ctx` gets the job's context.

    The function comes back unchanged. Raises DeclarationError.
    """

    def mark(function: Tooled) -> Tooled:
        setattr(function, _MARK, _made(name, function))
        return function

    return mark


def load_tools(packages: Sequence[str] | None) -> dict[str, Tool]:
    """Import the `tools.py` of every feature folder in the packages, and return their tools by name.

    None means the built-in ones. Raises DeclarationError, also for two tools of one name.
    """
    tools: dict[str, Tool] = {}
    for module in map(imported, tool_modules(packages)):
        for made in _tools_of(module):
            known = tools.setdefault(made.name, made)
            if known is not made:
                raise DeclarationError(
                    made.source, f"tool {made.name!r} is already declared in {known.source}"
                )
    return tools


def find_tool(tools: Mapping[str, Tool], name: str) -> Tool:
    """Return a tool by its name. Raises UnknownTool."""
    if name not in tools:
        near = nearest(name, tools)
        raise UnknownTool(name, near)
    return tools[name]


def _tools_of(module: ModuleType) -> list[Tool]:
    return [
        cast("Tool", getattr(value, _MARK))
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__ and hasattr(value, _MARK)
    ]


def _made(name: str, function: Callable[..., object]) -> Tool:
    code = getattr(function, "__code__", None)
    source = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)
    if not _NAME.fullmatch(name):
        raise DeclarationError(
            source, f"Tool {name!r}: a name is 1 to 64 of the characters A-Z a-z 0-9 . _ -"
        )
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            source, f"the types of tool {name!r} are not there when it runs: {error}"
        ) from error
    fields: list[tuple[str, object] | tuple[str, object, object]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "ctx":
            continue
        if parameter.kind not in _PLAIN or parameter.name not in hints:
            raise DeclarationError(
                source, f"parameter {parameter.name!r} of tool {name!r} needs a type and a name"
            )
        kind = hints[parameter.name]
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, parameter.default))
    try:
        arguments = msgspec.defstruct(
            "Arguments", fields, kw_only=True, frozen=True, forbid_unknown_fields=True
        )
        # The decoder would take a custom type and hand it anything; the schema has no word for it.
        msgspec.json.schema(arguments)
    except (TypeError, NameError) as error:
        # NameError: a type of somebody else, whose annotations are there for type checkers alone.
        raise DeclarationError(
            source, f"the parameters of tool {name!r} cannot come as JSON: {error}"
        ) from error
    takes_context = "ctx" in inspect.signature(function).parameters
    return Tool(name, function, arguments, takes_context, source)


__all__ = ["Tool", "ToolAnswerError", "ToolArgumentError", "UnknownTool", "find_tool", "load_tools", "tool"]
