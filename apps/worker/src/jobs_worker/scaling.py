"""How many children a worker should have: by what waits, and by what the machine, or the container, has left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from jobs_core.settings import WorkerSettings

_CGROUP = Path("/sys/fs/cgroup")


def decide(settings: WorkerSettings, *, processes: int, waiting: int, cpu: float, memory: float) -> int:
    """Return 1 to add a child, -1 to retire one, 0 to leave it.

    `cpu` and `memory` are shares from 0 to 1. Above WORKER_SCALE_CPU or WORKER_SCALE_MEMORY none is added, for a full machine gets no
    faster by more processes; retiring is always allowed.
    """
    if processes < settings.min_processes:
        return 1
    if waiting > settings.scale_up and processes < settings.max_processes:
        return 1 if cpu <= settings.scale_cpu and memory <= settings.scale_memory else 0
    if waiting < settings.scale_down and processes > settings.min_processes:
        return -1
    return 0


class MachineLoad:
    """The share of processor and memory in use; in a container that of its memory limit."""

    def __init__(self) -> None:
        """Begin to count processor time."""
        psutil.cpu_percent()

    def cpu(self) -> float:
        """Return the share of processor time used since the last call."""
        return psutil.cpu_percent() / 100

    def memory(self) -> float:
        """Return the share of memory in use."""
        limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
        if limit and used is not None:
            return used / limit
        return psutil.virtual_memory().percent / 100


def _number(file: Path) -> int | None:
    """Return the number in a file of the control group; None where there is none, or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
