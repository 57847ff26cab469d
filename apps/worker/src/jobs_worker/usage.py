"""What the processes of a worker use: memory, and how many cores of late."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

import psutil

__all__ = ["Peaks", "Usage", "Used"]

# Over a shorter time processor time is too coarse to say anything.
_OVER_S = 1.0
_MINUTES = 60


class Used(NamedTuple):
    """Bytes of memory of this process and of all that it started, and how many cores these used of late."""

    supervisor_bytes: int = 0
    children_bytes: int = 0
    cores: float = 0.0

    @property
    def memory_bytes(self) -> int:
        """What all processes hold together."""
        return self.supervisor_bytes + self.children_bytes


class Usage:
    """Looks at this process and at all that it started, those in which handlers run among them."""

    def __init__(self) -> None:
        """Look for the first time at the next call."""
        self._before: dict[tuple[int, float], float] = {}
        self._at = 0.0
        self._cores = 0.0

    def look(self) -> Used:
        """Look at all processes; it reads files of the system, some ms where many run."""
        own = psutil.Process()
        seconds: dict[tuple[int, float], float] = {}
        memory: list[int] = []
        for process in [own, *own.children(recursive=True)]:
            try:
                with process.oneshot():
                    times, resident = process.cpu_times(), process.memory_info().rss
                    seconds[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                # It has just ended.
                continue
            memory.append(resident)
        now = time.monotonic()
        if not self._before or now - self._at >= _OVER_S:
            # One that was not there before counts from the next look on.
            used = sum(max(total - self._before.get(key, total), 0.0) for key, total in seconds.items())
            self._cores = round(used / (now - self._at), 3) if self._before else 0.0
            self._before, self._at = seconds, now
        return Used(memory[0], sum(memory[1:]), self._cores)


class Peaks:
    """The most memory in each of the last 60 minutes: `mib`, the oldest first."""

    def __init__(self) -> None:
        """Begin with none."""
        self.mib: deque[int] = deque(maxlen=_MINUTES)
        self._minute = -1

    def note(self, memory_bytes: int, now_s: float) -> None:
        """Take note of what is held at an instant of any clock that does not go back."""
        minute, mib = int(now_s // 60), round(memory_bytes / 2**20)
        if minute == self._minute:
            self.mib[-1] = max(self.mib[-1], mib)
        else:
            self.mib.append(mib)
            self._minute = minute
