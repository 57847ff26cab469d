"""The sessions by which the server recognises a call that is sent again."""

from __future__ import annotations

import secrets


class Session:
    """Calls that follow each other, one under way at a time; a call that is sent again keeps its number."""

    __slots__ = ("name", "number")

    def __init__(self, name: str) -> None:
        """Begin before the first call."""
        self.name = name
        self.number = 0

    @classmethod
    def drawn(cls) -> Session:
        """Begin under a name that no other caller has."""
        return cls(secrets.token_hex(8) + "s")

    def advance(self) -> None:
        """Take the number of the next call."""
        self.number += 1


class Pump:
    """One caller of the server: it has a session for claims and one for settlements, and one call of each under way."""

    __slots__ = ("claims", "settlements")

    def __init__(self) -> None:
        """Draw a name that no other caller has."""
        name = secrets.token_hex(8)
        self.claims = Session(name + "c")
        self.settlements = Session(name + "s")
