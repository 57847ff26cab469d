"""Types of reports: the queries that jobs `report` of the queue `reports` may ask for, by name.

    SALES = ReportType(
        "sales",
        source="shop",
        query="SELECT day, total FROM sales WHERE tenant = :tenant AND paid_at >= :start AND paid_at < :end",
        title="Sales",
    )

They stand in modules `report_types.py` of the packages that JOBS_PROCESSORS names. A job gives a name, a range of days and a
tenant, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from jobs_core.discovery import imported, report_type_modules
from jobs_core.errors import DeclarationError, JobsError
from jobs_core.names import nearest

if TYPE_CHECKING:
    from jobs_core.queues.reports.ranges import Days

__all__ = ["ReportType", "ReportTypeError", "find_report_type", "load_report_types"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
# As SQLAlchemy reads them: a colon that names none is written \\:.
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_RANGE = frozenset({"start", "end", "first_day", "last_day"})


class ReportTypeError(JobsError):
    """A job named a type that this worker does not have, or a tenant where there is none to tell, or none where there is."""

    code = "report_type_error"

    def __init__(self, report_type: str, reason: str) -> None:
        self.report_type = report_type
        self.reason = reason
        super().__init__(f"report type {report_type!r}: {reason}")


class ReportType(msgspec.Struct, frozen=True):
    """A query on a source of REPORT_SOURCES, one SELECT, and the title of what it answers.

    It names the range as `:start` and `:end`, the instants at which the first day begins and the last one is over (`>= :start AND <
    :end`), or as `:first_day` and `:last_day`, dates as text; and where rows belong to tenants, `:tenant`. Raises DeclarationError.
    """

    name: str
    source: str
    query: str
    title: str = "Report"

    def __post_init__(self) -> None:
        """Check the declaration."""
        named = self.parameters
        wrong = None
        if not _NAME(self.name):
            wrong = "a name is 1 to 64 of the characters A-Z a-z 0-9 . _ -"
        elif others := sorted(named - _RANGE - {"tenant"}):
            known = ", ".join(f":{each}" for each in sorted(_RANGE | {"tenant"}))
            wrong = f"its query names {', '.join(f':{each}' for each in others)}; there is only {known}"
        elif not named & _RANGE:
            wrong = "its query names no part of the range: :start and :end, or :first_day and :last_day"
        if wrong is not None:
            raise DeclarationError(f"report type {self.name!r}", wrong)

    @property
    def parameters(self) -> frozenset[str]:
        """The names that the query gives values by."""
        return frozenset(_PARAMETER.findall(self.query))

    def values(self, days: Days, tenant: str | None) -> Mapping[str, str | datetime]:
        """Return what the query's names stand for. Raises ReportTypeError for a tenant too many or too few."""
        named = self.parameters
        if tenant is None and "tenant" in named:
            raise ReportTypeError(self.name, "it is made for one tenant; give `tenant`")
        if tenant is not None and "tenant" not in named:
            # Passed over, it would show one tenant the rows of all.
            raise ReportTypeError(self.name, "its query tells no tenants apart; leave `tenant` out")
        values: dict[str, str | datetime] = {
            "start": days.start,
            "end": days.end,
            "first_day": days.first.isoformat(),
            "last_day": days.last.isoformat(),
            "tenant": tenant or "",
        }
        return {name: value for name, value in values.items() if name in named}

    def title_of(self, days: Days, tenant: str | None) -> str:
        """Return the title of one report."""
        when = f"{days.first}" if days.first == days.last else f"{days.first} to {days.last}"
        return f"{self.title}, {when}{f', {tenant}' if tenant else ''}"[:200]


def load_report_types(packages: Sequence[str] | None) -> dict[str, ReportType]:
    """Import the `report_types.py` of every feature folder in the packages, and return their types by name.

    None means the built-in ones. Raises DeclarationError, also for two types of one name.
    """
    types: dict[str, ReportType] = {}
    for module in map(imported, report_type_modules(packages)):
        for value in vars(module).values():
            if isinstance(value, ReportType) and types.setdefault(value.name, value) != value:
                raise DeclarationError(
                    module.__name__, f"report type {value.name!r} is already declared otherwise"
                )
    return types


def find_report_type(types: Mapping[str, ReportType], name: str) -> ReportType:
    """Return a type by its name. Raises ReportTypeError."""
    if name not in types:
        near = nearest(name, types)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"there are {', '.join(sorted(types)) or 'none'}"
        )
        raise ReportTypeError(name, f"there is no such type at this worker; {hint}")
    return types[name]
