"""Slots: how many jobs a lane may run, alone or within a budget that it shares."""

from __future__ import annotations

from typing import Protocol


class Sharer(Protocol):
    """A lane as a budget sees it."""

    @property
    def taken(self) -> int:
        """Slots whose jobs run or are about to start, or that were asked to be filled."""
        ...

    def kick(self, *, hungry: bool = False) -> None:
        """Look again whether there is something to claim."""


class SlotBudget:
    """Slots that several lanes share (the heavy ones of a child), besides each one's own."""

    def __init__(self, slots: int) -> None:
        """Allow `slots` jobs at once over all lanes that join."""
        self._slots = slots
        self.lanes: list[Sharer] = []

    @property
    def free(self) -> int:
        """Slots that no lane has taken or asked for."""
        return self._slots - sum(lane.taken for lane in self.lanes)

    def freed(self, by: Sharer) -> None:
        """Let the lanes see that slots are free; they take turns, so the one that had them comes last."""
        self.lanes.remove(by)
        self.lanes.append(by)
        for lane in self.lanes:
            lane.kick()
