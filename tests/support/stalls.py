"""When the machine stood still: a watch on each processor that wakes every half ms and notes when it woke late.

Run as a program it watches one processor until it is ended, and writes when it was late: from, until (seconds).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = Path(__file__).parents[2]
_NAP = 0.0005
_LATE = 0.0005


class Stalls:
    """Watches all processors, before everything else that runs there if the machine allows."""

    def __init__(self) -> None:
        """Prepare the watch; it begins on entering."""
        self._watches: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def __enter__(self) -> Self:
        """Begin to watch."""
        for core in sorted(os.sched_getaffinity(0)):
            file = TemporaryFile()
            line = [sys.executable, "-m", "tests.support.stalls", str(core)]
            self._watches.append((subprocess.Popen(line, cwd=_ROOT, stdout=file), file))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no longer."""
        for process, file in self._watches:
            process.terminate()
            process.wait()
            file.close()
        self._watches.clear()

    def seen(self) -> Seen:
        """Return what was seen until now."""
        spans: list[tuple[float, float]] = []
        for _, file in self._watches:
            # Each line is written at once, and read from the start of the file whoever writes at its end.
            for line in os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).splitlines():
                begin, _, end = line.partition(b" ")
                spans.append((float(begin), float(end)))
        together: list[tuple[float, float]] = []
        for begin, end in sorted(spans):
            if together and begin <= together[-1][1]:
                together[-1] = together[-1][0], max(together[-1][1], end)
            else:
                together.append((begin, end))
        return Seen(together)


@contextmanager
def undisturbed(pid: int) -> Generator[None]:
    """Let a process (0: this one) go before all ordinary ones, if the machine allows."""
    with suppress(AttributeError, PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        with suppress(AttributeError, OSError):
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


class Seen:
    """Stretches of `time.perf_counter` during which some processor stood still, in order and apart."""

    def __init__(self, spans: list[tuple[float, float]]) -> None:
        """Keep them."""
        self.spans = spans

    def lost(self, began: float, ended: float) -> float:
        """Return how many seconds between two times some processor stood still."""
        at = bisect_left(self.spans, began, key=lambda span: span[1])
        lost = 0.0
        while at < len(self.spans) and self.spans[at][0] < ended:
            lost += min(self.spans[at][1], ended) - max(self.spans[at][0], began)
            at += 1
        return lost


def watch(core: int) -> None:
    """Note when this processor was late."""
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    before = time.perf_counter()
    while True:
        time.sleep(_NAP)
        now = time.perf_counter()
        if now - before > _NAP + _LATE:
            os.write(1, b"%f %f\n" % (before + _NAP, now))
        before = now


if __name__ == "__main__":
    watch(int(sys.argv[1]))
