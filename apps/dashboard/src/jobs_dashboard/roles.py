"""Who somebody is to the dashboard, and what that allows."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Identity", "Role", "RoleName"]

RoleName: TypeAlias = Literal["viewer", "operator", "admin"]


class Role(IntEnum):
    """What somebody may do; a higher role may do all that a lower one may.

    A viewer looks. An operator changes jobs, queues, schedules and workers. An admin also obliterates queues, changes limits
    and replays jobs with another payload.
    """

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def label(self) -> RoleName:
        """The name of the role."""
        return _LABELS[self]


_LABELS: dict[Role, RoleName] = {Role.VIEWER: "viewer", Role.OPERATOR: "operator", Role.ADMIN: "admin"}


class Identity(msgspec.Struct, frozen=True):
    """Somebody who was let in: `actor` is the name that the audit shows of their changes."""

    actor: str
    role: Role
