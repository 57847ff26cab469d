"""Show how far the work has come: bars on a terminal, a line a second elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo.workload import Kind

_LINE_SECONDS = 1.0


class Display:
    """Progress by kind of work: how many were sent, and how many outputs are there."""

    def __init__(self, console: Console, totals: dict[Kind, int]) -> None:
        self._console = console
        self._totals = totals
        self._sent: dict[Kind, int] = dict.fromkeys(totals, 0)
        self._done: dict[Kind, int] = dict.fromkeys(totals, 0)
        self._started = time.monotonic()
        self._next_line = 0.0
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[sent]:,} sent"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Kind, TaskID] = {
            kind: self._bars.add_task(kind, total=total, sent=0) for kind, total in totals.items()
        }

    def __enter__(self) -> Self:
        """Start to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the terminal."""
        self._bars.stop()

    def sent(self, kind: Kind, count: int) -> None:
        """Note that so many more were taken by the API."""
        self._sent[kind] += count
        self._bars.update(self._tasks[kind], sent=self._sent[kind])

    def done(self, kind: Kind, count: int) -> None:
        """Note that so many in all are there."""
        self._done[kind] = min(count, self._totals[kind])
        self._bars.update(self._tasks[kind], completed=self._done[kind])

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(f"[dim]{self._elapsed():5.1f} s[/dim]  {text}", highlight=False)

    def tick(self) -> None:
        """Print a line where there are no bars, at most one a second."""
        if self._console.is_terminal or time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + _LINE_SECONDS
        parts = (f"{kind} {self._done[kind]:,}/{total:,}" for kind, total in self._totals.items())
        self.say("  ".join(parts))

    def _elapsed(self) -> float:
        return time.monotonic() - self._started
