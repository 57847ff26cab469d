"""One request under way: who asks, and what answers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from jobs_dashboard.problems import Refused
from jobs_dashboard.roles import Role

if TYPE_CHECKING:
    from starlette.requests import Request

    from jobs_admin import Admin
    from jobs_dashboard.roles import Identity
    from jobs_dashboard.services import Services

T = TypeVar("T")

__all__ = ["Answer", "Call"]


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """An answer with another status than its route's own, or with headers."""

    content: T
    status: int = 0
    headers: dict[str, str] = {}


class Call:
    """One request; `identity` is None where anybody may ask and nobody is signed in."""

    def __init__(self, request: Request, services: Services, identity: Identity | None) -> None:
        """Made by the router, once the request may be answered."""
        self.request = request
        self.services = services
        self.identity = identity

    @property
    def admin(self) -> Admin:
        """The admin, to look."""
        return self.services.admin

    def acting(self, reason: str = "") -> Admin:
        """Return the admin in the name of who asks, for a reason: the audit tells."""
        return self.services.admin.acting(actor=self.actor, reason=reason)

    @property
    def actor(self) -> str:
        """Who asks, as the audit tells."""
        return "" if self.identity is None else self.identity.actor

    def require(self, role: Role, what: str) -> None:
        """Refuse what needs a higher role than the route itself. Raises Refused."""
        if self.identity is None or self.identity.role < role:
            raise Refused(
                403,
                "forbidden",
                "Not allowed",
                f"{what} needs the role {role.label}. Ask somebody who has it.",
            )
