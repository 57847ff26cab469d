"""What handlers tell while they run: progress, checkpoints and log lines, gathered and written a few times a second.

Of progress and checkpoints the newest counts. Checkpoints and lines that the server was not told yet go before the settlement
of their job, because after it its fence is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from jobs_core.connection.client import OutcomeLost
from jobs_core.errors import JobsError
from jobs_core.wire import LogLine, Progress, encode_log_line, encode_progress
from jobs_worker import logs
from jobs_worker.job_logs import MAX_BYTES, MAX_LINES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from jobs_core.connection.protocol import Encodable
    from jobs_core.scripts import Scripts
    from jobs_worker.delivery import Delivery
    from jobs_worker.settlement import Settlement

_EVERY = 0.25
_CALL_JOBS = 128
_CALL_BYTES = 512 * 1024
_log = logs.get("jobs.worker")


class Checkpoint(msgspec.Struct, frozen=True):
    """What the next attempt of a job is to see, as msgpack."""

    data: bytes


Report = Progress | Checkpoint | LogLine


class _Lines:
    """Lines of one job that the server was not told yet: the newest, where they are too many."""

    def __init__(self) -> None:
        self.packed: deque[bytes] = deque()
        self.bytes = 0
        self.dropped = 0

    def add(self, line: bytes) -> None:
        self.packed.append(line)
        self.bytes += len(line)
        while len(self.packed) > MAX_LINES or self.bytes > MAX_BYTES:
            self.bytes -= len(self.packed.popleft())
            self.dropped += 1


class Reports:
    """What the handlers of one lane told and the server was not told yet."""

    def __init__(
        self,
        scripts: Scripts,
        queue: str,
        tell: Callable[[Mapping[Delivery, Progress]], bytes],
        spawn: Callable[[Coroutine[object, object, object]], None],
    ) -> None:
        """`tell` returns what events say of progress, `spawn` does something beside the pumps of the lane."""
        self._scripts = scripts
        self._queue = queue
        self._tell_events = tell
        self._spawn = spawn
        self._progress: dict[Delivery, Progress] = {}
        self._checkpoints: dict[Delivery, bytes] = {}
        self._lines: dict[Delivery, _Lines] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._lock = asyncio.Lock()
        self._under_way: dict[Delivery, asyncio.Future[None]] = {}

    def take(self, delivery: Delivery, report: Report) -> None:
        """Take a report, on the loop."""
        if delivery.abandoned:
            return
        if isinstance(report, Progress):
            self._progress[delivery] = report
        elif isinstance(report, Checkpoint):
            self._checkpoints[delivery] = report.data
        else:
            lines = self._lines.get(delivery)
            if lines is None:
                lines = self._lines[delivery] = _Lines()
            lines.add(encode_log_line(report))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY, self._flush)

    def drop(self, delivery: Delivery) -> None:
        """Forget the progress of a delivery that ended, and all that an abandoned one told."""
        if self._progress:
            self._progress.pop(delivery, None)
        if delivery.abandoned:
            self._checkpoints.pop(delivery, None)
            self._lines.pop(delivery, None)

    def owes(self, settlements: Sequence[Settlement]) -> bool:
        """Tell whether something has to be written before these are settled."""
        if not self._lines and not self._checkpoints and not self._under_way:
            return False
        owing = self._lines.keys() | self._checkpoints.keys() | self._under_way.keys()
        return any(each.delivery in owing for each in settlements)

    async def write_before(self, settlements: Sequence[Settlement]) -> None:
        """Write what handlers told that are about to be settled."""
        checkpoints: dict[Delivery, bytes] = {}
        lines: dict[Delivery, _Lines] = {}
        under_way = {
            self._under_way[each.delivery] for each in settlements if each.delivery in self._under_way
        }
        if under_way:
            await asyncio.wait(under_way)
        for settlement in settlements:
            delivery = settlement.delivery
            checkpoint = self._checkpoints.pop(delivery, None)
            # What ends needs no checkpoint.
            if checkpoint is not None and settlement.verb not in {"complete", "fail", "cancel"}:
                checkpoints[delivery] = checkpoint
            if delivery in self._lines:
                lines[delivery] = self._lines.pop(delivery)
        await self._write({}, checkpoints, lines)

    def close(self) -> None:
        """Write no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        progress, self._progress = self._progress, {}
        checkpoints, self._checkpoints = self._checkpoints, {}
        lines, self._lines = self._lines, {}
        if progress or checkpoints or lines:
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._under_way |= dict.fromkeys(checkpoints.keys() | lines.keys(), written)
            self._spawn(self._flushed(written, progress, checkpoints, lines))

    async def _flushed(
        self,
        written: asyncio.Future[None],
        progress: dict[Delivery, Progress],
        checkpoints: dict[Delivery, bytes],
        lines: dict[Delivery, _Lines],
    ) -> None:
        try:
            await self._write(progress, checkpoints, lines)
        finally:
            for delivery in [each for each, future in self._under_way.items() if future is written]:
                del self._under_way[delivery]
            if not written.done():
                written.set_result(None)

    async def _write(
        self,
        progress: dict[Delivery, Progress],
        checkpoints: dict[Delivery, bytes],
        lines: dict[Delivery, _Lines],
    ) -> None:
        # One after the other, so that lines stay in their order.
        async with self._lock:
            try:
                await self._tell(progress, checkpoints, lines)
            except (JobsError, OutcomeLost) as error:
                # Whatever becomes of it, the job is settled.
                _log.warning("report_failed", queue=self._queue, error=str(error))

    async def _tell(
        self,
        progress: dict[Delivery, Progress],
        checkpoints: dict[Delivery, bytes],
        lines: dict[Delivery, _Lines],
    ) -> None:
        scripts, queue = self._scripts, self._queue
        owners = {each.owner for each in progress}
        for owner in owners:
            reported = {each: report for each, report in progress.items() if each.owner == owner}
            items: list[Encodable] = []
            for each, report in reported.items():
                items += (each.id, each.fence, encode_progress(report))
            told = self._tell_events(reported)
            await scripts.progress(queue, owner=owner, told=told, items=items)
        for owner, items in _by_owner(
            (each, (each.id, each.fence, data)) for each, data in checkpoints.items()
        ):
            await scripts.checkpoint(queue, owner=owner, items=items)
        for owner, items in _by_owner(
            (each, (each.id, each.fence, len(held.packed), held.dropped, *held.packed))
            for each, held in lines.items()
        ):
            await scripts.log(queue, owner=owner, max_lines=MAX_LINES, max_bytes=MAX_BYTES, items=items)


def _by_owner(
    entries: Iterable[tuple[Delivery, tuple[Encodable, ...]]],
) -> Iterable[tuple[str, list[Encodable]]]:
    """Gather what one call may carry: of one owner, 128 jobs and 512 KiB."""
    calls: dict[str, list[Encodable]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for delivery, parts in entries:
        owner = delivery.owner
        jobs, size = sizes.get(owner, (0, 0))
        if jobs >= _CALL_JOBS or size >= _CALL_BYTES:
            yield owner, calls.pop(owner)
            jobs = size = 0
        calls.setdefault(owner, []).extend(parts)
        sizes[owner] = jobs + 1, size + sum(len(part) for part in parts if isinstance(part, bytes))
    yield from calls.items()
