"""Limits of a queue as the documentation describes them: what code declares, what operators set over it, tokens, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs_core import RateLimit
from jobs_core.durations import to_ms

Limit = int | RateLimit | None


@dataclass
class Limits:
    """The limits in force, by the names that users know. `fifo`: jobs of a key one at a time, in the order in which they came."""

    declared: dict[str, Limit] = field(default_factory=dict[str, Limit])
    live: dict[str, Limit] = field(default_factory=dict[str, Limit])
    fifo: bool = False
    # When each bucket is full again, in us; "" is that of the queue.
    full_us: dict[str, float] = field(default_factory=dict[str, float])

    def set(self, name: str, value: Limit | str) -> None:
        """Set a limit live, lift it (None), or take back what was set (`declared`)."""
        if isinstance(value, str):
            self.live.pop(name, None)
        else:
            self.live[name] = value

    def _of(self, name: str) -> Limit:
        return self.live.get(name, self.declared.get(name))

    def most(self, name: str) -> float:
        """Return how many may run by a limit."""
        if self.fifo and name == "key_concurrency":
            return 1
        most = self._of(name)
        return most if isinstance(most, int) else float("inf")

    def _after(self, name: str, bucket: str, now_us: int) -> tuple[float, bool]:
        """Return when a bucket is full again once a token is taken, and whether one is there."""
        rate = self._of(name)
        if not isinstance(rate, RateLimit):
            return 0, True
        each = self._each(rate)
        span = (rate.burst or rate.max) * each
        after = min(max(self.full_us.get(bucket, 0), now_us), now_us + span) + each
        return after, after - span - now_us <= 0.5

    def look(self, name: str, bucket: str, now_us: int) -> None:
        """Look at a bucket, as a claim does: one that is further from full than an empty one fills from now on."""
        rate = self._of(name)
        if isinstance(rate, RateLimit):
            span = (rate.burst or rate.max) * self._each(rate)
            self.full_us[bucket] = min(self.full_us.get(bucket, 0), now_us + span)

    @staticmethod
    def _each(rate: RateLimit) -> float:
        return to_ms(rate.per, name="per") * 1000 / rate.max

    def has_token(self, name: str, bucket: str, now_us: int) -> bool:
        """Tell whether a rate lets a job start now."""
        return self._after(name, bucket, now_us)[1]

    def take(self, name: str, bucket: str, now_us: int) -> None:
        """Take a token, where there is such a rate."""
        if isinstance(self._of(name), RateLimit):
            self.full_us[bucket] = self._after(name, bucket, now_us)[0]


@dataclass
class Turns:
    """How many rounds each key is ahead of each other since both could start last: keys take turns, so that is one at most."""

    weights: dict[str, int] = field(default_factory=dict[str, int])
    ahead: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    met: int = 0

    def can(self, keys: Iterable[str]) -> None:
        """Take note of the keys that could start now: between others nothing is counted."""
        able = set(keys)
        self.ahead = {pair: lead for pair, lead in self.ahead.items() if able.issuperset(pair)}

    def take(self, key: str, others: Iterable[str]) -> None:
        """Let a key have its turn, while others could have theirs."""
        for other in others:
            if other != key:
                self.met += 1
                lead = self.ahead.get((key, other), 0)
                assert lead < 1.001, f"{key} is {lead} rounds ahead of {other}"
                self.ahead[key, other] = lead + 1 / self.weights.get(key, 1)
                self.ahead[other, key] = self.ahead.get((other, key), 0) - 1 / self.weights.get(key, 1)
