"""Which role people have who were signed in by somebody else."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from jobs_dashboard.roles import Identity, Role

if TYPE_CHECKING:
    from jobs_core.settings import DashboardSettings

__all__ = ["People"]


class People:
    """The lists of admins, operators and viewers: names as they are told, `group:NAME`, or `*` for everybody signed in."""

    def __init__(self, settings: DashboardSettings) -> None:
        """Take the lists."""
        self._lists = (
            (Role.ADMIN, frozenset(settings.admins)),
            (Role.OPERATOR, frozenset(settings.operators)),
            (Role.VIEWER, frozenset(settings.viewers)),
        )

    def identity(self, name: str, groups: Collection[str] = ()) -> Identity | None:
        """Return who somebody is to the dashboard; None for who is on no list. Names are compared as a whole."""
        known = {name, "*", *(f"group:{group}" for group in groups)}
        role = max((role for role, listed in self._lists if listed & known), default=None)
        return None if role is None else Identity(name, role)
