"""Parameters that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from cyclopts import Parameter

__all__ = ["DryRun", "Id", "Json", "Limit", "Queue", "flag", "option"]


def flag(text: str) -> Parameter:
    """Return a switch that is off unless given, and has no `--no-` twin."""
    return Parameter(negative=(), show_default=False, help=text)


def option(text: str, *, takes_hyphen: bool = False) -> Parameter:
    """Return an option that tells its default in its text, if at all; `takes_hyphen` allows `-` as value."""
    return Parameter(negative=(), show_default=False, allow_leading_hyphen=takes_hyphen, help=text)


Queue: TypeAlias = Annotated[str, Parameter(help="Name of the queue.")]
Id: TypeAlias = Annotated[str, Parameter(help="Ids of the jobs.", allow_leading_hyphen=True)]
Json: TypeAlias = Annotated[bool, flag("Print one JSON document and nothing else.")]
DryRun: TypeAlias = Annotated[bool, flag("Only print how many it would be.")]
Limit: TypeAlias = Annotated[int | None, option("At most so many, the oldest first.")]
