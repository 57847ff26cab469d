"""The limits of single job names inside a lane, and how far its claims have looked past names that are at theirs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Looking through a long queue takes at most one part in so many of the time.
_REST = 10


class NameLimits:
    """How many jobs of each limited name run, and where the look through the queue stands.

    One claim looks at a bounded part of the queue. Where jobs at their limit fill that part, the next claim goes on
    behind it (`cursor`), up to the end. What was looked through to its end holds, until something new comes, only
    jobs of limited names; so while nothing new came, a claim asks for no more than these have room for.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Limit these names (name@version)."""
        self.cursor = ""
        self.rest_until = 0.0
        self._limits = limits
        self._taken: Counter[str] = Counter()
        # As they were when the look began: what ends meanwhile makes room for the oldest job, not for the next one.
        self._rooms = dict(limits)
        self._known = -1
        self._began = (-1, 0.0)
        self._calls = 0
        self._freed = False
        self._cut = False

    @property
    def room(self) -> int:
        """How many jobs of limited names may start now."""
        return sum(max(limit - self._taken[name], 0) for name, limit in self._limits.items())

    def want(self, want: int, news: int, now: float) -> int:
        """Return how many of `want` jobs to ask for; `news` counts the occasions on which something new came."""
        if not self.cursor and (news == self._known or now < self.rest_until):
            return min(want, self.room)
        return want

    def begin(self, news: int, now: float) -> str:
        """Take note of a claim that is to be sent. Returns what it may take of each limited name."""
        if not self.cursor:
            self._began = (news, now)
            self._calls = 0
            self._freed = False
            self._rooms = {name: limit - self._taken[name] for name, limit in self._limits.items()}
        self._calls += 1
        return ",".join(f"{name}={room}" for name, room in self._rooms.items())

    def end(self, cursor: str, now: float, *, filled: bool) -> bool:
        """Take note of how far a claim looked: to `cursor`, "" being the end. Returns whether to claim again."""
        self.cursor = "" if filled else cursor
        if filled:
            return True
        news, began = self._began
        if cursor and now < self.rest_until:
            self.cursor = ""
            self._cut = True
            return False
        if cursor:
            return True
        self._known = news
        self._cut = False
        if self._calls > 1:
            self.rest_until = now + _REST * (now - began)
        return self._freed

    def owes(self, news: int) -> bool:
        """Tell whether something came, or was not looked at, while the look through the queue rested."""
        return self._cut or news != self._known

    def take(self, names: Iterable[str]) -> None:
        """Count claimed jobs in."""
        for name in names:
            if name in self._limits:
                self._taken[name] += 1
                self._rooms[name] -= 1

    def give(self, name: str) -> bool:
        """Count a job out. Returns whether its name is limited."""
        if name not in self._limits:
            return False
        self._taken[name] -= 1
        self._freed = True
        return True
