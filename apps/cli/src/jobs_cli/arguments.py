"""Parameters that several commands share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from cyclopts import Parameter

__all__ = [
    "Actor",
    "Cursor",
    "DryRun",
    "Id",
    "Json",
    "Limit",
    "Query",
    "Queue",
    "Rate",
    "Reason",
    "flag",
    "option",
    "read_instant",
]


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
Limit: TypeAlias = Annotated[int | None, option("At most so many.")]
Actor: TypeAlias = Annotated[str | None, option("Who does it, for the audit; user@host unless given.")]
Reason: TypeAlias = Annotated[str, option("Why, for the audit.")]
Query: TypeAlias = Annotated[
    str | None, option("All jobs that it means, such as 'state:failed error:timeout', in place of ids.")
]
Rate: TypeAlias = Annotated[float | None, option("With --query: at most so many a second.")]
Cursor: TypeAlias = Annotated[str | None, option("With --query: go on where the call before ended.")]


def read_instant(name: str, text: str) -> datetime:
    """Return the instant that an option names. Raises OptionError for one without a time zone."""
    from jobs_core.errors import OptionError

    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise OptionError(name, text, "it must be an instant such as 2027-01-31T09:00:00+01:00") from None
    if instant.utcoffset() is None:
        raise OptionError(name, text, "it has no time zone: write +01:00, or Z for UTC")
    return instant
