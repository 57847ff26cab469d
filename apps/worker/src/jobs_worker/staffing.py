"""How many children serve each queue: by what waits, as many as there are, or a number that somebody set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs_worker.scaling import decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobs_core.settings import WorkerSettings


class Staffing:
    """The numbers of one worker. The oldest child serves every queue that any does, the next those that want two, and so on."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Begin without queues: a supervisor learns from its first child which there are."""
        self._settings = settings
        self._own: dict[str, int] = {}
        self.manual: Mapping[str, int] = {}
        self.quieted = False

    @property
    def auto(self) -> bool:
        """Whether numbers follow what waits."""
        return self._settings.processes == "auto"

    @property
    def queues(self) -> list[str]:
        """The queues that are served, sorted."""
        return sorted(self._own)

    @property
    def total(self) -> int:
        """How many children there should be: one at least, though it may have nothing to serve."""
        return max(1, *(map(self.number, self._own) if self._own else [self._first("")]))

    def number(self, queue: str) -> int:
        """Return how many children serve a queue; what somebody set goes before all else."""
        return self.manual.get(queue, self._own[queue])

    def serve(self, queues: Iterable[str]) -> None:
        """Take note of queues that a child serves."""
        for queue in queues:
            self._own.setdefault(queue, self._first(queue))

    def quiet(self, rank: int) -> list[str]:
        """Name the queues of which the child of this rank, counted from 0 by age, claims nothing."""
        return [queue for queue in self.queues if self.quieted or rank >= self.number(queue)]

    def step(self, queue: str, *, waiting: int, cpu: float, memory: float) -> int:
        """Move the number of a queue by one, or leave it; return the step. A number that somebody set is left alone."""
        if queue in self.manual:
            return 0
        number = self._own[queue]
        step = decide(self._settings, processes=number, waiting=waiting, cpu=cpu, memory=memory)
        self._own[queue] = number + step
        return step

    def _first(self, queue: str) -> int:
        settings = self._settings
        if isinstance(settings.processes, int):
            return settings.processes
        wanted = settings.initial_processes.get(queue, settings.min_processes)
        return min(max(wanted, settings.min_processes), settings.max_processes)
