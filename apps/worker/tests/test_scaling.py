"""WORKER_PROCESSES=auto: what decides, and a worker that grows under a backlog and shrinks after it."""

from __future__ import annotations

import pytest

from jobs_core.settings import WorkerSettings
from jobs_worker.scaling import MachineLoad, decide

SETTINGS = WorkerSettings(
    processes="auto",
    min_processes=1,
    max_processes=3,
    scale_up=100,
    scale_down=10,
    scale_cpu=0.8,
    scale_memory=0.85,
)


@pytest.mark.parametrize(
    ("processes", "waiting", "cpu", "memory", "step"),
    [
        (1, 101, 0.1, 0.1, 1),
        (1, 100, 0.1, 0.1, 0),
        (3, 1000, 0.1, 0.1, 0),
        (1, 1000, 0.81, 0.1, 0),
        (1, 1000, 0.1, 0.86, 0),
        (2, 9, 0.99, 0.99, -1),
        (2, 10, 0.1, 0.1, 0),
        (1, 0, 0.1, 0.1, 0),
        (0, 0, 0.99, 0.99, 1),
    ],
)
def test_step_follows_backlog_and_load(
    processes: int, waiting: int, cpu: float, memory: float, step: int
) -> None:
    assert decide(SETTINGS, processes=processes, waiting=waiting, cpu=cpu, memory=memory) == step


def test_load_is_a_share() -> None:
    load = MachineLoad()
    assert 0 <= load.cpu() <= 1
    assert 0 < load.memory() <= 1
