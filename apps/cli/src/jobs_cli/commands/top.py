"""`jobs top`: the queues as they are now, over and over."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec

from jobs_cli.arguments import Json, option
from jobs_cli.output import cell, milliseconds, print_json, print_table
from jobs_cli.session import with_admin

if TYPE_CHECKING:
    from rich.table import Table

    from jobs_admin import Admin

_COLUMNS = ["queue", "waiting", "active", "delayed", "oldest", "done/s", "failed/s", "failed", "workers", ""]


class TopRow(msgspec.Struct, frozen=True, kw_only=True):
    """One queue at a moment; what it did a second is None until there is a moment before to compare with."""

    queue: str
    waiting: int
    active: int
    delayed: int
    oldest_waiting_ms: int | None
    done_per_s: float | None = None
    failed_per_s: float | None = None
    failed: int
    workers: int
    paused: bool


class _Moment(msgspec.Struct, frozen=True):
    at: float
    done: dict[str, int]
    failed: dict[str, int]


def top(
    *,
    interval: Annotated[str, option("How often to look (2s).")] = "2s",
    json: Json = False,
) -> None:
    """Show the queues, busiest first, and look again until q or Ctrl-C; where there is no terminal, once."""
    from jobs_core.durations import parse_duration

    seconds = max(parse_duration(interval, name="--interval"), 0.2)
    if json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        rows = with_admin(_once)
        if json:
            print_json(rows)
        else:
            print_table(_COLUMNS, [_cells(row) for row in rows])
        return
    with_admin(lambda admin: _live(admin, seconds))


async def _once(admin: Admin) -> list[TopRow]:
    rows, _ = await _look(admin, None)
    return rows


async def _look(admin: Admin, before: _Moment | None) -> tuple[list[TopRow], _Moment]:
    queues, metrics, workers = await asyncio.gather(admin.queues(), admin.metrics(), admin.workers())
    each = metrics.queues if isinstance(metrics.queues, tuple) else ()
    oldest = {one.queue: one.oldest_waiting_ms for one in each}
    now = _Moment(
        time.monotonic(),
        {queue.queue: queue.completed + queue.failed for queue in queues},
        {queue.queue: queue.failed for queue in queues},
    )

    def a_second(name: str, count: Callable[[_Moment], dict[str, int]]) -> float | None:
        if before is None or name not in count(before):
            return None
        gained = count(now)[name] - count(before)[name]
        return round(max(gained, 0) / max(now.at - before.at, 0.001), 1)

    rows = [
        TopRow(
            queue=queue.queue,
            waiting=queue.waiting,
            active=queue.active,
            delayed=queue.delayed,
            oldest_waiting_ms=oldest.get(queue.queue),
            done_per_s=a_second(queue.queue, lambda moment: moment.done),
            failed_per_s=a_second(queue.queue, lambda moment: moment.failed),
            failed=queue.retained_failed,
            workers=sum(queue.queue in worker.queues and not worker.silent for worker in workers),
            paused=queue.paused,
        )
        for queue in queues
    ]
    return sorted(rows, key=lambda row: (-(row.waiting + row.active), row.queue)), now


def _cells(row: TopRow) -> list[object]:
    return [
        row.queue,
        row.waiting,
        row.active,
        row.delayed,
        milliseconds(row.oldest_waiting_ms),
        row.done_per_s,
        row.failed_per_s,
        row.failed,
        row.workers,
        "paused" if row.paused else "",
    ]


async def _live(admin: Admin, seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    over = asyncio.Event()
    with _keys(over), Live(console=Console(), auto_refresh=False, screen=True) as live:
        before: _Moment | None = None
        while not over.is_set():
            rows, before = await _look(admin, before)
            live.update(_table([[cell(value) for value in _cells(row)] for row in rows]), refresh=True)
            try:
                await asyncio.wait_for(over.wait(), seconds)
            except TimeoutError:
                continue


def _table(rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", caption="q ends it", caption_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"queue", ""} else "right")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    return table


@contextmanager
def _keys(over: asyncio.Event) -> Generator[None]:
    """Hear a q without Enter, and leave the terminal as it was."""
    import termios
    import tty

    fd = sys.stdin.fileno()
    kept = termios.tcgetattr(fd)
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if os.read(fd, 1) in {b"q", b"Q", b""}:
            over.set()

    try:
        tty.setcbreak(fd)
        loop.add_reader(fd, heard)
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, kept)
